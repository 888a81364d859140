//! Options against what they mean, and inputs in a padded batch.

use crate::assert_near;
use crate::common::Lcg;
use crate::samples::{BLANK, VOCAB, WILD, lattice};
use crate::truth::{Eos, Exit, Kind, Lattice, Padded, Paths, Reshape, Sweep, Token, alignment_bands, end_windows, gather, gathered};

/// Lattices of a shape in which they differ from plain RNN-T only if something is amiss.
#[test]
fn neutral_settings_are_plain_rnnt() {
    let nothing = f64::NEG_INFINITY;
    let same = [
        Kind::multi_blank(BLANK, &[], 0.0),
        Kind::multi_blank(BLANK, &[(4, 9)], 0.0),
        Kind::star(BLANK, nothing),
        Kind::bypass(BLANK, nothing),
        Kind::target_robust(BLANK, nothing, nothing),
        Kind::w(BLANK, nothing, Exit::LastCell),
        Kind::w(BLANK, nothing, Exit::Terminal),
        Kind::wildcard(BLANK, WILD, 0.5),
    ];
    let plain = lattice(&Kind::rnnt(BLANK), 4, &[1, 2], &mut Lcg(3));
    let expected = plain.solve();
    for kind in same {
        let other = Lattice { kind: kind.clone(), ..plain.clone() }.solve();
        assert_near(&format!("{kind:?}"), &[other.cost], &[expected.cost], 1e-13);
        assert_near(&format!("{kind:?}"), &other.gradient, &expected.gradient, 1e-13);
    }
}

#[test]
fn tdt_as_rnnt_is_rnnt_over_the_tokens() {
    let tdt = lattice(&Kind::tdt_as_rnnt(BLANK, 3), 4, &[1, 2], &mut Lcg(3));
    let tokens = tdt.input.chunks(VOCAB + 3).flat_map(|row| &row[..VOCAB]).copied().collect();
    let rnnt = Lattice::new(Kind::rnnt(BLANK), [4, VOCAB], vec![1, 2], tokens).solve();
    let tdt = tdt.solve();
    assert_near("cost", &[tdt.cost], &[rnnt.cost], 0.0);
    let (of_tokens, of_durations): (Vec<_>, Vec<_>) = tdt.gradient.chunks(VOCAB + 3).map(|row| row.split_at(VOCAB)).unzip();
    assert_near("tokens", &of_tokens.concat(), &rnnt.gradient, 0.0);
    assert!(of_durations.concat().iter().all(|&g| g == 0.0));
}

/// sigma scales every path by as much as it has tokens; T + U of them in RNN-T.
#[test]
fn sigma_counts_tokens() {
    let plain = lattice(&Kind::rnnt(BLANK), 4, &[1, 2], &mut Lcg(3));
    let under = Lattice { kind: Kind::multi_blank(BLANK, &[], 0.05), ..plain.clone() };
    assert_near("cost", &[under.solve().cost], &[plain.solve().cost + 0.05 * 6.0], 1e-13);
}

/// Adding a constant to the tokens of a row changes nothing, but for HAT's sigmoid.
#[test]
fn rows_are_normalised() {
    for (name, sample) in crate::samples::lattices() {
        if sample.kind.head != crate::truth::Head::Softmax {
            continue;
        }
        let mut moved = sample.clone();
        for (i, row) in moved.input.chunks_mut(VOCAB + sample.kind.durations).enumerate() {
            row[..VOCAB].iter_mut().for_each(|x| *x += i as f64);
            row[VOCAB..].iter_mut().for_each(|x| *x -= 0.5 * i as f64);
        }
        let (expected, got) = (sample.solve(), moved.solve());
        assert_near(&name, &[got.cost], &[expected.cost], 1e-12);
        assert_near(&name, &got.gradient, &expected.gradient, 1e-12);
    }
}

#[test]
fn clamp_comes_before_the_weight() {
    let sample = lattice(&Kind::tdt(BLANK, &[0, 1], 0.05), 4, &[1, 2], &mut Lcg(3));
    let plain = sample.solve().gradient;
    for weight in [0.5, 0.0, -2.0, 1.0] {
        let got = sample.solve_with(&Reshape { clamp: Some(0.1), weight, ..Reshape::default() }).gradient;
        let expected: Vec<f64> = plain.iter().map(|g| g.clamp(-0.1, 0.1) * weight).collect();
        assert_near("clamped", &got, &expected, 0.0);
        assert!(plain.iter().any(|g| g.abs() > 0.1));
    }
}

/// A window a label: the paths that stay are those of the enumeration that keep to it.
#[test]
fn windows_and_bands_cut_paths() {
    let plain = lattice(&Kind::rnnt(BLANK), 5, &[1, 2], &mut Lcg(3));
    let windows = end_windows(&[1, 3], 1, 0, 5);
    assert_eq!(windows, [[0, 1], [2, 3]]);
    let graph = plain.graph();
    let keeps = |frames: &[(usize, usize)]| frames.iter().zip(&windows).all(|(&(t, _), w)| (w[0]..=w[1]).contains(&t));
    let kept: f64 = Paths::of(&graph).all.iter().filter(|path| keeps(&path.labels(&graph))).map(|path| path.score.exp()).sum();
    assert_near("windows", &[Lattice { windows: Some(windows.clone()), ..plain.clone() }.solve().cost], &[-kept.ln()], 1e-12);

    let plain = lattice(&Kind::modified(BLANK), 5, &[1, 2], &mut Lcg(3));
    let bands = alignment_bands(&[1, BLANK, BLANK, 2, BLANK], BLANK, 1);
    assert_eq!(bands, [[0, 1], [0, 1], [1, 1], [1, 2], [1, 2], [2, 2]]);
    let graph = plain.graph();
    let keeps = |frames: &[(usize, usize)]| {
        (1..=5).all(|k| {
            let out = frames.iter().filter(|&&(t, _)| t < k).count();
            (bands[k][0]..=bands[k][1]).contains(&out)
        })
    };
    let kept: f64 = Paths::of(&graph).all.iter().filter(|path| keeps(&path.labels(&graph))).map(|path| path.score.exp()).sum();
    assert_near("bands", &[Lattice { bands: Some(bands.clone()), ..plain.clone() }.solve().cost], &[-kept.ln()], 1e-12);
}

