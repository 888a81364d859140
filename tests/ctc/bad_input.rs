//! Wrong calls: each has an error that names the argument and the numbers, and harms nothing.

use crate::{Batch, Layout, contexts};
use weft::lattice::{Blank, CtcBatch, CtcLoss, Status};
use weft::{Context, DType, Error, Tensor};

fn good() -> Batch {
    Batch::random(41, [2, 6, 5], 2, 0)
}

/// The error of a batch on the CPU and on the GPU, as text; the context gives right results afterwards.
#[track_caller]
fn refused(batch: &Batch) -> String {
    let mut texts: Vec<String> = contexts()
        .iter()
        .map(|(_, context)| {
            batch.try_run(context, batch.builder().gradients(true), Layout::Padded).expect_err("must be refused").to_string()
        })
        .collect();
    good().check("after an error");
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    texts.remove(0)
}

#[test]
fn labels_that_are_none() {
    let mut batch = good();
    batch.targets[3] = 5;
    assert_eq!(refused(&batch), "targets[1][1] = 5 is outside the vocabulary (vocabulary 5, blank 0)");
    batch.targets[3] = 0;
    assert_eq!(refused(&batch), "targets[1][1] = 0 is the blank (vocabulary 5, blank 0)");
    let text = refused(&Batch { blank: 5, ..good() });
    assert!(text.starts_with("blank = 5: "), "{text}");
}

#[test]
fn lengths_beyond_the_tensor() {
    assert_eq!(refused(&good().with_lengths(&[6, 7], &[2, 2])), "frames[1] = 7 is beyond the tensor, which has 6");
    assert_eq!(refused(&good().with_lengths(&[6, 6], &[3, 2])), "labels[0] = 3 is beyond the tensor, which has 2");
}

#[test]
fn lists_of_the_wrong_length() {
    let text = refused(&good().with_lengths(&[6], &[2, 2]));
    assert!(text.starts_with("frames: expected 2 values") && text.ends_with("got 1 values"), "{text}");
    let text = refused(&good().with_lengths(&[6, 6], &[2, 2, 2]));
    assert!(text.starts_with("labels: expected 2 values") && text.ends_with("got 3 values"), "{text}");
    let mut batch = good();
    batch.targets.pop();
    let text = refused(&batch);
    assert!(text.starts_with("targets: expected 2 rows") && text.ends_with("got 3 values"), "{text}");
    let text = refused(&Batch { weights: Some(vec![1.0]), ..good() });
    assert!(text.starts_with("weights: expected 2 values") && text.ends_with("got 1 values"), "{text}");
}

#[test]
fn numbers_that_make_no_sense() {
    let text = refused(&Batch { weights: Some(vec![1.0, f32::NAN]), ..good() });
    assert!(text.starts_with("weights = NaN of utterance 1: "), "{text}");
    for clamp in [0.0, -1.0, f32::NAN] {
        let error = CtcLoss::new(Blank(0)).clamp(clamp).build(&Context::cpu()).err();
        assert!(matches!(error, Some(Error::Value { argument: "clamp", .. })), "{clamp}: {error:?}");
    }
}

/// Runs logits of any shape with lists that fit two utterances.
fn with_logits(context: &Context, logits: &Tensor) -> Error {
    let loss = CtcLoss::new(Blank(0)).build(context).unwrap();
    loss.run_blocking(&CtcBatch::new(logits, &[1; 4], &[1; 2], &[1; 2])).expect_err("must be refused")
}

#[test]
fn logits_of_the_wrong_shape() {
    for (name, context) in contexts() {
        let zeros = |shape: &[usize]| Tensor::zeros(context, shape, DType::F32).unwrap();
        for shape in [&[2, 4, 3, 5][..], &[24], &[3, 5], &[2, 4, 0]] {
            let error = with_logits(context, &zeros(shape));
            assert!(matches!(error, Error::Shape { argument: "logits", .. }), "{name}: {shape:?}: {error}");
        }
        let integers = Tensor::zeros(context, &[2, 4, 5], DType::U32).unwrap();
        let error = with_logits(context, &integers);
        assert!(matches!(error, Error::Value { argument: "logits", .. }), "{name}: {error}");
        let elsewhere = Tensor::zeros(&Context::cpu(), &[2, 4, 5], DType::F32).unwrap();
        let error = with_logits(context, &elsewhere);
        assert!(matches!(error, Error::OtherContext { argument: "logits" }), "{name}: {error}");
    }
}

