//! f32 over lanes against f64.

use crate::all::{Numbers, cells, pairs};
use crate::common::difference;
use weft::expr::{Function, Scratch};

/// All outputs of a function for lanes of inputs.
fn run(function: &Function, inputs: &[Vec<f32>], scratch: &mut Scratch) -> Vec<Vec<f32>> {
    let lanes = inputs[0].len();
    let mut outputs = vec![vec![f32::NAN; lanes]; function.outputs().len()];
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut slices: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    function.eval_lanes(&inputs, &mut slices, scratch);
    outputs
}

fn at(columns: &[Vec<f32>], lane: usize) -> Vec<f64> {
    columns.iter().map(|column| f64::from(column[lane])).collect()
}

/// The largest of 1 and the outputs: gates without a bound have terms beyond 1 that partly cancel.
fn scale(expected: &[f64]) -> f64 {
    expected.iter().fold(1.0, |most, value| value.abs().max(most))
}

#[test]
fn lanes_are_the_f64_values() {
    let mut scratch = Scratch::default();
    for (name, cell) in cells() {
        for (part, pair) in pairs(&cell) {
            for (what, function) in [("value", &pair.function), ("gradient", &pair.gradient)] {
                let mut numbers = Numbers::new(5);
                let lanes = 150;
                let inputs: Vec<Vec<f32>> =
                    function.inputs().iter().map(|input| (0..lanes).map(|_| numbers.for_input(&cell, input) as f32).collect()).collect();
                let outputs = run(function, &inputs, &mut scratch);
                for lane in 0..lanes {
                    let got: Vec<f32> = outputs.iter().map(|output| output[lane]).collect();
                    let expected = function.eval(&at(&inputs, lane));
                    if let Some(difference) = difference(&got, &expected, 1e-6 * scale(&expected), 1e-6) {
                        panic!("{name} {part} {what}, lane {lane} {:?}: {difference}", at(&inputs, lane));
                    }
                }
            }
        }
    }
}

/// Pre-activations of ±10,000 beside small ones: nothing overflows, and what is far from cancelling is right.
#[test]
fn extremes_are_finite_and_right() {
    const EXTREMES: [f32; 6] = [-1e4, 1e4, 0.0, -88.5, 100.0, 0.5];
    let mut scratch = Scratch::default();
    for (name, cell) in cells() {
        for (part, pair) in pairs(&cell) {
            for (what, function) in [("value", &pair.function), ("gradient", &pair.gradient)] {
                let mut numbers = Numbers::new(17);
                let lanes = 2_000;
                let inputs: Vec<Vec<f32>> = function
                    .inputs()
                    .iter()
                    .map(|input| {
                        let mut one = || match input.as_bytes()[0] {
                            b'x' => EXTREMES[((numbers.next() + 1.0) * 3.0) as usize % 6],
                            b'r' => EXTREMES[((numbers.next() + 1.0) * 3.0) as usize % 6] * 0.25,
                            _ => numbers.for_input(&cell, input) as f32,
                        };
                        (0..lanes).map(|_| one()).collect()
                    })
                    .collect();
                let outputs = run(function, &inputs, &mut scratch);
                for lane in 0..lanes {
                    let got: Vec<f32> = outputs.iter().map(|output| output[lane]).collect();
                    let inputs = at(&inputs, lane);
                    assert!(got.iter().all(|value| value.is_finite()), "{name} {part} {what} {inputs:?}: {got:?}");
                    // A sum of numbers around 10,000 is exact to 1e-3, and so is a sine or an exponential of it, and what
                    // remains of products with it.
                    let unbounded = ["identity", "relu", "affine", "elu", "softplus"].iter().any(|name_end| name.ends_with(name_end));
                    if name.starts_with("s_lstm") || name.ends_with("_sin") || name.starts_with("lstm_") && unbounded {
                        continue;
                    }
                    let expected = function.eval(&inputs);
                    if let Some(difference) = difference(&got, &expected, 1e-6 * scale(&expected), 1e-6) {
                        panic!("{name} {part} {what} {inputs:?}: {difference}");
                    }
                }
            }
        }
    }
}

/// Many frames of an sLSTM with gates that would overflow without its stabiliser.
#[test]
fn an_s_lstm_runs_long_with_large_gates() {
    use weft::recurrent::cells::{Cell, ForgetGate};
    for forget in [ForgetGate::Sigmoid, ForgetGate::Exponential] {
        let cell = Cell::s_lstm(forget);
        let mut numbers = Numbers::new(29);
        let (mut scratch, mut states) = (Scratch::default(), vec![vec![0.0f32; 100]; 4]);
        for frame in 0..500 {
            let gates = (0..8).map(|gate| (0..100).map(|_| if gate < 4 { 200.0 * numbers.next() as f32 } else { 0.0 }).collect());
            let inputs: Vec<Vec<f32>> = gates.chain(states.iter().cloned()).collect();
            states = run(cell.update(), &inputs, &mut scratch);
            for lane in 0..100 {
                assert!(
                    states.iter().all(|state| state[lane].is_finite()) && states[0][lane].abs() <= 1.0 + 1e-6,
                    "frame {frame}, lane {lane}"
                );
            }
        }
    }
}
