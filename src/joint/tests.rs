//! What a run takes of the device, which cannot be seen from outside. `WEFT_TEST_NO_GPU=1` is for machines without an adapter.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use super::{Joiner, JointBatch, JointLoss};
use crate::dense::Linear;
use crate::lattice::{Blank, Status, TransducerLoss};
use crate::{Context, ContextOptions, Error, Tensor};

const UTTERANCES: usize = 3;
/// Beside the workspace: what a batch and its results take, less than this each.
const BATCH_BYTES: u64 = 1024;

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|place| (place * 37 % 101) as f32 / 101.0 - 0.5).collect()
}

#[test]
fn runs_take_what_plans_say() {
    let context = match Context::new_blocking(ContextOptions::from_env()) {
        Ok(context) => context,
        Err(error) if std::env::var("WEFT_TEST_NO_GPU").is_ok_and(|v| v == "1") => return println!("{error}"),
        Err(error) => panic!("{error} (WEFT_TEST_NO_GPU=1 skips the GPU)"),
    };
    let [frames, positions, width, hidden, vocab] = [120, 9, 5, 190, 430];
    let layer = |outputs: usize, inputs: usize| {
        Linear::new(&context, [outputs, inputs], &numbers(outputs * inputs), Some(&vec![0.1; outputs])).unwrap()
    };
    let dense = Joiner::new(Some(layer(hidden, width)), None, layer(vocab, hidden)).unwrap();
    for (what, joiner, sides) in [
        ("f32", dense.clone(), [width, hidden]),
        ("f16", dense.to_f16_blocking().unwrap(), [width, hidden]),
        ("a sum", Joiner::additive(&context), [vocab; 2]),
    ] {
        let tensor = |length: usize, width: usize| {
            let values = numbers(UTTERANCES * length * width);
            Tensor::from_slice(&context, &[UTTERANCES, length, width], &values).unwrap()
        };
        let (encoder, predictor) = (tensor(frames, sides[0]), tensor(positions, sides[1]));
        let targets: Vec<u32> = (0..UTTERANCES * (positions - 1)).map(|place| 1 + place as u32 % 40).collect();
        let batch = JointBatch::new(&encoder, &predictor, &targets, &[120, 61, 2], &[8, 3, 0]);
        let with_limit = |limit: u64| {
            let options = TransducerLoss::rnnt(Blank(0)).gradients(true).workspace_limit(limit);
            JointLoss::new(&joiner, options).unwrap()
        };
        let refused = with_limit(1).plan_batch(&batch).err().unwrap();
        let Error::LimitExceeded { need, .. } = refused else { panic!("{refused}") };
        for limit in [need, need + need / 8, 10 * need] {
            let loss = with_limit(limit);
            let plan = loss.plan_batch(&batch).unwrap();
            context.take_idle_bytes();
            let out = loss.run_blocking(&batch).unwrap();
            let taken = context.take_idle_bytes();
            assert_eq!(out.status, [Status::Ok; UTTERANCES], "{what}");
            let said = plan.workspace_bytes();
            assert!(said <= limit, "{what}: {said} B of {limit}");
            assert!(taken <= said + 2 * BATCH_BYTES, "{what}: {taken} B were taken, and {said} said");
            assert!(taken + 256 * plan.dispatches() as u64 * 9 / 8 >= said, "{what}: {taken} B were taken, and {said} said");
        }
    }
}
