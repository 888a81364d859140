//! What a loss does beside its lattice, for every kind.

use crate::truth::{self, Head};
use crate::{
    BLANK, Band, Batch, COST, Extras, GRADIENT, Gradients, Kind, LossBatch, Pair, all_kinds, assert_close, contexts, outcome, tdt,
};
use weft::Tensor;
use weft::lattice::{Logits, TransducerLoss, WILDCARD};

const SHAPE: [usize; 4] = [3, 8, 5, 9];

/// Every kind, in a ragged batch.
fn batches() -> impl Iterator<Item = (&'static str, Batch)> {
    let batch =
        |(seed, (name, pair)): (usize, (_, Pair))| (name, Batch::random(seed as u64, &pair, SHAPE).with_lengths(&[8, 5, 7], &[4, 3, 0]));
    all_kinds().into_iter().enumerate().map(batch)
}

#[track_caller]
fn check_all(what: &str, extras: &Extras) {
    for (name, batch) in batches() {
        batch.with(extras.clone()).check(&format!("{what}, {name}"));
    }
}

#[test]
fn delay_and_eos_penalties() {
    check_all("penalties", &Extras { delay: 0.1, eos: Some((7, 0.3)), ..Extras::default() });
}

/// Labels pull 1 + lambda times as strongly at symbols, not at durations.
#[test]
fn fast_emit() {
    check_all("FastEmit", &Extras { fast_emit: 0.4, ..Extras::default() });
}

#[test]
fn clamp_and_weights() {
    check_all("clamp", &Extras { clamp: Some(0.02), weights: Some(vec![0.5, -2.0, 0.0]), ..Extras::default() });
}

#[test]
fn bands() {
    let band = Band::new(vec![[0, 1], [0, 2], [0, 3], [1, 4], [1, 4], [2, 4], [2, 4], [3, 4]]);
    let bands = vec![band, Band::new(vec![[0, 0], [0, 2], [1, 3], [1, 3], [2, 3]]), Band::default()];
    for (name, batch) in batches() {
        let batch = batch.with(Extras { bands: Some(bands.clone()), ..Extras::default() });
        let passes = batch.pair.truth.arcs.iter().any(|arc| arc.then.is_some());
        if batch.pair.truth.entry.is_none() && !passes {
            batch.check(&format!("bands, {name}"));
            continue;
        }
        // Entries and exits of the truth know no bands, nor does the row between a label and its blank.
        let lattice = batch.lattice(0);
        let mut graph = lattice.graph();
        let node = |t: usize, u: usize| t * 5 + u;
        let allowed = |node: usize| {
            let u = node % 5;
            bands[0].ranges().get(node / 5).is_none_or(|&[first, last]| (first as usize..=last as usize).contains(&u))
        };
        graph.edges.retain(|edge| {
            let between = edge.emits.filter(|_| passes).is_none_or(|label| allowed(node(edge.frame, label + 1)));
            between && allowed(edge.from) && allowed(edge.to)
        });
        let sweep = truth::Sweep::of(&graph);
        let pulls: Vec<f64> = sweep.occupancies().into_iter().map(|occupied| -occupied).collect();
        let gradient = lattice.pull(&graph, &lattice.rows()).by_input(&pulls, &truth::Reshape::default());
        for (other, context) in contexts() {
            let out = batch.run(context);
            assert_close(&format!("{name} on {other}"), &out.costs[..1], &[sweep.cost], COST[0], COST[1]);
            assert_close(&format!("{name} on {other}"), &out.gradients[..gradient.len()], &gradient, GRADIENT, 0.0);
        }
    }
}

#[test]
fn wildcards() {
    for (name, mut batch) in batches() {
        (batch.targets[1], batch.targets[4], batch.targets[6]) = (WILDCARD, WILDCARD, WILDCARD);
        for stay in [1.0, 0.3, 0.0] {
            batch = batch.with(Extras { stay: Some(stay), delay: 0.05, ..Extras::default() });
            batch.check(&format!("wildcards with {stay}, {name}"));
        }
    }
}

/// Omega draws each utterance on its own: those that it draws are RNN-T of their symbols, without sigma.
#[test]
fn sometimes_rnnt() {
    let (own, drawn) = (tdt(&[0, 2, 3]), Pair { truth: truth::Kind::tdt_as_rnnt(BLANK.0, 3), ..tdt(&[0, 2, 3]) });
    let count = 12;
    let batch = Batch::random(5, &own, [count, 6, 4, 7]);
    let both = [own, drawn].map(|pair| Batch { pair, ..batch.clone() }.solve());
    let size = batch.scores.len() / count;
    for (name, context) in contexts() {
        let tensor = Tensor::from_slice(context, &batch.shape, &batch.scores).unwrap();
        let run = |omega: f32, seed: u64| {
            let kind = batch.pair.kind.clone().sometimes_rnnt(omega).unwrap();
            let loss = TransducerLoss::of(kind).gradients(Gradients::Separate).build(context).unwrap();
            let over = LossBatch::new(Logits::padded(&tensor), &batch.targets, &batch.frames, &batch.labels).seed(seed);
            outcome(loss.run_blocking(&over).unwrap())
        };
        let draws = |omega: f32, seed: u64| -> Vec<usize> {
            let out = run(omega, seed);
            let which = |n: usize| {
                let near = |which: &usize| (f64::from(out.costs[n]) - both[*which].0[n]).abs() < 1e-4;
                let which = (0..2).find(near).expect("neither");
                let range = n * size..(n + 1) * size;
                assert_close(name, &out.gradients[range.clone()], &both[which].1[range], GRADIENT, 0.0);
                which
            };
            (0..count).map(which).collect()
        };
        assert_eq!(draws(0.0, 1), vec![0; count], "{name}");
        assert_eq!(draws(1.0, 1), vec![1; count], "{name}");
        let some = draws(0.5, 1);
        assert!((2..=count - 2).contains(&some.iter().sum()), "{name}: {some:?}");
        assert_eq!(some, draws(0.5, 1), "{name}");
        assert_ne!(some, draws(0.5, 2), "{name}");
    }
}

/// A symbol of a masked vocabulary has no gradient; durations that are masked are never taken.
#[test]
fn masked_symbols_and_durations() {
    for (name, mut batch) in batches() {
        if batch.pair.truth.head == Head::LogProbs {
            continue;
        }
        let vocab = SHAPE[3];
        let masked = if batch.pair.truth.durations > 1 { vec![1, vocab + 1] } else { vec![1] };
        batch.targets.iter_mut().for_each(|label| *label = 8);
        let channels = batch.shape[3];
        for row in batch.scores.chunks_mut(channels) {
            masked.iter().for_each(|&v| row[v] = f32::NEG_INFINITY);
        }
        batch.check(&format!("masked, {name}"));
        for (other, context) in contexts() {
            let out = batch.run(context);
            assert!(out.gradients.chunks(channels).all(|row| masked.iter().all(|&v| row[v] == 0.0)), "{name} on {other}");
        }
    }
}

/// Kinds of one softmax for everything but the blank.
#[test]
fn hat_of_a_constrained_kind() {
    let kind = Kind::constrained(BLANK).with_hat();
    let pair = Pair::new(kind, Head::Hat { blank: BLANK.0 }, 0.0, 0);
    Batch::random(3, &pair, SHAPE).with_lengths(&[8, 5, 7], &[4, 3, 0]).check("hat, constrained");
}
