//! Long sequences in pieces: states are carried on, gradients are not, or are.

use crate::case::{Case, Pair};
use crate::common::{assert_close, shared_contexts};
use crate::truth::{self, Problem, Pull};
use weft::recurrent::cells::Cell;
use weft::recurrent::{Gradients, RunOptions, State, Tape, TrainOptions};
use weft::{Context, Tensor};

const SIZES: [usize; 4] = [11, 3, 4, 10];
/// Frames of the pieces.
const PIECES: [usize; 3] = [4, 4, 3];

fn pairs() -> Vec<Pair> {
    let pair = |cell, truth| Pair { cell, truth };
    vec![
        pair(Cell::lstm(), truth::Cell::lstm()),
        pair(Cell::gru(), truth::Cell::gru()),
        pair(Cell::li_gru(), truth::Cell::li_gru()),
        pair(Cell::sli_gru(), truth::Cell::sli_gru()),
        pair(Cell::lstm(), truth::Cell { projection: Some(6), ..truth::Cell::lstm() }),
    ]
}

/// First frame and number of frames of each piece.
fn pieces() -> impl DoubleEndedIterator<Item = (usize, usize)> + ExactSizeIterator {
    (0..PIECES.len()).map(|piece| (PIECES[..piece].iter().sum(), PIECES[piece]))
}

/// One piece of a problem, from these states.
fn piece(whole: &Problem, (first, count): (usize, usize), states: &[Vec<f64>]) -> Problem {
    let mut problem = whole.clone();
    problem.frames = count;
    problem.lengths = whole.lengths.iter().map(|length| length.saturating_sub(first).min(count)).collect();
    let width = whole.batch * whole.inputs;
    problem.values.set("x", &whole.values.get("x")[first * width..][..count * width]);
    for (name, state) in whole.cell.states().iter().zip(states) {
        problem.values.set(name, state);
    }
    problem
}

fn case(pair: &Pair) -> Case {
    let mut case = Case::random(pair, SIZES, 31);
    case.problem.lengths = vec![11, 6, 0];
    case
}

/// Each piece forward, with what backward needs.
fn forward(context: &Context, case: &Case) -> Vec<(Tensor, State, Tape)> {
    let layer = case.layer(context);
    let mut state = case.state(context);
    let step = |(first, count): (usize, usize)| {
        let part = piece(&case.problem, (first, count), &[]);
        let x = Tensor::from_slice(context, &[count, part.batch, part.inputs], &part.values.f32("x")).unwrap();
        let run = RunOptions { lengths: Some(&part.lengths), state: Some(&state), resets: &[] };
        let (y, after, tape) = layer.train_blocking(&x, &TrainOptions { run, ..TrainOptions::default() }).unwrap();
        state = after.clone();
        (y, after, tape)
    };
    pieces().map(step).collect()
}

fn pull_of(case: &Case, pull: &Pull, (first, count): (usize, usize)) -> Vec<f64> {
    let width = case.problem.batch * case.problem.outputs();
    pull.y[first * width..][..count * width].to_vec()
}

fn close(what: &str, got: &[f32], expected: &[f64]) {
    let largest = expected.iter().fold(1e-3f64, |most, x| most.max(x.abs()));
    assert_close(what, got, expected, 8e-5 * largest, 0.0);
}

fn check(what: &str, gradients: &Gradients, expected: &truth::Values, first: (usize, usize), case: &Case) {
    let read = |tensor: &Tensor| tensor.to_vec_blocking().unwrap();
    let width = case.problem.batch * case.problem.inputs;
    let x = expected.get("x");
    let x = if x.len() > first.1 * width { &x[first.0 * width..][..first.1 * width] } else { x };
    close(&format!("{what}: x"), &read(gradients.x.as_ref().unwrap()), x);
}

fn weights(gradients: &Gradients) -> Vec<(&'static str, Vec<f32>)> {
    let read = |tensor: &Tensor| tensor.to_vec_blocking().unwrap();
    let mut all =
        vec![("weight_ih", read(&gradients.weight_ih)), ("weight_hh", read(&gradients.weight_hh)), ("bias_ih", read(&gradients.bias_ih))];
    all.extend(gradients.weight_hr.as_ref().map(|weight| ("weight_hr", read(weight))));
    all
}

#[test]
fn pieces_give_what_the_whole_gives_and_gradients_that_end_with_them() {
    for (name, context) in shared_contexts() {
        for pair in pairs() {
            let case = case(&pair);
            let what = format!("{name} {}", pair.cell.name());
            let whole = case.problem.solve();
            let pull = case.problem.random_pull(1);
            let layer = case.layer(&context);
            let all = forward(&context, &case);
            let y: Vec<f32> = all.iter().flat_map(|(y, ..)| y.to_vec_blocking().unwrap()).collect();
            assert_close(&format!("{what}: y"), &y, &whole.y, 2e-5, 2e-5);

            let mut states: Vec<Vec<f64>> = pair.truth.states().iter().map(|name| case.problem.values.get(name).to_vec()).collect();
            for ((y, after, tape), place) in all.iter().zip(pieces()) {
                let part = piece(&case.problem, place, &states);
                let part_pull = Pull { y: pull_of(&case, &pull, place), states: Vec::new() };
                let dy: Vec<f32> = part_pull.y.iter().map(|&x| x as f32).collect();
                let dy = Tensor::from_slice(&context, y.shape(), &dy).unwrap();
                let gradients = layer.backward_blocking(tape, &dy, None).unwrap();
                let expected = part.gradients(&part_pull);
                check(&what, &gradients, &expected, place, &case);
                for (part, got) in weights(&gradients) {
                    close(&format!("{what} from {}: {part}", place.0), &got, expected.get(part));
                }
                states = part.solve().states;
                for (number, expected) in states.iter().enumerate() {
                    assert_close(&format!("{what}: state {number}"), &after.read_blocking(number).unwrap(), expected, 2e-5, 2e-5);
                }
            }
        }
    }
}

#[test]
fn gradients_that_go_on_from_piece_to_piece_are_those_of_the_whole() {
    for (name, context) in shared_contexts() {
        for pair in pairs() {
            let case = case(&pair);
            let what = format!("{name} {}", pair.cell.name());
            let pull = Pull { states: Vec::new(), ..case.problem.random_pull(2) };
            let expected = case.problem.gradients(&pull);
            let layer = case.layer(&context);
            let all = forward(&context, &case);
            let mut d_state: Option<State> = None;
            let mut sums: Vec<(&str, Vec<f32>)> = Vec::new();
            for ((y, _, tape), place) in all.iter().zip(pieces()).rev() {
                let dy: Vec<f32> = pull_of(&case, &pull, place).iter().map(|&x| x as f32).collect();
                let dy = Tensor::from_slice(&context, y.shape(), &dy).unwrap();
                let gradients = layer.backward_blocking(tape, &dy, d_state.as_ref()).unwrap();
                check(&what, &gradients, &expected, place, &case);
                let own = weights(&gradients);
                match sums.is_empty() {
                    true => sums = own,
                    false => sums.iter_mut().zip(own).for_each(|((_, sum), (_, own))| sum.iter_mut().zip(own).for_each(|(a, b)| *a += b)),
                }
                d_state = Some(gradients.state);
            }
            for (part, got) in &sums {
                close(&format!("{what}: {part}"), got, expected.get(part));
            }
            for (number, state) in pair.truth.states().iter().enumerate() {
                close(&format!("{what}: first {state}"), &d_state.as_ref().unwrap().read_blocking(number).unwrap(), expected.get(state));
            }
        }
    }
}
