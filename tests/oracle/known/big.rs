//! B 2, T 4, U1 3, V 3: HawkAaron/warp-transducer `options_test` (tests/test_cpu.cpp) and `big_test`
//! (test.py), torchaudio `get_B2_T4_U3_D3_data`, NeMo `test_case_big_tensor`. Logits as rounded in the
//! C++ test.

use super::{check, lattice};
use crate::truth::{Eos, Kind, Lattice, Paths, Sweep, k_best};
use crate::{Solve, assert_near};

#[rustfmt::skip]
const FIRST: [[f64; 3]; 12] = [
    [0.065357, 0.787530, 0.081592], [0.529716, 0.750675, 0.754135], [0.609764, 0.868140, 0.622532],
    [0.668522, 0.858039, 0.164539], [0.989780, 0.944298, 0.603168], [0.946783, 0.666203, 0.286882],
    [0.094184, 0.366674, 0.736168], [0.166680, 0.714154, 0.399400], [0.535982, 0.291821, 0.612642],
    [0.324241, 0.800764, 0.524106], [0.779195, 0.183314, 0.113745], [0.240222, 0.339470, 0.134160],
];
#[rustfmt::skip]
const SECOND: [[f64; 3]; 12] = [
    [0.505562, 0.051597, 0.640290], [0.430733, 0.829473, 0.177467], [0.320700, 0.042883, 0.302803],
    [0.675178, 0.569537, 0.558474], [0.083132, 0.060165, 0.107958], [0.748615, 0.943918, 0.486356],
    [0.418199, 0.652408, 0.024243], [0.134582, 0.366342, 0.295830], [0.923670, 0.689929, 0.741898],
    [0.250005, 0.603430, 0.987289], [0.592606, 0.884672, 0.543450], [0.660770, 0.377128, 0.358021],
];

fn first(kind: Kind) -> Lattice {
    lattice(kind, &FIRST, &[1, 2])
}

fn second(kind: Kind) -> Lattice {
    lattice(kind, &SECOND, &[1, 1])
}

#[track_caller]
fn check_costs(kind: &Kind, costs: [f64; 2]) {
    let got = [first(kind.clone()), second(kind.clone())].map(|lattice| lattice.solved().cost);
    assert_near("costs", &got, &costs, 1e-10);
}

/// Costs and gradients; the unrounded input gives 4.2806528590890736 and 3.9384369822503591.
#[test]
fn warp_transducer_options_test() {
    check_costs(&Kind::rnnt(0), [4.2806530344, 3.9384369270]);
    for (lattice, expected) in
        [(first(Kind::rnnt(0)), [-0.186844, -0.062555, 0.249399]), (second(Kind::rnnt(0)), [-0.356344, -0.055347, 0.411691])]
    {
        let solution = lattice.solved();
        assert_near("gradient", &solution.gradient[..3], &expected, 1e-6);
    }
    let by_log_probs = first(Kind::rnnt(0)).solved().by_log_probs;
    assert_near("by log-probs", &by_log_probs[..3], &[-0.432226, -0.567774, 0.0], 1e-6);
}

/// Delay penalty as k2 and CAIMAN-ASR have it.
#[test]
fn delay_penalty() {
    for (delay, cost) in [(0.05, 4.239299513976), (0.5, 3.596672482386)] {
        check(&Lattice { delay, ..first(Kind::rnnt(0)) }, cost, &[]);
    }
}

/// CAIMAN-ASR's EOS penalty is a second delay penalty, on one label only.
#[test]
fn eos_penalty_on_every_label_is_delay_penalty() {
    let eos = Some(Eos { symbol: 1, penalty: 0.3 });
    let sum = Lattice { delay: 0.2, eos, ..second(Kind::rnnt(0)) }.solved();
    let delay = Lattice { delay: 0.5, ..second(Kind::rnnt(0)) }.solved();
    assert_near("cost", &[sum.cost], &[delay.cost], 1e-12);
    assert_near("gradient", &sum.gradient, &delay.gradient, 1e-12);
}

/// k2's `rnnt_type="modified"`.
#[test]
fn modified() {
    check_costs(&Kind::modified(0), [2.634738805821, 2.465103103635]);
}

/// k2's `rnnt_type="constrained"`.
#[test]
fn constrained() {
    check_costs(&Kind::constrained(0), [4.837693365880, 4.583145747138]);
}

#[test]
fn hat() {
    check(&first(Kind::hat(0)), 2.864340895141, &[]);
}

/// MyrtleSoftware/caiman-asr `star_idx`: a label that matches anything, and the penalty of staying on it.
#[test]
fn caiman_star() {
    let star = 7;
    for (target, stay, cost) in [([1, star], 0.5, 2.180856349351), ([star, 2], 0.1, 4.057369973197)] {
        check(&lattice(Kind::wildcard(0, star, stay), &FIRST, &target), cost, &[]);
    }
}

#[test]
fn alignments() {
    let graph = first(Kind::rnnt(0)).graph();
    let best = &k_best(&graph, 1)[0];
    assert_near("score", &[best.score], &[-5.879530278789], 1e-11);
    assert_eq!(best.labels(&graph), [(0, 0), (0, 0)]);
    let sweep = Sweep::of(&graph);
    assert_near("entropy", &[sweep.entropy(), Paths::of(&graph).entropy()], &[2.195013160042; 2], 1e-11);
    assert_near("frames", &[sweep.expected_frame(0) + sweep.expected_frame(1)], &[2.242299567588], 1e-11);
}
