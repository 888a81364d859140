//! The expected latency: the numbers that it adds, and lattices too long for rounding to be forgiven.

use crate::common::{Lcg, assert_close};
use crate::truth::{self, Lattice};
use crate::{contexts, quick_contexts};
use weft::Tensor;
use weft::lattice::{Blank, Gradients, Kind, LogProbs, Logits, LossBatch, Scores, TransducerLoss, TransducerLossBuilder};

const WEIGHT: f32 = 0.5;

fn rnnt() -> TransducerLossBuilder {
    TransducerLoss::rnnt(Blank(0))
}

/// One label over frames that are all the same: any frame is as good, so it is expected in the middle.
#[test]
fn of_a_label_anywhere_is_the_middle() {
    for (name, context) in contexts() {
        for frames in [1, 2, 7, 100] {
            let logits = Tensor::from_slice(context, &[1, frames, 2, 3], &vec![0.0; frames * 6]).unwrap();
            let lengths = [frames as u32];
            let batch = LossBatch::new(Logits::padded(&logits), &[2], &lengths, &[1]);
            let cost = |loss: TransducerLossBuilder| f64::from(loss.build(context).unwrap().run_blocking(&batch).unwrap().costs[0]);
            let (plain, late) = (cost(rnnt()), cost(rnnt().min_latency(WEIGHT)));
            let expected = f64::from(WEIGHT) * (frames as f64 - 1.0) / 2.0;
            assert!((late - plain - expected).abs() < 1e-5 * late, "{frames} frames on {name}: {}, expected {expected}", late - plain);
        }
    }
}

/// What a kept lattice tells of its labels is what the cost contains. Without labels it contains nothing.
#[test]
fn is_that_of_the_kept_lattice() {
    let (sides, targets, frames, labels) = ([3, 9, 5, 6], [1, 2, 3, 4, 5, 5, 1, 0, 0, 0, 0, 0], [9, 7, 4], [4, 3, 0]);
    let values = Lcg(5).list(sides.iter().product(), 2.0);
    for (name, context) in quick_contexts() {
        let logits = Tensor::from_slice(context, &sides, &values).unwrap();
        let batch = LossBatch::new(Logits::padded(&logits), &targets, &frames, &labels);
        let lattices = rnnt().build(context).unwrap().lattice_blocking(&batch).unwrap();
        let late = rnnt().min_latency(WEIGHT).build(context).unwrap();
        let kept = late.lattice_blocking(&batch).unwrap();
        let out = late.run_blocking(&batch).unwrap();
        assert_eq!(kept.output().costs, out.costs, "{name}");
        let frames = lattices.map(|lattice| lattice.expected_frames());
        // The posterior of the paths does not depend on the weight.
        assert!(frames.concat().iter().zip(kept.map(|lattice| lattice.expected_frames()).concat()).all(|(a, b)| (a - b).abs() < 1e-4));
        for (n, frames) in frames.iter().enumerate() {
            let mean = frames.iter().sum::<f64>() / frames.len().max(1) as f64;
            let expected = f64::from(lattices.output().costs[n]) + f64::from(WEIGHT) * mean;
            assert!((f64::from(out.costs[n]) - expected).abs() < 1e-5 * expected, "utterance {n} on {name}: {}, {expected}", out.costs[n]);
        }
    }
}

