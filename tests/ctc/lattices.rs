//! What follows from a kept lattice, against the enumeration of all paths.

use crate::truth::{Ctc, Graph, Path, Paths, Sweep};
use crate::{Batch, Layout, bits, contexts};
use std::collections::{HashMap, HashSet};
use weft::lattice::{CtcBatch, CtcLattices, CtcLossBuilder, Gradients, Status};
use weft::{Context, Tensor};

fn lattices(batch: &Batch, context: &Context, builder: CtcLossBuilder, layout: Layout) -> CtcLattices {
    let logits = batch.upload(context, layout).unwrap();
    builder.build(context).unwrap().lattice_blocking(&batch.over(&logits, layout)).unwrap()
}

/// States along a path of the oracle.
fn states(ctc: &Ctc, graph: &Graph, path: &Path) -> Vec<u32> {
    let frames = path.edges.iter().map(|&e| &graph.edges[e]).filter(|edge| edge.arc == 0);
    frames.map(|edge| ((edge.to - 1) % ctc.states()) as u32).collect()
}

#[track_caller]
fn close(what: &str, got: f64, expected: f64) {
    assert!((got - expected).abs() < 2e-6 * expected.abs().max(1.0), "{what}: {got}, expected {expected}");
}

/// Small lattices: every path is known.
fn small() -> Batch {
    let mut batch = Batch::random(71, [6, 6, 5], 3, 1).with_lengths(&[6, 5, 4, 0, 3, 1], &[3, 2, 0, 0, 3, 1]);
    batch.targets[..3].copy_from_slice(&[2, 2, 0]);
    batch.targets[3..5].copy_from_slice(&[4, 4]);
    batch.targets[12..15].copy_from_slice(&[0, 2, 0]);
    batch
}

#[test]
fn paths_are_those_of_the_enumeration() {
    let batch = small();
    for (name, context) in contexts() {
        for layout in [Layout::Padded, Layout::Begin, Layout::Packed, Layout::TimeMajor, Layout::Crooked] {
            let lattices = lattices(&batch, context, batch.builder(), layout);
            assert_eq!(lattices.len(), 6);
            for n in 0..6 {
                let (lattice, what) = (lattices.get(n).unwrap(), format!("utterance {n}, {layout:?} on {name}"));
                let ctc = batch.utterance(n);
                let graph = ctc.graph();
                let paths = Paths::of(&graph);
                assert_eq!((lattice.index(), lattice.status()), (n, Status::Ok), "{what}");
                assert_eq!(lattice.shape(), [ctc.frames, ctc.states()], "{what}");
                let known: HashMap<Vec<u32>, f64> = paths.all.iter().map(|path| (states(&ctc, &graph, path), path.score)).collect();
                assert_eq!(known.len(), paths.all.len(), "states tell paths apart");
                for k in [0, 1, 3, paths.all.len(), paths.all.len() + 4] {
                    let best = lattice.k_best(k);
                    assert_eq!(best.len(), k.min(paths.all.len()), "{what}: {k} best");
                    assert_eq!(best.iter().map(|path| &path.alignment.states).collect::<HashSet<_>>().len(), best.len(), "{what}");
                    for (found, path) in best.iter().zip(&paths.all) {
                        close(&what, found.log_prob, path.score);
                        close(&what, found.log_prob, known[&found.alignment.states]);
                        close(&what, found.log_posterior, path.score + paths.cost);
                    }
                    assert_eq!(best.first(), lattice.best_path().as_ref().filter(|_| k > 0), "{what}");
                }
                close(&what, lattice.entropy().unwrap(), paths.entropy());
                for (label, frame) in lattice.expected_frames().into_iter().enumerate() {
                    close(&what, frame, paths.expected_frame(&graph, label));
                }
                let occupancies = paths.occupancies(&graph);
                let mut expected = vec![0.0; ctc.frames * ctc.states()];
                for (edge, occupied) in graph.edges.iter().zip(occupancies).filter(|(edge, _)| edge.arc == 0) {
                    expected[edge.to - 1] += occupied;
                }
                let got = lattice.occupancies();
                assert_eq!(got.len(), expected.len(), "{what}");
                got.iter().zip(&expected).for_each(|(&got, &expected)| close(&what, got, expected));
                for path in lattice.k_best(2) {
                    for (t, (&state, &posterior)) in path.alignment.states.iter().zip(&path.alignment.posteriors).enumerate() {
                        close(&what, posterior.into(), expected[t * ctc.states() + state as usize]);
                    }
                }
                let samples = lattice.sample(3_000, 5);
                assert_eq!(samples, lattice.sample(3_000, 5), "{what}");
                assert_eq!(samples[..7], lattice.sample(7, 5), "{what}: more samples begin with the same ones");
                let mut drawn: HashMap<&[u32], f64> = HashMap::new();
                samples.iter().for_each(|path| *drawn.entry(&path.alignment.states).or_default() += 1.0 / 3_000.0);
                for (states, score) in &known {
                    let (p, often) = ((score + paths.cost).exp(), drawn.remove(&states[..]).unwrap_or(0.0));
                    // Five standard deviations, and half a sample.
                    let allowed = 5.0 * (p * (1.0 - p) / 3_000.0).sqrt() + 2e-4;
                    assert!((often - p).abs() < allowed, "{what}: {states:?} drawn {often}, posterior {p}");
                }
                assert!(drawn.is_empty(), "{what}: {drawn:?} are no paths");
            }
        }
    }
}

