//! T 2, U1 3, V 5: the small case that most transducer losses share.

use super::{check, lattice};
use crate::truth::{Kind, Lattice, Paths, Reshape, Sweep, k_best};
use crate::{Solve, assert_near};

/// The two frames.
const ROWS: [[f64; 5]; 6] = [
    [0.1, 0.6, 0.1, 0.1, 0.1],
    [0.1, 0.1, 0.6, 0.1, 0.1],
    [0.1, 0.1, 0.2, 0.8, 0.1],
    [0.1, 0.6, 0.1, 0.1, 0.1],
    [0.1, 0.1, 0.2, 0.1, 0.1],
    [0.7, 0.1, 0.2, 0.1, 0.1],
];

#[rustfmt::skip]
const GRADIENT: [f64; 30] = [
    -0.13116686, -0.39992680, 0.17703122, 0.17703122, 0.17703122,
    -0.18572753, 0.12247054, -0.18168408, 0.12247054, 0.12247054,
    -0.32091246, 0.06269139, 0.06928471, 0.12624497, 0.06269139,
    0.05456068, -0.21824272, 0.05456068, 0.05456068, 0.05456068,
    0.12073957, 0.12073957, -0.48295828, 0.12073957, 0.12073957,
    -0.69258820, 0.16871117, 0.18645468, 0.16871117, 0.16871117,
];

fn small() -> Lattice {
    lattice(Kind::rnnt(0), &ROWS, &[1, 2])
}

/// Gradients by the log-probabilities of blank and next label, cell by cell.
#[track_caller]
fn check_by_log_probs(lattice: &Lattice, expected: &[(f64, f64)]) {
    let solution = lattice.solved();
    let positions = lattice.target.len() + 1;
    let mut all = vec![0.0; solution.by_log_probs.len()];
    for (cell, &(blank, label)) in expected.iter().enumerate() {
        all[cell * 5] = blank;
        if let Some(&v) = lattice.target.get(cell % positions) {
            all[cell * 5 + v as usize] = label;
        }
    }
    assert_near("by log-probs", &solution.by_log_probs, &all, 1e-8);
}

/// HawkAaron/warp-transducer tests/test_cpu.cpp, tests/test_gpu.cu and pytorch_binding/test/test.py
/// `small_test`; NVIDIA/NeMo tests/collections/asr/numba/rnnt_loss/test_rnnt_pytorch.py `test_case_small`.
#[test]
fn warp_transducer_small_test() {
    check(&small(), 4.495666773770732, &[(0, &GRADIENT)]);
}

/// 1ytic/warp-rnnt pytorch_binding/warp_rnnt/test.py `test_forward_single` and
/// `test_forward_single_gather`.
#[test]
fn warp_rnnt_forward_single() {
    #[rustfmt::skip]
    check_by_log_probs(&small(), &[
        (-0.30819807, -0.69180193), (-0.30819807, -0.38360386), (-0.38360386, 0.0),
        (0.0, -0.30819807), (0.0, -0.61639614), (-1.0, 0.0),
    ]);
}

/// Viterbi, entropy and emission frames of the same case.
#[test]
fn small_case_alignments() {
    let graph = small().graph();
    let paths = Paths::of(&graph);
    assert_eq!(paths.all.len(), 3);
    let best = &k_best(&graph, 1)[0];
    assert_near("score", &[best.score], &[-5.45381165716638], 1e-12);
    assert_near("posterior", &[paths.posterior(best)], &[0.383603856188], 1e-11);
    assert_eq!(best.labels(&graph), [(0, 0), (0, 0)]);
    let sweep = Sweep::of(&graph);
    assert_near("entropy", &[sweep.entropy()], &[1.09305410737], 1e-11);
    assert_near("frames", &[sweep.expected_frame(0) + sweep.expected_frame(1)], &[0.924594215718], 1e-11);
}

