//! Every shape that some kernel treats in its own way, against the f64 oracle.

use crate::common::{Lcg, assert_close};
use crate::{Batch, COST, GRADIENT, GRADIENTS, Layout, contexts};
use weft::f16;
use weft::lattice::Status;

/// Vocabularies around every number of lanes, of packs and of tiles.
#[test]
fn vocabularies() {
    for vocab in [2, 3, 4, 5, 8, 31, 32, 33, 64, 65, 127, 128, 129, 256, 257, 510, 1000, 1025, 2049, 4100, 5000] {
        Batch::random(vocab as u64, [2, 5, vocab], 3, vocab as u32 / 2).check(&format!("V {vocab}"));
    }
}

/// One symbol: only the blank, only empty targets, cost 0.
#[test]
fn vocabulary_of_one() {
    Batch::random(1, [2, 3, 1], 0, 0).check("V 1");
}

/// Label counts around groups of columns and subgroups.
#[test]
fn widths() {
    for labels in [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 300] {
        Batch::random(labels as u64, [1, labels + labels / 4 + 3, 9], labels, 0).check(&format!("U {labels}"));
    }
}

/// More columns than a workgroup holds: blocks of them, one after the other.
#[test]
fn blocks_of_columns() {
    let batch = Batch::random(3, [3, 1200, 40], 1100, 7).with_lengths(&[1200, 1200, 1111], &[1100, 1023, 1024]);
    batch.check("U 1100");
}

/// As many frames as labels: one path, whose every state lies on the front of the sweep.
#[test]
fn no_frame_to_spare() {
    for labels in [1, 5, 40, 130] {
        let mut batch = Batch::random(labels as u64, [1, labels, 30], labels, 0);
        for (u, label) in batch.targets.iter_mut().enumerate() {
            *label = 1 + (u % 29) as u32;
        }
        batch.check(&format!("T = U = {labels}"));
    }
}

/// Frame counts around the steps between two anchors.
#[test]
fn frames() {
    for frames in [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65] {
        for labels in [0, 1, 2, 20] {
            Batch::random(frames as u64, [1, frames, 5], labels, 2).check(&format!("T {frames} U {labels}"));
        }
    }
}

/// Lengths from none to all of the tensor, none of which need be reached.
#[test]
fn ragged_batches() {
    let batch = Batch::random(1, [7, 9, 10], 5, 0).with_lengths(&[9, 1, 0, 4, 0, 1, 7], &[5, 5, 3, 0, 0, 1, 2]);
    batch.check("ragged");
    Batch::random(2, [3, 40, 4], 30, 3).with_lengths(&[33, 11, 2], &[17, 1, 12]).check("shorter than the tensor");
}

#[test]
fn any_blank() {
    for blank in 0..5 {
        Batch::random(9, [2, 6, 5], 3, blank).check(&format!("blank {blank}"));
    }
}

/// The same label again and again needs a frame between; one symbol's gradient gathers many states.
#[test]
fn repeated_labels() {
    let mut batch = Batch::random(5, [4, 9, 4], 5, 0);
    batch.targets.fill(3);
    batch.targets[5..10].copy_from_slice(&[1, 1, 2, 2, 1]);
    batch.with_lengths(&[9, 9, 8, 9], &[5, 5, 5, 4]).check("repeated labels");
    Batch::random(6, [2, 400, 2], 150, 1).check("one symbol 150 times");
}

/// Small lattices against every string of symbols, one by one.
#[test]
fn all_strings() {
    for (frames, vocab, labels) in [(1, 3, 1), (4, 3, 2), (5, 3, 3), (6, 3, 2), (5, 4, 3)] {
        let batch = Batch::random(frames as u64 + 50, [1, frames, vocab], labels, 1);
        let cost = batch.utterance(0).enumerate();
        for (name, context) in contexts() {
            let got = batch.run(context).costs[0];
            if cost.is_finite() {
                assert_close(name, &[got], &[cost], COST[0], COST[1]);
            } else {
                assert_eq!(got, f32::INFINITY, "{name}");
            }
        }
    }
}

/// Packed rows, halves, gradients over the logits: each with its own kernels or addresses.
#[test]
fn layouts() {
    for vocab in [2, 6, 7, 40, 1030] {
        let mut batch = Batch::random(vocab as u64, [5, 12, vocab], 6, 1).with_lengths(&[12, 0, 7, 12, 3], &[6, 2, 0, 3, 2]);
        // What a half can hold.
        batch.logits.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32());
        let solutions = batch.solve();
        for (name, context) in contexts() {
            for layout in [Layout::Padded, Layout::Begin, Layout::Packed, Layout::Half, Layout::TimeMajor, Layout::Crooked] {
                // A half has 11 bits.
                let tolerance = if layout == Layout::Half { 5e-4 } else { GRADIENT };
                for gradients in GRADIENTS {
                    let what = format!("V {vocab} {layout:?} {gradients:?} on {name}");
                    let out = batch.run_as(context, batch.builder().gradients(gradients), layout);
                    batch.compare(&what, &out, &solutions, tolerance);
                }
            }
        }
    }
}

