//! Every output of every kind and option.

use crate::common::{assert_close, shared_contexts};
use crate::truth::{Edge, Graph, Paths};
use crate::{Batch, kinds};
use std::collections::HashSet;
use weft::lattice::{Alignment, Band, Lattice, PathArc, Status, WILDCARD};

/// Log-probabilities of paths of some tens of nats: f32 weights, and drivers whose `log2` is good to 2^-21 only.
const LOG_PROB: [f64; 2] = [1e-5, 5e-6];
/// Probabilities: f32 variables of some tens of bits.
const POSTERIOR: f64 = 2e-5;

#[track_caller]
fn close(what: &str, got: f64, expected: f64, absolute: f64, relative: f64) {
    let off = (got - expected).abs();
    assert!(off <= absolute + relative * expected.abs(), "{what}: got {got}, expected {expected}, off by {off:e}");
}

/// The edges of the oracle that an alignment takes.
fn edges(graph: &Graph, positions: usize, alignment: &Alignment) -> Vec<usize> {
    let cell = |arc: &PathArc| arc.frame as usize * positions + arc.position as usize;
    let path = &alignment.path;
    assert_eq!(cell(&path[0]), graph.start, "the path does not begin at the start");
    let edge = |(i, arc): (usize, &PathArc)| {
        let to = path.get(i + 1).map_or(graph.end, cell);
        let wanted = |edge: &Edge| (edge.from, edge.arc, edge.to) == (cell(arc), arc.arc as usize, to);
        graph.edges.iter().position(wanted).expect("the lattice has no such arc")
    };
    path.iter().enumerate().map(edge).collect()
}

/// What an alignment says of itself, by the oracle.
fn check_alignment(what: &str, alignment: &Alignment, positions: usize, graph: &Graph, paths: &Paths, occupancies: &[f64]) {
    let edges = edges(graph, positions, alignment);
    let score: f64 = edges.iter().map(|&e| graph.edges[e].weight).sum();
    close(&format!("{what}: log_prob"), alignment.log_prob, score, LOG_PROB[0], LOG_PROB[1]);
    close(&format!("{what}: log_posterior"), alignment.log_posterior, score + paths.cost, 1e-4, 0.0);
    let emitting: Vec<usize> = edges.into_iter().filter(|&e| graph.edges[e].emits.is_some()).collect();
    assert_eq!(alignment.emissions.len(), emitting.len(), "{what}");
    for (emission, &e) in alignment.emissions.iter().zip(&emitting) {
        let edge = &graph.edges[e];
        assert_eq!(
            (emission.frame as usize, emission.duration as usize, emission.arc as usize),
            (edge.frame, edge.frames, edge.arc),
            "{what}"
        );
        close(&format!("{what}: posterior"), emission.posterior, occupancies[e], POSTERIOR, 0.0);
    }
}

