//! Small limits stand for large batches: windows of rows, parts of a batch, folded grids.

use crate::common::contexts_with;
use crate::{Batch, GRADIENTS, Layout, assert_same, contexts};
use weft::lattice::{Blank, CtcLoss, CtcShape};
use weft::{Caps, Context, Error};

const BINDING: u64 = 64 << 10;

fn plan(shape: [usize; 4], caps: &Caps) -> weft::Result<weft::lattice::CtcPlan> {
    let [utterances, frames, labels, vocab] = shape;
    let loss = CtcLoss::new(Blank(0)).gradients(true).alignments(true).build(&Context::cpu()).unwrap();
    loss.plan(CtcShape { utterances, frames, labels, vocab }, caps)
}

/// Windows that begin within an aligned block, windows that end within an utterance, and parts.
#[test]
fn cutting_changes_no_bit() {
    let wide = Batch::random(31, [6, 50, 437], 59, 3).with_lengths(&[50, 13, 1, 0, 50, 6], &[32, 8, 1, 5, 0, 1]);
    let tall = Batch::random(32, [5, 90, 6], 33, 0).with_lengths(&[90, 3, 80, 17, 1], &[32, 32, 1, 12, 0]);
    let rows = Batch::random(33, [2, 5, 9001], 2, 9000);
    let (whole, limited) = (contexts(), contexts_with(|options| options.with_max_binding_bytes(BINDING)));
    for ((name, whole), (_, limited)) in whole.iter().zip(&limited).skip(1) {
        assert!(limited.caps().max_binding_bytes == BINDING);
        for batch in [&wide, &tall, &rows] {
            let expected = batch.run(whole);
            for layout in [Layout::Padded, Layout::Packed] {
                for gradients in GRADIENTS {
                    let out = batch.run_as(limited, batch.builder().gradients(gradients), layout);
                    assert_same(&format!("{name} {layout:?} {gradients:?}"), &out, &expected);
                }
                let aligned = |context| batch.try_run(context, batch.builder().alignments(true), layout).unwrap().alignments.unwrap();
                assert_eq!(aligned(whole), aligned(limited), "{name}");
            }
        }
    }
    // That they are cut.
    let caps = Caps { max_binding_bytes: BINDING, ..Caps::portable() };
    for (shape, parts, windows) in [([6, 50, 59, 437], 1, 12), ([5, 90, 33, 6], 1, 5), ([2, 5, 2, 9001], 2, 10)] {
        let plan = plan(shape, &caps).unwrap();
        assert_eq!((plan.chunk(), plan.windows()), (parts, windows), "{plan}");
    }
}

/// The caller's own limit: the same bits in pieces; the error names the least that works.
#[test]
fn workspace_limits() {
    let batch = Batch::random(34, [7, 30, 8], 9, 0);
    let one = Batch::random(34, [1, 30, 8], 9, 0);
    for (name, context) in contexts() {
        let builder = batch.builder().gradients(true);
        let least = builder.build(context).unwrap();
        let tensor = one.upload(context, Layout::Padded).unwrap();
        let batch_of_one = weft::lattice::CtcBatch::new(&tensor, &one.targets, &one.frames, &one.labels);
        let limit = match builder.workspace_limit(1).build(context).unwrap().plan_batch(&batch_of_one) {
            Err(Error::LimitExceeded { need, have: 1, .. }) => need,
            other => panic!("{name}: {:?}", other.map(|plan| plan.to_string())),
        };
        assert!(limit < least.plan_batch(&batch_of_one).unwrap().workspace_bytes());
        let pieces = batch.run_as(context, builder.workspace_limit(2 * limit), Layout::Padded);
        assert_same(name, &pieces, &batch.run(context));
    }
}

/// Grids of more workgroups than a side may have: folded, with a surplus that does nothing.
#[test]
fn folded_grids() {
    let limited = contexts_with(|options| options.with_max_workgroups(7));
    let batch = Batch::random(36, [10, 600, 5], 6, 0);
    let solutions = batch.solve();
    for (name, context) in limited.iter().skip(1) {
        assert_eq!(context.caps().max_workgroups, 7);
        batch.compare(name, &batch.run(context), &solutions, crate::GRADIENT);
    }
}

/// Plans are made without a device, and say what they take.
#[test]
fn plans_can_be_read() {
    let caps = Caps { max_buffer_bytes: 1 << 40, max_binding_bytes: i32::MAX as u64, ..Caps::portable() };
    let text = plan([2, 9, 5, 12], &caps).unwrap().to_string();
    for part in
        ["2 utterances", "rows of 12 F32", "lattice_ctc_row_pack4", "lattice_ctc_sweep", "lattice_ctc_trace", "lattice_ctc_gradient"]
    {
        assert!(text.contains(part), "{text}");
    }
    // 76 groups of columns: weights, variables of both directions, anchors and choices of every eighth frame.
    let (rows, chunks, groups) = (32 * 1500, 32 * (1500 / 8 + 1), 76);
    let loss = CtcLoss::new(Blank(0)).gradients(true).build(&Context::cpu()).unwrap();
    let large = loss.plan(CtcShape { utterances: 32, frames: 1500, labels: 300, vocab: 5000 }, &caps).unwrap();
    let expected = 16 * rows * groups + 8 * rows + 32 * (2 * rows * groups + 1) + 16 * (2 * chunks * groups + 1);
    assert_eq!(large.workspace_bytes(), expected + large.dispatches() as u64 * 256);
    assert_eq!((large.chunk(), large.windows(), large.dispatches()), (32, 1, 4));
    // More than two GiB of logits: windows.
    let huge = loss.plan(CtcShape { utterances: 128, frames: 1500, labels: 300, vocab: 5000 }, &caps).unwrap();
    assert_eq!((huge.chunk(), huge.windows()), (128, 2));
    let error = plan([1, 4000, 3000, 2], &Caps::portable()).err();
    assert!(matches!(error, Some(Error::LimitExceeded { what: "lattice of one utterance: bytes", .. })), "{error:?}");
}