/// NeMo test_rnnt_pytorch.py `test_case_small_clamp`.
#[test]
fn nemo_small_clamp() {
    let solution = small().solved_with(&Reshape { clamp: Some(0.1), ..Reshape::default() });
    let expected: Vec<f64> = GRADIENT.iter().map(|g| g.clamp(-0.1, 0.1)).collect();
    assert_near("gradient", &solution.gradient, &expected, 1e-8);
    assert_near("cost", &[solution.cost], &[4.495666773770732], 1e-12);
}

/// NeMo test_rnnt_pytorch.py `test_case_small` with fastemit_lambda 0.01: its cost is scaled, that of
/// 1ytic/warp-rnnt is not.
#[test]
fn nemo_small_fast_emit() {
    let solution = small().solved_with(&Reshape { fast_emit: 0.01, ..Reshape::default() });
    assert_near("scaled cost", &[solution.cost * 1.01], &[4.54062344150844], 1e-12);
    #[rustfmt::skip]
    let mut expected = [
        -0.12994215, -0.40482562, 0.17825592, 0.17825592, 0.17825592,
        -0.18504844, 0.12314964, -0.18440047, 0.12314964, 0.12314964,
        0.0, 0.0, 0.0, 0.0, 0.0,
        0.05510629, -0.22042515, 0.05510629, 0.05510629, 0.05510629,
        0.12194697, 0.12194697, -0.48778786, 0.12194697, 0.12194697,
        0.0, 0.0, 0.0, 0.0, 0.0,
    ];
    expected[10..15].copy_from_slice(&GRADIENT[10..15]);
    expected[25..].copy_from_slice(&GRADIENT[25..]);
    assert_near("gradient", &solution.gradient, &expected, 1e-8);
}

/// HAT as k2's `get_hat_logprobs_pruned` defines it.
#[test]
fn hat_of_the_small_case() {
    check(&Lattice { kind: Kind::hat(0), ..small() }, 3.6860361981524465, &[]);
}

/// pytorch/audio rnnt tests `get_B1_T2_U3_D5_data`: the same logits with the last symbol as blank.
#[test]
fn torchaudio_b1_t2_u3_d5() {
    let last = Lattice { kind: Kind::rnnt(4), ..small() };
    // The source's own cost is 5.09566688538.
    check(&last, 5.0956667737707, &[(25, &[0.30741180, 0.16871117, 0.18645468, 0.16871117, -0.83128883])]);
}

/// 1ytic/warp-rnnt test.py `test_one_to_many`.
#[test]
fn warp_rnnt_one_to_many() {
    let one = lattice(Kind::rnnt(0), &ROWS[..3], &[1, 2]);
    check(&one, 4.274244594423859, &[]);
    check_by_log_probs(&one, &[(0.0, -1.0), (0.0, -1.0), (-1.0, 0.0)]);
}

/// 1ytic/warp-rnnt test.py `test_one_to_empty`.
#[test]
fn warp_rnnt_one_to_empty() {
    let one = lattice(Kind::rnnt(0), &ROWS[..1], &[]);
    check(&one, 1.7314291957733714, &[]);
    check_by_log_probs(&one, &[(-1.0, 0.0)]);
}

/// 1ytic/warp-rnnt test.py `test_forward_batch` and `test_forward_batch_compact`, the utterance of three
/// frames.
#[test]
fn warp_rnnt_forward_batch() {
    let three = lattice(Kind::rnnt(0), &[&ROWS[..], &ROWS[..3]].concat(), &[1, 2]);
    check(&three, 5.7367250428101615, &[]);
    #[rustfmt::skip]
    check_by_log_probs(&three, &[
        (-0.45920877, -0.54079123), (-0.32392462, -0.21686661), (-0.21686661, 0.0),
        (-0.13528414, -0.32392462), (-0.29937584, -0.3484734), (-0.56534001, 0.0),
        (0.0, -0.13528414), (0.0, -0.43465999), (-1.0, 0.0),
    ]);
}
