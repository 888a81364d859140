//! Silero VAD v6: against onnxruntime's numbers, against an f64 network of its own, and with bad input.
//! The weights and the recording are fetched once, as the example does it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
#[path = "../examples/vad/fetch/mod.rs"]
mod fetch;

use common::{Lcg, assert_close, difference};
use std::ops::ControlFlow;
use weft::recurrent::Tier;
use weft::speech::{SegmentOptions, Vad, VadOptions, segments};
use weft::{Context, Error, Weights};

/// The CPU's sums of up to 387 products differ from onnxruntime's in their order only.
const CPU_TOLERANCE: f64 = 1e-5;
/// GPUs may also compute exp and sqrt to a few units in the last place, which the state carries on.
const GPU_TOLERANCE: f64 = 1e-4;

fn tolerance(context: &Context) -> f64 {
    if context.caps().backend == "cpu" { CPU_TOLERANCE } else { GPU_TOLERANCE }
}

fn weights() -> Weights {
    Weights::read(fetch::weights().unwrap()).unwrap()
}

/// The sample recording: mono, 16 kHz.
fn recording() -> Vec<f32> {
    let mut reader = hound::WavReader::open(fetch::sample().unwrap()).unwrap();
    assert_eq!((reader.spec().channels, reader.spec().sample_rate), (1, Vad::SAMPLE_RATE));
    reader.samples::<i16>().map(|s| f32::from(s.unwrap()) / 32768.0).collect()
}

fn golden() -> Vec<f64> {
    let golden: serde_json::Value = serde_json::from_str(include_str!("fixtures/silero_beckett.json")).unwrap();
    golden["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect()
}

/// The network in f64, layer by layer as its authors describe it; h and c are the state.
struct Oracle {
    stft: Vec<f64>,
    convolutions: Vec<(Vec<f64>, Vec<f64>, usize)>,
    lstm: [Vec<f64>; 4],
    output: (Vec<f64>, f64),
    context: [f64; 64],
    h: Vec<f64>,
    c: Vec<f64>,
}

impl Oracle {
    fn new(weights: &Weights) -> Self {
        let get = |name: &str| weights.get(name).unwrap().into_iter().map(f64::from).collect::<Vec<f64>>();
        Self {
            stft: get("stft.weight"),
            convolutions: [1, 2, 2, 1]
                .iter()
                .enumerate()
                .map(|(i, &stride)| (get(&format!("conv{}.weight", i + 1)), get(&format!("conv{}.bias", i + 1)), stride))
                .collect(),
            lstm: ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|part| get(&format!("lstm.{part}"))),
            output: (get("output.weight"), get("output.bias")[0]),
            context: [0.0; 64],
            h: vec![0.0; 128],
            c: vec![0.0; 128],
        }
    }

    fn frame(&mut self, samples: &[f32]) -> f64 {
        let mut window: Vec<f64> = self.context.iter().copied().chain(samples.iter().map(|&s| f64::from(s))).collect();
        self.context.copy_from_slice(&window[512..]);
        for i in 0..64 {
            window.push(window[574 - i]);
        }
        // [channel][time]
        let mut x: Vec<Vec<f64>> = (0..129)
            .map(|bin| {
                let part = |row: usize, t: usize| -> f64 { (0..256).map(|k| self.stft[row * 256 + k] * window[t * 128 + k]).sum() };
                (0..4).map(|t| part(bin, t).hypot(part(129 + bin, t))).collect()
            })
            .collect();
        for (weight, bias, stride) in &self.convolutions {
            let (channels, length) = (x.len(), x[0].len());
            x = (0..bias.len())
                .map(|n| {
                    (0..length.div_ceil(*stride))
                        .map(|t| {
                            let mut sum = bias[n];
                            for c in 0..channels {
                                for k in 0..3 {
                                    // Padding of one on both sides.
                                    if let Some(v) = (t * stride + k).checked_sub(1).and_then(|at| x[c].get(at)) {
                                        sum += weight[(n * channels + c) * 3 + k] * v;
                                    }
                                }
                            }
                            sum.max(0.0)
                        })
                        .collect()
                })
                .collect();
        }
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        let [ih, hh, bih, bhh] = &self.lstm;
        let gates: Vec<f64> = (0..512)
            .map(|row| {
                let product: f64 = (0..128).map(|j| ih[row * 128 + j] * x[j][0] + hh[row * 128 + j] * self.h[j]).sum();
                product + bih[row] + bhh[row]
            })
            .collect();
        for j in 0..128 {
            self.c[j] = sigmoid(gates[128 + j]) * self.c[j] + sigmoid(gates[j]) * gates[256 + j].tanh();
            self.h[j] = sigmoid(gates[384 + j]) * self.c[j].tanh();
        }
        let (weight, bias) = &self.output;
        sigmoid(weight.iter().zip(&self.h).map(|(w, h)| w * h.max(0.0)).sum::<f64>() + bias)
    }

    fn run(&mut self, samples: &[f32]) -> Vec<f64> {
        samples.chunks_exact(512).map(|frame| self.frame(frame)).collect()
    }
}

