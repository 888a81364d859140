//! Wrong calls: each has an error that names the argument and the numbers, and harms nothing.

use crate::{Batch, contexts};
use weft::lattice::{Arc, Band, Blank, Exit, FastEmit, Gradients, Kind, LogProbs, Logits, LossBatch, Status, TransducerLoss};
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

/// What a case with a change is refused with.
#[track_caller]
fn refused_call(change: impl for<'a> Fn(&Context, &'a Tensor, LossBatch<'a>) -> weft::Result<weft::lattice::LossOutput>) -> String {
    let mut texts: Vec<String> = contexts()
        .iter()
        .map(|(_, context)| {
            let tensor = Tensor::zeros(context, &[2, 4, 3, 6], DType::F32).unwrap();
            let batch = LossBatch::new(Logits::padded(&tensor), &[1, 2, 1, 2], &[4, 3], &[2, 1]);
            change(context, &tensor, batch).expect_err("must be refused").to_string()
        })
        .collect();
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    texts.remove(0)
}

fn loss(context: &Context) -> TransducerLoss {
    TransducerLoss::rnnt(Blank(0)).gradients(true).build(context).unwrap()
}

#[test]
fn weights_that_are_not_finite() {
    for weight in [f32::NAN, f32::INFINITY] {
        let text = refused_call(|context, _, batch| loss(context).run_blocking(&batch.weights(&[1.0, weight])));
        assert_eq!(text, format!("weights = {weight} of utterance 1: weights must be finite"));
    }
    let text = refused_call(|context, _, batch| loss(context).run_blocking(&batch.weights(&[1.0])));
    assert_eq!(text, "weights: expected 2 x 1 values for 2 utterances, got 1 values");
}

#[test]
fn bands_without_a_path() {
    let band = |ranges: &[[u32; 2]]| Band::new(ranges.to_vec());
    let refused = |kind: Kind, bands: [Band; 2]| {
        let loss = TransducerLoss::of(kind).gradients(true);
        refused_call(move |context, _, batch| loss.clone().build(context).unwrap().run_blocking(&batch.bands(&bands)))
    };
    let of = |kind: &Kind, ranges: &[[u32; 2]]| refused(kind.clone(), [Band::default(), band(ranges)]);
    let rnnt = Kind::rnnt(Blank(0));
    let text = of(&rnnt, &[[0, 1]]);
    assert_eq!(text, "bands: expected 3 ranges, one a frame, for utterance 1, got 1 ranges");
    let text = of(&rnnt, &[[0, 1], [1, 0], [0, 1]]);
    assert!(text.starts_with("bands = [1, 0] in frame 1 of utterance 1, which has 1 labels: "), "{text}");
    let text = of(&rnnt, &[[0, 1], [2, 2], [0, 1]]);
    assert!(text.starts_with("bands = [2, 2] in frame 1 of utterance 1"), "{text}");
    let help = "bands = that of utterance 1, of 3 frames and 1 labels: no path of this kind stays in the band: widen it";
    // The beginning is out of it, the end is, and it goes back.
    for ranges in [[[1, 1], [1, 1], [1, 1]], [[0, 0], [0, 0], [0, 0]], [[0, 1], [1, 1], [0, 0]]] {
        assert_eq!(of(&rnnt, &ranges), help);
    }
    // A label of the monotonic kind may end the lattice.
    let monotonic = Kind::monotonic(Blank(0));
    assert_eq!(of(&monotonic, &[[0, 1], [1, 1], [0, 0]]), help);
    for (name, context) in contexts() {
        let tensor = Tensor::zeros(context, &[1, 3, 2, 6], DType::F32).unwrap();
        let bands = [band(&[[0, 0]; 3])];
        let batch = LossBatch::new(Logits::padded(&tensor), &[1], &[3], &[1]).bands(&bands);
        let loss = TransducerLoss::of(monotonic.clone()).build(context).unwrap();
        assert_eq!(loss.run_blocking(&batch).unwrap().status, [Status::Ok], "{name}");
    }
    // W-transducers leave from anywhere, but from the last position only.
    let w = Kind::w_transducer(Blank(0), 0.0, Exit::End).unwrap();
    assert_eq!(of(&w, &[[0, 0], [0, 0], [0, 0]]), help);
}

