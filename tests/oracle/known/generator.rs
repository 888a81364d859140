//! tracel-ai/burn crates/burn-nn/src/loss/rnnt.rs: logits from a sine, cross-checked there with
//! torchaudio.

use super::check;
use crate::truth::{Kind, Lattice, Padded, sine, sines};
use crate::{Solve, assert_near};

#[test]
fn sines_are_laid_out_frame_position_symbol() {
    assert_eq!(sines(2, [3, 2, 4])[(2 + 1) * 4 + 3], sine(2, 1, 1, 3));
}

/// One utterance.
#[test]
fn burn_generator_b1() {
    let one = Lattice::new(Kind::rnnt(0), [4, 3], vec![1, 2], sines(0, [4, 3, 3]));
    check(&one, 4.449110981282546, &[]);
    let gradient = one.solved().gradient;
    assert_near("(0, 0)", &gradient[..3], &[-0.2041265, -0.2245772, 0.4287037], 1e-7);
    assert_near("(3, 2)", &gradient[33..], &[-0.6898629, 0.3231166, 0.3667463], 1e-7);
}

/// Two utterances.
#[test]
fn burn_generator_b2() {
    for (b, target, cost) in [(0, vec![1, 2, 3], 7.935617347085711), (1, vec![2, 1, 3], 7.203280085754692)] {
        check(&Lattice::new(Kind::rnnt(0), [5, 4], target, sines(b, [5, 4, 4])), cost, &[]);
    }
}

/// Three utterances of frames 6, 4, 5 and labels 3, 2, 1 in one padded batch.
#[test]
fn burn_generator_b3() {
    let batch = Padded {
        shape: [3, 6, 4, 5],
        input: (0..3).flat_map(|b| sines(b, [6, 4, 5])).collect(),
        targets: vec![1, 2, 3, 4, 1, 0, 2, 0, 0],
        begins: vec![[0, 0]; 3],
        lengths: vec![[6, 3], [4, 2], [5, 1]],
    };
    let solutions: Vec<_> = (0..3).map(|n| batch.lattice(n, &Kind::rnnt(0)).solved()).collect();
    let costs: Vec<f64> = solutions.iter().map(|solution| solution.cost).collect();
    assert_near("costs", &costs, &[10.745807130234391, 8.019574513059435, 8.331641338027655], 1e-12);
    let padded = batch.scatter(&solutions.into_iter().map(|solution| solution.gradient).collect::<Vec<_>>());
    for (row, gradient) in padded.chunks(5).enumerate() {
        let (n, t, u) = (row / 24, row / 4 % 6, row % 4);
        let within = t < batch.lengths[n][0] && u <= batch.lengths[n][1];
        assert!(within || gradient.iter().all(|&g| g == 0.0), "({n}, {t}, {u})");
    }
}
