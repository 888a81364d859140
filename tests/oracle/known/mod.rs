//! Values that other projects publish, one test a source. Digits beyond a source's own, and values of
//! options that a source does not print, are of an independent f64 computation.

mod additive;
mod big;
mod ctc;
mod generator;
mod graph_losses;
mod k2;
mod monotonic;
mod multi_blank;
mod small;
mod tdt;
mod uniform;

use crate::truth::{Kind, Lattice};
use crate::{Solve, assert_near};

/// A lattice over [T, U1, V] given row by row.
fn lattice<const V: usize>(kind: Kind, rows: &[[f64; V]], target: &[u32]) -> Lattice {
    let frames = rows.len() / (target.len() + 1);
    Lattice::new(kind, [frames, V], target.to_vec(), rows.concat())
}

/// Cost and some stretches of the gradient by the input: (index of the first, values).
#[track_caller]
fn check(lattice: &Lattice, cost: f64, gradients: &[(usize, &[f64])]) {
    let solution = lattice.solved();
    assert_near("cost", &[solution.cost], &[cost], 1e-9);
    for &(first, expected) in gradients {
        assert_near(&format!("gradient from {first}"), &solution.gradient[first..][..expected.len()], expected, 1e-8);
    }
}