/// Rows of halves that begin in the middle of words, in several tiles; labels on both sides of where tiles and rows end.
#[test]
fn odd_rows_of_halves() {
    for blank in [0, 4098] {
        let mut batch = Batch::random(61, [3, 9, 4099], 7, blank).with_lengths(&[9, 8, 9], &[7, 4, 7]);
        batch.logits.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32());
        let ends = [2047, 2048, 2049, 4095, 4096, 4097, 1, 2050, 2048, 2046, 2048, 1, 1, 1, 4097, 4096, 4095, 2048, 2, 2047, 1];
        batch.targets = ends.map(|label| if blank > 0 { label - 1 } else { label + label / 4097 }).to_vec();
        let solutions = batch.solve();
        for (name, context) in contexts() {
            for gradients in GRADIENTS {
                let out = batch.run_as(context, batch.builder().gradients(gradients), Layout::Half);
                batch.compare(&format!("blank {blank} {gradients:?} on {name}"), &out, &solutions, 5e-4);
            }
        }
    }
}

/// Rounding does not grow with the length of an utterance.
#[test]
fn long_utterances() {
    Batch::random(6, [1, 3000, 20], 300, 0).check("T 3000 U 300");
    let batch = Batch::random(7, [2, 500, 600], 60, 3).with_lengths(&[500, 431], &[60, 44]);
    batch.check("T 500 V 600");
}

/// A model that is sure of a symbol in every frame.
#[test]
fn certain_models() {
    let mut batch = Batch::random(7, [1, 60, 12], 10, 0);
    for t in 0..60 {
        let label = batch.targets[t / 6] as usize;
        batch.row(0, t)[if t % 6 < 2 { label } else { 0 }] += 12.0;
    }
    batch.check("certain");
}

/// The same for long: a label every five frames, beside which all others are up to 2^-58.
#[test]
fn certain_models_of_long_utterances() {
    for sure in [5.0, 10.0, 40.0] {
        let mut batch = Batch::random(8, [2, 1500, 12], 300, 0).with_lengths(&[1500, 620], &[300, 299]);
        for n in 0..2 {
            let (frames, labels) = (batch.frames[n] as usize, batch.labels[n] as usize);
            for t in 0..frames {
                let u = t * labels / frames;
                let label = batch.targets[n * 300 + u] as usize;
                batch.row(n, t)[if t == (2 * u + 1) * frames / (2 * labels) { label } else { 0 }] += sure;
            }
        }
        let solutions = batch.solve();
        for (name, context) in contexts() {
            let (what, out) = (format!("sure by {sure} on {name}"), batch.run(context));
            let (costs, gradients) = (solutions.iter().map(|s| s.cost), solutions.iter().flat_map(|s| s.gradient.iter().copied()));
            // Costs are down to 0; of each frame the normaliser is rounded.
            assert_close(&what, &out.costs, &costs.collect::<Vec<_>>(), 1e-4, 2e-6);
            assert_close(&what, &out.gradients, &gradients.collect::<Vec<_>>(), GRADIENT, 0.0);
        }
    }
}

/// Logits far from each other and far from zero: probabilities of e^-20,000 a frame.
#[test]
fn large_logits() {
    for scale in [20.0, 300.0, 1e4] {
        let mut batch = Batch::random(8, [2, 30, 6], 9, 1);
        batch.logits.iter_mut().for_each(|x| *x *= scale);
        let solutions = batch.solve();
        for (name, context) in contexts() {
            let out = batch.run(context);
            for (n, solution) in solutions.iter().enumerate() {
                // f32 logits of 3e4 differ by multiples of 2e-3 after one subtraction.
                let what = format!("scale {scale} on {name}");
                assert_close(&what, &out.costs[n..=n], &[solution.cost], COST[0], 1e-5);
            }
            assert!(out.gradients.iter().all(|g| g.is_finite()));
        }
    }
}

/// -inf masks a symbol: in the rest of the vocabulary, of a label for a while, of the blank, and all of a
/// frame.
#[test]
fn masked_symbols() {
    let mut batch = Batch::random(10, [4, 9, 8], 3, 0);
    for n in 0..4 {
        batch.targets[n * 3..][..3].copy_from_slice(&[1, 2, 3]);
    }
    for row in batch.logits.chunks_mut(8) {
        row[6..].fill(f32::NEG_INFINITY);
    }
    for t in 2..9 {
        batch.row(1, t)[1] = f32::NEG_INFINITY;
        batch.row(2, t)[0] = f32::NEG_INFINITY;
    }
    batch.row(3, 4).fill(f32::NEG_INFINITY);
    batch.check("masked");
    for (name, context) in contexts() {
        let out = batch.run(context);
        assert_eq!(out.status[3], Status::Infeasible);
        assert!(out.gradients.chunks(8).all(|row| row[6..] == [0.0; 2]), "{name}: gradient of a masked symbol");
    }
}