#[test]
fn begins_that_do_not_fit() {
    let begin = |frames: [u32; 2], positions: [u32; 2]| {
        refused_call(move |context, _, batch| loss(context).run_blocking(&batch.begin(&frames, &positions)))
    };
    assert_eq!(begin([0, 2], [0, 0]), "frames[1] = 5 is beyond the tensor, which has 4");
    assert_eq!(begin([0, 1], [1, 1]), "labels[0] = 3 is beyond the tensor, which has 2");
    let text = refused_call(|context, _, batch| loss(context).run_blocking(&batch.begin(&[0], &[0, 0])));
    assert_eq!(text, "begin: expected 2 x 1 values for 2 utterances, got 1 values");
    let text = refused_call(|context, tensor, _| {
        let rows = tensor.reshape(&[24, 6]).unwrap();
        let batch = LossBatch::new(Logits::packed(&rows), &[1, 2, 1, 2], &[4, 4], &[2, 2]).begin(&[0, 0], &[0, 0]);
        loss(context).run_blocking(&batch)
    });
    assert_eq!(text, "begin = packed scores: packed utterances begin where the one before ends");
}

#[test]
fn packed_rows_that_do_not_fit() {
    let packed = |frames: [u32; 2]| {
        refused_call(move |context, tensor, _| {
            let rows = tensor.reshape(&[24, 6]).unwrap();
            loss(context).run_blocking(&LossBatch::new(Logits::packed(&rows), &[1, 2, 1, 2], &frames, &[2, 2]))
        })
    };
    assert_eq!(packed([4, 3]), "logits: expected T (U + 1) rows for each utterance; those from 0 on take 21, got 24 rows");
    assert_eq!(packed([4, 5]), "logits: expected T (U + 1) rows for each utterance; those from 0 on take 12, got 24 rows");
}

/// Rows that share elements are fine to read, and nowhere to write.
#[test]
fn overlapping_rows() {
    let strided = |strides: [usize; 3], gradients: bool| {
        move |context: &Context, tensor: &Tensor, _: LossBatch<'_>| {
            let loss = TransducerLoss::rnnt(Blank(0)).gradients(gradients).build(context).unwrap();
            let flat = tensor.reshape(&[144]).unwrap();
            loss.run_blocking(&LossBatch::new(Logits::strided(&flat, [2, 4, 3, 6], strides), &[1, 2, 1, 2], &[4, 4], &[2, 2]))
        }
    };
    // All utterances alike; rows that begin within others; strides that no nesting explains.
    for strides in [[0, 18, 6], [72, 18, 3], [72, 10, 6]] {
        let text = refused_call(strided(strides, true));
        assert_eq!(
            text,
            format!(
                "logits = strides {strides:?} of shape [2, 4, 3, 6]: rows overlap, and each needs a place for its gradient: copy the scores, or ask for costs only"
            )
        );
        for (name, context) in contexts() {
            let tensor = Tensor::zeros(context, &[2, 4, 3, 6], DType::F32).unwrap();
            let batch = LossBatch::new(Logits::padded(&tensor), &[1; 4], &[4; 2], &[2; 2]);
            let out = strided(strides, false)(context, &tensor, batch).unwrap();
            assert_eq!(out.status, [Status::Ok; 2], "{name}");
        }
    }
    // Rows between rows: no overlap, though no nesting either.
    for (_, context) in contexts() {
        let tensor = Tensor::zeros(context, &[200], DType::F32).unwrap();
        let loss = TransducerLoss::rnnt(Blank(0)).gradients(true).build(context).unwrap();
        let batch = LossBatch::new(Logits::strided(&tensor, [1, 2, 3, 4], [0, 12, 8]), &[1, 2], &[2], &[2]);
        assert_eq!(loss.run_blocking(&batch).unwrap().status, [Status::Ok]);
    }
    let text = refused_call(strided([73, 18, 6], true));
    assert!(text.starts_with("logits: expected strides that stay within the 144 elements"), "{text}");
}