/// The delay penalty tilts paths by their summed emission frames.
#[test]
fn delay_penalty_tilts_paths() {
    let plain = lattice(&Kind::rnnt(BLANK), 5, &[1, 2], &mut Lcg(3));
    let graph = plain.graph();
    let late = Lattice { delay: 0.3, ..plain.clone() };
    let tilt = |path: &crate::truth::Path| path.labels(&graph).iter().map(|&(t, _)| 0.3 * (2.0 - t as f64)).sum::<f64>();
    let total: f64 = Paths::of(&graph).all.iter().map(|path| (path.score + tilt(path)).exp()).sum();
    assert_near("cost", &[late.solve().cost], &[-total.ln()], 1e-12);
    assert!(late.latency().0 < plain.latency().0);
}

/// The EOS penalty tilts paths by the frame of that label where it is emitted, not where it is skipped.
#[test]
fn eos_penalty_tilts_emissions_of_one_label() {
    let plain = lattice(&Kind::bypass(BLANK, -0.5), 5, &[1, 2], &mut Lcg(3));
    let graph = plain.graph();
    let late = Lattice { eos: Some(Eos { symbol: 2, penalty: 0.3 }), ..plain.clone() };
    let label = plain.kind.arcs.iter().position(|arc| arc.token == Token::Label).unwrap();
    let tilt = |path: &crate::truth::Path| {
        let eos = path.edges.iter().map(|&e| &graph.edges[e]).find(|edge| edge.emits == Some(1) && edge.arc == label);
        eos.map_or(0.0, |edge| 0.3 * (2.0 - edge.frame as f64))
    };
    let total: f64 = Paths::of(&graph).all.iter().map(|path| (path.score + tilt(path)).exp()).sum();
    assert_near("cost", &[late.solve().cost], &[-total.ln()], 1e-12);
}

/// A padded batch with begins, against each of its utterances alone.
#[test]
fn padded_batches_hold_their_utterances() {
    let mut numbers = Lcg(8);
    let kind = Kind::tdt(2, &[0, 1], 0.05);
    let shape = [3, 5, 4, 6];
    let input = numbers.list(3 * 5 * 4 * 6, 2.0).into_iter().map(f64::from).collect();
    let batch = Padded {
        shape,
        input,
        targets: vec![0, 1, 3, 1, 1, 0, 3, 0, 1],
        begins: vec![[0, 0], [1, 1], [2, 0]],
        lengths: vec![[5, 3], [3, 2], [2, 1]],
    };
    let alone: Vec<Lattice> = (0..3).map(|n| batch.lattice(n, &kind)).collect();
    assert_eq!(alone[1].target, [1, 0]);
    // Utterance 1 begins at frame 1, position 1.
    assert_eq!(alone[1].input[..6], batch.input[((5 + 1) * 4 + 1) * 6..][..6]);
    let gradients: Vec<Vec<f64>> = alone.iter().map(|lattice| lattice.solve().gradient).collect();
    let padded = batch.scatter(&gradients);
    let total: f64 = gradients.iter().flatten().map(|g| g.abs()).sum();
    assert_near("all there", &[padded.iter().map(|g| g.abs()).sum()], &[total], 1e-12);
    assert_eq!(padded[((5 + 2) * 4 + 3) * 6 + 1], gradients[1][(3 + 2) * 6 + 1]);
}

/// Gathered log-probabilities carry all that the loss reads.
#[test]
fn gathered_is_the_same_lattice() {
    let plain = lattice(&Kind::rnnt(BLANK), 4, &[1, 2, 0], &mut Lcg(3));
    let (expected, got) = (plain.solve(), gathered(&plain, BLANK).solve());
    assert_near("cost", &[got.cost], &[expected.cost], 1e-13);
    assert_near("gradient", &got.gradient, &gather(&plain, BLANK, &expected.by_log_probs, 0.0), 1e-13);
}

/// Occupancies of the arcs that leave a cell sum to how often it is passed, which is once a diagonal.
#[test]
fn occupancies_are_conserved() {
    let sample = lattice(&Kind::rnnt(BLANK), 5, &[1, 2, 0], &mut Lcg(3));
    let graph = sample.graph();
    let occupancies = Sweep::of(&graph).occupancies();
    for diagonal in 0..8 {
        let leaving = graph.edges.iter().zip(&occupancies).filter(|(edge, _)| edge.from / 4 + edge.from % 4 == diagonal);
        assert_near("diagonal", &[leaving.map(|(_, occupied)| occupied).sum()], &[1.0], 1e-12);
    }
}
