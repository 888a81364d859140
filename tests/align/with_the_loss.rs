//! Keeping lattices changes nothing of the loss, and pieces nothing of the lattices.

use crate::Batch;
use crate::common::shared_contexts;
use crate::truth;
use weft::lattice::{Band, Blank, Gradients, Kind, Lattices, Logits, LossBatch, LossOutput};
use weft::{Context, Error, Tensor};

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
        let loss = batch().loss().gradients(true).workspace_limit(1).build(&context).unwrap();
        let refused = batch().on(&context, |batch| loss.plan_batch(batch).map(|_| ()));
        let Err(Error::LimitExceeded { need: least, .. }) = refused else { panic!("one byte was enough: {refused:?}") };
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

/// Rows without padding: the same lattices, bit for bit.
#[test]
fn packed_rows_give_the_same_lattices() {
    let batch = batch();
    let [count, frames, positions, channels] = batch.shape;
    let lengths = |n: usize| (batch.frames[n] as usize, batch.labels[n] as usize);
    let cells =
        (0..count).flat_map(|n| (0..lengths(n).0).flat_map(move |t| (0..=lengths(n).1).map(move |u| (n * frames + t) * positions + u)));
    let packed: Vec<f32> = cells.flat_map(|row| &batch.logits[row * channels..][..channels]).copied().collect();
    for (name, context) in shared_contexts() {
        let rows = Tensor::from_slice(&context, &[packed.len() / channels, channels], &packed).unwrap();
        let loss = batch.loss().build(&context).unwrap();
        let packed = LossBatch::new(Logits::packed(&rows), &batch.targets, &batch.frames, &batch.labels);
        let all = |lattices: &Lattices| lattices.map(|lattice| (lattice.k_best(4), lattice.occupancies(), lattice.entropy()));
        assert_eq!(all(&loss.lattice_blocking(&packed).unwrap()), all(&batch.lattices(&context)), "{name}");
    }
}

/// Utterances of one batch that are taken as RNN-T, and others that are not: each by its own arcs.
#[test]
fn some_utterances_drawn_as_rnnt() {
    let kind = Kind::tdt(Blank(0), &[0, 1, 2]).unwrap().sometimes_rnnt(0.5).unwrap();
    let mut own = truth::Kind::tdt(0, &[0, 1, 2], 0.0);
    own.arcs.sort_by_key(|arc| arc.labels);
    let batch = Batch::random(32, kind, own, [12, 4, 3, 4]);
    for (name, context) in shared_contexts() {
        let lattices = batch.lattices(&context);
        let drawn = lattices.map(|lattice| {
            let best = lattice.best_path().unwrap();
            let is_drawn = best.path[0].arc >= 5;
            assert!(best.path.iter().all(|arc| (arc.arc >= 5) == is_drawn), "{name}: arcs of both kinds in one path");
            let mut truth = batch.truth(lattice.index());
            if is_drawn {
                truth.kind.arcs = truth::Kind::tdt_as_rnnt(0, 3).arcs;
            }
            let graph = truth.graph();
            let expected = truth::k_best(&graph, 6);
            let found = lattice.k_best(6);
            assert_eq!(found.len(), expected.len(), "{name}");
            for (path, expected) in found.iter().zip(expected) {
                assert!((path.log_prob - expected.score).abs() < 1e-4, "{name}: {} {}", path.log_prob, expected.score);
            }
            is_drawn
        });
        assert!(drawn.contains(&true) && drawn.contains(&false), "{name}: {drawn:?}");
    }
}

/// Within a pruned band some paths are left, more in a wider one; one as wide as the lattice has all.
#[test]
fn pruned_bands_have_most_paths() {
    for kind in [Kind::rnnt(Blank(0)), Kind::monotonic(Blank(0)), Kind::tdt(Blank(0), &[0, 1, 2]).unwrap()] {
        let batch = Batch { kind: kind.clone(), ..Batch::rnnt(5, [4, 24, 11, 10]).with_lengths(&[24, 11, 17, 0], &[10, 9, 0, 3]) };
        for (name, context) in shared_contexts() {
            let lattices = batch.lattices(&context);
            let all = &lattices.output().costs;
            let mut before = vec![f32::INFINITY; 4];
            for width in [1, 2, 3, 5, 8, 11] {
                let bands = lattices.map(|lattice| lattice.prune(width));
                assert_eq!(bands[3], Band::default(), "{name}: no frames, no paths");
                let within = run(&Batch { bands: Some(bands), ..batch.clone() }, &context, Gradients::None).costs;
                for n in 0..3 {
                    assert!(within[n] >= all[n] - 1e-4 && within[n] <= before[n] + 1e-4, "{name} {width}: {within:?} {all:?}");
                }
                before = within;
            }
            for n in 0..3 {
                assert!((before[n] - all[n]).abs() <= 1e-4, "{name}: {before:?} {all:?}");
            }
        }
    }
}