/// A label that is possible in the first frame only, while the blank beside it is e^900 times as likely and
/// leads nowhere. Blank and label share an anchor: 2^-24 of that distance, 1298 bits, are lost.
#[test]
fn a_way_that_closes() {
    let mut batch = Batch::random(14, [1, 40, 4], 2, 0);
    batch.targets.copy_from_slice(&[1, 2]);
    for t in 1..40 {
        batch.row(0, t)[1] = f32::NEG_INFINITY;
    }
    batch.row(0, 0)[1] = -900.0;
    let solutions = batch.solve();
    for (name, context) in contexts() {
        batch.compare(name, &batch.run(context), &solutions, 2e-4);
    }
}

/// Weights of any sign, zero too; a clamp acts before them.
#[test]
fn weights_and_clamp() {
    let mut batch = Batch::random(15, [4, 10, 12], 3, 0);
    let weights = [-2.5, 0.0, 1.0, 1e3];
    batch.weights = Some(weights.to_vec());
    let (solutions, size) = (batch.solve(), 10 * 12);
    for limit in [None, Some(0.05)] {
        for (name, context) in contexts() {
            let mut builder = batch.builder().gradients(true);
            if let Some(limit) = limit {
                builder = builder.clamp(limit);
            }
            let out = batch.run_as(context, builder, Layout::Padded);
            for (n, solution) in solutions.iter().enumerate() {
                let limit = limit.map_or(f64::INFINITY, f64::from);
                let weight = f64::from(weights[n]);
                let expected: Vec<f64> = solution.gradient.iter().map(|g| weight * g.clamp(-limit, limit)).collect();
                assert_close(name, &out.gradients[n * size..][..size], &expected, GRADIENT * weight.abs(), 0.0);
                assert_close(name, &out.costs[n..=n], &[solution.cost], COST[0], COST[1]);
            }
        }
    }
}

/// The gradient is that of the costs the op itself gives: each logit moved both ways, all in one batch.
#[test]
fn finite_differences_of_the_op() {
    const STEP: f32 = 0.02;
    let one = Batch::random(12, [1, 6, 4], 3, 1);
    let size = one.logits.len();
    let mut moved = Batch::random(0, [2 * size, 6, 4], 3, 1);
    moved.targets = one.targets.repeat(2 * size);
    for (n, logits) in moved.logits.chunks_mut(size).enumerate() {
        logits.copy_from_slice(&one.logits);
        logits[n / 2] += if n % 2 == 0 { STEP } else { -STEP };
    }
    for (name, context) in contexts() {
        let costs = moved.run(context).costs;
        let differences: Vec<f64> = costs.chunks(2).map(|c| f64::from(c[0] - c[1]) / f64::from(2.0 * STEP)).collect();
        // Rounding of a cost of about 10, over the step; and the third derivative times its square.
        assert_close(name, &one.run(context).gradients, &differences, 3e-4, 0.0);
    }
}

/// The CPU twin and every variant of the GPU agree more closely than they must with the oracle.
#[test]
fn variants_agree() {
    let mut batch = Batch::random(13, [3, 90, 70], 37, 5).with_lengths(&[90, 12, 75], &[36, 5, 37]);
    batch.logits.iter_mut().zip(Lcg(99).list(3 * 90 * 70, 1.0)).for_each(|(x, more)| *x += more);
    let outcomes: Vec<_> = contexts().iter().map(|(_, context)| batch.run(context)).collect();
    let reference: Vec<f64> = outcomes[0].gradients.iter().map(|&g| g.into()).collect();
    let costs: Vec<f64> = outcomes[0].costs.iter().map(|&c| c.into()).collect();
    for ((name, _), out) in contexts().iter().zip(&outcomes) {
        assert_close(name, &out.gradients, &reference, GRADIENT / 2.0, 0.0);
        assert_close(name, &out.costs, &costs, 0.0, 1e-6);
    }
}

/// Whatever comes: sides, lengths, masks and repeats drawn at random.
#[test]
fn random_batches() {
    let mut numbers = Lcg(2024);
    let mut draw = |n: usize| ((numbers.next() + 1.0) / 2.0 * n as f32) as usize;
    for round in 0..24 {
        let (n, frames, most, vocab) = (1 + draw(4), 1 + draw(60), draw(40), 2 + draw(50));
        let mut batch = Batch::random(round, [n, frames, vocab], most, draw(vocab) as u32);
        let lengths = |draw: &mut dyn FnMut(usize) -> usize, most: usize| (0..n).map(|_| draw(most + 1) as u32).collect::<Vec<_>>();
        let (frames, labels) = (lengths(&mut draw, frames), lengths(&mut draw, most));
        batch = batch.with_lengths(&frames, &labels);
        for i in 1..batch.targets.len() {
            if draw(4) == 0 {
                batch.targets[i] = batch.targets[i - 1];
            }
        }
        for _ in 0..draw(8) {
            let at = draw(batch.logits.len());
            batch.logits[at] = f32::NEG_INFINITY;
        }
        batch.check(&format!("round {round}: {:?}, {:?} frames, {:?} labels", batch.shape, batch.frames, batch.labels));
    }
}
