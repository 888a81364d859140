//! What must not matter, for every kind: where scores lie, constants of a row, who else is in the batch, which kernels run.

use crate::case::{Case, Outcome};
use crate::forms::{Form, Layout, Meaning, PADDED, inputs};
use crate::kinds::{VOCAB, kinds};
use crate::settings::{PLAIN, settings};
use crate::{bits, quick_contexts};
use weft::lattice::Gradients;

#[track_caller]
fn assert_same(what: &str, got: &Outcome, expected: &Outcome) {
    assert_eq!(got.status, expected.status, "{what}");
    assert_eq!(bits(&got.costs), bits(&expected.costs), "{what}: costs");
    for (n, (got, expected)) in got.gradients.iter().zip(&expected.gradients).enumerate() {
        assert_eq!(bits(got), bits(expected), "{what}: gradient of utterance {n}");
    }
}

/// -0 and 0 are one gradient: adding 0 makes them one number.
fn without_signs_of_zeros(outcome: Outcome) -> Outcome {
    let gradients = outcome.gradients.iter().map(|gradient| gradient.iter().map(|x| x + 0.0).collect()).collect();
    Outcome { gradients, ..outcome }
}

/// Largest differences of costs, in units in the last place, and of gradients.
fn differences(a: &Outcome, b: &Outcome) -> (u32, f32) {
    let ulps = a.costs.iter().zip(&b.costs).map(|(a, b)| a.to_bits().abs_diff(b.to_bits())).max();
    let off = a.gradients.iter().flatten().zip(b.gradients.iter().flatten()).map(|(a, b)| (a - b).abs());
    (ulps.unwrap_or(0), off.fold(0.0, f32::max))
}

/// Padded, packed, in parts, with begins, strided: bit for bit, as long as rows begin at the same multiples of 4 or 2 elements. So
/// are gradients in place, and costs alone.
#[test]
fn layouts_are_the_same_bit_for_bit() {
    for row in kinds() {
        for setting in [settings().first(), settings().last()].into_iter().flatten() {
            let case = Case::new(&row, setting, 5).unwrap();
            for (name, context) in quick_contexts() {
                let padded = |meaning| case.run(Form { meaning, ..PADDED }, context);
                let expected = [Meaning::Logits, Meaning::LogProbs].map(padded);
                for (meaning, layout) in inputs(false) {
                    for gradients in [Gradients::Separate, Gradients::InPlace, Gradients::None] {
                        // Rows at odd elements are read one by one, and sums take another order.
                        if layout == Layout::Crooked && (meaning == Meaning::Logits || row.reads_others()) {
                            continue;
                        }
                        let form = Form { meaning, layout, gradients, ..PADDED };
                        let what = format!("{}, {}, {form:?} on {name}", row.name, setting.name);
                        let plain = |outcome| if layout == Layout::Crooked { without_signs_of_zeros(outcome) } else { outcome };
                        assert_same(&what, &plain(case.run(form, context)), &plain(expected[meaning as usize].clone()));
                    }
                }
            }
        }
    }
}

/// Gathered log-probabilities are log-probabilities, bit for bit.
#[test]
fn gathered_is_the_same_bit_for_bit() {
    for row in kinds().into_iter().filter(|row| row.is_gathered()) {
        let case = Case::new(&row, &PLAIN, 5).unwrap();
        for (name, context) in quick_contexts() {
            let full = case.run(Form { meaning: Meaning::LogProbs, ..PADDED }, context);
            let gathered = case.run(Form { meaning: Meaning::Gathered, ..PADDED }, context);
            let gradients = full.gradients.iter().enumerate().map(|(n, gradient)| case.gather(n, gradient, 0.0)).collect();
            let full = Outcome { gradients, ..full };
            assert_same(&format!("{} on {name}", row.name), &without_signs_of_zeros(gathered), &without_signs_of_zeros(full));
        }
    }
}