#[test]
fn gathered_of_kinds_that_read_more() {
    for (name, context) in contexts() {
        let tensor = Tensor::zeros(context, &[1, 2, 2, 2], DType::F32).unwrap();
        let batch = LossBatch::new(LogProbs::gathered(&tensor), &[1], &[2], &[1]);
        let loss = TransducerLoss::of(Kind::multi_blank(Blank(0), &[(3, 2)]).unwrap()).build(context).unwrap();
        let error = loss.run_blocking(&batch).unwrap_err().to_string();
        assert!(error.starts_with("log-probs = gathered: "), "{name}: {error}");
        let wide = Tensor::zeros(context, &[1, 2, 2, 3], DType::F32).unwrap();
        let error = self::loss(context).run_blocking(&LossBatch::new(LogProbs::gathered(&wide), &[1], &[2], &[1])).unwrap_err();
        assert!(matches!(error, Error::Shape { argument: "log-probs", .. }), "{name}: {error}");
    }
}

/// Gradients would be written over each other. Separate ones have a place each.
#[test]
fn one_tensor_as_two_parts() {
    for (name, context) in contexts() {
        let [logits, other] = [0.0, 1.0].map(|x| Tensor::from_slice(context, &[1, 2, 2, 4], &[x; 16]).unwrap());
        let batch = |parts: Vec<&Tensor>| {
            let (frames, labels) = (vec![2; parts.len()], vec![1; parts.len()]);
            let run = |gradients| {
                let loss = TransducerLoss::rnnt(Blank(0)).gradients(gradients).build(context).unwrap();
                loss.run_blocking(&LossBatch::new(Logits::padded_parts(parts.clone()), &labels, &frames, &labels))
            };
            [Gradients::Separate, Gradients::InPlace].map(run)
        };
        // A clone is the same memory.
        let [separate, in_place] = batch(vec![&logits, &other, &logits.clone()]);
        let separate = separate.unwrap();
        let [first, _, last] = [0, 1, 2].map(|part| separate.gradients[part].to_vec_blocking().unwrap());
        assert_eq!(first, last, "{name}");
        let error = in_place.unwrap_err();
        assert!(matches!(error, Error::Value { argument: "logits", .. }), "{name}: {error}");
        assert!(error.to_string().starts_with("logits = the same tensor as parts 0 and 2: "), "{name}: {error}");
        let [_, apart] = batch(vec![&logits, &other]);
        assert_eq!(apart.unwrap().gradients[0].to_vec_blocking().unwrap(), first, "{name}");
    }
}

#[test]
fn options_out_of_range() {
    let rnnt = || TransducerLoss::rnnt(Blank(0));
    for (text, builder) in [
        ("fast_emit = -0.5: ", rnnt().fast_emit(FastEmit::CostScaled(-0.5))),
        ("fast_emit = NaN: ", rnnt().fast_emit(FastEmit::CostUnchanged(f32::NAN))),
        ("delay_penalty = -1: ", rnnt().delay_penalty(-1.0)),
        ("eos_penalty = inf: ", rnnt().eos_penalty(2, f32::INFINITY)),
        ("wildcard = -0.1: ", rnnt().wildcard(-0.1)),
        ("min_latency = -1: ", rnnt().min_latency(-1.0)),
        ("clamp = 0: ", rnnt().clamp(0.0)),
        ("clamp = NaN: ", rnnt().clamp(f32::NAN)),
    ] {
        let error = builder.build(&contexts()[0].1).expect_err(text).to_string();
        assert!(error.starts_with(text), "{error}");
    }
}

