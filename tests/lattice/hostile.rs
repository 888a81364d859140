//! Arguments at the ends of their types: errors, or results, but no overflow and no allocation of what nobody has.

use crate::contexts;
use weft::lattice::{
    Arc, Band, Blank, CtcLoss, CtcShape, FastEmit, Gradients, Kind, LogProbs, Logits, LossBatch, LossShape, Status, TransducerLoss,
};
use weft::{Caps, Context, DType, Error, Tensor};

const MOST: [usize; 5] = [0, 1, 1 << 10, u32::MAX as usize, usize::MAX];

/// A kind of as many arcs as there may be.
fn many_arcs() -> Kind {
    let arcs = (0..255).map(|frames| Arc::free(frames + 1, 0, -1.0));
    Kind::custom(Blank(0), arcs.chain([Arc::stay(1, 0)]).collect(), Vec::new()).unwrap()
}

#[test]
fn plans_of_any_shape() {
    let cpu = Context::cpu();
    let kinds = [Kind::rnnt(Blank(0)), Kind::tdt(Blank(0), &[0, 1, 2]).unwrap(), many_arcs()];
    let (mut good, mut refused) = (0, 0);
    for kind in kinds {
        let loss = TransducerLoss::of(kind).gradients(true).build(&cpu).unwrap();
        for &utterances in &MOST {
            for &frames in &MOST {
                for &positions in &MOST {
                    for &vocab in &MOST {
                        let shape = LossShape { utterances, frames, positions, vocab };
                        match loss.plan(shape, &Caps::portable()) {
                            Ok(_) => good += 1,
                            Err(Error::Shape { .. } | Error::Value { .. } | Error::LimitExceeded { .. }) => refused += 1,
                            Err(other) => panic!("{shape}: {other}"),
                        }
                    }
                }
            }
        }
    }
    assert!(good > 20 && refused > 1000, "{good} and {refused}");
}

#[test]
fn ctc_plans_of_any_shape() {
    let (mut good, mut refused) = (0, 0);
    let loss = CtcLoss::new(Blank(0)).gradients(true).alignments(true).build(&Context::cpu()).unwrap();
    for &utterances in &MOST {
        for &frames in &MOST {
            for &labels in &MOST {
                for &vocab in &MOST {
                    let shape = CtcShape { utterances, frames, labels, vocab };
                    match loss.plan(shape, &Caps::portable()) {
                        Ok(_) => good += 1,
                        Err(Error::Shape { .. } | Error::Value { .. } | Error::LimitExceeded { .. }) => refused += 1,
                        Err(other) => panic!("{shape}: {other}"),
                    }
                }
            }
        }
    }
    assert!(good > 10 && refused > 300, "{good} and {refused}");
}

/// Devices that no one makes.
#[test]
fn plans_for_devices_without_anything() {
    let cpu = Context::cpu();
    let shape = LossShape { utterances: 3, frames: 9, positions: 40, vocab: 7 };
    for kind in [Kind::rnnt(Blank(0)), Kind::constrained(Blank(0)), Kind::tdt(Blank(0), &[0, 9]).unwrap()] {
        let loss = TransducerLoss::of(kind).gradients(true).build(&cpu).unwrap();
        let small = |caps: Caps| [Caps { max_workgroups: 0, ..caps.clone() }, Caps { max_invocations: 0, ..caps }];
        for caps in small(Caps::portable()) {
            assert_eq!(loss.plan(shape, &caps).unwrap().chunk(), 3);
        }
        for bytes in [0, 3, 255, 256, 700] {
            let caps = Caps { max_binding_bytes: bytes, ..Caps::portable() };
            assert!(matches!(loss.plan(shape, &caps), Err(Error::LimitExceeded { .. })), "{bytes}");
        }
    }
}

#[test]
fn bands_of_any_numbers() {
    let band = Band::around(&[u32::MAX, u32::MAX, 1], usize::MAX);
    assert_eq!(band.ranges(), [[0, 0], [0, u32::MAX], [0, u32::MAX]]);
    assert_eq!(Band::around(&[], 0).ranges(), [[0; 2]; 0]);
    assert_eq!(Band::label_windows(&[[u32::MAX, 0]], 2).ranges(), [[0, 0], [1, 0]]);
}

/// Strides that wrap around, of tensors with and without rows.
#[test]
fn strides_at_the_end() {
    for (name, context) in contexts() {
        let tensor = Tensor::zeros(context, &[64], DType::F32).unwrap();
        let loss = TransducerLoss::rnnt(Blank(0)).gradients(true).build(context).unwrap();
        let run = |shape: [usize; 4], strides: [usize; 3], frames: &[u32]| {
            let (targets, labels) = (vec![1; frames.len() * (shape[2] - 1).min(4)], vec![0; frames.len()]);
            loss.run_blocking(&LossBatch::new(Logits::strided(&tensor, shape, strides), &targets, frames, &labels))
        };
        // Not one row: nothing is read, and all of the gradient is zero.
        let out = run([3, 0, 2, 4], [usize::MAX; 3], &[0; 3]).unwrap();
        assert_eq!(out.status, [Status::Empty; 3], "{name}");
        assert!(out.gradients[0].to_vec_blocking().unwrap().iter().all(|&g| g == 0.0), "{name}");
        for strides in [[usize::MAX, 4, 4], [4, usize::MAX, 4], [4, 4, usize::MAX], [usize::MAX / 2, usize::MAX / 2, 3]] {
            let error = run([3, 2, 2, 4], strides, &[2; 3]).unwrap_err();
            assert!(error.to_string().starts_with("logits: expected strides that stay within the 64 elements"), "{name}: {error}");
        }
        // So many rows in so few elements overlap: nobody has to list them.
        let error = run([1, 1 << 20, 1 << 11, 4], [0; 3], &[1]).unwrap_err();
        assert!(error.to_string().contains("rows overlap"), "{name}: {error}");
        let error = run([1, 1 << 20, 1 << 20, 4], [0; 3], &[1]).unwrap_err();
        assert!(matches!(error, Error::LimitExceeded { what: "logits: rows of one utterance", .. }), "{name}: {error}");
    }
}

