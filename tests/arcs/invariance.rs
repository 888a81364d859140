//! What must not change a single bit.

use crate::{Batch, Status, all_kinds, assert_same, bits, contexts};

fn batches() -> impl Iterator<Item = (&'static str, Batch)> {
    all_kinds()
        .into_iter()
        .enumerate()
        .map(|(seed, (name, pair))| (name, Batch::random(seed as u64, &pair, [4, 10, 6, 12]).with_lengths(&[10, 7, 0, 5], &[5, 3, 4, 5])))
}

/// One utterance of a batch, as a batch of its own of the same padded size.
fn single(batch: &Batch, n: usize) -> Batch {
    let [_, frames, positions, channels] = batch.shape;
    let size = frames * positions * channels;
    Batch {
        shape: [1, frames, positions, channels],
        scores: batch.scores[n * size..(n + 1) * size].to_vec(),
        targets: batch.targets[n * (positions - 1)..(n + 1) * (positions - 1)].to_vec(),
        frames: vec![batch.frames[n]],
        labels: vec![batch.labels[n]],
        ..batch.clone()
    }
}

#[test]
fn repeated_runs_give_the_same_bits() {
    for (name, batch) in batches() {
        for (other, context) in contexts() {
            let first = batch.run(context);
            for _ in 0..2 {
                assert_same(&format!("{name} on {other}"), &batch.run(context), &first);
            }
        }
    }
}

#[test]
fn a_batch_is_its_singles_bit_for_bit() {
    for (name, batch) in batches() {
        let size: usize = batch.shape[1..].iter().product();
        for (other, context) in contexts() {
            let whole = batch.run(context);
            for n in 0..4 {
                let one = single(&batch, n).run(context);
                assert_eq!(one.status[0], whole.status[n], "{name} on {other}");
                assert_eq!(one.costs[0].to_bits(), whole.costs[n].to_bits(), "{name} on {other}");
                assert_eq!(bits(&one.gradients), bits(&whole.gradients[n * size..(n + 1) * size]), "{name} on {other}");
            }
        }
    }
}

/// NaN or +inf in a score that the kind reads spoils that utterance only.
#[test]
fn a_bad_utterance_is_told_and_spoils_no_other() {
    for (name, batch) in batches() {
        let size: usize = batch.shape[1..].iter().product();
        let last = batch.shape[3] - 1;
        let everything = !batch.extras.log_probs;
        for (other, context) in contexts() {
            let good = batch.run(context);
            // The blank, the first symbol, the last channel.
            for (t, u, v) in [(0, 0, 3), (6, 3, 0), (3, 1, last)].into_iter().filter(|&(.., v)| everything || v != 0) {
                for poison in [f32::NAN, f32::INFINITY] {
                    let mut bad = batch.clone();
                    bad.row(1, t, u)[v] = poison;
                    let out = bad.run(context);
                    let what = format!("{name} on {other}: {poison} at ({t}, {u}, {v})");
                    assert_eq!(out.status[1], Status::NonFinite, "{what}");
                    assert!(out.costs[1].is_nan() && out.gradients[size..2 * size].iter().all(|&g| g == 0.0), "{what}");
                    for n in [0, 2, 3] {
                        let range = n * size..(n + 1) * size;
                        assert_eq!(out.costs[n].to_bits(), good.costs[n].to_bits(), "{what}");
                        assert_eq!(bits(&out.gradients[range.clone()]), bits(&good.gradients[range]), "{what}");
                    }
                }
            }
        }
    }
}

/// Nothing beyond the lengths is looked at.
#[test]
fn padding_is_never_read() {
    for (name, batch) in batches() {
        let mut dirty = batch.clone();
        let [count, frames, positions, _] = batch.shape;
        for (n, t, u) in (0..count).flat_map(|n| (0..frames).flat_map(move |t| (0..positions).map(move |u| (n, t, u)))) {
            if t >= batch.frames[n] as usize || u > batch.labels[n] as usize {
                dirty.row(n, t, u).fill(if u % 2 == 0 { f32::NAN } else { f32::INFINITY });
            }
        }
        for (other, context) in contexts() {
            assert_same(&format!("{name} on {other}"), &dirty.run(context), &batch.run(context));
        }
    }
}
