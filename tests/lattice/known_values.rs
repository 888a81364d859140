//! Costs and gradients that other projects publish, one test a source. Digits beyond the source's are
//! of an independent f64 computation.

use crate::common::assert_close;
use crate::oracle::scatter;
use crate::{Batch, COST, contexts, gradient_tolerance};

/// The two frames of the small case: T 2, U1 3, V 5.
const FRAME_0: [[f32; 5]; 3] = [[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1], [0.1, 0.1, 0.2, 0.8, 0.1]];
const FRAME_1: [[f32; 5]; 3] = [[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.2, 0.1, 0.1], [0.7, 0.1, 0.2, 0.1, 0.1]];

fn batch(shape: [usize; 4], logits: Vec<f32>, targets: &[u32], frames: &[u32], labels: &[u32], blank: u32) -> Batch {
    Batch { shape, logits, targets: targets.to_vec(), frames: frames.to_vec(), labels: labels.to_vec(), blank }
}

fn flat(frames: &[[[f32; 5]; 3]]) -> Vec<f32> {
    frames.iter().flatten().flatten().copied().collect()
}

/// Runs on every context; `gradients` are (index of the first, values).
#[track_caller]
fn check(batch: &Batch, costs: &[f64], gradients: &[(usize, &[f64])]) {
    for (name, context) in contexts() {
        let out = batch.run(context);
        assert_close(&format!("{name}: costs"), &out.costs, costs, COST[0], COST[1]);
        for &(first, expected) in gradients {
            assert_close(
                &format!("{name}: gradients from {first}"),
                &out.gradients[first..][..expected.len()],
                expected,
                gradient_tolerance(costs[0]),
                0.0,
            );
        }
        batch.assert_padding_is_zero(&out.gradients, name);
    }
}

/// HawkAaron/warp-transducer tests/test_cpu.cpp and pytorch_binding/test/test.py `small_test`;
/// 1ytic/warp-rnnt test.py `test_forward_single`; NVIDIA/NeMo test_rnnt_pytorch.py `test_case_small`.
#[test]
fn warp_transducer_small_test() {
    let batch = batch([1, 2, 3, 5], flat(&[FRAME_0, FRAME_1]), &[1, 2], &[2], &[2], 0);
    #[rustfmt::skip]
    let gradient = [
        -0.13116686, -0.39992680, 0.17703122, 0.17703122, 0.17703122,
        -0.18572753, 0.12247054, -0.18168408, 0.12247054, 0.12247054,
        -0.32091246, 0.06269139, 0.06928471, 0.12624497, 0.06269139,
        0.05456068, -0.21824272, 0.05456068, 0.05456068, 0.05456068,
        0.12073957, 0.12073957, -0.48295828, 0.12073957, 0.12073957,
        -0.69258820, 0.16871117, 0.18645468, 0.16871117, 0.16871117,
    ];
    check(&batch, &[4.495666773770732], &[(0, &gradient)]);
}

/// pytorch/audio rnnt tests `get_B1_T2_U3_D5_data`: the same logits with the last symbol as blank.
#[test]
fn torchaudio_b1_t2_u3_d5_blank_last() {
    let batch = batch([1, 2, 3, 5], flat(&[FRAME_0, FRAME_1]), &[1, 2], &[2], &[2], 4);
    check(&batch, &[5.0956667737707], &[(25, &[0.30741180, 0.16871117, 0.18645468, 0.16871117, -0.83128883])]);
}

/// 1ytic/warp-rnnt test.py `test_one_to_many`.
#[test]
fn warp_rnnt_one_to_many() {
    check(&batch([1, 1, 3, 5], flat(&[FRAME_0]), &[1, 2], &[1], &[2], 0), &[4.274244594423859], &[]);
}

/// 1ytic/warp-rnnt test.py `test_one_to_empty`: no labels at all.
#[test]
fn warp_rnnt_one_to_empty() {
    let batch = batch([1, 1, 1, 5], FRAME_0[0].to_vec(), &[], &[1], &[0], 0);
    let normaliser: f64 = FRAME_0[0].iter().map(|&x| f64::from(x).exp()).sum();
    let mut gradient = [0.0; 5];
    scatter(&mut gradient, |v| f64::from(FRAME_0[0][v as usize]).exp() / normaliser, (0, 1.0), None);
    check(&batch, &[1.7314291957733714], &[(0, &gradient)]);
}

/// 1ytic/warp-rnnt test.py `test_forward_batch` and `test_forward_batch_compact`: frames 2 and 3. The
/// source gives gradients by log-probabilities; their negatives are the occupancies.
#[test]
fn warp_rnnt_forward_batch() {
    let padded = flat(&[FRAME_0, FRAME_1, [[0.0; 5]; 3], FRAME_0, FRAME_1, FRAME_0]);
    let batch = batch([2, 3, 3, 5], padded, &[1, 2, 1, 2], &[2, 3], &[2, 2], 0);
    #[rustfmt::skip]
    let occupancies = [
        (0.45920877, 0.54079123), (0.32392462, 0.21686661), (0.21686661, 0.0),
        (0.13528414, 0.32392462), (0.29937584, 0.3484734), (0.56534001, 0.0),
        (0.0, 0.13528414), (0.0, 0.43465999), (1.0, 0.0),
    ];
    let mut gradient = [0.0; 45];
    for (cell, row) in gradient.chunks_mut(5).enumerate() {
        let logits = &batch.logits[45 + cell * 5..][..5];
        let normaliser: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        let (blank, label) = occupancies[cell];
        let label = [Some((1, label)), Some((2, label)), None][cell % 3];
        scatter(row, |v| f64::from(logits[v as usize]).exp() / normaliser, (0, blank), label);
    }
    check(&batch, &[4.495666773770733, 5.7367250428101615], &[(45, &gradient)]);
}