#[test]
fn probabilities_are_those_of_onnxruntime() {
    let (samples, golden) = (recording(), golden());
    assert_eq!(golden.len(), samples.len() / Vad::FRAME);
    // The oracle first: what follows is compared with it where there are no golden numbers.
    let oracle: Vec<f32> = Oracle::new(&weights()).run(&samples).into_iter().map(|p| p as f32).collect();
    assert_close("f64 oracle", &oracle, &golden, 1e-5, 0.0);
    let contexts = common::contexts();
    for (place, (name, context)) in contexts.iter().enumerate() {
        // Three seconds in all but the last variant of a software adapter, which would take a minute.
        let caps = context.caps();
        let whole = caps.backend == "cpu" || !caps.is_software() || place + 1 == contexts.len();
        let frames = if whole { golden.len() } else { 94 };
        let (samples, golden) = (&samples[..frames * Vad::FRAME], &golden[..frames]);
        let vad = Vad::load(context, &weights()).unwrap();
        let got = vad.probabilities_blocking(samples, VadOptions::default()).unwrap();
        assert_close(name, &got, golden, tolerance(context), 0.0);
        let off = got.iter().zip(golden).map(|(got, golden)| (f64::from(*got) - golden).abs()).fold(0.0, f64::max);
        println!("{name}: {frames} frames, off by at most {off:.1e}");
        // The comparison can fail: one frame later is another curve.
        let later: Vec<f64> = golden[1..].iter().chain(&golden[..1]).copied().collect();
        assert!(difference(&got, &later, tolerance(context), 0.0).is_some());

        let found = segments(&got, samples.len(), &SegmentOptions::default());
        assert!(found.len() >= 2 && found.is_sorted_by(|a, b| a.end_s <= b.start_s), "{found:?}");
    }
}

/// Each tier that takes the LSTM's steps, and pieces of any length by it.
#[test]
fn tiers_give_the_same_probabilities() {
    let frames = 94;
    let (samples, golden) = (recording()[..frames * Vad::FRAME].to_vec(), golden()[..frames].to_vec());
    for (name, context) in common::contexts_together() {
        let vad = Vad::load(&context, &weights()).unwrap();
        for tier in [Tier::Stepped, Tier::Local, Tier::Persistent] {
            let vad = vad.with_tier(tier);
            let got = match vad.probabilities_blocking(&samples, VadOptions::default()) {
                Ok(got) => got,
                // Four workgroups have room for few weights, less where lanes do not sum by shuffles.
                Err(error @ Error::Tier { .. }) => {
                    let caps = context.caps();
                    assert!(tier == Tier::Persistent && name != "cpu" && caps.is_software() && caps.subgroups.is_none(), "{name}: {error}");
                    println!("{name}: {error}");
                    continue;
                }
                Err(error) => panic!("{name}, {tier}: {error}"),
            };
            assert_close(&format!("{name}, {tier}"), &got, &golden, tolerance(&context), 0.0);
            let mut stream = vad.stream().unwrap();
            let pieces: Vec<f32> = samples[..12_000].chunks(5000).flat_map(|piece| stream.push_blocking(piece).unwrap()).collect();
            if tier == Tier::Persistent {
                // What waits in vain is summed in another order.
                assert_close(&format!("{name}, {tier}, in pieces"), &pieces, &golden[..pieces.len()], tolerance(&context), 0.0);
            } else {
                assert_eq!(pieces, got[..pieces.len()], "{name}, {tier}");
            }
        }
        let error = vad.with_tier(Tier::Scan).probabilities_blocking(&samples, VadOptions::default()).unwrap_err();
        assert!(matches!(error, Error::Tier { tier: "scan", .. }), "{error}");
    }
}

