//! awni/transducer torch_test.py: logits are emissions plus predictions.

use super::check;
use crate::truth::{Kind, Lattice, k_best};
use crate::{Solve, assert_near};

/// emissions [T, V] + predictions [U1, V].
fn added<const V: usize>(emissions: &[[f64; V]], predictions: &[[f64; V]], target: &[u32]) -> Lattice {
    let sum = |e: &[f64; V], p: &[f64; V]| (0..V).map(|v| e[v] + p[v]).collect::<Vec<_>>();
    let rows = emissions.iter().flat_map(|e| predictions.iter().flat_map(move |p| sum(e, p))).collect();
    Lattice::new(Kind::rnnt(0), [emissions.len(), V], target.to_vec(), rows)
}

/// Gradients by emissions and by predictions.
fn collected<const V: usize>(lattice: &Lattice) -> (Vec<f64>, Vec<f64>) {
    let positions = lattice.target.len() + 1;
    let (mut by_emissions, mut by_predictions) = (vec![0.0; lattice.frames * V], vec![0.0; positions * V]);
    for (i, g) in lattice.solved().gradient.into_iter().enumerate() {
        by_emissions[i / V / positions * V + i % V] += g;
        by_predictions[i / V % positions * V + i % V] += g;
    }
    (by_emissions, by_predictions)
}

/// `test_small`.
#[test]
fn awni_small() {
    let emissions = [[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.2, 0.1, 0.1]];
    let predictions = [[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1], [0.1, 0.1, 0.2, 0.8, 0.1]];
    let sample = added(&emissions, &predictions, &[1, 2]);
    check(&sample, 4.84392503197607, &[]);
    let (by_emissions, by_predictions) = collected::<5>(&sample);
    #[rustfmt::skip]
    assert_near("emissions", &by_emissions, &[
        -0.68842345, -0.05528555, 0.07281203, 0.35932049, 0.31157649,
        -0.67536581, 0.08346927, -0.21995842, 0.48722079, 0.32463419,
    ], 5e-7);
    #[rustfmt::skip]
    assert_near("predictions", &by_predictions, &[
        -0.07572316, -0.51750576, 0.20105512, 0.19608693, 0.19608693,
        -0.17681234, 0.30765989, -0.59614068, 0.23264654, 0.23264654,
        -1.11125374, 0.23802957, 0.24793917, 0.41780782, 0.20747721,
    ], 5e-7);
}

/// `test_big`.
#[test]
fn awni_big() {
    let emissions = [
        [
            [0.8764081559029704, 0.8114401931890338, 0.6508828493896047],
            [0.6831969720272136, 0.794939425350507, 0.4771495462110181],
            [0.07800002444603382, 0.007794919225017516, 0.9478301043860103],
            [0.49619506263326396, 0.7345710606552497, 0.7741700701082916],
        ],
        [
            [0.7084607475161292, 0.9860726712179101, 0.7902338818255793],
            [0.7691063457590045, 0.5448267745331934, 0.22524027048482376],
            [0.2291088288701465, 0.7524300104847589, 0.7273355024795244],
            [0.33155408518920104, 0.8068789770558062, 0.6188633401048291],
        ],
    ];
    let predictions = [
        [
            [0.6223532638505989, 0.3002940148933876, 0.7404674033386307],
            [0.01823584315362603, 0.034963374948701054, 0.34892745941957193],
            [0.5718051448658747, 0.28205981250440926, 0.7283146324887043],
        ],
        [
            [0.7755842032974967, 0.5521231124815825, 0.8577769985498179],
            [0.42450076602299125, 0.9417870425381804, 0.0072059916072961805],
            [0.37187505831579304, 0.960974111779922, 0.04504344671276461],
        ],
    ];
    let expected = [
        ([1, 2], 4.718404769897461, [-0.4596531, 0.0410414, 0.4186116], [-1.4490259, 0.4787561, 0.9702698]),
        ([1, 1], 4.803375244140625, [-0.5917761, 0.1554647, 0.4363115], [-1.4029311, 1.0439239, 0.3590072]),
    ];
    for (n, (target, cost, first_emission, last_prediction)) in expected.into_iter().enumerate() {
        let sample = added(&emissions[n], &predictions[n], &target);
        // The source computes in f32.
        assert_near("cost", &[sample.solved().cost], &[cost], 2e-6);
        let (by_emissions, by_predictions) = collected::<3>(&sample);
        assert_near("emissions", &by_emissions[..3], &first_emission, 1e-6);
        assert_near("predictions", &by_predictions[6..], &last_prediction, 1e-6);
    }
}

/// `test_viterbi`: the best path over all targets of two labels.
#[test]
fn awni_viterbi() {
    let emissions = [[0.0, 0.0, 6.0], [0.3, 0.5, 0.5], [0.1, 0.9, 0.7]];
    let predictions = [[0.0, 4.0, 1.0], [1.0, 8.0, 0.2], [0.0, 1.5, 0.9]];
    let targets = [[1, 1], [1, 2], [2, 1], [2, 2]];
    let best = |target: [u32; 2]| {
        let graph = added(&emissions, &predictions, &target).graph();
        let path = k_best(&graph, 1).swap_remove(0);
        (target, path.score, path.labels(&graph))
    };
    let (target, score, labels) = targets.into_iter().map(best).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!((target, labels), ([2, 1], vec![(0, 0), (0, 0)]));
    assert_near("score", &[score], &[-12.095698862585], 1e-11);
}
