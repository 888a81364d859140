//! Small limits stand for large batches: windows of rows, chunks of utterances, folded grids; and what is refused.

use crate::common::contexts_with;
use crate::truth::Head;
use crate::{Arc, BLANK, Batch, Extras, Gradients, Kind, LossBatch, Pair, all_kinds, assert_same, contexts, outcome, tdt};
use weft::lattice::{LogProbs, LossShape, TransducerLoss};
use weft::{Error, Tensor};

#[test]
fn cutting_changes_no_bit() {
    const BINDING: u64 = 16 << 10;
    let limited = contexts_with(|options| options.with_max_binding_bytes(BINDING).with_max_workgroups(5));
    for (name, pair) in all_kinds() {
        let batch = Batch::random(31, &pair, [6, 16, 9, 37]).with_lengths(&[16, 13, 1, 0, 16, 6], &[8, 8, 2, 5, 0, 1]);
        for ((other, whole), (_, limited)) in contexts().iter().zip(&limited) {
            assert_eq!(limited.caps().max_binding_bytes, BINDING);
            let loss = batch.builder().gradients(true).build(limited).unwrap();
            let tensor = Tensor::from_slice(limited, &batch.shape, &batch.scores).unwrap();
            let plan = loss.plan_batch(&batch.padded(&tensor)).unwrap();
            assert!(plan.windows() > 3, "{plan}");
            let out = outcome(loss.run_blocking(&batch.padded(&tensor)).unwrap());
            assert_same(&format!("{name} on {other}"), &out, &batch.run(whole));
        }
    }
}

#[test]
fn workspace_limit_cuts_into_chunks() {
    let batch = Batch::random(32, &tdt(&[0, 1, 2]), [5, 20, 9, 8]);
    for (name, context) in contexts() {
        let whole = batch.run(context);
        let limited = batch.clone().with(Extras { workspace: Some(20_000), ..Extras::default() });
        let shape = LossShape { utterances: 5, frames: 20, positions: 9, vocab: 8 };
        let plan = limited.builder().gradients(true).build(context).unwrap().plan(shape, context.caps()).unwrap();
        assert!((1..5).contains(&plan.chunk()) && plan.workspace_bytes() <= 20_000 + 256 * plan.dispatches() as u64, "{plan}");
        assert_same(name, &limited.run(context), &whole);
        let too_little = batch.clone().with(Extras { workspace: Some(100), ..Extras::default() });
        match too_little.try_run(context, Gradients::Separate) {
            Err(Error::LimitExceeded { need, have: 100, .. }) => {
                let enough = batch.clone().with(Extras { workspace: Some(need), ..Extras::default() });
                assert_same(name, &enough.run(context), &whole);
            }
            other => panic!("{name}: {:?}", other.map(|out| out.costs)),
        }
    }
}

#[test]
fn kinds_that_make_no_sense_are_refused() {
    let bad = [
        Kind::custom(BLANK, vec![], vec![]),
        Kind::custom(BLANK, vec![Arc::stay(1, 0); 300], vec![]),
        Kind::custom(BLANK, vec![Arc::stay(0, 0)], vec![]),
        Kind::custom(BLANK, vec![Arc::stay(70_000, 0)], vec![]),
        Kind::custom(BLANK, vec![Arc { duration: Some(1), ..Arc::stay(1, 0) }], vec![1]),
        Kind::custom(BLANK, vec![Arc { then: Some(1), ..Arc::stay(1, 0) }], vec![]),
        Kind::star(BLANK, f32::NAN),
        Kind::w_transducer(BLANK, f32::INFINITY, crate::Exit::End),
        Kind::tdt(BLANK, &[0]),
        Kind::tdt(BLANK, &[1, 1]),
        Kind::tdt(BLANK, &[2, 1]),
        Kind::multi_blank(BLANK, &[(3, 2)]),
        Kind::multi_blank(BLANK, &[(4, 2), (4, 3)]),
        Kind::multi_blank(BLANK, &[(4, 1)]),
        Kind::tdt(BLANK, &[0, 1]).and_then(|kind| kind.under_normalised(-0.1)),
        Kind::tdt(BLANK, &[0, 1]).and_then(|kind| kind.sometimes_rnnt(1.5)),
    ];
    for (number, kind) in bad.into_iter().enumerate() {
        assert!(matches!(kind, Err(Error::Value { .. } | Error::LimitExceeded { .. })), "{number}: {kind:?}");
    }
}

#[test]
fn symbols_and_labels_that_do_not_fit_are_refused() {
    let (_, context) = &contexts()[0];
    let pair = Pair::new(Kind::multi_blank(BLANK, &[(9, 2)]).unwrap(), Head::Softmax, 0.0, 0);
    let refused = |batch: &Batch| batch.try_run(context, Gradients::None).expect_err("must be refused").to_string();
    let text = refused(&Batch::random(1, &pair, [1, 3, 2, 6]));
    assert!(text.starts_with("arcs = 9: "), "{text}");
    let mut batch = Batch::random(1, &pair, [1, 3, 2, 10]);
    batch.targets[0] = 9;
    assert_eq!(refused(&batch), "targets[0][0] = 9 is a blank of this kind (vocabulary 10, blank 3)");
    let gathered = Tensor::from_slice(context, &[1, 3, 2, 2], &[-1.0; 12]).unwrap();
    let loss = TransducerLoss::of(pair.kind).build(context).unwrap();
    let error = loss.run_blocking(&LossBatch::new(LogProbs::gathered(&gathered), &[1], &[3], &[1])).expect_err("must be refused");
    assert!(error.to_string().contains("gathered"), "{error}");
}
