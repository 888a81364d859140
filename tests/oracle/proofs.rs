//! The oracle has earned its name: forward-backward against enumeration, gradients against differences.

use crate::truth::{Graph, Head, Lattice, Paths, Reshape, Sweep, k_best};
use crate::{assert_near, differences, samples};

/// Both ways of every sample.
fn each(check: impl Fn(&str, &Lattice, &Graph, &Paths, &Sweep<'_>)) {
    for (name, lattice) in samples::lattices() {
        let graph = lattice.graph();
        check(&name, &lattice, &graph, &Paths::of(&graph), &Sweep::of(&graph));
    }
}

#[test]
fn forward_backward_agrees_with_enumeration() {
    each(|name, lattice, graph, paths, sweep| {
        assert_near(name, &[sweep.cost], &[paths.cost], 1e-12);
        assert_near(name, &[-sweep.forward[graph.end]], &[paths.cost], 1e-12);
        assert_near(name, &sweep.occupancies(), &paths.occupancies(graph), 1e-12);
        assert_near(name, &[sweep.entropy()], &[paths.entropy()], 1e-12);
        for label in 0..lattice.target.len() {
            assert_near(name, &[sweep.expected_frame(label)], &[paths.expected_frame(graph, label)], 1e-12);
        }
    });
}

#[test]
fn best_paths_are_those_of_the_enumeration() {
    each(|name, _, graph, paths, _| {
        let best = k_best(graph, 7);
        assert_eq!(best.len(), paths.all.len().min(7), "{name}");
        let scores = |paths: &[crate::truth::Path]| paths.iter().map(|path| path.score).collect::<Vec<_>>();
        assert_near(name, &scores(&best), &scores(&paths.all[..best.len()]), 1e-12);
        if let [first, second, ..] = &paths.all[..]
            && first.score - second.score > 1e-9
        {
            assert_eq!(best[0].edges, first.edges, "{name}");
        }
    });
}

#[test]
fn gradients_are_differences_of_the_enumerated_cost() {
    let mut compared = 0;
    each(|name, lattice, _, paths, _| {
        let solution = lattice.solve();
        if paths.all.is_empty() {
            assert!(solution.cost == f64::INFINITY && solution.gradient.iter().all(|&g| g == 0.0), "{name}");
            return;
        }
        let cost = |input: &[f64]| Lattice { input: input.to_vec(), ..lattice.clone() }.enumerate();
        assert_near(name, &solution.gradient, &differences(&lattice.input, cost), 2e-9);
    });
    for (_, lattice) in samples::lattices() {
        compared += usize::from(lattice.solve().cost.is_finite());
    }
    assert!(compared > 250, "{compared} feasible samples only");
}

#[test]
fn gradients_by_log_probs_are_differences_too() {
    each(|name, lattice, _, paths, _| {
        let log_probs = lattice.rows().log_probs;
        let as_input = |input: &[f64]| {
            let mut kind = lattice.kind.clone();
            kind.head = Head::LogProbs;
            Lattice { kind, input: input.to_vec(), ..lattice.clone() }
        };
        if paths.all.is_empty() {
            return;
        }
        let numeric = differences(&log_probs, |input| as_input(input).enumerate());
        assert_near(name, &lattice.solve().by_log_probs, &numeric, 2e-9);
        assert_near(name, &as_input(&log_probs).solve().gradient, &numeric, 2e-9);
    });
}

/// FastEmit's gradient is that of the cost less lambda times the emitting edges' weights, each at its
/// occupancy held fixed.
#[test]
fn fast_emit_is_the_gradient_of_its_surrogate() {
    let lambda = 0.3;
    for durations in [true, false] {
        each(|name, lattice, graph, paths, _| {
            if paths.all.is_empty() {
                return;
            }
            let occupied = paths.occupancies(graph);
            let surrogate = |input: &[f64]| {
                let moved = Lattice { input: input.to_vec(), ..lattice.clone() };
                let (rows, moved) = (moved.rows(), Paths::of(&moved.graph()));
                let weight = |read: &Vec<usize>| read.iter().map(|&i| rows.log_probs[i].exp()).sum::<f64>().ln();
                let channels = lattice.vocab + lattice.kind.durations;
                let reached = |read: &&Vec<usize>| durations || read.first().is_none_or(|i| i % channels < lattice.vocab);
                let emitting = graph.edges.iter().zip(&occupied).filter(|(edge, occupied)| edge.emits.is_some() && **occupied > 0.0);
                let emitted: f64 =
                    emitting.map(|(edge, occupied)| occupied * edge.reads.iter().filter(reached).map(weight).sum::<f64>()).sum();
                moved.cost - lambda * emitted
            };
            let reshape = Reshape { fast_emit: lambda, fast_emit_durations: durations, ..Reshape::default() };
            let solution = lattice.solve_with(&reshape);
            assert_near(name, &solution.gradient, &differences(&lattice.input, surrogate), 3e-9);
        });
    }
}

#[test]
fn latency_gradients_are_differences() {
    each(|name, lattice, graph, paths, _| {
        if paths.all.is_empty() {
            return;
        }
        let expected: f64 = (0..lattice.target.len()).map(|label| paths.expected_frame(graph, label)).sum();
        let (latency, gradient) = lattice.latency();
        assert_near(name, &[latency], &[expected], 1e-12);
        let numeric = differences(&lattice.input, |input| {
            let moved = Lattice { input: input.to_vec(), ..lattice.clone() };
            let graph = moved.graph();
            Paths::of(&graph).expect(&graph, |_, edge| edge.emits.map_or(0.0, |_| edge.frame as f64))
        });
        assert_near(name, &gradient, &numeric, 5e-9);
    });
}

/// Every path emits every label once, and the frames of a path without shortcuts add up.
#[test]
fn paths_emit_every_label_once() {
    each(|name, lattice, graph, paths, _| {
        for path in &paths.all {
            let emitted: Vec<usize> = path.edges.iter().filter_map(|&e| graph.edges[e].emits).collect();
            assert_eq!(emitted, (0..lattice.target.len()).collect::<Vec<_>>(), "{name}");
            assert_eq!(path.edges.iter().map(|&e| graph.edges[e].frames).sum::<usize>(), lattice.frames, "{name}");
        }
    });
}
