//! Sizes far out: many frames, units and sequences, one of each, and none.

use crate::case::{Case, Pair};
use crate::common::{contexts_with, shared_contexts};
use crate::truth;
use weft::recurrent::cells::Cell;

fn pairs() -> Vec<Pair> {
    let pair = |cell, truth| Pair { cell, truth };
    vec![pair(Cell::lstm(), truth::Cell::lstm()), pair(Cell::gru(), truth::Cell::gru()), pair(Cell::li_gru(), truth::Cell::li_gru())]
}

/// T, N, I, H; values, then gradients.
fn check(sizes: [usize; 4], change: impl Fn(&mut Case)) {
    for pair in pairs() {
        let mut case = Case::random(&pair, sizes, 21);
        change(&mut case);
        for (name, context) in shared_contexts() {
            case.check(&name, &context, 1e-5);
            case.check_gradients(&name, &context, 2e-5);
        }
    }
}

const LONG: [usize; 4] = [70_000, 1, 1, 2];

/// Whose h stays small.
fn long(pair: &Pair) -> Case {
    let mut case = Case::random(pair, LONG, 21);
    case.problem.values.0.get_mut("weight_hh").into_iter().flatten().for_each(|w| *w *= 0.5);
    case
}

/// A launch a step, and one for all.
#[test]
fn frames_beyond_16_bits() {
    let [.., pair] = &pairs()[..] else { panic!("no cell") };
    let case = long(pair);
    case.check_gradients("a launch a step", &shared_contexts().last().unwrap().1, 2e-5);
    let contexts = contexts_with(|options| options.with_workgroups_together(2));
    let scan = Pair { cell: Cell::qrnn(), truth: truth::Cell::qrnn() };
    for pair in pairs().into_iter().take(2).chain([scan]) {
        let case = long(&pair);
        for (name, context) in contexts.iter().rev().take(1) {
            case.check_gradients(name, context, 2e-5);
        }
    }
}

#[test]
fn two_thousand_units() {
    check([2, 1, 3, 2000], |_| {});
}

#[test]
fn three_hundred_sequences() {
    check([3, 300, 5, 17], |case| case.problem.lengths = (0..300).map(|n| n % 4).collect());
}

#[test]
fn seventeen_sequences_of_sixty_five_units() {
    check([5, 17, 7, 65], |case| case.problem.lengths = (0..17).map(|n| n * 3 % 6).collect());
}

#[test]
fn one_unit() {
    check([9, 3, 2, 1], |case| case.problem.lengths = vec![9, 0, 4]);
}

#[test]
fn no_sequences_and_no_frames() {
    for pair in pairs() {
        for (name, context) in shared_contexts() {
            for sizes in [[4, 0, 3, 5], [0, 2, 3, 5]] {
                let case = Case::random(&pair, sizes, 22);
                let pull = case.problem.random_pull(1);
                let (given, gradients) = case.train(&context, &pull).unwrap();
                assert!(given.y.is_empty(), "{name}");
                for (number, state) in case.pair.truth.states().iter().enumerate() {
                    assert_eq!(given.states[number], case.problem.values.f32(state), "{name}: {state}");
                    let through: Vec<f32> = pull.states[number].iter().map(|&x| x as f32).collect();
                    assert_eq!(gradients.state.read_blocking(number).unwrap(), through, "{name}: gradient of {state}");
                }
                for tensor in [&gradients.weight_ih, &gradients.weight_hh, &gradients.units, gradients.x.as_ref().unwrap()] {
                    assert!(tensor.to_vec_blocking().unwrap().iter().all(|&x| x == 0.0), "{name}");
                }
            }
        }
    }
}

/// What x and dy hold past the ends reaches nothing, be it NaN.
#[test]
fn padding_of_nan() {
    for pair in crate::case::pairs() {
        let mut case = Case::random(&pair, [6, 4, 3, 18], 23);
        case.problem.lengths = vec![6, 0, 1, 4];
        for reverse in [false, true] {
            case.problem.reverse = reverse;
            let mut spoilt = case.clone();
            let mut pull = case.trained().random_pull(5);
            for (t, n) in (0..6).flat_map(|t| (0..4).map(move |n| (t, n))).filter(|&(t, n)| t >= case.problem.lengths[n]) {
                spoilt.problem.values.get_mut("x")[(t * 4 + n) * 3..][..3].fill(f64::NAN);
                pull.y[(t * 4 + n) * 18..][..18].fill(f64::NAN);
            }
            for (name, context) in shared_contexts() {
                let bits = |values: &[f32]| -> Vec<u32> { values.iter().map(|x| x.to_bits()).collect() };
                let clean = case.train(&context, &case.trained().random_pull(5)).unwrap();
                let (given, gradients) = spoilt.train(&context, &pull).unwrap();
                let what = format!("{name} {} reverse {reverse}", pair.cell.name());
                assert_eq!(bits(&given.y), bits(&clean.0.y), "{what}: y");
                assert_eq!(bits(&given.states.concat()), bits(&clean.0.states.concat()), "{what}: states");
                let all = |gradients: &weft::recurrent::Gradients| -> Vec<f32> {
                    let weights = [&gradients.weight_ih, &gradients.bias_ih, &gradients.weight_hh, &gradients.units];
                    let others = [gradients.x.as_ref().unwrap(), gradients.state.tensor()];
                    weights.into_iter().chain(others).chain(&gradients.norm_ih).flat_map(|t| t.to_vec_blocking().unwrap()).collect()
                };
                assert_eq!(bits(&all(&gradients)), bits(&all(&clean.1)), "{what}: gradients");
            }
        }
    }
}
