//! However the scores lie in memory, a loss is the same.

use crate::{Batch, Gradients, LogProbs, Logits, Outcome, all_kinds, assert_same, bits, contexts, outcome};
use half::f16;
use weft::{Context, DType, Tensor};

fn batches() -> impl Iterator<Item = (&'static str, Batch)> {
    all_kinds()
        .into_iter()
        .enumerate()
        .map(|(seed, (name, pair))| (name, Batch::random(seed as u64, &pair, [4, 7, 5, 9]).with_lengths(&[7, 3, 0, 6], &[4, 2, 1, 0])))
}

/// The rows of the lattices, and nothing else, of a padded list.
fn packed(batch: &Batch, padded: &[f32]) -> Vec<f32> {
    let [count, frames, positions, channels] = batch.shape;
    let mut rows = Vec::new();
    for n in 0..count {
        for t in 0..batch.frames[n] as usize {
            let first = (n * frames + t) * positions * channels;
            rows.extend_from_slice(&padded[first..first + (batch.labels[n] as usize + 1) * channels]);
        }
    }
    rows
}

fn run(batch: &Batch, context: &Context, gradients: Gradients, tensor: &Tensor, packed: bool) -> Outcome {
    let over = match (packed, batch.extras.log_probs) {
        (false, _) => batch.padded(tensor),
        (true, false) => batch.over(Logits::packed(tensor)),
        (true, true) => batch.over(LogProbs::packed(tensor)),
    };
    outcome(batch.builder().gradients(gradients).build(context).unwrap().run_blocking(&over).unwrap())
}

#[test]
fn packed_is_padded() {
    for (name, batch) in batches() {
        let rows = packed(&batch, &batch.scores);
        let channels = batch.shape[3];
        for (other, context) in contexts() {
            let padded = batch.run(context);
            let tensor = Tensor::from_slice(context, &[rows.len() / channels, channels], &rows).unwrap();
            let out = run(&batch, context, Gradients::Separate, &tensor, true);
            let expected = Outcome { gradients: packed(&batch, &padded.gradients), ..padded };
            assert_same(&format!("{name} on {other}"), &out, &expected);
        }
    }
}

#[test]
fn in_place_is_separate() {
    for (name, batch) in batches() {
        for (other, context) in contexts() {
            let tensor = Tensor::from_slice(context, &batch.shape, &batch.scores).unwrap();
            let out = run(&batch, context, Gradients::InPlace, &tensor, false);
            assert_same(&format!("{name} on {other}"), &out, &batch.run(context));
            assert_eq!(bits(&tensor.to_vec_blocking().unwrap()), bits(&out.gradients), "{name} on {other}");
        }
    }
}

/// [U1, T, N, C] with a gap after each row, seen as [N, T, U1, C].
#[test]
fn strided_is_padded() {
    for (name, batch) in batches() {
        let [count, frames, positions, channels] = batch.shape;
        let row = channels + 3;
        let strides = [row, count * row, frames * count * row];
        let mut scores = vec![f32::NAN; positions * strides[2]];
        let places = |n: usize, t: usize, u: usize| n * strides[0] + t * strides[1] + u * strides[2];
        let all = || (0..count).flat_map(|n| (0..frames).flat_map(move |t| (0..positions).map(move |u| (n, t, u))));
        for (from, (n, t, u)) in batch.scores.chunks(channels).zip(all()) {
            scores[places(n, t, u)..][..channels].copy_from_slice(from);
        }
        for (other, context) in contexts() {
            let tensor = Tensor::from_slice(context, &[scores.len()], &scores).unwrap();
            let over = if batch.extras.log_probs {
                batch.over(LogProbs::strided(&tensor, batch.shape, strides))
            } else {
                batch.over(Logits::strided(&tensor, batch.shape, strides))
            };
            let loss = batch.builder().gradients(Gradients::Separate).build(context).unwrap();
            let out = outcome(loss.run_blocking(&over).unwrap());
            let rows = all().flat_map(|(n, t, u)| out.gradients[places(n, t, u)..][..channels].to_vec());
            batch.compare(&format!("{name} on {other}"), &Outcome { gradients: rows.collect(), ..out });
        }
    }
}

/// f16 scores are those numbers, and gradients are rounded to f16.
#[test]
fn f16_scores() {
    for (name, mut batch) in batches() {
        for x in &mut batch.scores {
            *x = f16::from_f32(*x).to_f32();
        }
        let halves: Vec<f16> = batch.scores.iter().map(|&x| f16::from_f32(x)).collect();
        let (costs, gradients) = batch.solve();
        for (other, context) in contexts() {
            for mode in [Gradients::Separate, Gradients::InPlace] {
                let tensor = Tensor::from_f16(context, &batch.shape, &halves).unwrap();
                assert_eq!(tensor.dtype(), DType::F16);
                let out = run(&batch, context, mode, &tensor, false);
                let what = format!("{name} on {other}, {mode:?}");
                for (n, &cost) in costs.iter().enumerate().filter(|(_, cost)| cost.is_finite()) {
                    crate::assert_close(&what, &out.costs[n..=n], &[cost], 1e-5, 5e-6);
                }
                crate::assert_close(&what, &out.gradients, &gradients, 4e-5, 1e-3);
            }
        }
    }
}

/// Lattices that begin within the tensor.
#[test]
fn begin_offsets() {
    for (name, batch) in batches() {
        let [count, frames, positions, channels] = batch.shape;
        let (first_frames, first_positions) = ([2, 0, 3, 1], [0, 2, 1, 4]);
        let moved_shape = [count, frames + 3, positions + 4, channels];
        let mut moved = vec![f32::NAN; moved_shape.iter().product()];
        let place = |n: usize, t: usize, u: usize| {
            ((n * moved_shape[1] + t + first_frames[n] as usize) * moved_shape[2] + u + first_positions[n] as usize) * channels
        };
        let cells = || (0..count).flat_map(|n| (0..frames).flat_map(move |t| (0..positions).map(move |u| (n, t, u))));
        for (from, (n, t, u)) in batch.scores.chunks(channels).zip(cells()) {
            moved[place(n, t, u)..][..channels].copy_from_slice(from);
        }
        for (other, context) in contexts() {
            let tensor = Tensor::from_slice(context, &moved_shape, &moved).unwrap();
            let over = batch.padded(&tensor).begin(&first_frames, &first_positions);
            let loss = batch.builder().gradients(Gradients::Separate).build(context).unwrap();
            let out = outcome(loss.run_blocking(&over).unwrap());
            let sum: f64 = out.gradients.iter().map(|&g| f64::from(g.abs())).sum();
            let rows: Vec<f32> = cells().flat_map(|(n, t, u)| out.gradients[place(n, t, u)..][..channels].to_vec()).collect();
            let inside: f64 = rows.iter().map(|&g| f64::from(g.abs())).sum();
            assert_eq!(sum, inside, "{name} on {other}: gradients beside the lattices");
            assert_same(&format!("{name} on {other}"), &Outcome { gradients: rows, ..out }, &batch.run(context));
        }
    }
}
