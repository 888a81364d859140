//! The analyses over arc sets of every shape, against the enumeration of all paths.

#[path = "../../../tests/oracle/truth/mod.rs"]
mod truth;

use super::graph::{ArcSet, Graph, Planes, Step, Way};
use super::viterbi::Best;
use super::{KBest, Trellis, alignment, entropy};
use crate::lattice::Exit;
use std::collections::HashSet;
use std::f64::consts::{LN_2, LOG2_E};
use truth::{Kind, Lattice, Path, Paths, Sweep};

/// Planes of a lattice that the truth laid out.
struct Laid {
    columns: usize,
    arcs: usize,
    weights: Vec<f64>,
    forward: Vec<f64>,
    backward: Vec<f64>,
}

impl Planes for Laid {
    fn weight(&self, t: usize, u: usize, arc: usize) -> f64 {
        self.weights[(t * self.columns + u) * self.arcs + arc]
    }

    fn forward(&self, t: usize, u: usize) -> f64 {
        self.forward[t * self.columns + u]
    }

    fn backward(&self, t: usize, u: usize) -> f64 {
        self.backward[t * self.columns + u]
    }

    fn total(&self) -> f64 {
        self.backward[0]
    }
}

fn arc_set(kind: &Kind) -> ArcSet {
    let step = |arc: &truth::Arc| Step { frames: arc.frames, labels: arc.labels, may_end: arc.ends };
    let exit = |(weight, exit)| match exit {
        truth::Exit::LastCell => (weight * LOG2_E, Exit::LastFrame),
        truth::Exit::Terminal => (weight * LOG2_E, Exit::End),
    };
    ArcSet { steps: kind.arcs.iter().map(step).collect(), entry: kind.entry.map(|weight| weight * LOG2_E), exit: kind.exit.map(exit) }
}

fn lay<'a>(lattice: &Lattice, edges: &truth::Graph, arc_set: &'a ArcSet) -> Graph<'a, Laid> {
    let sweep = Sweep::of(edges);
    let (columns, arcs) = (lattice.target.len() + 1, lattice.kind.arcs.len());
    let mut weights = vec![f64::NEG_INFINITY; lattice.frames * columns * arcs];
    for edge in edges.edges.iter().filter(|edge| edge.arc < arcs) {
        weights[edge.from * arcs + edge.arc] = edge.weight * LOG2_E;
    }
    let log2 = |nats: &[f64]| nats.iter().map(|x| x * LOG2_E).collect();
    let planes = Laid { columns, arcs, weights, forward: log2(&sweep.forward), backward: log2(&sweep.backward) };
    Graph { frames: lattice.frames, labels: columns - 1, arcs: arc_set, planes }
}

/// The arcs of a path of the oracle, each with where it leads.
fn arcs_of(edges: &truth::Graph, path: &Path) -> Vec<(usize, usize)> {
    path.edges.iter().map(|&e| (edges.edges[e].arc, edges.edges[e].to)).collect()
}

/// The same of a path.
fn ways_of(graph: &Graph<'_, Laid>, path: &[Way]) -> Vec<(usize, usize)> {
    path.iter().map(|way| (way.arc, if graph.is_end(way.to) { graph.cells() } else { graph.place(way.to) })).collect()
}

fn close(what: &str, got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-9, "{what}: {got}, expected {expected}");
}

