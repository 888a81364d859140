//! Lattices with next to nothing in them, without a way through, with scores at the ends of what f32 holds: for every kind.

use crate::case::Case;
use crate::common::assert_close;
use crate::forms::{Form, Meaning, PADDED};
use crate::kinds::{BLANK, Row, VOCAB, kinds};
use crate::settings::PLAIN;
use crate::{Batch, bits, quick_contexts};
use weft::lattice::{Blank, Gradients, Kind, LogProbs, Logits, LossBatch, Status, TransducerLoss};
use weft::{Context, DType, Tensor};

/// Runs a case on every context and compares it with the truth.
#[track_caller]
fn check(what: &str, case: &Case, form: Form, cost: f64, gradient: f64) {
    let expected = case.expected(form.meaning);
    for (name, context) in quick_contexts() {
        let errors = case.compare(form, &case.run(form, context), &expected).unwrap_or_else(|e| panic!("{what} on {name}: {e}"));
        assert!(errors.cost <= cost && errors.gradient <= gradient, "{what} on {name}: {errors:?}");
    }
}

fn case(row: &Row, lengths: &[[usize; 2]]) -> Case {
    Case::of_lengths(row, &PLAIN, 17, lengths).unwrap()
}

/// Costs here are small, and made of few logarithms, of which each GPU has its own: an H100 was off by 2.7e-6, lavapipe by less than
/// 2e-6. 1e-5 is what the library promises.
///
/// T from 0 to 3 by U from 0 to 3: whether there is a path, and what it costs, says the truth.
#[test]
fn few_frames_and_labels() {
    let lengths: Vec<[usize; 2]> = (0..4).flat_map(|t| (0..4).map(move |u| [t, u])).collect();
    for row in kinds() {
        let case = case(&row, &lengths);
        check(row.name, &case, PADDED, 5e-6, 5e-6);
        let status = case.run(PADDED, &quick_contexts()[0].1).status;
        assert!(status[..4].iter().all(|&status| status == Status::Empty), "{}: no frames", row.name);
    }
}

/// More labels than frames: a path for kinds whose labels take none.
#[test]
fn more_labels_than_frames() {
    let status = |kind: Kind| {
        let mut batch = Batch::random(3, [1, 2, 4, 7], 0);
        batch.targets = vec![1, 2, 3];
        batch.run_kind(kind, &quick_contexts()[0].1).status[0]
    };
    for kind in [Kind::monotonic(Blank(0)), Kind::constrained(Blank(0)), Kind::tdt(Blank(0), &[1, 2]).unwrap()] {
        assert_eq!(status(kind.clone()), Status::Infeasible, "{kind:?}");
    }
    for kind in [Kind::rnnt(Blank(0)), Kind::hat(Blank(0)), Kind::star(Blank(0), -1.0).unwrap()] {
        assert_eq!(status(kind.clone()), Status::Ok, "{kind:?}");
    }
}

#[test]
fn one_symbol_and_two() {
    for (name, context) in quick_contexts() {
        let run = |kind: Kind, shape: [usize; 4], logits: &[f32], targets: &[u32]| {
            let tensor = Tensor::from_slice(context, &shape, logits).unwrap();
            let loss = TransducerLoss::of(kind).gradients(true).build(context).unwrap();
            let (frames, labels) = ([shape[1] as u32], [targets.len() as u32]);
            let out = loss.run_blocking(&LossBatch::new(Logits::padded(&tensor), targets, &frames, &labels)).unwrap();
            (out.costs[0], out.gradients[0].to_vec_blocking().unwrap())
        };
        // Nothing but the blank: certain.
        let (cost, gradient) = run(Kind::rnnt(Blank(0)), [1, 3, 1, 1], &[0.7; 3], &[]);
        assert_eq!((cost.abs(), &gradient[..]), (0.0, &[0.0; 3][..]), "{name}");
        // HAT's blank has a sigmoid even so.
        let (cost, gradient) = run(Kind::hat(Blank(0)), [1, 1, 1, 1], &[0.7], &[]);
        assert_close(name, &[cost], &[(1.0 + (-0.7f64).exp()).ln()], 1e-6, 0.0);
        assert_close(name, &gradient, &[-1.0 / (1.0 + 0.7f64.exp())], 1e-6, 0.0);
        let (cost, _) = run(Kind::rnnt(Blank(1)), [1, 2, 2, 2], &[0.0; 8], &[0]);
        assert_close(name, &[cost], &[2.0 * 2f64.ln()], 1e-6, 0.0);
    }
}

