//! The gradient is that of the costs the op itself gives: each score moved both ways, all in one batch.

use crate::{Batch, Extras, all_kinds, assert_close, contexts};

const STEP: f32 = 0.02;

#[test]
fn finite_differences_of_the_op() {
    for (seed, (name, pair)) in all_kinds().into_iter().enumerate() {
        let extras = Extras { delay: 0.1, eos: Some((7, 0.2)), ..Extras::default() };
        let one = Batch::random(seed as u64, &pair, [1, 4, 3, 8]).with(extras);
        let size = one.scores.len();
        let mut scores = one.scores.repeat(2 * size);
        for (n, scores) in scores.chunks_mut(size).enumerate() {
            scores[n / 2] += if n % 2 == 0 { STEP } else { -STEP };
        }
        let moved = Batch {
            shape: [2 * size, one.shape[1], one.shape[2], one.shape[3]],
            scores,
            targets: one.targets.repeat(2 * size),
            frames: vec![4; 2 * size],
            labels: vec![2; 2 * size],
            ..one.clone()
        };
        for (other, context) in contexts() {
            let costs = moved.run(context).costs;
            let differences: Vec<f64> = costs.chunks(2).map(|c| f64::from(c[0] - c[1]) / f64::from(2.0 * STEP)).collect();
            // Rounding of a cost of about 10, over the step; and the third derivative times its square.
            assert_close(&format!("{name} on {other}"), &one.run(context).gradients, &differences, 3e-4, 0.0);
        }
    }
}