fn check(what: &str, lattice: &Lattice) {
    let edges = lattice.graph();
    let set = arc_set(&lattice.kind);
    let (graph, paths) = (lay(lattice, &edges, &set), Paths::of(&edges));
    let occupancies = graph.occupancies();
    let mut expected = vec![0.0; occupancies.len()];
    for (edge, occupied) in edges.edges.iter().zip(paths.occupancies(&edges)) {
        expected[edge.from * set.count() + edge.arc] += occupied;
    }
    // A path leaves each cell that it goes through by one arc.
    let visits = graph.visits();
    assert_eq!(visits.len(), graph.cells(), "{what}");
    visits.iter().zip(expected.chunks(set.count())).for_each(|(&got, leaving)| close(what, got, leaving.iter().sum()));
    occupancies.iter().zip(expected).for_each(|(&got, expected)| close(what, got, expected));
    close(what, entropy(&graph), paths.entropy());
    for (label, frame) in graph.expected_frames().into_iter().enumerate() {
        close(what, frame, paths.expected_frame(&edges, label));
    }

    let best = Best::of(&graph).path(&graph).unwrap_or_default();
    close(what, alignment(&graph, &best).log_prob, paths.all[0].score);
    for k in [0, 1, 2, 7, paths.all.len() - 1, paths.all.len(), paths.all.len() + 5] {
        let found: Vec<_> = KBest::of(&graph).take(k).collect();
        assert_eq!(found.len(), k.min(paths.all.len()), "{what}: {k} best");
        let different: HashSet<_> = found.iter().map(|path| ways_of(&graph, path)).collect();
        assert_eq!(different.len(), found.len(), "{what}: {k} best are not all different");
        for (way, path) in found.iter().zip(&paths.all) {
            let alignment = alignment(&graph, way);
            close(what, alignment.log_prob, path.score);
            close(what, alignment.log_posterior, path.score + paths.cost);
            if ways_of(&graph, way) == arcs_of(&edges, path) {
                let labels: Vec<_> = alignment.emissions.iter().map(|e| (e.frame as usize, e.duration as usize)).collect();
                assert_eq!(labels, path.labels(&edges), "{what}");
            }
        }
    }
}

/// A lattice of this kind over numbers without pattern.
fn lattice(kind: Kind, frames: usize, target: &[u32]) -> Lattice {
    let vocab = 5;
    let channels = vocab + kind.durations;
    let cells = frames * (target.len() + 1);
    let input = (0..cells * channels).map(|i| ((i * i) as f64 * 0.37 + i as f64 * 0.11).sin() * 2.0).collect();
    Lattice::new(kind, [frames, vocab], target.to_vec(), input)
}

#[test]
fn any_arcs() {
    let kinds = [
        ("rnnt", Kind::rnnt(0)),
        ("modified", Kind::modified(0)),
        ("constrained", Kind::constrained(0)),
        ("multi-blank", Kind::multi_blank(0, &[(3, 2), (4, 3)], 0.05)),
        ("tdt", Kind::tdt(0, &[0, 1, 2, 4], 0.05)),
        ("star", Kind::star(0, -1.0)),
        ("bypass", Kind::bypass(0, -2.0)),
        ("robust", Kind::target_robust(0, -1.0, -2.0)),
        ("w", Kind::w(0, -1.0, truth::Exit::LastCell)),
        ("w to the end", Kind::w(0, -1.5, truth::Exit::Terminal)),
    ];
    for (name, kind) in kinds {
        for (frames, target) in [(1, &[][..]), (4, &[]), (4, &[1]), (5, &[2, 1]), (4, &[1, 1, 2])] {
            let lattice = lattice(kind.clone(), frames, target);
            check(&format!("{name} T {frames} U {}", target.len()), &lattice);
        }
    }
}

/// The number of paths of a lattice whose paths are all as good, in exact arithmetic: none is lost, none found twice.
#[test]
fn equally_good_paths() {
    let kind = Kind { head: truth::Head::LogProbs, ..Kind::rnnt(0) };
    let input = vec![-LN_2; 6 * 4 * 2];
    let lattice = Lattice::new(kind, [6, 2], vec![1; 3], input);
    let set = arc_set(&lattice.kind);
    let graph = lay(&lattice, &lattice.graph(), &set);
    let found: Vec<_> = KBest::of(&graph).take(100).collect();
    // C(T - 1 + U, U)
    assert_eq!(found.len(), 56);
    assert_eq!(found.iter().map(|path| ways_of(&graph, path)).collect::<HashSet<_>>().len(), 56);
    // Blanks come before labels in the kind.
    assert_eq!(found[0].iter().map(|way| way.arc).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 1, 1, 1, 0]);
    assert!(found.iter().all(|path| (alignment(&graph, path).log_prob + 9.0 * LN_2).abs() < 1e-12));
}

#[test]
fn no_path() {
    let mut lattice = lattice(Kind::rnnt(0), 3, &[1, 2]);
    // Without any label 2.
    (0..9).for_each(|row| lattice.input[row * 5 + 2] = f64::NEG_INFINITY);
    let set = arc_set(&lattice.kind);
    let graph = lay(&lattice, &lattice.graph(), &set);
    assert!(Best::of(&graph).path(&graph).is_none());
    assert!(KBest::of(&graph).next().is_none());
    assert!(super::sample::sample(&graph, &mut super::sample::Random::of(1, 0, 0)).is_none());
}
