//! The f64 truth for lattices, shown to be one: against path enumeration, finite differences, and the
//! values that other projects publish.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod truth;

mod ctc;
mod degenerate;
mod graphs;
mod known;
mod options;
mod planes;
mod proofs;
mod samples;

use truth::{Lattice, Reshape, Solution};

/// Who is asked for the published values: the truth here, the library in its own tests.
trait Solve {
    fn solved(&self) -> Solution;
    fn solved_with(&self, reshape: &Reshape) -> Solution;
}

impl Solve for Lattice {
    fn solved(&self) -> Solution {
        self.solve()
    }

    fn solved_with(&self, reshape: &Reshape) -> Solution {
        self.solve_with(reshape)
    }
}

/// Fails with the place of the first difference above `tolerance`.
#[track_caller]
fn assert_near(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let near = g == e || (g - e).abs() <= tolerance;
        assert!(near, "{what} [{i}]: got {g}, expected {e}");
    }
}

/// Central differences of a function by each of its arguments.
fn differences(at: &[f64], function: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let moved = |i: usize, by: f64| {
        let mut arguments = at.to_vec();
        arguments[i] += by;
        function(&arguments)
    };
    (0..at.len()).map(|i| (moved(i, STEP) - moved(i, -STEP)) / (2.0 * STEP)).collect()
}