#[test]
fn kinds_that_make_no_sense() {
    let blank = Blank(0);
    let arc = |arc: Arc| Kind::custom(blank, vec![arc], vec![0, 1]);
    for (text, kind) in [
        ("sigma = -0.1: ", Kind::rnnt(blank).under_normalised(-0.1)),
        ("sigma = inf: ", Kind::rnnt(blank).under_normalised(f32::INFINITY)),
        ("omega = 1.5: ", Kind::rnnt(blank).sometimes_rnnt(1.5)),
        ("big_blanks = [(1, 2), (1, 3)]: each blank", Kind::multi_blank(blank, &[(1, 2), (1, 3)])),
        ("big_blanks = [(0, 2)]: each blank", Kind::multi_blank(blank, &[(0, 2)])),
        ("big_blanks = [(1, 1)]: a big blank", Kind::multi_blank(blank, &[(1, 1)])),
        ("durations = [1, 0]: durations must be ascending", Kind::tdt(blank, &[1, 0])),
        ("durations = [1, 1]: durations must be ascending", Kind::tdt(blank, &[1, 1])),
        ("durations = [0]: some duration", Kind::tdt(blank, &[0])),
        ("durations = []: some duration", Kind::tdt(blank, &[])),
        ("arcs = none: ", Kind::custom(blank, Vec::new(), Vec::new())),
        ("arcs = number 0, of 0 frames", arc(Arc::stay(0, 0))),
        ("arcs = number 0, of 1 frames", arc(Arc { labels: 2, ..Arc::label(1) })),
        ("arcs = number 0, of 1 frames", arc(Arc { labels: 0, ..Arc::label(1) })),
        ("arcs = number 0, of 1 frames", arc(Arc { duration: Some(2), ..Arc::label(1) })),
        ("arcs = number 0, of 1 frames", arc(Arc { then: Some(0), ..Arc::stay(1, 0) })),
        ("arcs = number 0, of 1 frames", arc(Arc { constant: f32::NAN, ..Arc::label(1) })),
        ("arcs = number 0, of 65536 frames", arc(Arc::label(65_536))),
        ("weight = NaN: ", Kind::w_transducer(blank, f32::NAN, Exit::End)),
        ("arcs = number 2, of 1 frames, 0 labels and inf nats", Kind::star(blank, f32::INFINITY)),
    ] {
        let error = kind.expect_err(text).to_string();
        assert!(error.starts_with(text), "{error}, not {text}");
    }
    let text = refused_call(|context, _, batch| {
        let kind = Kind::multi_blank(Blank(0), &[(9, 2)]).unwrap();
        TransducerLoss::of(kind).build(context)?.run_blocking(&batch)
    });
    assert!(text.starts_with("arcs = 9: the symbol of an arc"), "{text}");
    let text = refused_call(|context, _, batch| {
        let kind = Kind::multi_blank(Blank(0), &[(2, 2)]).unwrap();
        TransducerLoss::of(kind).build(context)?.run_blocking(&batch)
    });
    assert_eq!(text, "targets[0][1] = 2 is a blank of this kind (vocabulary 6, blank 0)");
}

#[test]
fn parts_that_do_not_match() {
    for (name, context) in contexts() {
        let zeros = |shape: &[usize], dtype| Tensor::zeros(context, shape, dtype).unwrap();
        let (a, b) = (zeros(&[1, 2, 2, 4], DType::F32), zeros(&[1, 2, 3, 4], DType::F32));
        let refused = |parts: Vec<&Tensor>| {
            let batch = LossBatch::new(Logits::padded_parts(parts), &[1, 1], &[2, 2], &[1, 1]);
            loss(context).run_blocking(&batch).unwrap_err().to_string()
        };
        let text = refused(vec![&a, &b]);
        assert_eq!(text, "logits: expected parts with the sides of the first: T 2, U1 2, V 4, got [1, 2, 3, 4]", "{name}");
        assert_eq!(refused(Vec::new()), "logits: expected at least one tensor, got none", "{name}");
        let half = zeros(&[1, 2, 2, 4], DType::F16);
        assert_eq!(refused(vec![&a, &half]), "logits = [F32, F16]: scores are f32 or f16, all parts alike", "{name}");
    }
}