/// -inf in a part of the vocabulary, on some arcs, and all over a row.
#[test]
fn masked_symbols() {
    for row in kinds() {
        let mut case = case(&row, &[[5, 3], [4, 2], [4, 2], [4, 0]]);
        let (channels, labels) = (row.channels(), row.labels());
        let spare = *labels.iter().find(|&&symbol| case.utterances.iter().all(|u| !u.target.contains(&symbol))).unwrap_or(&labels[0]);
        for scores in case.utterances[0].logits.chunks_mut(channels) {
            // Durations, if there are any, keep theirs.
            scores[spare as usize] = f32::NEG_INFINITY;
        }
        // The blank not at (1, 1).
        case.utterances[1].logits[(3 + 1) * channels + BLANK as usize] = f32::NEG_INFINITY;
        // No symbol at (0, 1): a cell that nobody leaves by one.
        case.utterances[2].logits[channels..channels + VOCAB].fill(f32::NEG_INFINITY);
        check(row.name, &case, PADDED, 5e-6, 5e-6);
    }
}

/// The last blank is impossible: for kinds that have no other way out, everything is.
#[test]
fn no_way_out() {
    for row in kinds() {
        let mut case = case(&row, &[[4, 1], [3, 2], [4, 1]]);
        let channels = row.channels();
        for scores in case.utterances[1].logits.chunks_mut(channels) {
            scores[..VOCAB].fill(f32::NEG_INFINITY);
        }
        check(row.name, &case, PADDED, 5e-6, 5e-6);
    }
}

/// One NaN, or +inf, spoils its utterance: and no bit of another.
#[test]
fn one_bad_row() {
    for row in kinds() {
        let clean = case(&row, &[[4, 2], [3, 1], [5, 2]]);
        for poison in [f32::NAN, f32::INFINITY] {
            for (meaning, place) in [(Meaning::Logits, 4), (Meaning::LogProbs, BLANK as usize)] {
                let form = Form { meaning, ..PADDED };
                let mut bad = clean.clone();
                bad.utterances[1].logits[row.channels() + place] = poison;
                bad.utterances[1].log_probs[row.channels() + place] = poison;
                for (name, context) in quick_contexts() {
                    let what = format!("{} {meaning:?} {poison} on {name}", row.name);
                    let (good, out) = (clean.run(form, context), bad.run(form, context));
                    assert_eq!((out.status[1], out.costs[1].is_nan()), (Status::NonFinite, true), "{what}");
                    assert!(out.gradients[1].iter().all(|&g| g == 0.0), "{what}");
                    for n in [0, 2] {
                        assert_eq!(out.costs[n].to_bits(), good.costs[n].to_bits(), "{what}");
                        assert_eq!(bits(&out.gradients[n]), bits(&good.gradients[n]), "{what}");
                    }
                }
            }
        }
    }
}

/// f16 ends at 65504: a model whose logits overflow hands over +inf.
#[test]
fn overflow_of_f16() {
    for (name, context) in quick_contexts() {
        let mut case = case(&kinds()[0], &[[3, 2], [3, 2]]);
        case.utterances[0].logits[4] = 7e4;
        case.utterances[1].logits[4] = -6e4;
        let out = case.run(Form { dtype: DType::F16, ..PADDED }, context);
        assert_eq!(out.status, [Status::NonFinite, Status::Ok], "{name}");
        assert!(out.costs[0].is_nan() && out.gradients[0].iter().all(|&g| g == 0.0));
    }
}

/// Scores far from each other: costs keep five digits. Gradients lose some: scores of 1e4 are 1e-3 apart.
#[test]
fn large_scores() {
    for row in kinds() {
        for (scale, gradient) in [(20.0, 1e-4), (300.0, 2e-3), (3000.0, 2e-2)] {
            let mut case = case(&row, &[[5, 3], [4, 2], [6, 0]]);
            for utterance in &mut case.utterances {
                utterance.logits.iter_mut().for_each(|x| *x *= scale);
            }
            check(&format!("{} times {scale}", row.name), &case, PADDED, 1e-5, gradient);
        }
    }
}

/// Log-probabilities of one path, T 1 and U 0: -cost.
fn cost_of(log_probs: &[f32], context: &Context) -> (f32, Status) {
    let tensor = Tensor::from_slice(context, &[1, log_probs.len(), 1, 1], log_probs).unwrap();
    let loss = TransducerLoss::rnnt(Blank(0)).gradients(Gradients::None).build(context).unwrap();
    let out = loss.run_blocking(&LossBatch::new(LogProbs::padded(&tensor), &[], &[log_probs.len() as u32], &[0])).unwrap();
    (out.costs[0], out.status[0])
}

/// The arithmetic ends somewhere; where, is documented.
#[test]
fn probabilities_that_count_as_zero() {
    for (name, context) in quick_contexts() {
        assert_eq!(cost_of(&[-2.5e6], context), (2.5e6, Status::Ok), "{name}");
        assert_eq!(cost_of(&[-3e6], context), (f32::INFINITY, Status::Infeasible), "{name}");
        let (cost, status) = cost_of(&[-1.5e5; 400], context);
        assert_eq!(status, Status::Ok, "{name}");
        assert_close(name, &[cost], &[6e7], 0.0, 1e-5);
        assert_eq!(cost_of(&[-2.5e6; 400], context), (f32::INFINITY, Status::Infeasible), "{name}");
    }
}