/// Sums over more paths than can be listed; alignments of the device.
#[test]
fn long_lattices() {
    let batch = Batch::random(72, [2, 90, 12], 30, 0).with_lengths(&[90, 71], &[30, 22]);
    for (name, context) in contexts() {
        let lattices = lattices(&batch, context, batch.builder().alignments(true).gradients(true), Layout::Padded);
        let alignments = lattices.output().alignments.as_ref().unwrap();
        for (n, device) in alignments.iter().enumerate() {
            let (lattice, device) = (lattices.get(n).unwrap(), device.as_ref().unwrap());
            let graph = batch.utterance(n).graph();
            let sweep = Sweep::of(&graph);
            close(name, lattice.entropy().unwrap(), sweep.entropy());
            for (label, frame) in lattice.expected_frames().into_iter().enumerate() {
                close(name, frame, sweep.expected_frame(label));
            }
            let best = lattice.best_path().unwrap().alignment;
            assert_eq!((&best.states, best.labels.len()), (&device.states, device.labels.len()), "{name}");
            crate::common::assert_close(
                name,
                &best.posteriors,
                &device.posteriors.iter().map(|&p| p.into()).collect::<Vec<_>>(),
                1e-5,
                0.0,
            );
        }
    }
}

/// The rest of the output is that of a plain run, whatever the pieces; what the logits were is kept, though gradients are over them.
#[test]
fn the_output_is_that_of_a_run() {
    let batch =
        Batch { weights: None, ..Batch::random(73, [7, 20, 9], 6, 3) }.with_lengths(&[20, 0, 13, 20, 5, 20, 2], &[6, 2, 0, 6, 2, 5, 6]);
    for (name, context) in contexts() {
        let whole = batch.run_as(context, batch.builder().gradients(true), Layout::Padded);
        let entropies = lattices(&batch, context, batch.builder(), Layout::Padded).map(|lattice| lattice.entropy());
        for (limit, gradients) in [(u64::MAX, Gradients::Separate), (9_000, Gradients::Separate), (9_000, Gradients::InPlace)] {
            let builder = batch.builder().gradients(gradients).workspace_limit(limit);
            let kept = lattices(&batch, context, builder, Layout::Padded);
            let what = format!("limit {limit}, {gradients:?} on {name}");
            let out = kept.output();
            assert_eq!((bits(&out.costs), &out.status), (bits(&whole.costs), &whole.status), "{what}");
            assert_eq!(bits(&out.gradients.as_ref().unwrap().to_vec_blocking().unwrap()), bits(&whole.gradients), "{what}");
            assert_eq!(kept.map(|lattice| lattice.entropy()), entropies, "{what}");
        }
    }
}

