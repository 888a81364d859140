//! Costs and gradients that other projects publish, one test a source, and values for which there is no source but an independent
//! f64 computation.

use crate::common::assert_close;
use crate::truth::{Head, sines};
use crate::{Batch, COST, Extras, GRADIENT, Pair, contexts};
use weft::lattice::{Blank, Exit, Kind};

/// A batch of one utterance.
fn one(pair: &Pair, [frames, positions, channels]: [usize; 3], scores: Vec<f64>, target: &[u32]) -> Batch {
    Batch {
        pair: pair.clone(),
        shape: [1, frames, positions, channels],
        scores: scores.into_iter().map(|x| x as f32).collect(),
        targets: target.to_vec(),
        frames: vec![frames as u32],
        labels: vec![target.len() as u32],
        extras: Extras::default(),
    }
}

/// Cost, and some stretches of the gradient: (index of the first, values).
#[track_caller]
fn check(batch: &Batch, cost: f64, gradients: &[(usize, &[f64])]) {
    for (name, context) in contexts() {
        let out = batch.run(context);
        assert_close(&format!("{name}: cost"), &out.costs, &[cost], COST[0], COST[1]);
        for &(first, expected) in gradients {
            let what = format!("{name}: gradient from {first}");
            assert_close(&what, &out.gradients[first..][..expected.len()], expected, GRADIENT, 0.0);
        }
    }
}

fn tdt(durations: &[u32], sigma: f32) -> Pair {
    let kind = Kind::tdt(Blank(3), durations).unwrap().under_normalised(sigma).unwrap();
    Pair::new(kind, Head::Softmax, sigma, durations.len())
}

/// NVIDIA/NeMo test_rnnt_pytorch.py `TestTDTLoss::test_case_fixed_case_act_label`: all zeros.
#[test]
fn nemo_tdt_fixed_case_act_label() {
    #[rustfmt::skip]
    let gradient = [
        -0.64962798, 0.25, 0.25, 0.14962798, 0.26725832, -0.16792617, -0.09933215,
        0.01651875, 0.01651875, 0.01651875, -0.04955626, 0.022025, -0.01227201, -0.00975299,
        -0.0489265, 0.01714851, 0.01714851, 0.01462949, -0.01143234, -0.01143234, 0.02286467,
        0.12531488, 0.12531488, 0.12531488, -0.37594463, 0.1670865, 0.13027048, -0.29735698,
        -0.02572276, 0.00857425, 0.00857425, 0.00857425, -0.02286467, 0.01143234, 0.01143234,
        0.13388913, 0.13388913, 0.13388913, -0.40166739, 0.17851884, -0.35703768, 0.17851884,
    ];
    check(&one(&tdt(&[0, 1, 2], 0.05), [3, 2, 7], vec![0.0; 42], &[0]), 4.155738825069801, &[(0, &gradient)]);
}

#[test]
fn tdt_durations_0_1_2() {
    let batch = |sigma| one(&tdt(&[0, 1, 2], sigma), [4, 3, 7], sines(0, [4, 3, 7]), &[1, 2]);
    check(&batch(0.0), 5.645177250485796, &[]);
    #[rustfmt::skip]
    let gradients: [(usize, &[f64]); 2] = [
        (0, &[0.15894749, -0.60001695, 0.27955984, 0.16150963, 0.13207763, -0.08158858, -0.05048905]),
        (77, &[0.09780721, 0.10190055, 0.11565992, -0.31536768, 0.11034156, -0.30919684, 0.19885528]),
    ];
    check(&batch(0.05), 5.813881474651289, &gradients);
}

#[test]
fn tdt_durations_1_2() {
    let gradient = [0.15894749, -0.60500515, 0.27955984, 0.16649783, 0.0152698, -0.0152698];
    check(&one(&tdt(&[1, 2], 0.05), [5, 3, 6], sines(0, [5, 3, 6]), &[1, 2]), 4.899616767331478, &[(0, &gradient)]);
}

#[test]
fn tdt_durations_0_to_4() {
    #[rustfmt::skip]
    let gradient = [0.23681209, 0.26021529, -0.69917157, 0.20214418, -0.20409433, -0.07736332, 0.07795545, 0.10847669, 0.09502551];
    let pair = tdt(&[0, 1, 2, 3, 4], 0.05);
    check(&one(&pair, [6, 4, 9], sines(1, [6, 4, 9]), &[2, 0, 1]), 7.885740138428768, &[(0, &gradient)]);
}