#[test]
fn noise_silence_and_loud_sound_agree_with_the_oracle() {
    let mut random = Lcg(3);
    let mut sound = random.list(5 * 512, 1.0);
    sound.extend([0.0; 4 * 512]);
    sound.extend(random.list(3 * 512, 1e-3));
    // Far beyond full scale: gates saturate, nothing overflows.
    sound.extend(random.list(3 * 512 + 17, 1e4));
    let expected = Oracle::new(&weights()).run(&sound);
    assert_eq!(expected.len(), 15);
    for (name, context) in common::contexts() {
        let vad = Vad::load(&context, &weights()).unwrap();
        let got = vad.probabilities_blocking(&sound, VadOptions::default()).unwrap();
        assert_close(&name, &got, &expected, tolerance(&context), 0.0);
    }
}

#[test]
fn pieces_of_any_length_give_the_same_bits() {
    // 64 rows and more take another variant of the linear kernel than the pieces do.
    let samples = &recording()[20_000..20_000 + 65 * 512 + 100];
    for (name, context) in common::contexts() {
        let vad = Vad::load(&context, &weights()).unwrap();
        let whole = vad.probabilities_blocking(samples, VadOptions::default()).unwrap();
        assert_eq!(whole.len(), 65);
        let mut stream = vad.stream().unwrap();
        let (mut pieces, mut rest, mut length) = (Vec::new(), samples, 1);
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(length.min(rest.len()));
            pieces.extend(stream.push_blocking(piece).unwrap());
            rest = others;
            // 1, 8, 57, 400, 2801, 1608, …: less than a frame, several frames, neither a multiple.
            length = (length * 7 + 1) % 9000;
        }
        assert_eq!(pieces, whole, "{name}");
        // From the start again.
        stream.reset().unwrap();
        assert_eq!(stream.push_blocking(&samples[..3 * 512]).unwrap(), whole[..3], "{name} after reset");
    }
}

#[test]
fn a_stream_starts_without_memory_of_another() {
    let samples = &recording()[30_000..30_000 + 6 * 512];
    let vad = Vad::load(&Context::cpu(), &weights()).unwrap();
    let (mut first, mut second) = (vad.stream().unwrap(), vad.stream().unwrap());
    let alone = first.push_blocking(samples).unwrap();
    // Interleaved with the other, which is further on.
    for (frame, expected) in samples.chunks_exact(512).zip(&alone) {
        first.push_blocking(frame).unwrap();
        assert_eq!(second.push_blocking(frame).unwrap(), [*expected]);
    }
}

#[test]
fn less_than_a_frame_gives_nothing() {
    for (name, context) in common::contexts() {
        let vad = Vad::load(&context, &weights()).unwrap();
        for length in [0, 1, 511] {
            let got = vad.probabilities_blocking(&vec![0.1; length], VadOptions::default()).unwrap();
            assert!(got.is_empty(), "{name}, {length} samples");
        }
        let silence = vad.probabilities_blocking(&[0.0; 512 * 3 - 1], VadOptions::default()).unwrap();
        assert_eq!(silence.len(), 2);
        assert!(silence.iter().all(|&p| p < 0.1), "{silence:?}");
    }
}