/// Everything about the lattice of one utterance.
fn check(what: &str, lattice: &Lattice<'_>, truth: &crate::truth::Lattice) {
    let graph = truth.graph();
    let paths = Paths::of(&graph);
    let expected = paths.occupancies(&graph);
    assert_eq!(lattice.status(), Status::Ok, "{what}");
    let [frames, positions, arcs] = lattice.shape();
    let numbers = truth.kind.arcs.len() + if truth.kind.entry.is_some() { 2 } else { 0 };
    assert_eq!([frames, positions, arcs], [truth.frames, truth.target.len() + 1, numbers], "{what}");

    let mut plane = vec![0.0; frames * positions * arcs];
    graph.edges.iter().zip(&expected).for_each(|(edge, &occupied)| plane[edge.from * arcs + edge.arc] += occupied);
    let occupancies: Vec<f32> = lattice.occupancies().into_iter().map(|x| x as f32).collect();
    assert_close(&format!("{what}: occupancies"), &occupancies, &plane, POSTERIOR, 0.0);
    close(&format!("{what}: entropy"), lattice.entropy().unwrap(), paths.entropy(), 1e-4, 0.0);
    let frames: Vec<f32> = lattice.expected_frames().into_iter().map(|x| x as f32).collect();
    let expected_frames: Vec<f64> = (0..truth.target.len()).map(|label| paths.expected_frame(&graph, label)).collect();
    assert_close(&format!("{what}: expected frames"), &frames, &expected_frames, 1e-4, 0.0);

    let best = lattice.best_path().unwrap();
    check_alignment(what, &best, positions, &graph, &paths, &expected);
    close(&format!("{what}: best"), best.log_prob, paths.all[0].score, LOG_PROB[0], LOG_PROB[1]);
    if paths.all.len() < 2 || paths.all[0].score - paths.all[1].score > 1e-4 {
        assert_eq!(edges(&graph, positions, &best), paths.all[0].edges, "{what}: best");
    }
    // More than there are.
    let all = lattice.k_best(paths.all.len() + 3);
    assert_eq!(all.len(), paths.all.len(), "{what}: number of paths");
    assert_eq!(all.iter().map(|path| &path.path).collect::<HashSet<_>>().len(), all.len(), "{what}: a path twice");
    assert!(all.is_sorted_by(|a, b| a.log_prob >= b.log_prob), "{what}: order");
    for (path, expected_path) in all.iter().zip(&paths.all) {
        close(&format!("{what}: k best"), path.log_prob, expected_path.score, LOG_PROB[0], LOG_PROB[1]);
        check_alignment(what, path, positions, &graph, &paths, &expected);
    }
    assert_eq!(all[0], best, "{what}");
    assert_eq!(lattice.k_best(2), all[..all.len().min(2)], "{what}: two best");
    for path in lattice.sample(20, 7) {
        check_alignment(&format!("{what}: sample"), &path, positions, &graph, &paths, &expected);
    }
}

fn check_batch(what: &str, batch: &Batch) {
    for (name, context) in shared_contexts() {
        let lattices = batch.lattices(&context);
        assert_eq!(lattices.len(), batch.frames.len());
        for n in 0..lattices.len() {
            check(&format!("{what}, utterance {n}, on {name}"), &lattices.get(n).unwrap(), &batch.truth(n));
        }
        assert!(lattices.get(lattices.len()).is_none());
    }
}

#[test]
fn kinds_and_lengths() {
    for (name, kind, truth) in kinds() {
        let batch = Batch::random(3, kind, truth, [5, 6, 4, 5]).with_lengths(&[6, 5, 1, 4, 3], &[3, 2, 1, 0, 3]);
        check_batch(name, &batch);
    }
}

/// Too many paths to walk: the oracle's dynamic programs instead.
fn check_by_programs(what: &str, batch: &Batch, k: usize) {
    let truth = batch.truth(0);
    let graph = truth.graph();
    let sweep = crate::truth::Sweep::of(&graph);
    let expected = crate::truth::k_best(&graph, k);
    for (name, context) in shared_contexts() {
        let what = format!("{what} on {name}");
        let lattices = batch.lattices(&context);
        let lattice = lattices.get(0).unwrap();
        let [.., positions, arcs] = lattice.shape();
        let mut occupancies = lattice.occupancies();
        for (edge, occupied) in graph.edges.iter().zip(sweep.occupancies()) {
            occupancies[arcs * edge.from + edge.arc] -= occupied;
        }
        assert!(occupancies.iter().all(|off| off.abs() < 5e-5), "{what}: occupancies");
        close(&what, lattice.entropy().unwrap(), sweep.entropy(), 1e-3, 0.0);
        for (label, frame) in lattice.expected_frames().into_iter().enumerate() {
            close(&what, frame, sweep.expected_frame(label), 1e-3, 0.0);
        }
        let found = lattice.k_best(k);
        assert_eq!(found.len(), expected.len(), "{what}");
        for (path, expected) in found.iter().zip(&expected) {
            close(&what, path.log_prob, expected.score, LOG_PROB[0], LOG_PROB[1]);
            close(&what, path.log_posterior, expected.score + sweep.cost, 1e-3, 0.0);
            let score: f64 = edges(&graph, positions, path).into_iter().map(|e| graph.edges[e].weight).sum();
            close(&what, score, expected.score, LOG_PROB[0], LOG_PROB[1]);
        }
    }
}