/// Sides of tensors without elements, which may be of any size.
#[test]
fn tensors_of_nothing() {
    for (name, context) in contexts() {
        let nothing = Tensor::zeros(context, &[usize::MAX, 0, 1, 4], DType::F32).unwrap();
        let loss = TransducerLoss::rnnt(Blank(0)).build(context).unwrap();
        for parts in [vec![&nothing], vec![&nothing, &nothing]] {
            let error = loss.run_blocking(&LossBatch::new(Logits::padded_parts(parts), &[], &[], &[])).unwrap_err();
            assert!(matches!(error, Error::LimitExceeded { what: "logits: utterances", .. }), "{name}: {error}");
        }
    }
}

#[test]
fn begins_at_the_end() {
    for (name, context) in contexts() {
        let tensor = Tensor::zeros(context, &[1, 3, 2, 4], DType::F32).unwrap();
        let loss = TransducerLoss::rnnt(Blank(0)).build(context).unwrap();
        let begin = |frame: u32, position: u32| {
            let (frame, position) = ([frame], [position]);
            let batch = LossBatch::new(Logits::padded(&tensor), &[1], &[2], &[1]).begin(&frame, &position);
            loss.run_blocking(&batch).unwrap_err()
        };
        for error in [begin(u32::MAX, 0), begin(0, u32::MAX)] {
            assert!(matches!(error, Error::Length { .. }), "{name}: {error}");
        }
    }
}

/// Weights that are no probabilities give no cost that means anything, and harm nobody.
#[test]
fn weights_beyond_all_probability() {
    let (frames, labels) = ([3, 3], [1, 1]);
    for (name, context) in contexts().iter().take(1) {
        for (kind, delay, scores) in [
            (Kind::rnnt(Blank(0)), f32::MAX, 0.0),
            (Kind::star(Blank(0), f32::MAX).unwrap(), 0.0, 0.0),
            (Kind::w_transducer(Blank(0), f32::MAX, weft::lattice::Exit::End).unwrap(), 0.0, 0.0),
            (Kind::rnnt(Blank(0)).under_normalised(f32::MAX).unwrap(), 0.0, 0.0),
            (Kind::rnnt(Blank(0)), 0.0, 1e9),
            (Kind::multi_blank(Blank(0), &[(3, 2)]).unwrap(), 0.0, f32::MAX),
        ] {
            let what = format!("{kind:?} with {delay} and {scores} on {name}");
            let tensor = Tensor::from_slice(context, &[2, 3, 2, 4], &[scores; 48]).unwrap();
            let loss =
                TransducerLoss::of(kind).gradients(Gradients::Separate).delay_penalty(delay).fast_emit(FastEmit::CostScaled(f32::MAX));
            let loss = loss.eos_penalty(1, delay).min_latency(delay).build(context).unwrap();
            let batch = LossBatch::new(LogProbs::padded(&tensor), &[1, 2], &frames, &labels).weights(&[f32::MAX, f32::MIN]);
            assert_eq!(loss.run_blocking(&batch).unwrap().costs.len(), 2, "{what}");
            assert_eq!(loss.lattice_blocking(&batch).unwrap().map(|lattice| lattice.k_best(2).len()).len(), 2, "{what}");
        }
    }
}

/// Workgroup memory holds what durations are pulled by.
#[test]
fn as_many_durations_as_there_may_be() {
    let arcs = |count: u32| (0..count.min(256)).map(|i| Arc { duration: Some(i), ..Arc::stay(i % 3 + 1, 0) }).collect::<Vec<_>>();
    let kind = |count: u32| Kind::custom(Blank(0), arcs(count), vec![1; count as usize]);
    assert!(matches!(kind(257), Err(Error::LimitExceeded { what: "durations of a kind", need: 257, have: 256, .. })));
    for (name, context) in crate::quick_contexts() {
        let loss = TransducerLoss::of(kind(256).unwrap()).gradients(true).build(context).unwrap();
        let tensor = Tensor::zeros(context, &[1, 4, 1, 258], DType::F32).unwrap();
        let out = loss.run_blocking(&LossBatch::new(Logits::padded(&tensor), &[], &[4], &[])).unwrap_err();
        assert!(matches!(out, Error::Shape { argument: "labels", .. }), "{name}: {out}");
        let out = loss.run_blocking(&LossBatch::new(Logits::padded(&tensor), &[], &[4], &[0])).unwrap();
        assert_eq!(out.status, [Status::Ok], "{name}");
    }
}