fn multi_blank(sigma: f32) -> Pair {
    let kind = Kind::multi_blank(Blank(5), &[(4, 2), (3, 4)]).unwrap().under_normalised(sigma).unwrap();
    Pair::new(kind, Head::Softmax, sigma, 0)
}

#[test]
fn multi_blank_2_4() {
    let batch = |sigma| one(&multi_blank(sigma), [4, 3, 6], sines(0, [4, 3, 6]), &[1, 2]);
    check(&batch(0.0), 4.8558310521396955, &[]);
    #[rustfmt::skip]
    let gradients: [(usize, &[f64]); 2] = [
        (0, &[0.08663597, -0.44683491, 0.15237698, 0.18962378, -0.03987261, 0.05807078]),
        (66, &[0.03195597, 0.03329336, 0.03778888, 0.04620165, 0.05976413, -0.20900399]),
    ];
    check(&batch(0.05), 5.05683156649822, &gradients);
}

#[test]
fn multi_blank_five_frames() {
    let gradient = [-0.33429287, 0.19030093, 0.19148735, 0.06540773, -0.03686727, -0.07603587];
    check(&one(&multi_blank(0.05), [5, 3, 6], sines(1, [5, 3, 6]), &[0, 2]), 4.981566081982141, &[(0, &gradient)]);
}

/// k2's `rnnt_type="constrained"` on the logits of HawkAaron/warp-transducer tests/test_cpu.cpp `options_test`.
#[test]
fn k2_constrained_options_test() {
    #[rustfmt::skip]
    let logits = [
        0.065357, 0.787530, 0.081592, 0.529716, 0.750675, 0.754135, 0.609764, 0.868140, 0.622532,
        0.668522, 0.858039, 0.164539, 0.989780, 0.944298, 0.603168, 0.946783, 0.666203, 0.286882,
        0.094184, 0.366674, 0.736168, 0.166680, 0.714154, 0.399400, 0.535982, 0.291821, 0.612642,
        0.324241, 0.800764, 0.524106, 0.779195, 0.183314, 0.113745, 0.240222, 0.339470, 0.134160,
    ];
    let pair = Pair::new(Kind::constrained(Blank(0)), Head::Softmax, 0.0, 0);
    check(&one(&pair, [4, 3, 3], logits.to_vec(), &[1, 2]), 4.837693365880, &[]);
}

/// k2-fsa/k2 rnnt_loss_test.py `test_rnnt_loss_basic`: its inputs; it prints no number.
#[test]
fn k2_rnnt_loss_basic_constrained() {
    const AM: [[f64; 3]; 4] = [[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [0.0, 2.0, 4.0], [0.0, 3.0, 3.0]];
    const LM: [[f64; 3]; 4] = [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [2.0, 2.0, 0.0]];
    let logits = AM.iter().flat_map(|am| LM.iter().flat_map(move |lm| (0..3).map(move |v| am[v] + lm[v])));
    let pair = Pair::new(Kind::constrained(Blank(2)), Head::Softmax, 0.0, 0);
    check(&one(&pair, [4, 4, 3], logits.collect(), &[0, 1, 0]), 9.658769328591465, &[]);
}

/// NVIDIA/NeMo test_w_transducer.py `test_small_grid_transducer_inf_penalty`: arcs that weigh next to nothing leave RNN-T.
#[test]
fn nemo_w_transducer_inf_penalty() {
    #[rustfmt::skip]
    let logits = [
        0.1, 0.6, 0.1, 0.1, 0.1, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1, 0.1, 0.2, 0.8, 0.1,
        0.1, 0.6, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.7, 0.1, 0.2, 0.1, 0.1,
    ];
    let gradient = [-0.13116686, -0.39992680, 0.17703122, 0.17703122, 0.17703122];
    for exit in [Exit::LastFrame, Exit::End] {
        let pair = Pair::new(Kind::w_transducer(Blank(0), -100.0, exit).unwrap(), Head::Softmax, 0.0, 0);
        check(&one(&pair, [2, 3, 5], logits.to_vec(), &[1, 2]), 4.495666773770732, &[(0, &gradient)]);
    }
}
