//! Rows of an odd number of halves: they begin and end in the middle of words, which neighbours share.

use crate::common::contexts_with;
use crate::{Batch, bits, quick_contexts};
use half::f16;
use weft::lattice::{Blank, Gradients, Kind, Logits, LossBatch, TransducerLoss};
use weft::{Context, Tensor};

/// Of the three ways through the row and gradient passes.
fn kinds(blank: u32, vocab: usize) -> Vec<(Kind, usize)> {
    let all = [Kind::rnnt(Blank(blank)), Kind::hat(Blank(blank)), Kind::tdt(Blank(blank), &[0, 1, 2, 3]).unwrap()];
    all.into_iter().zip([vocab, vocab, vocab + 4]).collect()
}

/// Logits that a half holds.
fn batch(seed: u64, shape: [usize; 4], blank: u32) -> Batch {
    let mut batch = Batch::random(seed, shape, blank);
    batch.logits.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32());
    batch
}

/// Costs and gradients.
fn run(batch: &Batch, kind: &Kind, gradients: Gradients, context: &Context) -> (Vec<f32>, Vec<f32>) {
    let halves: Vec<f16> = batch.logits.iter().map(|&x| f16::from_f32(x)).collect();
    let logits = Tensor::from_f16(context, &batch.shape, &halves).unwrap();
    let loss = TransducerLoss::of(kind.clone()).gradients(gradients).build(context).unwrap();
    let out = loss.run_blocking(&LossBatch::new(Logits::padded(&logits), &batch.targets, &batch.frames, &batch.labels)).unwrap();
    (out.costs, out.gradients[0].to_vec_blocking().unwrap())
}

/// Rows of one element, of one piece, and of several; blanks and labels at both ends.
#[test]
fn as_f32_at_any_width() {
    for (number, vocab) in [1, 3, 65, 1025].into_iter().enumerate() {
        for blank in [0, vocab as u32 - 1] {
            for (kind, row) in kinds(blank, vocab) {
                let labels = if vocab == 1 { 0 } else { 4 };
                let mut batch = batch(number as u64, [3, 7, labels + 1, row], blank);
                let others = |n: usize| if blank == 0 { 1 + (n * n) as u32 % (vocab as u32 - 1) } else { (n * n) as u32 % blank };
                batch.targets.iter_mut().enumerate().for_each(|(n, label)| *label = others(n));
                // Both neighbours of a lattice are padding.
                let batch = batch.with_lengths(&[7, 4, 6], &[labels as u32, labels.min(2) as u32, labels.min(3) as u32]);
                let expected = batch.run_kind(kind.clone(), &Context::cpu());
                for (name, context) in quick_contexts() {
                    let what = format!("{kind:?}, rows of {row} on {name}");
                    let (costs, gradients) = run(&batch, &kind, Gradients::Separate, context);
                    crate::assert_close(&what, &costs, &expected.costs.iter().map(|&x| x.into()).collect::<Vec<_>>(), 1e-5, 5e-6);
                    crate::assert_close(&what, &gradients, &expected.gradients.iter().map(|&x| x.into()).collect::<Vec<_>>(), 6e-4, 0.0);
                    let in_place = run(&batch, &kind, Gradients::InPlace, context);
                    assert_eq!((bits(&in_place.0), bits(&in_place.1)), (bits(&costs), bits(&gradients)), "{what}");
                }
            }
        }
    }
}

/// Windows that begin and end in the middle of words.
#[test]
fn cutting_changes_no_bit() {
    let whole = quick_contexts();
    for (name, limited) in contexts_with(|options| options.with_max_binding_bytes(64 << 10)).iter().skip(1) {
        let Some((_, context)) = whole.iter().find(|(other, _)| other == name) else { continue };
        for (kind, row) in kinds(0, 37) {
            let mut batch = batch(3, [6, 20, 9, row], 0).with_lengths(&[20, 13, 1, 0, 20, 6], &[8, 8, 2, 5, 0, 1]);
            batch.targets.iter_mut().for_each(|label| *label = 1 + *label % 36);
            for gradients in [Gradients::Separate, Gradients::InPlace] {
                let (a, b) = (run(&batch, &kind, gradients, context), run(&batch, &kind, gradients, limited));
                assert_eq!((bits(&a.0), bits(&a.1)), (bits(&b.0), bits(&b.1)), "{kind:?} {gradients:?} on {name}");
            }
        }
    }
}