/// Sums over a hundred labels that may each be hundreds of frames away: the gradient is a difference of such sums.
#[test]
fn of_long_lattices() {
    let (frames, labels, vocab) = (500, 120, 3);
    // Peaks that wander, so that paths are many in some places and few in others.
    let mut numbers = Lcg(11);
    let values: Vec<f32> = (0..frames * (labels + 1))
        .flat_map(|cell| {
            let lead = (cell % (labels + 1)) as f32 / labels as f32 - (cell / (labels + 1)) as f32 / frames as f32;
            let noise = numbers.list(3, 1.0);
            [noise[0] + 8.0 * lead, noise[1], noise[2]]
        })
        .collect();
    let target: Vec<u32> = (0..labels).map(|u| 1 + (u % 2) as u32).collect();
    let input = values.iter().map(|&x| x.into()).collect();
    let lattice = Lattice { latency: WEIGHT.into(), ..Lattice::new(truth::Kind::rnnt(0), [frames, vocab], target.clone(), input) };
    let expected = lattice.solve();
    for (name, context) in quick_contexts() {
        let logits = Tensor::from_slice(context, &[1, frames, labels + 1, vocab], &values).unwrap();
        let lengths = [frames as u32, labels as u32];
        let batch = LossBatch::new(Logits::padded(&logits), &target, &lengths[..1], &lengths[1..]);
        let out = rnnt().min_latency(WEIGHT).gradients(true).build(context).unwrap().run_blocking(&batch).unwrap();
        assert_close(name, &out.costs, &[expected.cost], 0.0, 1e-5);
        assert_close(name, &out.gradients[0].to_vec_blocking().unwrap(), &expected.gradient, 2e-4, 0.0);
    }
}

/// Pieces of a batch, with rows of their own windows, to the same bits.
#[test]
fn in_pieces_is_the_same_bit_for_bit() {
    let (sides, targets) = ([4, 6, 4, 10], [1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5]);
    let values = Lcg(9).list(sides.iter().product(), 2.0);
    for (name, context) in quick_contexts() {
        let logits = Tensor::from_slice(context, &sides, &values).unwrap();
        let batch = LossBatch::new(Logits::padded(&logits), &targets, &[6, 5, 4, 6], &[3, 1, 2, 3]);
        let kind = Kind::tdt(Blank(0), &[0, 1]).unwrap();
        let run = |limit: u64| {
            let loss = TransducerLoss::of(kind.clone()).min_latency(WEIGHT).gradients(Gradients::Separate).workspace_limit(limit);
            let loss = loss.build(context).unwrap();
            let out = loss.run_blocking(&batch).unwrap();
            (loss.plan_batch(&batch).unwrap().chunk(), out.costs, out.gradients[0].to_vec_blocking().unwrap())
        };
        let (whole, pieces) = (run(1 << 30), run(2_000));
        assert!(whole.0 == 4 && pieces.0 < 4, "{} and {} utterances at once", whole.0, pieces.0);
        assert_eq!((whole.1, whole.2), (pieces.1, pieces.2), "{name}");
    }
}

/// Gathered log-probabilities are log-probabilities, whatever symbol is the blank.
#[test]
fn of_gathered_scores() {
    let sides = [1, 6, 4, 5];
    let (blank, target) = (Blank(3), [4, 0, 2]);
    let log_probs: Vec<f32> = Lcg(21).list(sides.iter().product(), 2.0);
    let rows = log_probs.chunks(5).enumerate();
    let gathered: Vec<f32> =
        rows.flat_map(|(row, values)| [values[3], target.get(row % 4).map_or(f32::NAN, |&y: &u32| values[y as usize])]).collect();
    for (name, context) in quick_contexts() {
        for kind in [Kind::rnnt(blank), Kind::monotonic(blank)] {
            let loss = TransducerLoss::of(kind).min_latency(WEIGHT).gradients(true).build(context).unwrap();
            let tensors = [(sides, &log_probs), ([1, 6, 4, 2], &gathered)]
                .map(|(sides, values)| Tensor::from_slice(context, &sides, values).unwrap());
            let scores: [Scores<'_>; 2] = [LogProbs::padded(&tensors[0]).into(), LogProbs::gathered(&tensors[1]).into()];
            let [full, pairs] = scores.map(|scores| loss.run_blocking(&LossBatch::new(scores, &target, &[6], &[3])).unwrap());
            assert_eq!(full.costs, pairs.costs, "{name}");
            let [full, pairs] = [full, pairs].map(|out| out.gradients[0].to_vec_blocking().unwrap());
            let picked =
                full.chunks(5).enumerate().flat_map(|(row, values)| [values[3], target.get(row % 4).map_or(0.0, |&y| values[y as usize])]);
            // -0 and 0 are one gradient.
            assert!(picked.zip(pairs).all(|(expected, got)| expected == got), "{name}");
        }
    }
}