#[test]
fn progress_is_told_and_cancel_is_heard() {
    let samples = vec![0.0; (2 * Vad::BATCH + 1) * Vad::FRAME];
    let vad = Vad::load(&Context::cpu(), &weights()).unwrap();
    let mut told = Vec::new();
    let mut note = |done: usize, of: usize| {
        told.push((done, of));
        ControlFlow::Continue(())
    };
    vad.probabilities_blocking(&samples, VadOptions { progress: Some(&mut note) }).unwrap();
    let frames = 2 * Vad::BATCH + 1;
    assert_eq!(told, [(Vad::BATCH, frames), (2 * Vad::BATCH, frames), (frames, frames)]);

    let mut stop = |done: usize, _| if done > Vad::BATCH { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let stopped = vad.probabilities_blocking(&samples, VadOptions { progress: Some(&mut stop) });
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
}

#[test]
fn samples_that_are_no_numbers_are_named_and_leave_the_stream_as_it_was() {
    let samples = &recording()[30_000..30_000 + 4 * 512];
    for (name, context) in common::contexts() {
        let vad = Vad::load(&context, &weights()).unwrap();
        let mut stream = vad.stream().unwrap();
        let mut got = stream.push_blocking(&samples[..700]).unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut broken = samples[700..].to_vec();
            broken[5] = bad;
            let error = stream.push_blocking(&broken).unwrap_err();
            assert!(matches!(&error, Error::Value { argument: "samples", value, .. } if value.contains("index 5")), "{error}");
        }
        got.extend(stream.push_blocking(&samples[700..]).unwrap());
        assert_eq!(got, vad.probabilities_blocking(samples, VadOptions::default()).unwrap(), "{name}");
    }
}

/// A copy of the weights file with one tensor changed.
fn altered(change: impl Fn(&str, &mut Vec<usize>, &mut Vec<u8>) -> bool) -> Vec<u8> {
    let file = std::fs::read(fetch::weights().unwrap()).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let mut kept = Vec::new();
    for (name, view) in tensors.tensors() {
        let (mut shape, mut data) = (view.shape().to_vec(), view.data().to_vec());
        if change(&name, &mut shape, &mut data) {
            kept.push((name, view.dtype(), shape, data));
        }
    }
    let views =
        kept.iter().map(|(name, dtype, shape, data)| (name, safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn wrong_weights_are_told_by_name() {
    let load = |bytes: Vec<u8>| Weights::from_bytes(bytes).and_then(|weights| Vad::load(&Context::cpu(), &weights)).map(|_| ());
    let names = weights().names();
    assert_eq!(names.len(), 15);
    for gone in &names {
        let error = load(altered(|name, _, _| name != gone)).unwrap_err();
        assert!(matches!(&error, Error::Weights { name, .. } if name.contains(gone.as_str())), "{gone}: {error}");
    }
    for wrong in &names {
        // As many numbers, another shape.
        let error = load(altered(|name, shape, _| {
            if name == wrong {
                shape.push(1);
            }
            true
        }))
        .unwrap_err();
        assert!(matches!(&error, Error::Weights { name, .. } if name.contains(wrong.as_str())), "{wrong}: {error}");
    }
    let error = load(altered(|name, _, data| {
        if name == "conv2.bias" {
            data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        }
        true
    }))
    .unwrap_err();
    assert!(matches!(&error, Error::Weights { name, .. } if name.contains("conv2.bias")), "{error}");

    let file = std::fs::read(fetch::weights().unwrap()).unwrap();
    for length in [0, 7, 100, file.len() / 2, file.len() - 1] {
        let error = load(file[..length].to_vec()).unwrap_err();
        assert!(matches!(error, Error::Weights { .. }), "{length} B: {error}");
    }
}