/// HawkAaron/warp-transducer tests/test_cpu.cpp `options_test` and test.py `big_test`; torchaudio
/// `get_B2_T4_U3_D3_data`; NeMo `test_case_big_tensor`. Logits as rounded in the C++ test.
#[test]
fn warp_transducer_options_test() {
    #[rustfmt::skip]
    let logits = vec![
        0.065357, 0.787530, 0.081592, 0.529716, 0.750675, 0.754135, 0.609764, 0.868140, 0.622532,
        0.668522, 0.858039, 0.164539, 0.989780, 0.944298, 0.603168, 0.946783, 0.666203, 0.286882,
        0.094184, 0.366674, 0.736168, 0.166680, 0.714154, 0.399400, 0.535982, 0.291821, 0.612642,
        0.324241, 0.800764, 0.524106, 0.779195, 0.183314, 0.113745, 0.240222, 0.339470, 0.134160,
        0.505562, 0.051597, 0.640290, 0.430733, 0.829473, 0.177467, 0.320700, 0.042883, 0.302803,
        0.675178, 0.569537, 0.558474, 0.083132, 0.060165, 0.107958, 0.748615, 0.943918, 0.486356,
        0.418199, 0.652408, 0.024243, 0.134582, 0.366342, 0.295830, 0.923670, 0.689929, 0.741898,
        0.250005, 0.603430, 0.987289, 0.592606, 0.884672, 0.543450, 0.660770, 0.377128, 0.358021,
    ];
    let batch = batch([2, 4, 3, 3], logits, &[1, 2, 1, 1], &[4, 4], &[2, 2], 0);
    let gradients: [(usize, &[f64]); 2] = [(0, &[-0.186844, -0.062555, 0.249399]), (36, &[-0.356344, -0.055347, 0.411691])];
    check(&batch, &[4.2806530344, 3.9384369270], &gradients);
}

/// -log of C(T - 1 + U, U) paths of T + U arcs, each of probability 1 / V.
fn uniform_cost(frames: u32, labels: u32, vocab: u32) -> f64 {
    let paths: f64 = (1..=labels).map(|k| f64::from(frames - 1 + k) / f64::from(k)).product();
    f64::from(frames + labels) * f64::from(vocab).ln() - paths.ln()
}

/// pytorch/audio `get_B1_T10_U3_D4_data`: all logits 0.1, which makes a closed form.
#[test]
fn torchaudio_b1_t10_u3_d4_uniform() {
    // 12 ln 4 - ln 55.
    check(&batch([1, 10, 3, 4], vec![0.1; 120], &[1, 2], &[10], &[2], 0), &[uniform_cost(10, 2, 4)], &[]);
}

/// tracel-ai/burn crates/burn-nn/src/loss/rnnt.rs `single_token_uniform_probs`: 2 ln 2.
#[test]
fn burn_single_token_uniform_probs() {
    check(&batch([1, 2, 2, 2], vec![0.0; 8], &[1], &[2], &[1], 0), &[2.0 * 2f64.ln()], &[]);
}

/// tracel-ai/burn rnnt.rs `empty_target`: 3 ln 2.
#[test]
fn burn_empty_target() {
    check(&batch([1, 3, 1, 2], vec![0.0; 6], &[], &[3], &[0], 0), &[3.0 * 2f64.ln()], &[]);
}

/// The generator of tracel-ai/burn rnnt.rs: sin((11 b + 7 t + 13 u + 3 v) / 10).
fn sines([n, t, u1, v]: [usize; 4]) -> Vec<f32> {
    let value = |i: usize| {
        let (v_i, u_i, t_i, b_i) = (i % v, i / v % u1, i / v / u1 % t, i / v / u1 / t);
        ((11 * b_i + 7 * t_i + 13 * u_i + 3 * v_i) as f64 * 0.1).sin() as f32
    };
    (0..n * t * u1 * v).map(value).collect()
}

/// tracel-ai/burn rnnt.rs, cross-checked there with torchaudio: one utterance.
#[test]
fn burn_generator_b1() {
    let shape = [1, 4, 3, 3];
    let gradients: [(usize, &[f64]); 2] = [(0, &[-0.2041265, -0.2245772, 0.4287037]), (33, &[-0.6898629, 0.3231166, 0.3667463])];
    check(&batch(shape, sines(shape), &[1, 2], &[4], &[2], 0), &[4.449110981282546], &gradients);
}

/// tracel-ai/burn rnnt.rs: two utterances.
#[test]
fn burn_generator_b2() {
    let shape = [2, 5, 4, 4];
    check(&batch(shape, sines(shape), &[1, 2, 3, 2, 1, 3], &[5, 5], &[3, 3], 0), &[7.935617347085711, 7.203280085754692], &[]);
}

/// tracel-ai/burn rnnt.rs: three utterances of frames 6, 4, 5 and labels 3, 2, 1.
#[test]
fn burn_generator_b3() {
    let shape = [3, 6, 4, 5];
    let batch = batch(shape, sines(shape), &[1, 2, 3, 4, 1, 0, 2, 0, 0], &[6, 4, 5], &[3, 2, 1], 0);
    check(&batch, &[10.745807130234391, 8.019574513059435, 8.331641338027655], &[]);
}
