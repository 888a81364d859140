//! Gradients of x, weights, biases, parameters and first states.

use crate::case::{Case, Pair, batch_normed, pairs};
use crate::common::{assert_close, shared_contexts};
use crate::truth;
use weft::recurrent::{RunOptions, TrainOptions};

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

/// Draws are the same on every device, so values and gradients are those of the twin.
#[test]
fn zoneout_in_training() {
    let contexts = shared_contexts();
    for pair in pairs() {
        let mut case = Case::random(&pair, [6, 3, 2, 17], 7);
        case.problem.lengths = vec![6, 2, 5];
        case.zoneout = [0.25, 0.5];
        let pull = case.problem.random_pull(9);
        let mut twin: Option<(Vec<f32>, Vec<f32>)> = None;
        for (name, context) in &contexts {
            let (given, gradients) = case.train(context, &pull).unwrap();
            let (y, dx) = (given.y, gradients.x.as_ref().unwrap().to_vec_blocking().unwrap());
            let Some((twin_y, twin_dx)) = &twin else {
                let plain = Case { zoneout: [0.0; 2], ..case.clone() }.train(context, &pull).unwrap().0;
                assert_ne!(plain.y, y, "{}", pair.cell.name());
                twin = Some((y, dx));
                continue;
            };
            let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            assert_close(&format!("{name} {}: y", pair.cell.name()), &y, &wide(twin_y), 1e-4, 1e-4);
            assert_close(&format!("{name} {}: gradient of x", pair.cell.name()), &dx, &wide(twin_dx), 1e-3, 1e-3);
        }
    }
}

/// Where an invocation has more units than it keeps (1,024 a workgroup).
#[test]
fn norms_of_many_units() {
    for (name, context) in shared_contexts() {
        for pair in pairs().into_iter().filter(|pair| pair.cell.norms().recurrent.is_some() || pair.cell.norms().state.is_some()) {
            Case::random(&pair, [2, 2, 3, 1030], 8).check_gradients(&name, &context, TOLERANCE);
        }
    }
}

/// Momentum and unbiased variance are PyTorch's; padding does not count.
#[test]
fn a_batch_norm_moves_its_running_statistics() {
    const MOMENTUM: f64 = 0.05;
    for (name, context) in shared_contexts() {
        let truth = truth::Cell { norm_ih: Some(truth::Norm::RUNNING), ..truth::Cell::li_gru() };
        let mut case = Case::random(&Pair { cell: batch_normed(false, false), truth }, [7, 5, 3, 17], 6);
        case.problem.lengths = vec![7, 0, 3, 1, 6];
        let frames = 17.0;
        let layer = case.layer(&context);
        let run = RunOptions { lengths: Some(&case.problem.lengths), ..RunOptions::default() };
        layer.train_blocking(&case.x(&context), &TrainOptions { run, ..TrainOptions::default() }).unwrap();
        let new = &case.trained().solve().statistics[0];
        let moved = |part: &str, new: &[f64], factor: f64| -> Vec<f64> {
            let old = case.problem.values.get(&format!("norm_ih.running_{part}"));
            old.iter().zip(new).map(|(old, new)| (1.0 - MOMENTUM) * old + MOMENTUM * factor * new).collect()
        };
        let [mean, variance] = layer.running_statistics().unwrap();
        for (part, got, expected) in
            [("mean", mean, moved("mean", &new.mean, 1.0)), ("variance", variance, moved("var", &new.variance, frames / (frames - 1.0)))]
        {
            assert_close(&format!("{name}: running {part}"), &got.to_vec_blocking().unwrap(), &expected, 1e-5, 1e-5);
        }
    }
}
