//! Small limits stand for large batches: windows of rows, chunks of utterances, folded grids.

use crate::common::contexts_with;
use crate::{Batch, bits, contexts};
use weft::lattice::{Blank, Kind, Logits, LossBatch, LossShape, TransducerLoss};
use weft::{Caps, Error, Tensor};

const BINDING: u64 = 64 << 10;

/// The plan of a batch, under a binding limit.
fn cut(batch: &Batch, limit: u64) -> [usize; 2] {
    let [utterances, frames, positions, vocab] = batch.shape;
    let shape = LossShape { utterances, frames, positions, vocab };
    let loss = TransducerLoss::rnnt(Blank(batch.blank)).gradients(true).build(&weft::Context::cpu()).unwrap();
    let plan = loss.plan(shape, &Caps { max_binding_bytes: limit, ..Caps::portable() }).unwrap();
    [plan.windows(), plan.chunk()]
}

/// Windows that begin within an aligned block, windows that end within an utterance, and chunks.
#[test]
fn cutting_changes_no_bit() {
    let wide = Batch::random(31, [6, 20, 9, 37], 3).with_lengths(&[20, 13, 1, 0, 20, 6], &[8, 8, 2, 5, 0, 1]);
    let tall = Batch::random(32, [5, 40, 33, 5], 0).with_lengths(&[40, 3, 40, 17, 1], &[32, 32, 1, 20, 0]);
    let rows = Batch::random(33, [2, 3, 2, 9001], 9000);
    assert_eq!([&wide, &tall, &rows].map(|b| cut(b, BINDING)), [[3, 6], [3, 4], [12, 2]]);
    let (whole, limited) = (contexts(), contexts_with(|options| options.with_max_binding_bytes(BINDING)));
    for ((name, whole), (_, limited)) in whole.iter().zip(&limited).skip(1) {
        assert!(limited.caps().max_binding_bytes == BINDING);
        for batch in [&wide, &tall, &rows] {
            let (a, b) = (batch.run(whole), batch.run(limited));
            assert_eq!(a.status, b.status, "{name}");
            assert_eq!(bits(&a.costs), bits(&b.costs), "{name}");
            assert_eq!(bits(&a.gradients), bits(&b.gradients), "{name}");
        }
    }
    for batch in [&wide, &tall, &rows] {
        batch.check("cut", &limited);
    }
}

/// One utterance that is too long for the device: the error has the numbers, the context stays usable.
#[test]
fn one_utterance_beyond_the_limit() {
    let long = Batch::random(34, [1, 100, 60, 2], 0);
    for (name, context) in contexts_with(|options| options.with_max_binding_bytes(BINDING)).iter().skip(1) {
        match long.try_run(context, true) {
            Err(Error::LimitExceeded { what, need, have, .. }) => {
                assert_eq!((what, need, have), ("lattice of one utterance: bytes", 24 * 50 * 60, BINDING), "{name}");
            }
            other => panic!("{name}: {:?}", other.map(|o| o.costs)),
        }
        Batch::random(35, [2, 4, 3, 5], 0).check("after the error", &[(name.clone(), context.clone())]);
    }
}

/// Grids of 34 and of 20 workgroups where a side may have 7: folded, with a surplus that does nothing.
#[test]
fn folded_grids() {
    let limited = contexts_with(|options| options.with_max_workgroups(7));
    assert!(limited.iter().skip(1).all(|(_, context)| context.caps().max_workgroups == 7));
    Batch::random(36, [10, 12, 9, 5], 0).check("folded", &limited);
}

/// The least workspace that works is in the error, and it does work; more is used where it is allowed, and no bit depends on it.
#[test]
fn workspace_limits() {
    for kind in [Kind::rnnt(Blank(0)), Kind::monotonic(Blank(0)), Kind::multi_blank(Blank(0), &[(4, 2)]).unwrap()] {
        // The longest utterance, and the one of most labels.
        let mut batch = Batch::random(37, [6, 40, 12, 5], 0).with_lengths(&[40, 12, 30, 0, 14, 6], &[2, 11, 4, 3, 11, 0]);
        batch.targets.iter_mut().for_each(|label| *label = 1 + *label % 3);
        for (name, context) in contexts() {
            let logits = Tensor::from_slice(context, &batch.shape, &batch.logits).unwrap();
            let loss_batch = LossBatch::new(Logits::padded(&logits), &batch.targets, &batch.frames, &batch.labels);
            let loss = |limit: u64| TransducerLoss::of(kind.clone()).gradients(true).workspace_limit(limit).build(context).unwrap();
            let error = loss(1000).run_blocking(&loss_batch).unwrap_err();
            let text = error.to_string();
            let Error::LimitExceeded { need: least, have: 1000, .. } = error else { panic!("{name}: {error}") };
            assert_eq!(
                text,
                format!(
                    "workspace of the longest utterance: bytes needs {least}, the limit is 1000: raise the workspace limit to that, or cut the utterance"
                )
            );
            assert!(loss(least - 1).run_blocking(&loss_batch).is_err(), "{name}");
            let whole = batch.run_kind(kind.clone(), context);
            let all = loss(u64::MAX).plan_batch(&loss_batch).unwrap();
            assert_eq!(all.chunk(), 6);
            for limit in [least, (least + all.workspace_bytes()) / 2, all.workspace_bytes()] {
                let plan = loss(limit).plan_batch(&loss_batch).unwrap();
                // The parameters of each launch are no lattice.
                let most = limit + 256 * plan.dispatches() as u64;
                assert!(plan.workspace_bytes() <= most, "{name}: {} for {limit}", plan.workspace_bytes());
                assert_eq!(plan.chunk() == 6, limit == all.workspace_bytes(), "{name}: {} at once for {limit}", plan.chunk());
                let out = loss(limit).run_blocking(&loss_batch).unwrap();
                assert_eq!((out.status, bits(&out.costs)), (whole.status.clone(), bits(&whole.costs)), "{name}: {limit}");
                assert_eq!(bits(&out.gradients[0].to_vec_blocking().unwrap()), bits(&whole.gradients), "{name}: {limit}");
            }
        }
    }
}
