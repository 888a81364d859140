//! Cases of other libraries, whose numbers `tests/fixtures` holds.

use super::activation::Activation;
use super::cell::Cell;
use super::layer::{Pull, Statistics};
use super::norm::Norm;
use super::stack::{Direction, Stack};
use super::values::Values;
use serde_json::Value;

/// The numbers that the recipes give to arrays of this name, rounded to f32.
pub fn wave(name: &str, count: usize, scale: f64) -> Vec<f64> {
    let start = (name.bytes().map(u64::from).sum::<u64>() % 97) as f64;
    let number = |i: f64| scale * (0.37 * start + 1.1 * i + 0.013 * i * i).sin();
    (0..count).map(|i| f64::from(number(i as f64) as f32)).collect()
}

pub fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

pub fn counts(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

pub fn arrays(value: &Value) -> Values {
    Values(value.as_object().unwrap().iter().map(|(name, numbers)| (name.clone(), list(numbers))).collect())
}

/// A stack of torch, what it is pulled by, and what torch computed.
pub struct TorchCase {
    pub name: String,
    pub stack: Stack,
    pub pull: Pull,
    pub y: Vec<f64>,
    /// h, and c of an LSTM: [L D, N, H].
    pub states: Vec<Vec<f64>>,
    /// Of x, the weights and the first states, by torch's names.
    pub gradients: Values,
}

/// All of `recurrent_torch.json`; its numbers are rounded to ten digits after the point.
pub fn torch_cases() -> Vec<TorchCase> {
    let file: Value = serde_json::from_str(include_str!("../../fixtures/recurrent_torch.json")).unwrap();
    let case = |case: &Value| {
        let name = case["cell"].as_str().unwrap();
        let cell = match name {
            "rnn_tanh" => Cell::rnn(Activation::Tanh),
            "rnn_relu" => Cell::rnn(Activation::Relu),
            "lstm" => Cell::lstm(),
            "gru" => Cell::gru(),
            other => panic!("no cell {other}"),
        };
        let projection = case["projection"].as_u64().unwrap() as usize;
        let cell = Cell { bias: case["bias"].as_bool().unwrap(), projection: (projection > 0).then_some(projection), ..cell };
        let direction = if case["both_directions"].as_bool().unwrap() { Direction::Both } else { Direction::Forward };
        let layers = case["layers"].as_u64().unwrap() as usize;
        let shape: [usize; 4] = counts(&case["shape"]).try_into().unwrap();
        let mut stack = Stack::new(cell, layers, direction, shape);
        stack.lengths = counts(&case["lengths"]);
        for (name, shape) in stack.shapes() {
            let scale = if cell.states().contains(&&*name) || name == "x" { 1.0 } else { 0.6 };
            stack.values.set(&name, &wave(&name, shape.iter().product(), scale));
        }
        let results = arrays(&case["results"]);
        let pulled = |name: &str| wave(&format!("pull_{name}"), results.get(name).len(), 1.0);
        TorchCase {
            name: format!("{name}, {layers} layers, {direction:?}, projection {projection}, {shape:?}"),
            pull: Pull { y: pulled("y"), states: cell.states().iter().map(|name| pulled(name)).collect() },
            y: results.get("y").to_vec(),
            states: cell.states().iter().map(|name| results.get(name).to_vec()).collect(),
            gradients: arrays(&case["gradients"]),
            stack,
        }
    };
    file["cases"].as_array().unwrap().iter().map(case).collect()
}

/// A LiGRU or SLiGRU of SpeechBrain, with our names and layouts, and what SpeechBrain computed.
pub struct SpeechbrainCase {
    pub name: String,
    pub stack: Stack,
    pub pull: Pull,
    pub y: Vec<f64>,
    /// Of x, the weights that are trained, and h where it was given.
    pub gradients: Values,
    /// Running mean and variance of each layer afterwards; empty without batch norm.
    pub running: Vec<Statistics>,
    pub training: bool,
}

/// Weight of new statistics in SpeechBrain's running ones.
pub const SPEECHBRAIN_MOMENTUM: f64 = 0.05;

/// Layer and name of SpeechBrain's, as ours: `0.w.weight` is `weight_ih_l0`.
fn speechbrain_name(name: &str) -> String {
    let Some((layer, part)) = name.split_once('.') else { return name.to_owned() };
    let ours = match part {
        "w.weight" => "weight_ih",
        "u.weight" => "weight_hh",
        "norm.weight" => "norm_ih.weight",
        "norm.bias" => "bias_ih",
        "norm.running_mean" => "norm_ih.running_mean",
        "norm.running_var" => "norm_ih.running_var",
        "layer_norm.weight" => "norm_hh.weight",
        "layer_norm.bias" => "bias_hh",
        other => panic!("no {other}"),
    };
    format!("{ours}_l{layer}")
}

/// [A, B, C] as [B, A, C].
fn swapped(numbers: &[f64], a: usize, b: usize) -> Vec<f64> {
    let width = numbers.len() / (a * b);
    (0..b).flat_map(|j| (0..a).flat_map(move |i| numbers[(i * b + j) * width..][..width].to_vec())).collect()
}

/// All of `recurrent_speechbrain.json`; its numbers are rounded to ten digits after the point.
pub fn speechbrain_cases() -> Vec<SpeechbrainCase> {
    let file: Value = serde_json::from_str(include_str!("../../fixtures/recurrent_speechbrain.json")).unwrap();
    file["cases"].as_array().unwrap().iter().map(speechbrain_case).collect()
}

fn speechbrain_case(case: &Value) -> SpeechbrainCase {
    let flag = |name: &str| case[name].as_bool().unwrap();
    let word = |name: &str| case[name].as_str().unwrap();
    let [frames, batch, inputs, hidden]: [usize; 4] = counts(&case["shape"]).try_into().unwrap();
    let layers = case["layers"].as_u64().unwrap() as usize;
    let dropout = case["dropout"].as_f64().unwrap();
    let training = flag("training");
    let plain = if word("cell") == "LiGRU" { Cell::li_gru() } else { Cell::sli_gru() };
    let cell = Cell {
        candidate: match word("nonlinearity") {
            "relu" => Activation::Relu,
            "tanh" => Activation::Tanh,
            "sin" => Activation::Sin,
            "leaky_relu" => Activation::LeakyRelu(0.01),
            other => panic!("no {other}"),
        },
        norm_ih: Some(match word("norm") {
            "batchnorm" if training => Norm::BATCH,
            "batchnorm" => Norm::RUNNING,
            // What is no name of a norm is a layer norm too.
            _ => Norm::LAYER,
        }),
        ..plain
    };
    let direction = if flag("both_directions") { Direction::Both } else { Direction::Forward };
    let mut stack = Stack::new(cell, layers, direction, [frames, batch, inputs, hidden]);
    stack.shared = true;
    for (name, shape) in stack.shapes() {
        let ones = name.starts_with("norm") && !name.contains("mean");
        stack.values.set(&name, &vec![if ones { 1.0 } else { 0.0 }; shape.iter().product()]);
    }
    let mut given = vec!["x".to_owned()];
    given.extend(flag("state").then(|| "h".to_owned()));
    for layer in 0..layers {
        let mut parts = vec!["w.weight", "u.weight", "norm.weight"];
        parts.extend(flag("bias").then_some("norm.bias"));
        parts.extend((cell.norm_ih == Some(Norm::RUNNING)).then_some(["norm.running_mean", "norm.running_var"]).into_iter().flatten());
        parts.extend(flag("affine").then_some(["layer_norm.weight", "layer_norm.bias"]).into_iter().flatten());
        given.extend(parts.iter().map(|part| format!("{layer}.{part}")));
    }
    for theirs in given {
        let ours = speechbrain_name(&theirs);
        let count = stack.values.get(&ours).len();
        let around_one = || wave(&theirs, count, 0.5).iter().map(|x| f64::from((1.0 + x) as f32)).collect();
        let numbers = match &*theirs {
            "x" => swapped(&wave("x", count, 1.0), batch, frames),
            "h" => wave("h", count, 1.0),
            _ if theirs.ends_with("norm.weight") || theirs.ends_with("running_var") => around_one(),
            _ => wave(&theirs, count, 0.6),
        };
        stack.values.set(&ours, &numbers);
    }
    let directions = stack.directions();
    if training {
        let mask = |layer: usize| wave(&format!("mask_{layer}"), directions * batch * hidden, 1.0);
        let factor = |x: f64| if x > -0.3 { 1.0 / (1.0 - dropout) } else { 0.0 };
        stack.masks = (0..layers).flat_map(mask).map(factor).collect();
    }
    let y = list(&case["y"]);
    let mut gradients: Values = Values(arrays(&case["gradients"]).0.into_iter().map(|(name, g)| (speechbrain_name(&name), g)).collect());
    gradients.set("x", &swapped(gradients.get("x"), batch, frames));
    let running = arrays(&case["running"]);
    SpeechbrainCase {
        name: format!("{} {} {}, {layers} layers, {direction:?}, training: {training}", word("cell"), word("nonlinearity"), word("norm")),
        pull: Pull { y: swapped(&wave("pull_y", y.len(), 1.0), batch, frames), states: Vec::new() },
        y: swapped(&y, batch, frames),
        gradients,
        running: (0..if running.0.is_empty() { 0 } else { layers })
            .map(|layer| {
                let of = |part: &str| running.get(&format!("{layer}.norm.running_{part}")).to_vec();
                Statistics { mean: of("mean"), variance: of("var") }
            })
            .collect(),
        training,
        stack,
    }
}
