//! Best paths and their posteriors.

use crate::truth::{Ctc, Graph, Path, Span, Sweep, k_best};
use crate::{Batch, Layout, contexts};
use weft::lattice::{CtcAlignment, Status};

fn alignments(batch: &Batch, context: &weft::Context, layout: Layout) -> Vec<Option<CtcAlignment>> {
    let out = batch.try_run(context, batch.builder().alignments(true), layout).unwrap();
    for (status, alignment) in out.status.iter().zip(out.alignments.as_ref().unwrap()) {
        assert_eq!(*status == Status::Ok, alignment.is_some());
    }
    out.alignments.unwrap()
}

/// States along a path of the oracle.
fn states(ctc: &Ctc, graph: &Graph, path: &Path) -> Vec<u32> {
    let frames = path.edges.iter().map(|&e| &graph.edges[e]).filter(|edge| edge.arc == 0);
    frames.map(|edge| ((edge.to - 1) % ctc.states()) as u32).collect()
}

/// Posterior of each state of a path: occupancies of the edges into it.
fn posteriors(ctc: &Ctc, graph: &Graph, states: &[u32]) -> Vec<f64> {
    let occupancies = Sweep::of(graph).occupancies();
    let node = |t: usize, s: u32| 1 + t * ctc.states() + s as usize;
    let into = |node: usize| graph.edges.iter().zip(&occupancies).filter(|(edge, _)| edge.to == node).map(|(_, x)| x).sum();
    states.iter().enumerate().map(|(t, &s)| into(node(t, s))).collect()
}

#[track_caller]
fn check(batch: &Batch, what: &str) {
    for (name, context) in contexts() {
        for layout in [Layout::Padded, Layout::Begin, Layout::Packed, Layout::TimeMajor] {
            for (n, alignment) in alignments(batch, context, layout).into_iter().enumerate() {
                let what = format!("{what}, utterance {n} on {name}");
                let ctc = batch.utterance(n);
                let graph = ctc.graph();
                let best = k_best(&graph, 1);
                assert_eq!(alignment.is_some(), !best.is_empty(), "{what}");
                let (Some(alignment), Some(best)) = (alignment, best.first()) else { continue };
                let expected = states(&ctc, &graph, best);
                assert_eq!(alignment.states, expected, "{what}");
                let expected = posteriors(&ctc, &graph, &expected);
                crate::common::assert_close(&what, &alignment.posteriors, &expected, 1e-5, 0.0);
                let spans: Vec<Span> = ctc.spans(&graph, best);
                let got: Vec<Span> = alignment
                    .labels
                    .iter()
                    .map(|span| Span { first: span.first as usize, frames: (span.last - span.first + 1) as usize })
                    .collect();
                assert_eq!(got, spans, "{what}");
                assert!(alignment.labels.iter().map(|span| span.label).eq(ctc.target.iter().copied()), "{what}");
                for span in &alignment.labels {
                    let frames = span.first as usize..=span.last as usize;
                    let mean = expected[frames.clone()].iter().sum::<f64>() / frames.count() as f64;
                    crate::common::assert_close(&what, &[span.posterior], &[mean], 1e-5, 0.0);
                }
            }
        }
    }
}

#[test]
fn best_paths_are_those_of_the_oracle() {
    for (frames, labels) in [(1, 0), (1, 1), (7, 3), (8, 4), (31, 5), (32, 15), (33, 9), (64, 31), (65, 40)] {
        check(&Batch::random(frames as u64, [2, frames, 7], labels, 1), &format!("T {frames} U {labels}"));
    }
    let ragged = Batch::random(77, [6, 40, 9], 12, 0);
    check(&ragged.with_lengths(&[40, 0, 33, 9, 5, 0], &[12, 0, 11, 3, 12, 2]), "ragged");
}

#[test]
fn labels_that_repeat() {
    let mut batch = Batch::random(5, [3, 30, 4], 9, 0);
    batch.targets[..9].fill(2);
    batch.targets[9..18].copy_from_slice(&[1, 1, 2, 2, 3, 3, 1, 1, 2]);
    check(&batch, "repeats");
}

/// A path of more groups of columns than a round of the walk back can see, and as fast as a path can be.
#[test]
fn long_and_fast_paths() {
    let mut batch = Batch::random(6, [1, 300, 30], 290, 0);
    for (u, label) in batch.targets.iter_mut().enumerate() {
        *label = 1 + (u % 29) as u32;
    }
    check(&batch, "fast");
    check(&Batch::random(7, [1, 500, 12], 120, 3), "slow");
    check(&Batch::random(8, [1, 300, 40], 190, 3), "between");
}

/// Paths of equal probability: one of them, whole, the same on every context.
#[test]
fn ties_give_a_path() {
    let mut batch = Batch::random(8, [1, 37, 5], 9, 0);
    batch.logits.fill(0.0);
    let all: Vec<CtcAlignment> =
        contexts().iter().map(|(_, context)| alignments(&batch, context, Layout::Padded).remove(0).unwrap()).collect();
    for ((name, _), alignment) in contexts().iter().zip(&all) {
        assert_eq!(alignment.states, all[0].states, "{name}");
        assert!(alignment.states.windows(2).all(|s| s[0] <= s[1] && s[1] - s[0] <= 2), "{name}: {:?}", alignment.states);
        assert_eq!(alignment.labels.len(), 9, "{name}");
        let positions: Vec<u32> = alignment.positions().flatten().collect();
        assert!(positions.windows(2).all(|u| u[1] - u[0] <= 1) && positions[0] == 0 && positions.last() == Some(&8));
    }
}
