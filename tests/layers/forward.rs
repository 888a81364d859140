//! Values.

use crate::case::{Case, pairs};
use crate::common::shared_contexts;

/// f32 sums of up to 260 terms, 20 frames deep, and exp within a few units in the last place.
const TOLERANCE: f64 = 1e-5;

/// T, N, I, H: each side at and around the sizes of lanes (32), units (8) and tiles (16, 64).
const SIZES: [[usize; 4]; 9] = [
    [1, 1, 1, 1],
    [7, 1, 3, 3],
    [20, 3, 1, 31],
    [7, 5, 31, 32],
    [7, 3, 33, 33],
    [1, 5, 130, 128],
    [2, 9, 3, 9],
    [1, 70, 5, 7],
    [3, 17, 128, 3],
];

#[test]
fn every_cell_agrees_with_the_truth() {
    for (name, context) in shared_contexts() {
        for pair in pairs() {
            for sizes in SIZES {
                Case::random(&pair, sizes, 1).check(&name, &context, TOLERANCE);
            }
        }
    }
}

#[test]
fn reverse_ragged_and_with_resets() {
    for (name, context) in shared_contexts() {
        for pair in pairs() {
            for reverse in [false, true] {
                let mut case = Case::random(&pair, [7, 5, 3, 33], 2);
                case.problem.reverse = reverse;
                case.check(&name, &context, TOLERANCE);
                case.problem.lengths = vec![7, 0, 3, 1, 6];
                case.check(&name, &context, TOLERANCE);
                case.problem.resets = vec![(0, 0), (3, 0), (2, 2), (0, 3), (5, 4), (6, 4)];
                case.check(&name, &context, TOLERANCE);
            }
        }
    }
}

/// Without training, zoneout is the mean of what it might be.
#[test]
fn zoneout_without_training() {
    for (name, context) in shared_contexts() {
        for pair in pairs() {
            let mut case = Case::random(&pair, [5, 3, 2, 33], 7);
            case.problem.lengths = vec![5, 0, 3];
            let each = 5 * 3 * 33;
            let states = case.pair.truth.states().len();
            case.problem.zoneout = (0..states).map(|state| Some(vec![if state == 0 { 0.25 } else { 0.5 }; each])).collect();
            case.zoneout = [0.25, 0.5];
            case.check(&name, &context, TOLERANCE);
        }
    }
}
