//! The gradient is that of the costs the op itself gives: every score moved both ways, all in one batch.

use crate::case::Case;
use crate::common::assert_close;
use crate::forms::{Form, Meaning, PADDED, inputs};
use crate::kinds::{Row, kinds};
use crate::quick_contexts;
use crate::settings::{PLAIN, Setting, settings};
use weft::lattice::{Gradients, Reduction};
use weft::{Context, DType};

/// A power of two: moved scores are exact.
const STEP: f32 = 1.0 / 32.0;
/// Rounding of costs of about 10, over the step; and the third derivative times its square.
const TOLERANCE: f64 = 3e-4;

/// Scores of a kind of input.
fn scores(case: &mut Case, meaning: Meaning) -> &mut Vec<f32> {
    let utterance = &mut case.utterances[0];
    if meaning == Meaning::Logits { &mut utterance.logits } else { &mut utterance.log_probs }
}

/// `case`, of one utterance, with every score moved up and down in an utterance of its own.
fn moved(case: &Case, meaning: Meaning) -> Case {
    let mut case = case.clone();
    let utterances = (0..2 * scores(&mut case, meaning).len()).map(|i| {
        let mut other = case.clone();
        scores(&mut other, meaning)[i / 2] += if i % 2 == 0 { STEP } else { -STEP };
        other.utterances.remove(0)
    });
    let utterances = utterances.collect();
    Case { utterances, ..case }
}

#[track_caller]
fn check(row: &Row, setting: &Setting, form: Form, (name, context): &(String, Context)) {
    let Some(case) = Case::of_lengths(row, setting, 7, &[[3, 2]]) else { return };
    if case.expected(form.meaning)[0].cost.is_infinite() {
        // A wildcard that no blank follows leaves the constrained kind no path.
        return;
    }
    let costs = moved(&case, form.meaning).run(Form { gradients: Gradients::None, ..form }, context).costs;
    let differences: Vec<f64> = costs.chunks(2).map(|c| f64::from(c[0] - c[1]) / f64::from(2.0 * STEP)).collect();
    let expected = if form.meaning == Meaning::Gathered { case.gather(0, &differences, 0.0) } else { differences };
    let got = &case.run(form, context).gradients[0];
    // Neither nothing nor a constant.
    assert!(expected.iter().any(|&d| d.abs() > 100.0 * TOLERANCE));
    assert_close(&format!("{}, {}, {form:?} on {name}", row.name, setting.name), got, &expected, TOLERANCE, 0.0);
}

#[test]
fn of_every_setting() {
    // Weights and reductions apply to a batch, not to one cost.
    let wanted = |setting: &Setting| setting.is_differentiable() && !setting.weights && setting.reduction == Reduction::None;
    for row in kinds() {
        for setting in settings().iter().filter(|setting| wanted(setting)) {
            for context in quick_contexts() {
                check(&row, setting, PADDED, context);
                check(&row, setting, Form { meaning: Meaning::LogProbs, ..PADDED }, context);
            }
        }
    }
}

#[test]
fn in_every_layout() {
    for row in kinds() {
        for (meaning, layout) in inputs(row.is_gathered()) {
            for context in quick_contexts() {
                check(&row, &PLAIN, Form { meaning, layout, ..PADDED }, context);
            }
        }
    }
}

/// Of the reduced number, by the scores of two weighted utterances.
#[test]
fn of_reductions() {
    for setting in settings().iter().filter(|setting| setting.is_differentiable() && setting.reduction != Reduction::None) {
        let case = Case::of_lengths(&kinds()[0], setting, 9, &[[2, 1], [3, 1]]).unwrap();
        let context = &quick_contexts()[0].1;
        let gradients = case.run(PADDED, context).gradients;
        for (n, gradient) in gradients.iter().enumerate() {
            let difference = |i: usize| {
                let loss = |step: f32| {
                    let mut moved = case.clone();
                    moved.utterances[n].logits[i] += step;
                    moved.run(Form { gradients: Gradients::None, ..PADDED }, context).loss.unwrap()
                };
                (loss(STEP) - loss(-STEP)) / f64::from(2.0 * STEP)
            };
            let expected: Vec<f64> = (0..gradient.len()).map(difference).collect();
            assert_close(setting.name, gradient, &expected, TOLERANCE, 0.0);
        }
    }
}

/// FastEmit is no derivative of anything. It is that of the labels' arcs, more of it: among log-probabilities, which no softmax
/// mixes, the blanks keep theirs.
#[test]
fn of_fast_emit() {
    for row in kinds().iter().filter(|row| row.is_gathered()) {
        let fast = *settings().iter().find(|setting| setting.lambda() > 0.0 && setting.clamp.is_none()).unwrap();
        let [plain, fast] = [PLAIN, fast].map(|setting| (setting.lambda(), Case::new(row, &setting, 3).unwrap()));
        let form = Form { meaning: Meaning::Gathered, dtype: DType::F32, ..PADDED };
        for (name, context) in quick_contexts() {
            let [of_plain, of_fast] = [&plain.1, &fast.1].map(|case| case.run(form, context).gradients.concat());
            for (i, (&g, &f)) in of_plain.iter().zip(&of_fast).enumerate() {
                let expected = if i % 2 == 0 { g } else { (1.0 + fast.0) * g };
                assert!((f - expected).abs() <= 1e-6, "{} on {name}: [{i}] {f}, expected {expected}", row.name);
            }
        }
    }
}
