//! Every shape that some kernel treats in its own way, against the f64 oracle.

use crate::common::{Lcg, assert_close};
use crate::{Batch, COST, contexts, gradient_tolerance};

/// Vocabularies around the unrolling and around every change of LANES.
#[test]
fn vocabularies() {
    for vocab in [2, 3, 4, 5, 8, 31, 32, 33, 63, 64, 65, 127, 129, 256, 257, 513, 1000, 1025, 5000] {
        Batch::random(vocab as u64, [2, 3, 3, vocab], vocab as u32 / 2).check(&format!("V {vocab}"), contexts());
    }
}

/// One symbol: only the blank, only empty targets, cost 0.
#[test]
fn vocabulary_of_one() {
    Batch::random(1, [2, 3, 1, 1], 0).check("V 1", contexts());
}

/// Label counts around subgroups, workgroups and blocks of columns.
#[test]
fn widths() {
    for positions in [1, 2, 4, 5, 8, 9, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 255, 256, 257, 300, 520] {
        Batch::random(positions as u64, [1, 3, positions, 3], 0).check(&format!("U1 {positions}"), contexts());
    }
}

/// Frame counts around the steps between two barriers.
#[test]
fn frames() {
    for frames in [1, 2, 3, 4, 5, 15, 16, 17, 31, 33, 48, 65] {
        for positions in [1, 2, 9, 40] {
            Batch::random(frames as u64, [1, frames, positions, 3], 2).check(&format!("T {frames} U1 {positions}"), contexts());
        }
    }
}

/// Lengths from none to all of the tensor, none of which need be reached.
#[test]
fn ragged_batches() {
    Batch::random(1, [7, 9, 6, 10], 0).with_lengths(&[9, 1, 0, 4, 9, 1, 7], &[5, 5, 3, 0, 0, 0, 2]).check("ragged", contexts());
    Batch::random(2, [3, 20, 30, 4], 3).with_lengths(&[3, 11, 2], &[7, 1, 12]).check("shorter than the tensor", contexts());
    Batch::random(3, [2, 5, 280, 3], 1).with_lengths(&[5, 4], &[279, 256]).check("one block and two blocks", contexts());
}

#[test]
fn any_blank() {
    for blank in 0..5 {
        Batch::random(9, [2, 4, 4, 5], blank).check(&format!("blank {blank}"), contexts());
    }
}

/// Targets without any frame to spare, and the same label again and again.
#[test]
fn one_frame_and_repeated_labels() {
    Batch::random(4, [1, 1, 12, 4], 0).check("T 1", contexts());
    let mut repeated = Batch::random(5, [1, 6, 5, 4], 0);
    repeated.targets.fill(3);
    repeated.check("repeated labels", contexts());
}

#[test]
fn a_few_hundred_diagonals() {
    Batch::random(6, [2, 120, 41, 28], 0).with_lengths(&[120, 97], &[40, 33]).check("T 120 U1 41", contexts());
}

/// A model that is sure of a symbol, as trained ones are: gradients far below the occupancies keep
/// their digits.
#[test]
fn no_cancellation_where_a_symbol_is_certain() {
    let mut batch = Batch::random(7, [1, 6, 3, 5], 0);
    for (row, logits) in batch.logits.chunks_mut(5).enumerate() {
        logits[if row % 3 == 1 { 2 } else { 0 }] += 9.0;
    }
    let (_, expected) = batch.solve();
    for (name, context) in contexts() {
        // The absolute part is a few roundings of a probability near 1.
        assert_close(name, &batch.run(context).gradients, &expected, 1e-6, 2e-4);
    }
}

/// Logits far from each other and far from zero.
#[test]
fn large_logits() {
    for scale in [20.0, 300.0, 1e4] {
        let mut batch = Batch::random(8, [2, 4, 3, 6], 1);
        batch.logits.iter_mut().for_each(|x| *x *= scale);
        let (costs, _) = batch.solve();
        for (name, context) in contexts() {
            let out = batch.run(context);
            assert_close(&format!("scale {scale} on {name}"), &out.costs, &costs, COST[0], COST[1]);
            assert!(out.gradients.iter().all(|g| g.is_finite()));
        }
    }
}

/// -inf masks a symbol: in the rest of the vocabulary, on some arcs, and throughout a row off the path.
#[test]
fn masked_symbols() {
    let mut batch = Batch::random(10, [3, 5, 4, 8], 0);
    for n in 0..3 {
        batch.targets[n * 3..][..3].copy_from_slice(&[1, 2, 3]);
    }
    for row in batch.logits.chunks_mut(8) {
        row[6..].fill(f32::NEG_INFINITY);
    }
    // The first label only in the first two frames; the blank not at (1, 2).
    for t in 2..5 {
        batch.row(1, t, 0)[1] = f32::NEG_INFINITY;
    }
    batch.row(1, 1, 2)[0] = f32::NEG_INFINITY;
    // Whole rows: the paths go round them.
    batch.row(2, 0, 3).fill(f32::NEG_INFINITY);
    batch.row(2, 2, 2).fill(f32::NEG_INFINITY);
    batch.check("masked", contexts());
    for (name, context) in contexts() {
        let out = batch.run(context);
        assert!(out.gradients.chunks(8).all(|row| row[6..] == [0.0; 2]), "{name}: gradient of a masked symbol");
    }
}

/// No path has any probability: +inf and zeros, and the neighbours do not notice.
#[test]
fn infeasible_targets() {
    let mut batch = Batch::random(11, [4, 4, 3, 5], 0);
    batch.targets[2..4].copy_from_slice(&[1, 2]);
    for t in 0..4 {
        batch.row(1, t, 1)[2] = f32::NEG_INFINITY;
    }
    batch.row(3, 3, 2)[0] = f32::NEG_INFINITY;
    batch.check("infeasible", contexts());
}

/// The gradient is that of the costs the op itself gives: each logit moved both ways, all in one batch.
#[test]
fn finite_differences_of_the_op() {
    const STEP: f32 = 0.02;
    let one = Batch::random(12, [1, 3, 3, 4], 1);
    let size = one.logits.len();
    let mut moved = Batch::random(0, [2 * size, 3, 3, 4], 1);
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
    let mut batch = Batch::random(13, [3, 30, 37, 70], 5).with_lengths(&[30, 12, 25], &[36, 30, 7]);
    batch.logits.iter_mut().zip(Lcg(99).list(3 * 30 * 37 * 70, 1.0)).for_each(|(x, more)| *x += more);
    let outcomes: Vec<_> = contexts().iter().map(|(_, context)| batch.run(context)).collect();
    let reference: Vec<f64> = outcomes[0].gradients.iter().map(|&g| g.into()).collect();
    let costs: Vec<f64> = outcomes[0].costs.iter().map(|&c| c.into()).collect();
    for ((name, _), out) in contexts().iter().zip(&outcomes) {
        assert_close(name, &out.gradients, &reference, gradient_tolerance(costs[0]) / 4.0, 0.0);
        assert_close(name, &out.costs, &costs, 0.0, 1e-6);
    }
}
