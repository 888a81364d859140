//! CTC against all strings of symbols.

use crate::common::Lcg;
use crate::truth::{Ctc, Paths, Span, Sweep, k_best};
use crate::{assert_near, differences};

fn sample(blank: u32, frames: usize, vocab: usize, target: &[u32], numbers: &mut Lcg) -> Ctc {
    let input = numbers.list(frames * vocab, 2.0).into_iter().map(f64::from).collect();
    Ctc::new(blank, [frames, vocab], target.to_vec(), input)
}

/// Blank first, amid, last; repeats; exactly enough frames; nothing to say.
fn samples() -> Vec<Ctc> {
    let mut numbers = Lcg(1);
    let shapes: [(u32, usize, usize, &[u32]); 10] = [
        (0, 1, 3, &[]),
        (0, 4, 3, &[]),
        (0, 1, 3, &[2]),
        (0, 4, 3, &[1, 2]),
        (1, 5, 3, &[0, 2]),
        (3, 5, 4, &[0, 1, 2]),
        (2, 5, 3, &[0, 0, 1]),
        (0, 3, 2, &[1, 1]),
        (0, 6, 3, &[1, 1, 2]),
        (0, 5, 3, &[1, 2, 1, 2, 1]),
    ];
    shapes.into_iter().map(|(blank, frames, vocab, target)| sample(blank, frames, vocab, target, &mut numbers)).collect()
}

#[test]
fn forward_backward_agrees_with_all_strings() {
    for ctc in samples() {
        let name = format!("{} {} {:?}", ctc.blank, ctc.frames, ctc.target);
        let solution = ctc.solve();
        let graph = ctc.graph();
        assert_near(&name, &[solution.cost, Paths::of(&graph).cost], &[ctc.enumerate(); 2], 1e-12);
        let numeric = differences(&ctc.input, |input| Ctc { input: input.to_vec(), ..ctc.clone() }.enumerate());
        assert_near(&name, &solution.gradient, &numeric, 2e-9);
        assert_near(&name, &[Sweep::of(&graph).entropy()], &[Paths::of(&graph).entropy()], 1e-12);
        let best = k_best(&graph, 4);
        let expected = &Paths::of(&graph).all[..best.len()];
        assert_near(&name, &best.iter().map(|p| p.score).collect::<Vec<_>>(), &expected.iter().map(|p| p.score).collect::<Vec<_>>(), 1e-12);
    }
}

#[test]
fn planes_agree_with_edges() {
    let mut numbers = Lcg(4);
    let shapes = [(0, vec![]), (0, vec![1]), (1, vec![]), (1, vec![2]), (2, vec![1, 1]), (3, vec![1, 1]), (40, vec![1, 2, 2, 1, 1, 2])];
    for (frames, target) in shapes {
        let ctc = sample(0, frames, 3, &target, &mut numbers);
        let (expected, got) = (ctc.solve(), ctc.solve_large());
        assert_near("cost", &[got.cost], &[expected.cost], 1e-12);
        assert_near("gradient", &got.gradient, &expected.gradient, 1e-12);
        assert_near("by log-probs", &got.by_log_probs, &expected.by_log_probs, 1e-12);
    }
}

#[test]
fn infeasible_targets() {
    let mut numbers = Lcg(2);
    for (frames, target) in [(2, &[1, 2, 1][..]), (2, &[1, 1]), (4, &[1, 1, 1]), (0, &[1])] {
        let ctc = sample(0, frames, 3, target, &mut numbers);
        let solution = ctc.solve();
        assert!(solution.cost == f64::INFINITY && solution.gradient.iter().all(|&g| g == 0.0), "{frames} {target:?}");
        assert!(k_best(&ctc.graph(), 1).is_empty());
    }
    // Nothing to say in no time is certain.
    assert_near("empty", &[sample(0, 0, 3, &[], &mut numbers).solve().cost], &[0.0], 0.0);
}

#[test]
fn masked_symbols() {
    let mut ctc = sample(0, 4, 4, &[1, 2], &mut Lcg(3));
    for row in ctc.input.chunks_mut(4) {
        row[3] = f64::NEG_INFINITY;
    }
    let solution = ctc.solve();
    assert_near("cost", &[solution.cost], &[ctc.enumerate()], 1e-12);
    assert!(solution.gradient.chunks(4).all(|row| row[3] == 0.0 && row.iter().all(|g| g.is_finite())));
    for row in ctc.input.chunks_mut(4) {
        row[2] = f64::NEG_INFINITY;
    }
    let solution = ctc.solve();
    assert!(solution.cost == f64::INFINITY && solution.gradient.iter().all(|&g| g == 0.0));
}

/// Frames of the labels in the best string: blank, 1, 1, blank, 2, 2, 2, 1.
#[test]
fn alignment_of_a_clear_case() {
    let string = [0, 1, 1, 0, 2, 2, 2, 1];
    let input = string.iter().flat_map(|&s| (0..3).map(move |v| if v == s { 5.0 } else { 0.0 })).collect();
    let ctc = Ctc::new(0, [8, 3], vec![1, 2, 1], input);
    let graph = ctc.graph();
    let best = k_best(&graph, 1);
    let spans = ctc.spans(&graph, &best[0]);
    assert_eq!(spans, [(1, 2), (4, 3), (7, 1)].map(|(first, frames)| Span { first, frames }));
    let emitted: Vec<usize> = best[0].edges.iter().filter_map(|&e| graph.edges[e].emits).collect();
    assert_eq!(emitted, [0, 1, 2]);
}
