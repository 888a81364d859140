//! What must not change a single bit.

use crate::truth::Head;
use crate::{Batch, GRADIENTS, Layout, assert_same, bits, contexts};
use weft::f16;
use weft::lattice::Status;

fn ragged() -> Batch {
    let batch = Batch::random(21, [6, 20, 40], 8, 0);
    batch.with_lengths(&[20, 13, 20, 0, 11, 4], &[8, 3, 0, 4, 8, 8])
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
        for (n, gradients) in whole.gradients.chunks(20 * 40).enumerate() {
            let single = batch.single(n).run(context);
            assert_eq!(single.status[0], whole.status[n], "{name}");
            assert_eq!(single.costs[0].to_bits(), whole.costs[n].to_bits(), "{name}");
            assert_eq!(bits(&single.gradients), bits(gradients), "{name}");
        }
    }
}

/// Neither where rows lie nor where gradients go changes them.
#[test]
fn layouts_give_the_same_bits() {
    let batch = ragged();
    for (name, context) in contexts() {
        let expected = batch.run(context);
        for layout in [Layout::Padded, Layout::Begin, Layout::Packed, Layout::TimeMajor] {
            for gradients in GRADIENTS {
                let out = batch.run_as(context, batch.builder().gradients(gradients), layout);
                assert_same(&format!("{name} {layout:?} {gradients:?}"), &out, &expected);
            }
        }
    }
}

/// Padded logits whose strides are said, and utterances that begin late in them.
#[test]
fn strides_of_padded_logits_give_the_same_bits() {
    let batch = ragged();
    let [utterances, frames, vocab] = batch.shape;
    for (name, context) in contexts() {
        let expected = batch.run_as(context, batch.builder().gradients(true), Layout::Begin);
        let logits = batch.upload(context, Layout::Begin).unwrap();
        let lies = batch.over(&logits, Layout::Begin).strided([utterances, frames + 2, vocab], [(frames + 2) * vocab, vocab]);
        let out = batch.builder().gradients(true).build(context).unwrap().run_blocking(&lies).unwrap();
        assert_same(name, &batch.outcome(out, Layout::Begin), &expected);
    }
}

/// Costs do not depend on what else is asked for.
#[test]
fn costs_alone_are_the_same_costs() {
    for batch in [ragged(), Batch::random(22, [2, 700, 9], 300, 0)] {
        for (name, context) in contexts() {
            let alone = batch.try_run(context, batch.builder(), Layout::Padded).unwrap();
            assert!(alone.gradients.is_none() && alone.alignments.is_none());
            let aligned = batch.try_run(context, batch.builder().alignments(true), Layout::Padded).unwrap();
            let both = batch.run(context);
            assert_eq!((bits(&alone.costs), &alone.status), (bits(&both.costs), &both.status), "{name}");
            assert_eq!((bits(&aligned.costs), &aligned.status), (bits(&both.costs), &both.status), "{name}");
        }
    }
}

/// Nothing beyond the lengths is looked at: neither logits nor targets.
#[test]
fn padding_is_never_read() {
    let clean = ragged();
    let mut dirty = clean.clone();
    for n in 0..6 {
        for t in clean.frames[n] as usize..20 {
            dirty.row(n, t).fill(if t % 2 == 0 { f32::NAN } else { f32::INFINITY });
        }
        dirty.targets[n * 8..][clean.labels[n] as usize..8].fill(u32::MAX);
    }
    for (name, context) in contexts() {
        assert_same(name, &dirty.run(context), &clean.run(context));
        let in_place = clean.builder().gradients(GRADIENTS[1]);
        assert_same(name, &dirty.run_as(context, in_place, Layout::Padded), &clean.run(context));
    }
}

/// NaN or +inf anywhere in an utterance spoils that one only.
#[test]
fn a_bad_utterance_is_told_and_spoils_no_other() {
    let mut clean = ragged();
    clean.logits.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32());
    let size = 20 * 40;
    for (name, context) in contexts() {
        for layout in [Layout::Padded, Layout::Packed, Layout::Half] {
            let builder = clean.builder().gradients(true);
            let good = clean.run_as(context, builder, layout);
            for poison in [f32::NAN, -f32::NAN, f32::INFINITY] {
                for (t, v) in [(0, 0), (12, 39), (3, 17)] {
                    let mut batch = clean.clone();
                    batch.row(1, t)[v] = poison;
                    let out = batch.run_as(context, builder, layout);
                    assert_eq!(out.status[1], Status::NonFinite, "{name}: {poison} at ({t}, {v})");
                    assert!(out.costs[1].is_nan());
                    assert!(out.gradients[size..2 * size].iter().all(|&g| g == 0.0));
                    for n in [0, 2, 3, 4, 5] {
                        assert_eq!(out.status[n], good.status[n]);
                        assert_eq!(out.costs[n].to_bits(), good.costs[n].to_bits(), "{name}");
                        let range = n * size..(n + 1) * size;
                        assert_eq!(bits(&out.gradients[range.clone()]), bits(&good.gradients[range]), "{name}");
                    }
                }
            }
        }
    }
}

/// A constant added to every logit of a frame is no change.
#[test]
fn frames_have_no_zero() {
    let batch = ragged();
    let mut moved = batch.clone();
    for (row, logits) in moved.logits.chunks_mut(40).enumerate() {
        // Exact: logits of 3 have bits enough for steps of a quarter.
        logits.iter_mut().for_each(|x| *x = (*x * 64.0).round() / 64.0 + (row % 7) as f32 * 0.25);
    }
    let mut plain = moved.clone();
    for (row, logits) in plain.logits.chunks_mut(40).enumerate() {
        logits.iter_mut().for_each(|x| *x -= (row % 7) as f32 * 0.25);
    }
    for (name, context) in contexts() {
        let (a, b) = (moved.run(context), plain.run(context));
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        for (n, status) in a.status.iter().enumerate().filter(|(_, status)| **status == Status::Ok) {
            assert_eq!(*status, b.status[n]);
            crate::common::assert_close(name, &a.costs[n..=n], &wide(&b.costs[n..=n]), 1e-6, 1e-6);
        }
        crate::common::assert_close(name, &a.gradients, &wide(&b.gradients), 8e-6, 0.0);
    }
}

/// Of log-probabilities only the blank and the labels are read.
#[test]
fn what_log_probabilities_are_read() {
    let mut batch = Batch { head: Head::LogProbs, ..Batch::random(27, [2, 9, 6], 3, 0) };
    batch.logits.iter_mut().for_each(|x| *x -= 4.0);
    batch.targets = vec![2, 3, 2, 2, 3, 3];
    for (name, context) in contexts() {
        let good = batch.run(context);
        for (v, status) in [(5, Status::Ok), (0, Status::NonFinite), (3, Status::NonFinite)] {
            let mut poisoned = batch.clone();
            poisoned.row(1, 4)[v] = f32::NAN;
            let out = poisoned.run(context);
            assert_eq!(out.status, [Status::Ok, status], "{name}: {v}");
            assert_eq!(out.costs[0].to_bits(), good.costs[0].to_bits(), "{name}: {v}");
            let expected = if status == Status::Ok { bits(&good.gradients[54..]) } else { vec![0; 54] };
            assert_eq!(bits(&out.gradients[54..]), expected, "{name}: {v}");
        }
    }
}
