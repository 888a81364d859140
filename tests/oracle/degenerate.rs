//! Lattices with nothing in them, without a way through, and with probabilities of zero.

use crate::common::Lcg;
use crate::samples::{BLANK, VOCAB, kinds, lattice};
use crate::truth::{Kind, Lattice, Paths, Sweep, k_best};
use crate::{assert_near, differences};

#[track_caller]
fn assert_infeasible(name: &str, lattice: &Lattice) {
    let solution = lattice.solve();
    assert!(solution.cost == f64::INFINITY, "{name}: cost {}", solution.cost);
    assert!(solution.gradient.iter().all(|&g| g == 0.0), "{name}: gradient");
    let graph = lattice.graph();
    assert!(k_best(&graph, 3).is_empty() && Paths::of(&graph).all.is_empty(), "{name}: paths");
    let sweep = Sweep::of(&graph);
    assert!(sweep.entropy() == 0.0 && sweep.occupancies().iter().all(|&o| o == 0.0), "{name}: occupancies");
}

#[test]
fn no_frames_no_path() {
    for (name, kind) in kinds() {
        assert_infeasible(name, &lattice(&kind, 0, &[], &mut Lcg(1)));
        assert_infeasible(name, &lattice(&kind, 0, &[1], &mut Lcg(1)));
    }
}

#[test]
fn more_labels_than_frames() {
    for kind in [Kind::modified(BLANK), Kind::constrained(BLANK), Kind::tdt(BLANK, &[1, 2], 0.0)] {
        assert_infeasible("takes a frame a label", &lattice(&kind, 2, &[0, 1, 2], &mut Lcg(1)));
    }
    // As many labels as frames: the last label of a monotonic lattice may end it, that of TDT may not.
    assert!(lattice(&Kind::modified(BLANK), 3, &[0, 1, 2], &mut Lcg(1)).solve().cost.is_finite());
    assert_infeasible("tdt", &lattice(&Kind::tdt(BLANK, &[1, 2], 0.0), 3, &[0, 1, 2], &mut Lcg(1)));
    assert!(lattice(&Kind::rnnt(BLANK), 1, &[0, 1, 2], &mut Lcg(1)).solve().cost.is_finite());
}

#[test]
fn no_labels() {
    let sample = lattice(&Kind::rnnt(BLANK), 4, &[], &mut Lcg(1));
    let log_probs = sample.rows().log_probs;
    let expected: f64 = (0..4).map(|t| -log_probs[t * VOCAB + BLANK as usize]).sum();
    assert_near("sum of blanks", &[sample.solve().cost], &[expected], 1e-12);
}

/// A symbol masked everywhere: no probability, no gradient, and a label that is masked has no path.
#[test]
fn masked_vocabulary() {
    for (name, kind) in kinds().into_iter().filter(|(_, kind)| kind.wildcard.is_none()) {
        let mut sample = lattice(&kind, 4, &[1, 2], &mut Lcg(5));
        let channels = VOCAB + kind.durations;
        let mask = |sample: &mut Lattice, v: usize| {
            for row in sample.input.chunks_mut(channels) {
                row[v] = f64::NEG_INFINITY;
            }
        };
        let masked = 4;
        mask(&mut sample, masked);
        let solution = sample.solve();
        assert_near(name, &[solution.cost], &[sample.enumerate()], 1e-12);
        assert!(solution.gradient.iter().all(|g| g.is_finite()), "{name}");
        assert!(solution.gradient.chunks(channels).all(|row| row[masked] == 0.0), "{name}");
        let numeric = differences(&sample.input, |input| Lattice { input: input.to_vec(), ..sample.clone() }.enumerate());
        assert_near(name, &solution.gradient, &numeric, 2e-9);
        if !kind.arcs.iter().any(|arc| arc.labels == 1 && arc.token != crate::truth::Token::Label) {
            mask(&mut sample, 2);
            assert_infeasible(name, &sample);
        }
    }
}

/// A row of nothing is a cell that nobody leaves; the others go around it.
#[test]
fn masked_cell() {
    for head in ["rnnt", "hat"] {
        let (_, kind) = kinds().into_iter().find(|(name, _)| *name == head).unwrap();
        let mut sample = lattice(&kind, 3, &[1, 2], &mut Lcg(2));
        sample.input[4 * VOCAB..][..VOCAB].fill(f64::NEG_INFINITY);
        let solution = sample.solve();
        assert!(solution.cost.is_finite() && solution.gradient.iter().all(|g| g.is_finite()), "{head}");
        assert!(solution.gradient[4 * VOCAB..][..VOCAB].iter().all(|&g| g == 0.0), "{head}");
        sample.input[..VOCAB].fill(f64::NEG_INFINITY);
        assert_infeasible(head, &sample);
    }
}

#[test]
fn one_symbol_and_two() {
    let only = Lattice::new(Kind::rnnt(0), [3, 1], vec![], vec![0.7; 3]);
    let solution = only.solve();
    assert_near("only blanks", &[solution.cost], &[0.0], 0.0);
    assert_near("only blanks", &solution.gradient, &[0.0; 3], 0.0);
    let hat = Lattice::new(Kind::hat(0), [1, 1], vec![], vec![0.7]);
    assert_near("sigmoid", &[hat.solve().cost], &[(1.0 + (-0.7f64).exp()).ln()], 1e-15);
    let two = Lattice::new(Kind::rnnt(1), [2, 2], vec![0], vec![0.0; 8]);
    assert_near("two symbols", &[two.solve().cost], &[2.0 * 2f64.ln()], 1e-15);
}

/// A label that is the blank: both arcs read the same symbol, and both are paths.
#[test]
fn label_that_is_the_blank() {
    let sample = lattice(&Kind::rnnt(1), 3, &[1], &mut Lcg(9));
    let numeric = differences(&sample.input, |input| Lattice { input: input.to_vec(), ..sample.clone() }.enumerate());
    assert_near("gradient", &sample.solve().gradient, &numeric, 2e-9);
}

/// Logits of 1e4 lose nothing but what f64 has not.
#[test]
fn large_magnitudes() {
    let mut sample = lattice(&Kind::rnnt(BLANK), 4, &[1, 2], &mut Lcg(4));
    let plain = sample.solve();
    for (i, row) in sample.input.chunks_mut(VOCAB).enumerate() {
        let shift = if i % 2 == 0 { 1e4 } else { -1e4 };
        row.iter_mut().for_each(|x| *x += shift);
    }
    let shifted = sample.solve();
    assert_near("cost", &[shifted.cost], &[plain.cost], 1e-10);
    assert_near("gradient", &shifted.gradient, &plain.gradient, 1e-10);
}
