//! Keeping lattices changes nothing of the loss, and pieces nothing of the lattices.

use crate::Batch;
use crate::common::shared_contexts;
use weft::lattice::{Gradients, Lattices, LossOutput};
use weft::{Context, Tensor};

fn batch() -> Batch {
    Batch::rnnt(31, [4, 9, 5, 6]).with_lengths(&[9, 4, 7, 9], &[4, 2, 0, 3])
}

fn gradient(output: &LossOutput) -> Vec<u32> {
    let tensors = output.gradients.iter();
    tensors.flat_map(|gradients: &Tensor| gradients.to_vec_blocking().unwrap()).map(f32::to_bits).collect()
}

fn run(batch: &Batch, context: &Context, gradients: Gradients) -> LossOutput {
    let loss = batch.loss().gradients(gradients).build(context).unwrap();
    batch.on(context, |batch| loss.run_blocking(batch).unwrap())
}

fn keep(batch: &Batch, context: &Context, gradients: Gradients, limit: u64) -> Lattices {
    let loss = batch.loss().gradients(gradients).workspace_limit(limit).build(context).unwrap();
    batch.on(context, |batch| loss.lattice_blocking(batch).unwrap())
}

#[test]
fn the_same_costs_and_gradients() {
    for (name, context) in shared_contexts() {
        for gradients in [Gradients::None, Gradients::Separate, Gradients::InPlace] {
            let alone = run(&batch(), &context, gradients);
            let kept = keep(&batch(), &context, gradients, u64::MAX);
            let bits = |output: &LossOutput| output.costs.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!((bits(&alone), &alone.status), (bits(kept.output()), &kept.output().status), "{name}");
            assert_eq!(gradient(&alone), gradient(kept.output()), "{name} {gradients:?}");
        }
    }
}

/// A limit that one utterance just meets: as many pieces as utterances.
#[test]
fn pieces_give_the_same_lattices() {
    for (name, context) in shared_contexts() {
        let loss = batch().loss().gradients(true).build(&context).unwrap();
        let least = batch().on(&context, |batch| loss.plan_batch(batch).unwrap().workspace_bytes()) / 2;
        let whole = keep(&batch(), &context, Gradients::Separate, u64::MAX);
        let pieces = keep(&batch(), &context, Gradients::Separate, least);
        let more = pieces.output().report.dispatches > whole.output().report.dispatches;
        assert!(more, "{name}: the batch was not cut");
        assert_eq!(gradient(pieces.output()), gradient(whole.output()), "{name}");
        assert_eq!(pieces.output().costs, whole.output().costs, "{name}");
        let all = |lattices: &Lattices| lattices.map(|lattice| (lattice.k_best(4), lattice.occupancies(), lattice.sample(3, 9)));
        assert_eq!(all(&pieces), all(&whole), "{name}");
    }
}
