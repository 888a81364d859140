//! NVIDIA/NeMo tests/collections/asr/k2/test_w_transducer.py and artbataev/uol_final tests: graph losses
//! whose extra arcs weigh next to nothing are RNN-T.

use super::{check, lattice};
use crate::truth::{Exit, Kind, Lattice};
use crate::{Solve, assert_near};

const ROWS: [[f64; 5]; 6] = [
    [0.1, 0.6, 0.1, 0.1, 0.1],
    [0.1, 0.1, 0.6, 0.1, 0.1],
    [0.1, 0.1, 0.2, 0.8, 0.1],
    [0.1, 0.6, 0.1, 0.1, 0.1],
    [0.1, 0.1, 0.2, 0.1, 0.1],
    [0.7, 0.1, 0.2, 0.1, 0.1],
];

/// `test_small_grid_transducer_inf_penalty`: eps_weight -100 in both last_blank_modes.
#[test]
fn nemo_w_transducer_inf_penalty() {
    for exit in [Exit::LastCell, Exit::Terminal] {
        check(&lattice(Kind::w(0, -100.0, exit), &ROWS, &[1, 2]), 4.495666773770732, &[]);
    }
}

/// Target-robust is star where labels can't be skipped, and bypass where frames can't be.
#[test]
fn uol_final_target_robust() {
    let nothing = f64::NEG_INFINITY;
    let pairs =
        [(Kind::target_robust(0, -1.0, nothing), Kind::star(0, -1.0)), (Kind::target_robust(0, nothing, -2.0), Kind::bypass(0, -2.0))];
    for (robust, other) in pairs {
        let [robust, other] = [robust, other].map(|kind| lattice(kind, &ROWS, &[1, 2]).solved());
        assert_near("cost", &[robust.cost], &[other.cost], 1e-13);
        assert_near("gradient", &robust.gradient, &other.gradient, 1e-13);
    }
}

/// "sumexcl" by hand, T 1, U 1, V 3: the label or whatever else is no blank, then the blank.
#[test]
fn uol_final_bypass_of_others() {
    let p = [[0.5, 0.2, 0.3], [0.6, 0.3, 0.1]];
    let sample: Lattice = lattice(Kind::bypass_others(0, 0.5f64.ln()), &p.map(|row: [f64; 3]| row.map(f64::ln)), &[1]);
    check(&sample, -((0.2 + 0.5 * 0.3) * 0.6f64).ln(), &[]);
}
