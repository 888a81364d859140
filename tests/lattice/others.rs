//! Arcs that read all symbols but the blank and the label.

use crate::common::assert_close;
use crate::quick_contexts;
use crate::truth::{self, Lattice};
use weft::lattice::{Blank, Kind, LogProbs, Logits, LossBatch, LossOutput, Scores, Status, TransducerLoss};
use weft::{Context, Tensor};

const SIDES: [usize; 4] = [1, 3, 2, 7];
const WEIGHT: f32 = 15.0;

fn run(context: &Context, scores: Scores<'_>) -> LossOutput {
    let kind = Kind::bypass_others(Blank(2), WEIGHT).unwrap();
    let loss = TransducerLoss::of(kind).gradients(true).build(context).unwrap();
    loss.run_blocking(&LossBatch::new(scores, &[5], &[3], &[1])).unwrap()
}

/// The model is all but sure of the blank and the label: what is left is not a difference of numbers near 1.
#[test]
fn of_a_model_that_is_sure() {
    let logits: Vec<f32> = (0..42).map(|i| if i % 7 == 2 || i % 7 == 5 { 1.0 } else { -19.0 - (i % 5) as f32 / 4.0 }).collect();
    let input = logits.iter().map(|&x| x.into()).collect();
    let expected = Lattice::new(truth::Kind::bypass_others(2, WEIGHT.into()), [3, 7], vec![5], input).solve();
    for (name, context) in quick_contexts() {
        let tensor = Tensor::from_slice(context, &SIDES, &logits).unwrap();
        let out = run(context, Logits::padded(&tensor).into());
        assert_close(name, &out.costs, &[expected.cost], 0.0, 1e-6);
        let gradient = out.gradients[0].to_vec_blocking().unwrap();
        assert_close(name, &gradient, &expected.gradient, 1e-6, 1e-5);
        assert!(gradient.iter().any(|&g| g < -1e-3) && expected.gradient[6] < -1e-3, "the others matter");
    }
}

/// A NaN that no arc reads alone is found all the same; -inf in place of all of them leaves the arc no probability.
#[test]
fn of_masked_and_bad_scores() {
    for (name, context) in quick_contexts() {
        let mut log_probs = vec![-2.0f32; 42];
        let plain = run(context, LogProbs::padded(&Tensor::from_slice(context, &SIDES, &log_probs).unwrap()).into());
        assert_eq!(plain.status, [Status::Ok], "{name}");
        log_probs[7 * 2 + 6] = f32::NAN;
        let out = run(context, LogProbs::padded(&Tensor::from_slice(context, &SIDES, &log_probs).unwrap()).into());
        assert_eq!(out.status, [Status::NonFinite], "{name}");
        assert!(out.gradients[0].to_vec_blocking().unwrap().iter().all(|&g| g == 0.0), "{name}");
        for row in log_probs.chunks_mut(7) {
            row.iter_mut().enumerate().filter(|(v, _)| *v != 2 && *v != 5).for_each(|(_, x)| *x = f32::NEG_INFINITY);
        }
        let tensor = Tensor::from_slice(context, &SIDES, &log_probs).unwrap();
        let out = run(context, LogProbs::padded(&tensor).into());
        let rnnt = TransducerLoss::rnnt(Blank(2)).gradients(true).build(context).unwrap();
        let rnnt = rnnt.run_blocking(&LossBatch::new(LogProbs::padded(&tensor), &[5], &[3], &[1])).unwrap();
        assert_close(name, &out.costs, &[rnnt.costs[0].into()], 0.0, 1e-6);
        let expected: Vec<f64> = rnnt.gradients[0].to_vec_blocking().unwrap().into_iter().map(f64::from).collect();
        assert_close(name, &out.gradients[0].to_vec_blocking().unwrap(), &expected, 1e-6, 0.0);
    }
}
