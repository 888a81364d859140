//! Samples come as often as the posterior says.

use crate::common::shared_contexts;
use crate::truth::Paths;
use crate::{Batch, kinds};
use std::collections::HashMap;
use weft::Context;
use weft::lattice::{Lattices, PathArc};

const SAMPLES: usize = 20_000;

/// Pearson's statistic of counts against probabilities, with the rare ones together, and its degrees of freedom.
fn chi_square(counts: &[usize], probabilities: &[f64]) -> (f64, usize) {
    let total: usize = counts.iter().sum();
    let (mut statistic, mut classes, mut rare) = (0.0, 0, (0.0, 0.0));
    let term = |count: f64, expected: f64| (count - expected).powi(2) / expected;
    for (&count, probability) in counts.iter().zip(probabilities) {
        let (count, expected) = (count as f64, probability * total as f64);
        if expected < 10.0 {
            rare = (rare.0 + count, rare.1 + expected);
        } else {
            statistic += term(count, expected);
            classes += 1;
        }
    }
    if rare.1 > 1.0 {
        statistic += term(rare.0, rare.1);
        classes += 1;
    }
    (statistic, classes - 1)
}

/// What the statistic exceeds in one of 10^5 cases (Wilson & Hilferty 1931).
fn limit(freedom: usize) -> f64 {
    let spread = 2.0 / (9.0 * freedom as f64);
    freedom as f64 * (1.0 - spread + 4.265 * spread.sqrt()).powi(3)
}

/// How often each path of the oracle was drawn.
fn counts(lattices: &Lattices, batch: &Batch, seed: u64) -> (Vec<usize>, Vec<f64>) {
    let graph = batch.truth(0).graph();
    let paths = Paths::of(&graph);
    let mut drawn: HashMap<Vec<(usize, usize)>, usize> = HashMap::new();
    for path in lattices.get(0).unwrap().sample(SAMPLES, seed) {
        let cell = |arc: &PathArc| arc.frame as usize * batch.shape[2] + arc.position as usize;
        *drawn.entry(path.path.iter().map(|arc| (cell(arc), arc.arc as usize)).collect()).or_default() += 1;
    }
    let arcs = |path: &crate::truth::Path| {
        let edges = path.edges.iter().map(|&e| &graph.edges[e]);
        edges.map(|edge| (edge.from, edge.arc)).collect::<Vec<_>>()
    };
    let counts: Vec<usize> = paths.all.iter().map(|path| drawn.get(&arcs(path)).copied().unwrap_or(0)).collect();
    assert_eq!(counts.iter().sum::<usize>(), SAMPLES, "samples that are no path of the lattice");
    (counts, paths.all.iter().map(|path| paths.posterior(path)).collect())
}

#[test]
fn frequencies_are_the_posterior() {
    for (kind_name, kind, truth) in kinds() {
        let batch = Batch::random(11, kind, truth, [1, 5, 3, 4]);
        for (name, context) in shared_contexts() {
            let lattices = batch.lattices(&context);
            for seed in [0, 1, u64::MAX] {
                let (counts, posterior) = counts(&lattices, &batch, seed);
                let (statistic, freedom) = chi_square(&counts, &posterior);
                assert!(statistic < limit(freedom), "{kind_name} on {name}, seed {seed}: {statistic} of {freedom}");
                // The statistic sees a third too much of one path.
                let mut other = posterior.clone();
                other[0] *= 1.3;
                let sum: f64 = other.iter().sum();
                other.iter_mut().for_each(|p| *p /= sum);
                assert!(chi_square(&counts, &other).0 > limit(freedom), "{kind_name}: the statistic is blind");
            }
        }
    }
}

/// A seed gives the same samples each time, the first of many are the few, and other seeds and utterances give others.
#[test]
fn deterministic_for_a_seed() {
    let mut batch = Batch::rnnt(12, [2, 8, 4, 4]);
    let half = batch.logits.len() / 2;
    batch.logits.copy_within(..half, half);
    batch.targets.copy_within(..3, 3);
    let context = Context::cpu();
    let lattices = batch.lattices(&context);
    let draw = |n: usize, count, seed| lattices.get(n).unwrap().sample(count, seed);
    let many = draw(0, 50, 3);
    assert_eq!(many, batch.lattices(&context).get(0).unwrap().sample(50, 3));
    assert_eq!(draw(0, 10, 3), many[..10]);
    assert_ne!(draw(0, 50, 4), many);
    assert_ne!(draw(1, 50, 3), many);
    assert_eq!(lattices.map(|lattice| lattice.sample(50, 3))[0], many);
    assert!(draw(0, 0, 3).is_empty());
}
