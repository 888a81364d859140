//! Layers on top of each other, in both directions, against the truth and PyTorch's values.

use crate::common::{assert_close, shared_contexts};
use crate::truth::{self, Direction, Merge as TruthMerge, torch_cases};
use weft::recurrent::cells::{Activation, Cell};
use weft::recurrent::{Layer, LayerWeights, Level, Merge, RunOptions, Stack, State, TrainOptions};
use weft::{Context, Error, Tensor};

/// A stack of the library with the weights of one of the truth.
fn stack(context: &Context, cell: &Cell, truth: &truth::Stack) -> Stack {
    let layer = |level: usize, suffix: &str| {
        let get =
            |part: &str| truth.values.0.get(&format!("{part}_l{level}{suffix}")).map(|v| v.iter().map(|&v| v as f32).collect::<Vec<f32>>());
        let [weight_ih, weight_hh] = ["weight_ih", "weight_hh"].map(|part| get(part).unwrap());
        let bias = get("bias_ih").zip(get("bias_hh"));
        let weights = LayerWeights {
            input_size: if level == 0 { truth.inputs } else { truth.outputs() },
            hidden_size: truth.hidden,
            weight_ih: &weight_ih,
            weight_hh: &weight_hh,
            bias: bias.as_ref().map(|(ih, hh)| (&ih[..], &hh[..])),
            parameters: &[],
        };
        match get("weight_hr") {
            Some(weight_hr) => Layer::projected(context, cell, &weights, &weight_hr).unwrap(),
            None => Layer::new(context, cell, &weights).unwrap(),
        }
    };
    let levels = (0..truth.layers).map(|level| match truth.direction {
        Direction::Forward => Level::one(layer(level, "")),
        Direction::Reverse => Level::one(layer(level, "").reversed()),
        Direction::Both => Level::both(layer(level, ""), layer(level, if truth.shared { "" } else { "_reverse" })),
    });
    let merge = if truth.merge == TruthMerge::Concat { Merge::Concat } else { Merge::Sum };
    Stack::new(levels.collect(), merge).unwrap()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

/// The first states of the truth, [L D, N, H] by name, layer by layer.
fn states(context: &Context, truth: &truth::Stack, names: &[&str]) -> Vec<State> {
    let one = |number: usize| {
        let part = |name: &&str| {
            let plane = truth.batch * truth.cell.width(name, truth.hidden);
            narrow(&truth.values.get(name)[number * plane..][..plane])
        };
        state_of(context, truth, names.iter().map(part).collect())
    };
    (0..truth.layers * truth.directions()).map(one).collect()
}

/// Of one layer, of all its states, h first.
fn state_of(context: &Context, truth: &truth::Stack, mut values: Vec<Vec<f32>>) -> State {
    let h = truth.cell.projection.map(|outputs| (outputs, values.remove(0)));
    let others = Tensor::from_slice(context, &[values.len(), truth.batch, truth.hidden], &values.concat()).unwrap();
    match h {
        Some((outputs, h)) => State::projected(Tensor::from_slice(context, &[truth.batch, outputs], &h).unwrap(), others).unwrap(),
        None => State::of(others).unwrap(),
    }
}

fn cell(truth: &truth::Stack) -> Option<Cell> {
    match (truth::Cell { projection: None, bias: true, ..truth.cell }) {
        cell if cell == truth::Cell::lstm() => Some(Cell::lstm()),
        cell if cell == truth::Cell::gru() => Some(Cell::gru()),
        cell if cell == truth::Cell::rnn(truth::Activation::Tanh) => Cell::rnn(Activation::Tanh).ok(),
        cell if cell == truth::Cell::rnn(truth::Activation::Relu) => Cell::rnn(Activation::Relu).ok(),
        _ => None,
    }
}

fn check(name: &str, context: &Context, cell: &Cell, truth: &truth::Stack, pull: &truth::Pull) {
    let stack = stack(context, cell, truth);
    let names = truth.cell.states();
    let x = Tensor::from_slice(context, &[truth.frames, truth.batch, truth.inputs], &truth.values.f32("x")).unwrap();
    let first = states(context, truth, names);
    let run = RunOptions { lengths: Some(&truth.lengths), ..RunOptions::default() };
    let expected = truth.solve();
    let (y, last, _) = stack.run_blocking(&x, &first, &run).unwrap();
    assert_close(&format!("{name}: y"), &y.to_vec_blocking().unwrap(), &expected.y, 1e-5, 1e-5);
    for (number, expected) in expected.states.iter().enumerate() {
        let got: Vec<f32> = last.iter().flat_map(|state| state.read_blocking(number).unwrap()).collect();
        assert_close(&format!("{name}: {}", names[number]), &got, expected, 1e-5, 1e-5);
    }

    let (trained, _, tape) = stack.train_blocking(&x, &first, &TrainOptions { run, ..TrainOptions::default() }).unwrap();
    assert_eq!(trained.to_vec_blocking().unwrap(), y.to_vec_blocking().unwrap(), "{name}: without dropout training gives the same");
    let dy = Tensor::from_slice(context, y.shape(), &narrow(&pull.y)).unwrap();
    let d_states: Vec<State> = (0..first.len())
        .map(|layer| {
            let part = |state: usize| {
                let plane = truth.batch * truth.cell.width(names[state], truth.hidden);
                pull.states.get(state).map_or(vec![0.0; plane], |d| narrow(&d[layer * plane..][..plane]))
            };
            state_of(context, truth, (0..names.len()).map(part).collect())
        })
        .collect();
    let (dx, gradients) = stack.backward_blocking(&tape, &dy, &d_states).unwrap();
    let expected = truth.gradients(pull);
    let compare = |part: &str, got: &Tensor| {
        let expected = expected.get(part);
        let largest = expected.iter().fold(1e-3f64, |most, x| most.max(x.abs()));
        assert_close(&format!("{name}: gradient of {part}"), &got.to_vec_blocking().unwrap(), expected, 2e-5 * largest, 0.0);
    };
    compare("x", &dx);
    if truth.shared {
        return;
    }
    for (number, gradients) in gradients.iter().enumerate() {
        let suffix = format!("_l{}{}", number / truth.directions(), if number % truth.directions() == 1 { "_reverse" } else { "" });
        compare(&format!("weight_ih{suffix}"), &gradients.weight_ih);
        compare(&format!("weight_hh{suffix}"), &gradients.weight_hh);
        if let Some(weight_hr) = &gradients.weight_hr {
            compare(&format!("weight_hr{suffix}"), weight_hr);
        }
        if truth.cell.bias {
            compare(&format!("bias_ih{suffix}"), &gradients.bias_ih);
            compare(&format!("bias_hh{suffix}"), &gradients.units.reshape(&[gradients.units.len()]).unwrap());
        }
    }
}

#[test]
fn values_and_gradients_of_pytorch() {
    let cases: Vec<_> = torch_cases().into_iter().filter_map(|case| Some((cell(&case.stack)?, case))).collect();
    assert_eq!(cases.len(), 15);
    assert!(cases.iter().any(|(_, case)| case.stack.cell.projection.is_some()));
    for (name, context) in shared_contexts() {
        for (cell, case) in &cases {
            check(&format!("{name} {}", case.name), &context, cell, &case.stack, &case.pull);
        }
    }
}

/// Numbers for all that a stack needs.
fn fill(truth: &mut truth::Stack) {
    let states = truth.layers * truth.directions() * truth.batch * truth.hidden;
    let states = truth.cell.states().iter().map(|&state| (state.to_owned(), states));
    let all: Vec<(String, usize)> = truth.shapes().into_iter().map(|(name, shape)| (name, shape.iter().product())).chain(states).collect();
    for (name, count) in all {
        let values = truth::wave(&name, count, 0.5);
        truth.values.set(&name, &values.iter().map(|&v| f64::from(v as f32)).collect::<Vec<_>>());
    }
}

fn pull_of(truth: &truth::Stack) -> truth::Pull {
    let states = truth.layers * truth.directions() * truth.batch * truth.hidden;
    truth::Pull {
        y: truth::wave("pull_y", truth.frames * truth.batch * truth.outputs(), 1.0),
        states: truth.cell.states().iter().map(|state| truth::wave(state, states, 0.7)).collect(),
    }
}

#[test]
fn directions_side_by_side_summed_and_with_shared_weights() {
    for (name, context) in shared_contexts() {
        for (merge, shared) in [(TruthMerge::Concat, true), (TruthMerge::Sum, false), (TruthMerge::Sum, true)] {
            let mut truth = truth::Stack::new(truth::Cell::lstm(), 2, Direction::Both, [6, 3, 4, 5]);
            truth.merge = merge;
            truth.shared = shared;
            truth.lengths = vec![6, 0, 4];
            fill(&mut truth);
            let pull = pull_of(&truth);
            check(&format!("{name} {merge:?} shared {shared}"), &context, &Cell::lstm(), &truth, &pull);
        }
    }
}

#[test]
fn dropout_between_levels_is_drawn_from_the_seed_and_has_its_gradient() {
    for (name, context) in shared_contexts() {
        let mut truth = truth::Stack::new(truth::Cell::gru(), 2, Direction::Both, [5, 2, 3, 8]);
        fill(&mut truth);
        let stack = stack(&context, &Cell::gru(), &truth).with_dropout(0.4).unwrap();
        let x = Tensor::from_slice(&context, &[5, 2, 3], &truth.values.f32("x")).unwrap();
        let first = states(&context, &truth, &["h"]);
        let train = |seed| stack.train_blocking(&x, &first, &TrainOptions { seed, ..TrainOptions::default() }).unwrap();
        let (y, _, tape) = train(7);
        let bits = |tensor: &Tensor| -> Vec<u32> { tensor.to_vec_blocking().unwrap().iter().map(|y| y.to_bits()).collect() };
        assert_eq!(bits(&y), bits(&train(7).0), "{name}: the same seed");
        assert_ne!(bits(&y), bits(&train(8).0), "{name}: another seed");

        // Against differences of the same draw: the sum of y by one number of x.
        let ones = Tensor::from_slice(&context, y.shape(), &vec![1.0; y.len()]).unwrap();
        let (dx, _) = stack.backward_blocking(&tape, &ones, &[]).unwrap();
        let dx = dx.to_vec_blocking().unwrap();
        let total = |place: usize, step: f32| -> f64 {
            let mut values = truth.values.f32("x");
            values[place] += step;
            let x = Tensor::from_slice(&context, &[5, 2, 3], &values).unwrap();
            let (y, _, _) = stack.train_blocking(&x, &first, &TrainOptions { seed: 7, ..TrainOptions::default() }).unwrap();
            y.to_vec_blocking().unwrap().iter().map(|&y| f64::from(y)).sum()
        };
        for place in [0, 4, 11, 29] {
            let difference = (total(place, 0.05) - total(place, -0.05)) / 0.1;
            assert!((difference - f64::from(dx[place])).abs() < 3e-3, "{name} x[{place}]: {difference}, got {}", dx[place]);
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let context = Context::cpu();
    let truth = |inputs| {
        let mut truth = truth::Stack::new(truth::Cell::gru(), 1, Direction::Forward, [3, 2, inputs, 4]);
        fill(&mut truth);
        truth
    };
    let level = |inputs| stack(&context, &Cell::gru(), &truth(inputs)).levels()[0].clone();
    let error = Stack::new(Vec::new(), Merge::Concat).unwrap_err();
    assert!(matches!(error, Error::Value { argument: "levels", .. }), "{error}");
    let error = Stack::new(vec![level(3), level(5)], Merge::Concat).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "levels", .. }) && error.to_string().contains("4 inputs"), "{error}");
    let two = Stack::new(vec![level(3), level(4)], Merge::Concat).unwrap();
    assert!(matches!(two.clone().with_dropout(1.0), Err(Error::Value { argument: "dropout", .. })));
    let x = Tensor::zeros(&context, &[3, 2, 3], weft::DType::F32).unwrap();
    let one = [State::zeros(&context, &Cell::gru(), 2, 4).unwrap()];
    let error = two.run_blocking(&x, &one, &RunOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "states", .. }), "{error}");
}

