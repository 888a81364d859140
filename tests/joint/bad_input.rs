//! What is refused, and in which words.

use weft::dense::{Activation, Linear};
use weft::joint::{Joiner, JointBatch, JointLoss};
use weft::lattice::{Blank, Kind, TransducerLoss};
use weft::{Context, DType, Error, Tensor};

fn linear(context: &Context, sides: [usize; 2]) -> Linear {
    Linear::new(context, sides, &vec![0.0; sides[0] * sides[1]], None).unwrap()
}

#[test]
fn joiners_whose_sides_disagree() {
    let context = Context::cpu();
    let error = |encoder, predictor| Joiner::new(encoder, predictor, linear(&context, [7, 4])).unwrap_err().to_string();
    assert_eq!(error(Some(linear(&context, [5, 2])), None), "encoder: expected 4 outputs, as the output layer has inputs, got 5");
    assert_eq!(error(None, Some(linear(&context, [3, 2]))), "predictor: expected 4 outputs, as the output layer has inputs, got 3");
    let active = linear(&context, [4, 2]).with_activations(Activation::Identity, Activation::Relu);
    assert!(error(Some(active), None).starts_with("encoder = a layer with activations: "));
    let elsewhere = Joiner::new(Some(linear(&Context::cpu(), [4, 2])), None, linear(&context, [7, 4])).unwrap_err();
    assert!(matches!(elsewhere, Error::OtherContext { argument: "encoder" }));
    assert!(Joiner::additive(&context).with_activation(Activation::Tanh).is_err());
}

#[test]
fn dropout_that_leaves_nothing() {
    let joiner = Joiner::additive(&Context::cpu());
    for bad in [1.0, -0.1, f32::NAN, 2.0] {
        let loss = JointLoss::new(&joiner, TransducerLoss::rnnt(Blank(0))).unwrap();
        assert!(matches!(loss.with_dropout(bad), Err(Error::Value { argument: "dropout", .. })), "{bad}");
    }
}

#[test]
fn batches_that_do_not_fit() {
    let context = Context::cpu();
    let joiner = Joiner::new(Some(linear(&context, [4, 3])), None, linear(&context, [7, 4])).unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(&context, shape, DType::F32).unwrap();
    let run = |kind: Kind, encoder: &Tensor, predictor: &Tensor, targets: &[u32], frames: &[u32], labels: &[u32]| {
        let loss = JointLoss::new(&joiner, TransducerLoss::of(kind)).unwrap();
        loss.run_blocking(&JointBatch::new(encoder, predictor, targets, frames, labels)).map(|out| out.costs)
    };
    let rnnt = || Kind::rnnt(Blank(0));
    let error = |encoder: &[usize], predictor: &[usize], targets: &[u32], frames: &[u32], labels: &[u32]| {
        run(rnnt(), &zeros(encoder), &zeros(predictor), targets, frames, labels).unwrap_err().to_string()
    };
    let (e, p) = (&[2, 5, 3][..], &[2, 3, 4][..]);
    assert!(run(rnnt(), &zeros(e), &zeros(p), &[1, 2, 3, 4], &[5, 4], &[2, 1]).unwrap().iter().all(|cost| cost.is_finite()));
    assert_eq!(error(&[2, 5], p, &[1, 2, 3, 4], &[5, 4], &[2, 1]), "encoder: expected three sides [N, T, E], got [2, 5]");
    assert_eq!(error(&[2, 5, 2], p, &[1, 2, 3, 4], &[5, 4], &[2, 1]), "encoder: expected [2, 5, 3], got [2, 5, 2]");
    assert_eq!(error(e, &[2, 3, 5], &[1, 2, 3, 4], &[5, 4], &[2, 1]), "predictor: expected [2, 3, 4], got [2, 3, 5]");
    assert_eq!(error(e, &[1, 3, 4], &[1, 2, 3, 4], &[5, 4], &[2, 1]), "predictor: expected [2, 3, 4], got [1, 3, 4]");
    assert_eq!(error(e, p, &[1, 2, 3, 4], &[5], &[2]), "encoder: expected 1 utterances, as frames has, got 2");
    assert_eq!(error(e, p, &[1, 2, 3, 4], &[5, 6], &[2, 1]), "frames[1] = 6 is beyond the tensor, which has 5");
    assert_eq!(error(e, p, &[1; 6], &[5, 4], &[2, 3]), "labels[1] = 3 is beyond the tensor, which has 2");
    assert_eq!(error(e, p, &[1, 2, 3], &[5, 4], &[2, 1]), "targets: expected 2 rows of labels, equally long, got 3 values");
    assert!(error(e, p, &[1, 7, 3, 4], &[5, 4], &[2, 1]).starts_with("targets[0][1] = 7 is outside the vocabulary"));
    assert!(error(e, p, &[1, 0, 3, 4], &[5, 4], &[2, 1]).starts_with("targets[0][1] = 0 is the blank"));
    // Seven outputs are not enough for seven durations.
    let durations: Vec<u32> = (0..7).collect();
    let tdt = run(Kind::tdt(Blank(0), &durations).unwrap(), &zeros(e), &zeros(p), &[1, 2, 3, 4], &[5, 4], &[2, 1]).unwrap_err();
    assert_eq!(tdt.to_string(), "joiner: expected V of at least 1 and 7 channels of durations, got 7 outputs");
    let integers = Tensor::from_u32(&context, &[2, 5, 3], &[0; 30]).unwrap();
    let integers = run(rnnt(), &integers, &zeros(p), &[1, 2, 3, 4], &[5, 4], &[2, 1]).unwrap_err();
    assert!(matches!(integers, Error::Value { argument: "encoder", .. }));
}