/// Places around the pairs of frames and the chunks of anchors.
#[test]
fn frames() {
    for (name, kind, truth) in kinds() {
        for frames in [2, 3, 7, 8, 9, 15, 16, 17, 33] {
            let batch = Batch::random(frames as u64, kind.clone(), truth.clone(), [1, frames, 3, 4]);
            check_by_programs(&format!("{name} T {frames}"), &batch, 5);
        }
    }
}

#[test]
fn a_few_hundred_diagonals() {
    for (name, kind, truth) in kinds() {
        check_by_programs(name, &Batch::random(10, kind, truth, [1, 90, 31, 6]), 4);
    }
}

#[test]
fn bands() {
    // The oracle's entries and exits know nothing of bands, and it reads the second row of constrained labels outside of them.
    let plain = |truth: &crate::truth::Kind| truth.entry.is_none() && truth.arcs.iter().all(|arc| arc.then.is_none());
    for (name, kind, truth) in kinds().into_iter().filter(|(_, _, truth)| plain(truth)) {
        let mut batch = Batch::random(5, kind, truth, [2, 6, 4, 5]);
        batch.bands = Some(vec![Band::new(vec![[0, 0], [0, 1], [0, 2], [1, 3], [2, 3], [2, 3]]), Band::default()]);
        check_batch(&format!("{name} in a band"), &batch);
    }
}

#[test]
fn wildcards_and_penalties() {
    for (name, kind, truth) in kinds() {
        let mut batch = Batch::random(6, kind, truth, [3, 5, 4, 5]);
        (batch.stay, batch.delay) = (0.3, 0.05);
        batch.targets[1] = WILDCARD;
        batch.targets[3] = WILDCARD;
        batch.targets[8] = WILDCARD;
        check_batch(&format!("{name} with wildcards"), &batch);
    }
}

/// Arcs without probability are on no path, and paths beside them are all found.
#[test]
fn masked_symbols() {
    let mut batch = Batch::rnnt(8, [2, 5, 4, 5]);
    for t in 2..5 {
        let label = batch.targets[0] as usize;
        batch.row(0, t, 0)[label] = f32::NEG_INFINITY;
    }
    batch.row(0, 1, 2)[0] = f32::NEG_INFINITY;
    batch.row(1, 0, 3).fill(f32::NEG_INFINITY);
    check_batch("masked", &batch);
}

/// Weights beyond the range of f32, where their words hold logarithms.
#[test]
fn far_apart() {
    let mut batch = Batch::rnnt(9, [1, 4, 3, 4]);
    batch.logits.iter_mut().for_each(|x| *x *= 200.0);
    for (name, context) in shared_contexts() {
        let lattices = batch.lattices(&context);
        let (lattice, truth) = (lattices.get(0).unwrap(), batch.truth(0).graph());
        let paths = Paths::of(&truth);
        let found = lattice.k_best(10);
        for (path, expected) in found.iter().zip(&paths.all) {
            close(&name, path.log_prob, expected.score, 0.0, 1e-5);
            close(&name, path.log_posterior, expected.score + paths.cost, 1e-2, 1e-4);
        }
        assert_eq!((found.len(), edges(&truth, 3, &found[0])), (10, paths.all[0].edges.clone()), "{name}");
        assert!(lattice.entropy().unwrap() >= 0.0);
    }
}

/// Uniform scores: C(T - 1 + U, U) paths of the same probability, told apart and all found.
#[test]
fn ties() {
    let mut batch = Batch::rnnt(1, [1, 5, 4, 4]);
    batch.logits.fill(0.0);
    for (name, context) in shared_contexts() {
        let lattices = batch.lattices(&context);
        let lattice = lattices.get(0).unwrap();
        let all = lattice.k_best(1000);
        assert_eq!(all.iter().map(|path| &path.path).collect::<HashSet<_>>().len(), 35, "{name}");
        assert!(all.iter().all(|path| (path.log_prob + 8.0 * 4f64.ln()).abs() < 1e-5), "{name}");
        close(&name, lattice.entropy().unwrap(), 35f64.ln(), 1e-5, 0.0);
    }
}
