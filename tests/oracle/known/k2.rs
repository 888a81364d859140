//! k2-fsa/k2 k2/python/tests/rnnt_loss_test.py `test_rnnt_loss_basic`: its inputs; it prints no number.

use crate::truth::{Kind, Lattice};
use crate::{Solve, assert_near};

const AM: [[f64; 3]; 4] = [[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [0.0, 2.0, 4.0], [0.0, 3.0, 3.0]];
const LM: [[f64; 3]; 4] = [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [2.0, 2.0, 0.0]];

/// am + lm, and whatever a frame and a position add to all symbols.
fn joint(kind: Kind, frame: impl Fn(usize) -> f64, position: impl Fn(usize) -> f64) -> f64 {
    let mut logits = Vec::new();
    for (t, am) in AM.iter().enumerate() {
        for (u, lm) in LM.iter().enumerate() {
            logits.extend((0..3).map(|v| am[v] + lm[v] + frame(t) + position(u)));
        }
    }
    Lattice::new(kind, [4, 3], vec![0, 1, 0], logits).solved().cost
}

/// The three `rnnt_type`s; constants of a frame or a position change nothing.
#[test]
fn k2_rnnt_loss_basic() {
    let types = [(Kind::rnnt(2), 7.504013356021812), (Kind::modified(2), 6.545785004193915), (Kind::constrained(2), 9.658769328591465)];
    for (kind, cost) in types {
        assert_near("cost", &[joint(kind.clone(), |_| 0.0, |_| 0.0)], &[cost], 1e-12);
        assert_near("moved", &[joint(kind, |t| t as f64 * 1.7 - 2.0, |u| 3.0 - u as f64)], &[cost], 1e-12);
    }
}
