//! SimBe195/monotonic-rnnt, README and pytorch_binding/test.py: probabilities of T 4, S 2, V 3.

use super::{check, lattice};
use crate::truth::{Kind, Lattice, Paths, alignment_bands};
use crate::{Solve, assert_near};

#[rustfmt::skip]
const PROBABILITIES: [[f64; 3]; 12] = [
    [0.6, 0.3, 0.1], [0.7, 0.1, 0.2], [0.5, 0.1, 0.4],
    [0.5, 0.4, 0.1], [0.5, 0.1, 0.4], [0.8, 0.1, 0.1],
    [0.4, 0.3, 0.3], [0.5, 0.1, 0.4], [0.7, 0.2, 0.1],
    [0.8, 0.1, 0.1], [0.3, 0.1, 0.6], [0.8, 0.1, 0.1],
];

fn sample() -> Lattice {
    lattice(Kind::modified(0), &PROBABILITIES.map(|row| row.map(f64::ln)), &[1, 2])
}

/// `test_cost_grad_values`, and the six paths of the README.
#[test]
fn monotonic_rnnt_cost_grad_values() {
    let paths: Vec<f64> = Paths::of(&sample().graph()).all.iter().map(|path| path.score.exp()).collect();
    assert_near("paths", &paths, &[0.0768, 0.0720, 0.0672, 0.0540, 0.0480, 0.0450], 1e-12);
    let gradients: [(usize, &[f64]); 2] = [(0, &[0.04132231, -0.14132231, 0.1]), (33, &[-0.10578512, 0.05289256, 0.05289256])];
    check(&sample(), 1.0133524447172861, &gradients);
    #[rustfmt::skip]
    let printed = [
        0.04, -0.14, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        0.13, -0.19, 0.06, -0.04, 0.04, -0.01, 0.0, 0.0, 0.0,
        0.06, -0.1, 0.04, 0.01, 0.07, -0.08, -0.06, 0.04, 0.02,
        0.0, 0.0, 0.0, 0.14, 0.05, -0.19, -0.11, 0.05, 0.05,
    ];
    assert_near("printed", &sample().solved().gradient, &printed, 6e-3);
}

/// `test_alignment_restriction`: 1.22 and 2.7 in the source.
#[test]
fn monotonic_rnnt_alignment_restriction() {
    for (alignment, distance, cost) in [([0, 1, 0, 2], 1, 1.2180717), ([1, 2, 0, 0], 0, 2.7000820)] {
        let restricted = Lattice { bands: Some(alignment_bands(&alignment, 0, distance)), ..sample() };
        assert_near("cost", &[restricted.solved().cost], &[cost], 1e-7);
    }
}
