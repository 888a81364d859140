//! Weights of other libraries, with what these compute with them.

use crate::truth::{Activation, Cell, Direction, Problem, Stack, counts, list, onnx_cases, speechbrain_cases, torch_cases, wave};
use crate::{array, bare, file};
use serde_json::Value;
use weft::recurrent::orders::{Gated, HostWeights, Order, export, import};

/// That these are the weights of one layer of a stack of the truth.
fn assert_same(what: &str, got: &[HostWeights], stack: &Stack, layer: usize) {
    let directions = if stack.shared { 1 } else { stack.directions() };
    assert_eq!(got.len(), directions, "{what}");
    for (d, got) in got.iter().enumerate() {
        let reverse = !stack.shared && (d == 1 || stack.direction == Direction::Reverse);
        let expected = |name: &str| stack.values.f32(&format!("{name}_l{layer}{}", if reverse { "_reverse" } else { "" }));
        assert_eq!(got.weight_ih, expected("weight_ih"), "{what}");
        assert_eq!(got.weight_hh, expected("weight_hh"), "{what}");
        if let Some(bias) = &got.bias {
            assert_eq!(bias, &[expected("bias_ih"), expected("bias_hh")], "{what}");
        }
        if let Some(projection) = &got.weight_hr {
            assert_eq!(projection, &expected("weight_hr"), "{what}");
        }
        if let Some([i, f, o]) = &got.peepholes {
            let f_too = if stack.cell.coupled { f.clone() } else { expected("weight_cf") };
            assert_eq!([i, f, o], [&expected("weight_ci"), &f_too, &expected("weight_co")], "{what}");
        }
        if let Some(norm) = &got.norm_ih {
            assert_eq!([&norm.weight, &norm.bias], [&expected("norm_ih.weight"), &expected("bias_ih")], "{what}");
        }
        if let Some(norm) = &got.norm_hh {
            assert_eq!([&norm.weight, &norm.bias], [&expected("norm_hh.weight"), &expected("bias_hh")], "{what}");
        }
    }
}

fn f32s(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|&x| x as f32).collect()
}

#[test]
fn nodes_of_onnx() {
    for case in onnx_cases() {
        let inputs = case.inputs.iter().filter(|(name, _)| ["W", "R", "B", "P"].contains(&name.as_str()));
        let arrays: Vec<_> = inputs.map(|(name, input)| array(&format!("node_{name}"), &input.shape, &f32s(&input.data))).collect();
        let cell = match &*case.operator {
            "RNN" => Gated::Rnn,
            "LSTM" if case.attributes["input_forget"] == 1 => Gated::LstmCoupled,
            "LSTM" => Gated::Lstm,
            _ if case.attributes["linear_before_reset"] == 1 => Gated::GruResetAfter,
            _ => Gated::GruResetBefore,
        };
        let got = import(&file(&arrays), |part| format!("node_{part}"), Order::Onnx, cell).unwrap();
        assert_eq!(got.iter().all(|w| w.bias.is_some()), case.inputs.contains_key("B"));
        assert_eq!(got.iter().all(|w| w.peepholes.is_some()), case.inputs.contains_key("P"));
        assert_same(&case.name, &got, &case.stack(), 0);
        // The file again, in ONNX's order; rows that nothing reads are zeros now.
        for array in export(&got, Order::Onnx, cell).unwrap() {
            let mut expected = f32s(&case.inputs[&array.name].data);
            if cell == Gated::LstmCoupled && array.name != "P" {
                let blocks = array.shape.iter().product::<usize>() / array.shape[0];
                let size = if array.name == "B" { blocks / 8 } else { blocks / 4 };
                expected.chunks_exact_mut(size).skip(2).step_by(4).for_each(|forget| forget.fill(0.0));
            }
            assert_eq!((&array.shape, array.data), (&case.inputs[&array.name].shape, expected), "{}", case.name);
        }
    }
}

#[test]
fn modules_of_torch() {
    for case in torch_cases() {
        let stack = &case.stack;
        let arrays: Vec<_> = stack
            .shapes()
            .into_iter()
            .filter(|(name, _)| name.contains("_l"))
            .map(|(name, shape)| array(&name, &shape, &stack.values.f32(&name)))
            .collect();
        let cell = match (stack.cell.gates(), stack.cell.bias) {
            (1, _) => Gated::Rnn,
            (3, _) => Gated::GruResetAfter,
            _ => Gated::Lstm,
        };
        for layer in 0..stack.layers {
            let got = import(&file(&arrays), bare, Order::PyTorch { layer }, cell).unwrap();
            assert!(got.iter().all(|w| w.bias.is_some() == stack.cell.bias && w.weight_hr.is_some() == stack.cell.projection.is_some()));
            assert_same(&case.name, &got, stack, layer);
        }
    }
}

