//! What must not change a single bit.

use crate::{Batch, Outcome, bits, contexts};
use weft::lattice::Status;

fn ragged() -> Batch {
    Batch::random(21, [5, 12, 9, 40], 0).with_lengths(&[12, 7, 12, 0, 5], &[8, 3, 0, 4, 8])
}

#[track_caller]
fn assert_same(what: &str, a: &Outcome, b: &Outcome) {
    assert_eq!(a.status, b.status, "{what}");
    assert_eq!(bits(&a.costs), bits(&b.costs), "{what}");
    assert_eq!(bits(&a.gradients), bits(&b.gradients), "{what}");
}

#[test]
fn repeated_runs_give_the_same_bits() {
    for (name, context) in contexts() {
        let first = ragged().run(context);
        for _ in 0..3 {
            assert_same(name, &ragged().run(context), &first);
        }
    }
}

#[test]
fn a_batch_is_its_singles_bit_for_bit() {
    let batch = ragged();
    for (name, context) in contexts() {
        let whole = batch.run(context);
        for (n, gradients) in whole.gradients.chunks(12 * 9 * 40).enumerate() {
            let single = batch.single(n).run(context);
            assert_eq!(single.status[0], whole.status[n], "{name}");
            assert_eq!(single.costs[0].to_bits(), whole.costs[n].to_bits(), "{name}");
            assert_eq!(bits(&single.gradients), bits(gradients), "{name}");
        }
    }
}

/// Costs do not depend on whether gradients are asked for.
#[test]
fn costs_alone_are_the_same_costs() {
    for (name, context) in contexts() {
        let alone = ragged().try_run(context, false).unwrap();
        assert!(alone.gradients.is_empty());
        let both = ragged().run(context);
        assert_eq!((bits(&alone.costs), alone.status), (bits(&both.costs), both.status), "{name}");
    }
}

/// Nothing beyond the lengths is looked at: neither logits nor targets.
#[test]
fn padding_is_never_read() {
    let clean = ragged();
    let mut dirty = clean.clone();
    let [count, frames, positions, _] = clean.shape;
    for n in 0..count {
        for (t, u) in (0..frames).flat_map(|t| (0..positions).map(move |u| (t, u))) {
            if t >= clean.frames[n] as usize || u > clean.labels[n] as usize {
                dirty.row(n, t, u).fill(if u % 2 == 0 { f32::NAN } else { f32::INFINITY });
            }
        }
        dirty.targets[n * (positions - 1)..][clean.labels[n] as usize..positions - 1].fill(u32::MAX);
    }
    for (name, context) in contexts() {
        assert_same(name, &dirty.run(context), &clean.run(context));
    }
}

/// NaN or +inf anywhere in an utterance spoils that one only.
#[test]
fn a_bad_utterance_is_told_and_spoils_no_other() {
    let clean = ragged();
    let size = 12 * 9 * 40;
    for (name, context) in contexts() {
        let good = clean.run(context);
        for poison in [f32::NAN, -f32::NAN, f32::INFINITY] {
            for (t, u, v) in [(0, 0, 0), (6, 3, 39), (3, 1, 17)] {
                let mut batch = clean.clone();
                batch.row(1, t, u)[v] = poison;
                let out = batch.run(context);
                assert_eq!(out.status[1], Status::NonFinite, "{name}: {poison} at ({t}, {u}, {v})");
                assert!(out.costs[1].is_nan());
                assert!(out.gradients[size..2 * size].iter().all(|&g| g == 0.0));
                for n in [0, 2, 3, 4] {
                    assert_eq!(out.status[n], good.status[n]);
                    assert_eq!(out.costs[n].to_bits(), good.costs[n].to_bits(), "{name}");
                    let range = n * size..(n + 1) * size;
                    assert_eq!(bits(&out.gradients[range.clone()]), bits(&good.gradients[range]), "{name}");
                }
            }
        }
    }
}