#[test]
fn batches_without_rows() {
    for (name, context) in contexts() {
        let none = Batch::random(1, [0, 4, 5], 3, 0);
        let out = none.try_run(context, none.builder().gradients(true).alignments(true), Layout::Padded).unwrap();
        assert!(out.costs.is_empty() && out.status.is_empty() && out.alignments.unwrap().is_empty(), "{name}");
        assert!(out.gradients.unwrap().to_vec_blocking().unwrap().is_empty());

        let still = Batch::random(1, [2, 0, 5], 3, 0).with_lengths(&[0, 0], &[3, 0]);
        let out = still.try_run(context, still.builder().gradients(true).alignments(true), Layout::Padded).unwrap();
        assert_eq!((out.costs, out.status), (vec![f32::INFINITY, 0.0], vec![Status::Infeasible, Status::Ok]), "{name}");
        assert_eq!(out.gradients.unwrap().shape(), [2, 0, 5]);
        let alignments = out.alignments.unwrap();
        assert!(alignments[0].is_none() && alignments[1].as_ref().is_some_and(|a| a.states.is_empty()));
    }
}

#[test]
fn strides_that_lead_nowhere() {
    for (name, context) in contexts() {
        let run = |logits: &Tensor, shape: [usize; 3], strides: [usize; 2], gradients: bool| {
            let loss = CtcLoss::new(Blank(0)).gradients(gradients).build(context).unwrap();
            let count = shape[0];
            let out = loss.run_blocking(&CtcBatch::new(logits, &vec![1; count], &vec![2; count], &vec![1; count]).strided(shape, strides));
            out.map(|out| out.costs)
        };
        let zeros = Tensor::zeros(context, &[30], DType::F32).unwrap();
        for (shape, strides) in [([2, 3, 5], [15, 6]), ([2, 3, 5], [usize::MAX, 5]), ([7, 3, 5], [5, 5])] {
            let error = run(&zeros, shape, strides, false).unwrap_err();
            assert!(matches!(error, Error::Shape { argument: "logits", .. }), "{name}: {shape:?} {strides:?}: {error}");
        }
        let error = run(&zeros, [2, 3, 5], [3, 6], true).unwrap_err();
        assert!(error.to_string().contains("rows overlap"), "{name}: {error}");
        // Costs alone may share rows: three utterances of the same logits.
        let costs = run(&zeros, [3, 3, 5], [0, 5], false).unwrap();
        assert!(costs.iter().all(|cost| (cost - (25.0f32 / 3.0).ln()).abs() < 1e-5), "{name}: {costs:?}");
        // Without rows any strides do, and the gradient is zero.
        let loss = CtcLoss::new(Blank(0)).gradients(true).build(context).unwrap();
        let out = loss.run_blocking(&CtcBatch::new(&zeros, &[], &[], &[]).strided([0, 3, 5], [99, 99])).unwrap();
        assert!(out.costs.is_empty() && out.gradients.unwrap().to_vec_blocking().unwrap() == [0.0; 30], "{name}");
    }
}

#[test]
fn begins_that_do_not_fit() {
    for (name, context) in contexts() {
        let run = |shape: &[usize], begin: &[u32]| {
            let logits = Tensor::zeros(context, shape, DType::F32).unwrap();
            let loss = CtcLoss::new(Blank(0)).build(context).unwrap();
            loss.run_blocking(&CtcBatch::new(&logits, &[1; 2], &[2; 2], &[1; 2]).begin(begin)).map(|out| out.status)
        };
        assert_eq!(run(&[2, 4, 5], &[2, 1]).unwrap(), [Status::Ok; 2], "{name}");
        let error = run(&[2, 4, 5], &[2, 3]).unwrap_err().to_string();
        assert_eq!(error, "frames[1] = 5 is beyond the tensor, which has 4", "{name}");
        assert!(run(&[2, 4, 5], &[0, u32::MAX]).is_err(), "{name}");
        let error = run(&[2, 4, 5], &[2]).unwrap_err().to_string();
        assert_eq!(error, "begin: expected 2 values for 2 utterances, got 1 values", "{name}");
        let error = run(&[4, 5], &[0, 0]).unwrap_err().to_string();
        assert!(error.starts_with("begin = packed logits: "), "{name}: {error}");
    }
}