#[test]
fn checkpoints_of_speechbrain() {
    for case in speechbrain_cases() {
        let stack = &case.stack;
        let recurrent = case.gradients.0.contains_key("norm_hh.weight_l0");
        for layer in 0..stack.layers {
            let rows = 2 * stack.hidden;
            let inputs = if layer == 0 { stack.inputs } else { stack.outputs() };
            let get = |name: &str| stack.values.f32(&format!("{name}_l{layer}"));
            let named = |part: &str, shape: &[usize], ours: &str| array(&format!("rnn.{layer}.{part}"), shape, &get(ours));
            // As LiGRU writes them: masks and counters too.
            let mut arrays = vec![
                array(&format!("rnn.{layer}.h_init"), &[1, stack.hidden], &vec![0.0; stack.hidden]),
                array(&format!("rnn.{layer}.drop_masks"), &[16, stack.hidden], &vec![f32::NAN; 16 * stack.hidden]),
                array(&format!("rnn.{layer}.drop_mask_te"), &[1], &[1.0]),
                array(&format!("rnn.{layer}.norm.num_batches_tracked"), &[], &[1.0]),
                named("w.weight", &[rows, inputs], "weight_ih"),
                named("u.weight", &[rows, stack.hidden], "weight_hh"),
                named("norm.weight", &[rows], "norm_ih.weight"),
                named("norm.bias", &[rows], "bias_ih"),
            ];
            let running = [vec![0.5; rows], vec![1.5; rows]];
            for (part, data) in ["running_mean", "running_var"].iter().zip(&running) {
                if !case.running.is_empty() {
                    arrays.push(array(&format!("rnn.{layer}.norm.{part}"), &[rows], data));
                }
            }
            if recurrent {
                arrays.push(named("layer_norm.weight", &[rows], "norm_hh.weight"));
                arrays.push(named("layer_norm.bias", &[rows], "bias_hh"));
            }
            let got = import(&file(&arrays), |part| format!("rnn.{layer}.{part}"), Order::SpeechBrain, Gated::LiGru).unwrap();
            assert_same(&case.name, &got, stack, layer);
            assert_eq!(got[0].norm_hh.is_some(), recurrent);
            assert_eq!(got[0].norm_ih.as_ref().unwrap().running, (!case.running.is_empty()).then_some(running));
        }
    }
}

/// The cell with these weights, on the numbers that the recipes use.
fn problem(cell: Cell, weights: &HostWeights, [frames, batch]: [usize; 2]) -> Problem {
    let mut problem = Problem::new(cell, [frames, batch, weights.input_size, weights.hidden_size]);
    let wide = |numbers: &[f32]| numbers.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    problem.values.set("weight_ih", &wide(&weights.weight_ih));
    problem.values.set("weight_hh", &wide(&weights.weight_hh));
    if let Some([ih, hh]) = &weights.bias {
        problem.values.set("bias_ih", &wide(ih));
        problem.values.set("bias_hh", &wide(hh));
    }
    for name in ["x"].iter().chain(cell.states()) {
        let count = problem.values.get(name).len();
        problem.values.set(name, &wave(name, count, 1.0));
    }
    problem
}

#[track_caller]
fn assert_near(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (g, e) in got.iter().zip(expected) {
        // Theirs are f32.
        assert!((g - e).abs() < 2e-6, "{what}: got {g}, expected {e}");
    }
}

#[test]
fn layers_of_keras() {
    let golden: Value = serde_json::from_str(include_str!("../fixtures/recurrent_keras.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let options = &case["options"];
        let (gated, cell) = match case["layer"].as_str().unwrap() {
            "SimpleRNN" => (Gated::Rnn, Cell::rnn(Activation::Tanh)),
            "LSTM" => (Gated::Lstm, Cell::lstm()),
            _ if options["reset_after"] == true => (Gated::GruResetAfter, Cell::gru()),
            _ => (Gated::GruResetBefore, Cell::gru_reset_before()),
        };
        let hard = options["recurrent_activation"] == "hard_sigmoid";
        let cell = Cell { gate: if hard { Activation::HardSigmoid(1.0 / 6.0, 0.5) } else { cell.gate }, ..cell };
        let arrays = case["weights"].as_object().unwrap().iter().map(|(name, shape)| {
            let shape = counts(shape);
            array(name, &shape, &f32s(&wave(name, shape.iter().product(), 0.8)))
        });
        let layers = import(&file(&arrays.collect::<Vec<_>>()), bare, Order::Keras, gated).unwrap();
        let [frames, batch, ..] = counts(&case["shape"])[..] else { panic!("no shape") };
        let mut problem = problem(cell, &layers[0], [frames, batch]);
        problem.reverse = options["go_backwards"] == true;
        let solution = problem.solve();
        let mut y: Vec<&[f64]> = solution.y.chunks_exact(batch * problem.hidden).collect();
        if problem.reverse {
            // Keras gives frames as it does them.
            y.reverse();
        }
        let what = format!("{} {options}", case["layer"]);
        assert_near(&what, &y.concat(), &list(&case["y"]));
        for (got, expected) in solution.states.iter().zip(case["states"].as_array().unwrap()) {
            assert_near(&what, got, &list(expected));
        }
    }
}

#[test]
fn basic_lstm_cell_of_tensorflow_js() {
    let golden: Value = serde_json::from_str(include_str!("../fixtures/recurrent_tfjs.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    for case in cases {
        let forget_bias = case["forget_bias"].as_f64().unwrap() as f32;
        let [frames, batch, inputs, hidden] = counts(&case["shape"])[..] else { panic!("no shape") };
        let shapes: [(&str, &[usize]); 2] = [("kernel", &[inputs + hidden, 4 * hidden]), ("bias", &[4 * hidden])];
        let arrays = shapes.map(|(name, shape)| array(name, shape, &f32s(&wave(name, shape.iter().product(), 0.8))));
        let layers = import(&file(&arrays), bare, Order::TfBasicLstm { forget_bias }, Gated::Lstm).unwrap();
        let solution = problem(Cell::lstm(), &layers[0], [frames, batch]).solve();
        assert_near("h", &solution.states[0], &list(&case["h"]));
        assert_near("c", &solution.states[1], &list(&case["c"]));
    }
}
