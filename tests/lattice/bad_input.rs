//! Wrong calls: each has an error that names the argument and the numbers, and harms nothing.

use crate::{Batch, contexts};
use weft::lattice::{Blank, Logits, LossBatch, Status, TransducerLoss};
use weft::{Context, DType, Error, Tensor};

fn good() -> Batch {
    Batch::random(41, [2, 4, 3, 5], 0)
}

/// The error of a batch on the CPU and on the GPU, as text; the context gives right results afterwards.
#[track_caller]
fn refused(batch: &Batch) -> String {
    let mut texts: Vec<String> = contexts()
        .iter()
        .map(|(name, context)| {
            let error = batch.try_run(context, true).expect_err("must be refused");
            good().check("after an error", &[(name.clone(), context.clone())]);
            error.to_string()
        })
        .collect();
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    texts.remove(0)
}

#[test]
fn label_outside_the_vocabulary() {
    let mut batch = good();
    batch.targets[3] = 5;
    assert_eq!(refused(&batch), "targets[1][1] = 5 is outside the vocabulary (vocabulary 5, blank 0)");
}

#[test]
fn label_that_is_the_blank() {
    let mut batch = good();
    batch.targets[0] = 0;
    assert_eq!(refused(&batch), "targets[0][0] = 0 is the blank (vocabulary 5, blank 0)");
}

#[test]
fn blank_outside_the_vocabulary() {
    let text = refused(&Batch { blank: 5, ..good() });
    assert!(text.starts_with("blank = 5: "), "{text}");
}

#[test]
fn lengths_beyond_the_tensor() {
    assert_eq!(refused(&good().with_lengths(&[4, 5], &[2, 2])), "frames[1] = 5 is beyond the tensor, which has 4");
    assert_eq!(refused(&good().with_lengths(&[4, 4], &[3, 2])), "labels[0] = 3 is beyond the tensor, which has 2");
}

#[test]
fn lists_of_the_wrong_length() {
    let text = refused(&good().with_lengths(&[4], &[2, 2]));
    assert!(text.starts_with("frames: expected 2 x 1 values") && text.ends_with("got 1 values"), "{text}");
    let text = refused(&good().with_lengths(&[4, 4], &[2, 2, 2]));
    assert!(text.starts_with("labels: expected 2 x 1 values") && text.ends_with("got 3 values"), "{text}");
    let mut batch = good();
    batch.targets.pop();
    let text = refused(&batch);
    assert!(text.starts_with("targets: expected 2 x 2 values") && text.ends_with("got 3 values"), "{text}");
}

/// Runs logits of any shape with lists that fit two utterances.
fn with_logits(context: &Context, logits: &Tensor) -> Error {
    let loss = TransducerLoss::rnnt(Blank(0)).build(context).unwrap();
    loss.run_blocking(&LossBatch::new(Logits::padded(logits), &[1; 4], &[1; 2], &[1; 2])).expect_err("must be refused")
}

#[test]
fn logits_of_the_wrong_shape() {
    for (name, context) in contexts() {
        let zeros = |shape: &[usize]| Tensor::zeros(context, shape, DType::F32).unwrap();
        for shape in [&[2, 4, 15][..], &[24], &[2, 4, 0, 5], &[2, 4, 3, 0]] {
            let error = with_logits(context, &zeros(shape));
            assert!(matches!(error, Error::Shape { argument: "logits", .. }), "{name}: {shape:?}: {error}");
        }
        let integers = Tensor::zeros(context, &[2, 4, 3, 5], DType::U32).unwrap();
        let error = with_logits(context, &integers);
        assert!(matches!(error, Error::Value { argument: "logits", .. }), "{name}: {error}");
    }
}

#[test]
fn logits_of_another_context() {
    for (name, context) in contexts() {
        let elsewhere = Tensor::zeros(&Context::cpu(), &[2, 4, 3, 5], DType::F32).unwrap();
        let error = with_logits(context, &elsewhere);
        assert!(matches!(error, Error::OtherContext { argument: "logits" }), "{name}: {error}");
    }
}

#[test]
fn empty_batch() {
    for (name, context) in contexts() {
        let out = Batch::random(1, [0, 4, 3, 5], 0).try_run(context, true).unwrap();
        assert!(out.costs.is_empty() && out.status.is_empty(), "{name}");
        assert!(out.gradients[0].to_vec_blocking().unwrap().is_empty());
    }
}

#[test]
fn tensor_without_frames() {
    for (name, context) in contexts() {
        let out = Batch::random(1, [2, 0, 3, 5], 0).try_run(context, true).unwrap();
        assert_eq!((out.costs, out.status), (vec![f32::INFINITY; 2], vec![Status::Empty; 2]), "{name}");
        assert_eq!(out.gradients[0].shape(), [2, 0, 3, 5]);
    }
}