/// Where there is no path, every list is empty.
#[test]
fn without_paths() {
    let mut batch = Batch::random(74, [4, 4, 5], 3, 0).with_lengths(&[4, 2, 0, 4], &[3, 3, 1, 1]);
    batch.row(0, 2)[1] = f32::NAN;
    let label = batch.targets[9] as usize;
    (0..4).for_each(|t| batch.row(3, t)[label] = f32::NEG_INFINITY);
    let expected = [Status::NonFinite, Status::Infeasible, Status::Infeasible, Status::Infeasible];
    for (name, context) in contexts() {
        let lattices = lattices(&batch, context, batch.builder(), Layout::Padded);
        for (n, status) in expected.into_iter().enumerate() {
            let lattice = lattices.get(n).unwrap();
            assert_eq!(lattice.status(), status, "utterance {n} on {name}");
            assert!(lattice.best_path().is_none() && lattice.entropy().is_none(), "{name}");
            assert!(lattice.k_best(3).is_empty() && lattice.sample(3, 1).is_empty(), "{name}");
            assert!(lattice.occupancies().is_empty() && lattice.expected_frames().is_empty(), "{name}");
        }
        assert!(lattices.get(4).is_none());
    }
}

/// A batch without utterances, and one without a row.
#[test]
fn of_nothing() {
    for (name, context) in contexts() {
        let none = Batch::random(1, [0, 4, 5], 3, 0);
        assert!(lattices(&none, context, none.builder(), Layout::Padded).is_empty(), "{name}");
        let still = Batch::random(1, [2, 0, 5], 3, 0).with_lengths(&[0, 0], &[3, 0]);
        let lattices = lattices(&still, context, still.builder().gradients(true), Layout::Padded);
        let [infeasible, empty] = [0, 1].map(|n| lattices.get(n).unwrap());
        assert!(infeasible.best_path().is_none() && infeasible.shape() == [0, 7], "{name}");
        let path = empty.best_path().unwrap();
        assert!(path.alignment.states.is_empty() && path.log_prob == 0.0 && empty.entropy() == Some(0.0), "{name}: {path:?}");
        assert_eq!((empty.k_best(3).len(), empty.sample(2, 0).len(), empty.shape()), (1, 2, [0, 1]), "{name}");
    }
}

/// Masked symbols close paths; the rest is as the oracle says.
#[test]
fn masked_symbols() {
    let mut batch = Batch::random(75, [1, 5, 4], 2, 0);
    batch.targets.copy_from_slice(&[1, 2]);
    batch.row(0, 1)[0] = f32::NEG_INFINITY;
    batch.row(0, 2)[1] = f32::NEG_INFINITY;
    let graph = batch.utterance(0).graph();
    let paths = Paths::of(&graph);
    for (name, context) in contexts() {
        let kept = lattices(&batch, context, batch.builder(), Layout::Padded);
        let lattice = kept.get(0).unwrap();
        assert_eq!(lattice.k_best(1000).len(), paths.all.len(), "{name}");
        close(name, lattice.entropy().unwrap(), paths.entropy());
    }
    let logits = Tensor::from_slice(&Context::cpu(), &[1, 5, 4], &batch.logits).unwrap();
    let refused = batch.builder().build(&contexts()[0].1).unwrap().lattice_blocking(&CtcBatch::new(&logits, &[1, 2], &[5], &[2]));
    assert!(matches!(refused, Err(weft::Error::OtherContext { argument: "logits" })));
}
