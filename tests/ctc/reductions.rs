//! One number for a batch, and gradients of that number.

use crate::common::assert_close;
use crate::{Batch, COST, GRADIENT, GRADIENTS, Layout, contexts};
use weft::lattice::{CtcOutput, Reduction};

/// Weights of any sign; one utterance without frames, one that has too few.
fn batch() -> Batch {
    let batch = Batch::random(61, [5, 7, 6], 3, 2).with_lengths(&[7, 0, 4, 2, 6], &[3, 1, 0, 3, 2]);
    Batch { weights: Some(vec![1.0, 3.0, -0.5, 2.0, 0.25]), ..batch }
}

const REDUCTIONS: [Reduction; 5] = [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanFrames, Reduction::MeanLabels];

/// What a sum is divided by, with what is infeasible.
fn denominator(reduction: Reduction) -> f64 {
    match reduction {
        Reduction::None | Reduction::Sum => 1.0,
        Reduction::Mean => 5.0,
        Reduction::MeanFrames => 19.0,
        Reduction::MeanLabels => 9.0,
    }
}

#[test]
fn are_those_of_the_oracle() {
    let batch = batch();
    let weights = batch.weights.clone().unwrap();
    let solutions = batch.solve();
    for reduction in REDUCTIONS {
        let scale = |n: usize| f64::from(weights[n]) / denominator(reduction);
        let terms = solutions.iter().enumerate().filter(|(_, solution)| solution.cost.is_finite());
        let expected: f64 = terms.map(|(n, solution)| scale(n) * solution.cost).sum();
        let gradient: Vec<f64> =
            solutions.iter().enumerate().flat_map(|(n, solution)| solution.gradient.iter().map(move |g| scale(n) * g)).collect();
        for (name, context) in contexts() {
            for gradients in GRADIENTS {
                let what = format!("{reduction:?} {gradients:?} on {name}");
                let builder = batch.builder().gradients(gradients).reduction(reduction);
                let CtcOutput { loss, gradients, .. } = batch.try_run(context, builder, Layout::Padded).unwrap();
                assert_eq!(loss.is_none(), reduction == Reduction::None, "{what}");
                assert_close(&what, &[loss.unwrap_or(expected) as f32], &[expected], COST[0], COST[1]);
                assert_close(&what, &gradients.unwrap().to_vec_blocking().unwrap(), &gradient, GRADIENT, 0.0);
            }
        }
    }
}

/// The gradient is that of the number, by the logits of each utterance.
#[test]
fn gradients_are_those_of_the_number() {
    const STEP: f32 = 1.0 / 32.0;
    let (_, context) = &contexts()[0];
    for reduction in REDUCTIONS.into_iter().filter(|&reduction| reduction != Reduction::None) {
        let batch = batch();
        let out = batch.run_as(context, batch.builder().gradients(true).reduction(reduction), Layout::Padded);
        let difference = |i: usize| {
            let loss = |step: f32| {
                let mut moved = batch.clone();
                moved.logits[i] += step;
                moved.try_run(context, moved.builder().reduction(reduction), Layout::Padded).unwrap().loss.unwrap()
            };
            (loss(STEP) - loss(-STEP)) / f64::from(2.0 * STEP)
        };
        let expected: Vec<f64> = (0..batch.logits.len()).map(difference).collect();
        assert_close(&format!("{reduction:?}"), &out.gradients, &expected, 3e-4, 0.0);
    }
}

/// torch's mean: each cost over its labels, at least one, then over the batch.
#[test]
fn the_mean_of_torch() {
    let labels = [3, 0, 2];
    let weights = labels.map(|labels: u32| 1.0 / labels.max(1) as f32);
    let batch = Batch::random(62, [3, 9, 5], 3, 0).with_lengths(&[9, 5, 7], &labels);
    let batch = Batch { weights: Some(weights.to_vec()), ..batch };
    let costs = batch.solve().into_iter().map(|solution| solution.cost);
    let expected = costs.zip(labels).map(|(cost, labels)| cost / f64::from(labels.max(1))).sum::<f64>() / 3.0;
    for (name, context) in contexts() {
        let loss = batch.try_run(context, batch.builder().reduction(Reduction::Mean), Layout::Packed).unwrap().loss.unwrap();
        assert_close(name, &[loss as f32], &[expected], COST[0], COST[1]);
    }
}

/// No rows at all: what is infeasible adds nothing, what is empty costs nothing.
#[test]
fn of_nothing() {
    let still = Batch::random(1, [2, 0, 5], 3, 0).with_lengths(&[0, 0], &[3, 0]);
    for (name, context) in contexts() {
        for reduction in REDUCTIONS {
            let out = still.try_run(context, still.builder().reduction(reduction), Layout::Padded).unwrap();
            assert_eq!(out.loss, (reduction != Reduction::None).then_some(0.0), "{reduction:?} on {name}");
        }
    }
}