/// Three levels of a cell without norms and parameters, of 5 inputs and 9 units.
fn levels(context: &Context, cell: &Cell) -> Stack {
    let layer = |level: usize| {
        let [inputs, hidden] = [if level == 0 { 5 } else { 9 }, 9];
        let numbers =
            |count: usize, seed: usize| -> Vec<f32> { (0..count).map(|i| ((i * 7 + seed * 13 + level) as f32).sin() * 0.3).collect() };
        let [gates, rows] = [cell.gates().len() * hidden, cell.recurrent().len() * hidden];
        let (weight_ih, weight_hh) = (numbers(gates * inputs, 1), numbers(rows * hidden, 2));
        let (bias_ih, bias_hh) = (numbers(gates, 3), numbers(rows, 4));
        let bias = Some((&bias_ih[..], &bias_hh[..]));
        let weights =
            LayerWeights { input_size: inputs, hidden_size: hidden, weight_ih: &weight_ih, weight_hh: &weight_hh, bias, parameters: &[] };
        Layer::new(context, cell, &weights).unwrap()
    };
    Stack::new((0..3).map(|level| Level::one(layer(level))).collect(), Merge::Concat).unwrap()
}

/// All levels by one recording give the bits of levels one after the other, which calls with resets take.
#[test]
fn a_few_frames_are_one_recording() {
    for (name, context) in shared_contexts() {
        for cell in [Cell::lstm(), Cell::gru(), Cell::li_gru(), Cell::gru_reset_before()] {
            let stack = levels(&context, &cell);
            let x = |frames: usize| {
                let values: Vec<f32> = (0..frames * 2 * 5).map(|i| (i as f32 * 0.7).cos()).collect();
                Tensor::from_slice(&context, &[frames, 2, 5], &values).unwrap()
            };
            let state = |level: usize| {
                let count = cell.states().len() * 2 * 9;
                let values: Vec<f32> = (0..count).map(|i| ((i + level) as f32 * 0.3).sin() * 0.5).collect();
                State::of(Tensor::from_slice(&context, &[cell.states().len(), 2, 9], &values).unwrap()).unwrap()
            };
            let states: Vec<State> = (0..3).map(state).collect();
            for frames in [1, 3] {
                // A reset before the first frame is a state of zero.
                let apart = RunOptions { resets: &[(0, 1)], ..RunOptions::default() };
                let zeroed: Vec<State> = states.iter().map(|state| zeroed(state, 1)).collect();
                let (expected, expected_states, separate) = stack.run_blocking(&x(frames), &states, &apart).unwrap();
                let (y, after, report) = stack.run_blocking(&x(frames), &zeroed, &RunOptions::default()).unwrap();
                let what = format!("{name} {} {frames}", cell.name());
                assert_eq!(y.to_vec_blocking().unwrap(), expected.to_vec_blocking().unwrap(), "{what}");
                for (after, expected) in after.iter().zip(&expected_states) {
                    assert_eq!(after.tensor().to_vec_blocking().unwrap(), expected.tensor().to_vec_blocking().unwrap(), "{what}");
                }
                // Masks of a cell have to come with every layer.
                if context.device().is_some() && cell.masks().is_empty() {
                    assert!(report.submits < separate.submits && report.submits == 1, "{what}: {report:?}, {separate:?}");
                }
            }
            let error = stack.run_blocking(&x(1), &states[..2], &RunOptions::default()).unwrap_err();
            assert!(matches!(error, Error::Shape { argument: "states", .. }), "{error}");
            let wide = Tensor::from_slice(&context, &[1, 2, 6], &[0.0; 12]).unwrap();
            let error = stack.run_blocking(&wide, &states, &RunOptions::default()).unwrap_err();
            assert!(matches!(error, Error::Shape { argument: "x", .. }), "{error}");
        }
    }
}

/// The same state, zero for one sequence.
fn zeroed(state: &State, sequence: usize) -> State {
    let tensor = state.tensor();
    let &[_, batch, hidden] = tensor.shape() else { panic!("a state") };
    let mut values = tensor.to_vec_blocking().unwrap();
    for (place, value) in values.iter_mut().enumerate() {
        if place / hidden % batch == sequence {
            *value = 0.0;
        }
    }
    State::of(Tensor::from_slice(tensor.context(), tensor.shape(), &values).unwrap()).unwrap()
}