#[test]
fn a_batch_is_its_singles_bit_for_bit() {
    for row in kinds() {
        let case = Case::new(&row, &PLAIN, 6).unwrap();
        for (name, context) in quick_contexts() {
            let whole = case.run(PADDED, context);
            for n in 0..case.utterances.len() {
                let alone = Case { utterances: vec![case.utterances[n].clone()], ..case.clone() }.run(PADDED, context);
                let what = format!("utterance {n}, {} on {name}", row.name);
                assert_eq!((alone.status[0], alone.costs[0].to_bits()), (whole.status[n], whole.costs[n].to_bits()), "{what}");
                assert_eq!(bits(&alone.gradients[0]), bits(&whole.gradients[n]), "{what}");
            }
        }
    }
}

/// A constant of a row goes out with the softmax; HAT's among the labels, so there it is theirs alone.
#[test]
fn constants_of_a_row_change_nothing() {
    for row in kinds() {
        let case = Case::new(&row, &PLAIN, 8).unwrap();
        let hat = matches!(row.truth.head, crate::truth::Head::Hat { .. });
        for (size, tolerance) in [(1.0, 1e-5), (100.0, 3e-4)] {
            let mut moved = case.clone();
            for (n, utterance) in moved.utterances.iter_mut().enumerate() {
                for (i, scores) in utterance.logits.chunks_mut(row.channels()).enumerate() {
                    let (tokens, durations) = scores.split_at_mut(VOCAB);
                    let by = size * [1.0, -0.5, 0.25][(i + n) % 3];
                    let keeps = |v: usize| hat && v == crate::kinds::BLANK as usize;
                    tokens.iter_mut().enumerate().filter(|(v, _)| !keeps(*v)).for_each(|(_, x)| *x += by);
                    durations.iter_mut().for_each(|x| *x -= 0.5 * by);
                }
            }
            for (name, context) in quick_contexts() {
                let (expected, got) = (case.run(PADDED, context), moved.run(PADDED, context));
                let what = format!("{} moved by {size} on {name}", row.name);
                assert_eq!(got.status, expected.status, "{what}");
                for (got, expected) in got.costs.iter().zip(&expected.costs).filter(|(_, cost)| cost.is_finite()) {
                    assert!((got - expected).abs() <= tolerance * expected.max(1.0), "{what}: {got}, not {expected}");
                }
                assert!(differences(&expected, &got).1 <= tolerance, "{what}: {:?}", differences(&expected, &got));
            }
        }
    }
}

/// The kernels with and without subgroups, and the twin, on lattices of several blocks and subgroups. From log-probabilities, whose
/// rows need no sums, the costs of both kernels are the same to the bit where a compiler contracts neither or both.
#[test]
fn variants_agree() {
    for row in kinds() {
        let case = Case::of_lengths(&row, &PLAIN, 12, &[[40, 37], [25, 7], [9, 0], [70, 3]]).unwrap();
        for meaning in [Meaning::Logits, Meaning::LogProbs] {
            let outcomes: Vec<Outcome> =
                quick_contexts().iter().map(|(_, context)| case.run(Form { meaning, ..PADDED }, context)).collect();
            for (outcome, (name, _)) in outcomes.iter().zip(quick_contexts()).skip(1) {
                let (of_cpu, of_plain) = (differences(outcome, &outcomes[0]), differences(outcome, &outcomes[1]));
                println!("{}, {meaning:?}: {name} is {of_cpu:?} from the CPU, {of_plain:?} from the first variant", row.name);
                assert!(of_cpu.0 <= 16 && of_cpu.1 <= 3e-5, "{}, {meaning:?} on {name}: {of_cpu:?} from the CPU", row.name);
                assert!(of_plain.0 <= 16 && of_plain.1 <= 1e-5, "{}, {meaning:?} on {name}: {of_plain:?}", row.name);
            }
        }
    }
}
