//! Gradients of x, weights, biases, parameters and first states.

use crate::case::{Case, pairs};
use crate::common::shared_contexts;

const TOLERANCE: f64 = 2e-5;

#[test]
fn every_cell_agrees_with_the_truth() {
    for (name, context) in shared_contexts() {
        for pair in pairs() {
            for sizes in [[1, 1, 1, 1], [5, 2, 3, 4], [9, 3, 5, 31], [4, 9, 33, 32], [3, 17, 2, 9], [6, 1, 40, 70]] {
                Case::random(&pair, sizes, 3).check_gradients(&name, &context, TOLERANCE);
            }
        }
    }
}

#[test]
fn reverse_ragged_and_with_resets() {
    for (name, context) in shared_contexts() {
        for pair in pairs() {
            for reverse in [false, true] {
                let mut case = Case::random(&pair, [7, 5, 3, 17], 4);
                case.problem.reverse = reverse;
                case.check_gradients(&name, &context, TOLERANCE);
                case.problem.lengths = vec![7, 0, 3, 1, 6];
                case.check_gradients(&name, &context, TOLERANCE);
                case.problem.resets = vec![(0, 0), (3, 0), (2, 2), (0, 3), (5, 4), (6, 4)];
                case.check_gradients(&name, &context, TOLERANCE);
            }
        }
    }
}
