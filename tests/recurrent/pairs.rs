//! The library's cells beside those of the truth. Needs `crate::truth`.
#![allow(dead_code, reason = "each test crate uses its part")]
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::truth;
use weft::recurrent::cells::{Activation, Cell, ForgetGate, GruOptions, LiGruOptions, LstmOptions, NormSpan, Reset};

/// One cell, twice.
pub struct Pair {
    pub name: String,
    pub cell: Cell,
    pub truth: truth::Cell,
}

pub fn activation(activation: Activation) -> truth::Activation {
    let f = f64::from;
    match activation {
        Activation::Identity => truth::Activation::Identity,
        Activation::Tanh => truth::Activation::Tanh,
        Activation::Sigmoid => truth::Activation::Sigmoid,
        Activation::Relu => truth::Activation::Relu,
        Activation::LeakyRelu(alpha) => truth::Activation::LeakyRelu(f(alpha)),
        Activation::ThresholdedRelu(alpha) => truth::Activation::ThresholdedRelu(f(alpha)),
        Activation::Sin => truth::Activation::Sin,
        Activation::HardSigmoid(alpha, beta) => truth::Activation::HardSigmoid(f(alpha), f(beta)),
        Activation::HardTanh => truth::Activation::HardTanh(-1.0, 1.0),
        Activation::Affine(alpha, beta) => truth::Activation::Affine(f(alpha), f(beta)),
        Activation::ScaledTanh(alpha, beta) => truth::Activation::ScaledTanh(f(alpha), f(beta)),
        Activation::Elu(alpha) => truth::Activation::Elu(f(alpha)),
        Activation::Softplus => truth::Activation::Softplus,
        Activation::Softsign => truth::Activation::Softsign,
    }
}

fn norm(span: NormSpan) -> truth::Norm {
    truth::Norm::Layer { eps: 1e-5, each_gate: span == NormSpan::Gate }
}

pub fn lstm(options: LstmOptions) -> truth::Cell {
    truth::Cell {
        gate: activation(options.gates),
        candidate: activation(options.candidate),
        output: activation(options.output),
        gate_clip: options.gate_clip.map(f64::from),
        cell_clip: options.cell_clip.map(f64::from),
        peepholes: options.peepholes,
        coupled: options.coupled,
        norm_ih: options.layer_norm.map(norm),
        norm_hh: options.layer_norm.map(norm),
        norm_c: options.layer_norm.map(|_| truth::Norm::LAYER),
        ..truth::Cell::lstm()
    }
}

pub fn gru(options: GruOptions) -> truth::Cell {
    truth::Cell {
        gate: activation(options.gates),
        candidate: activation(options.candidate),
        gate_clip: options.gate_clip.map(f64::from),
        norm_ih: options.layer_norm.map(norm),
        norm_hh: options.layer_norm.map(norm),
        ..if options.reset == Reset::After { truth::Cell::gru() } else { truth::Cell::gru_reset_before() }
    }
}

/// The bias of an affine norm is the truth's `bias_hh`.
pub fn li_gru(options: LiGruOptions) -> truth::Cell {
    let plain = if options.layer_norm { truth::Cell::sli_gru() } else { truth::Cell::li_gru() };
    truth::Cell { candidate: activation(options.candidate), ..plain }
}

pub fn s_lstm(forget: ForgetGate) -> truth::Cell {
    truth::Cell { exponential_forget: forget == ForgetGate::Exponential, ..truth::Cell::s_lstm() }
}

/// Every cell, and every option once.
pub fn pairs() -> Vec<Pair> {
    let mut all = Vec::new();
    let mut add = |name: &str, cell: Cell, truth| all.push(Pair { name: name.to_owned(), cell, truth });
    let activations = [
        Activation::Identity,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Relu,
        Activation::LeakyRelu(0.1),
        Activation::ThresholdedRelu(0.2),
        Activation::Sin,
        Activation::HARD_SIGMOID_ONNX,
        Activation::HARD_SIGMOID_CAIMAN,
        Activation::HardTanh,
        Activation::Affine(0.7, -0.1),
        Activation::ScaledTanh(0.9, 1.3),
        Activation::Elu(0.8),
        Activation::Softplus,
        Activation::Softsign,
    ];
    for one in activations {
        add(&format!("rnn {one:?}"), Cell::rnn(one).unwrap(), truth::Cell::rnn(activation(one)));
    }
    for one in [Activation::Tanh, Activation::Relu] {
        add(&format!("ind rnn {one:?}"), Cell::ind_rnn(one).unwrap(), truth::Cell::ind_rnn(activation(one)));
    }
    add("lstm", Cell::lstm(), truth::Cell::lstm());
    add("layer norm lstm", Cell::layer_norm_lstm(), truth::Cell::layer_norm_lstm());
    let plain = LstmOptions::default();
    for (name, options) in [
        ("peepholes", LstmOptions { peepholes: true, ..plain }),
        ("coupled", LstmOptions { coupled: true, ..plain }),
        ("coupled, peepholes", LstmOptions { coupled: true, peepholes: true, ..plain }),
        ("cell clip", LstmOptions { cell_clip: Some(0.3), ..plain }),
        ("gate clip", LstmOptions { gate_clip: Some(0.4), ..plain }),
        ("hard", LstmOptions { gates: Activation::HARD_SIGMOID_CAIMAN, candidate: Activation::HardTanh, ..plain }),
        ("output", LstmOptions { output: Activation::Softsign, ..plain }),
        ("layer norm of each gate", LstmOptions { layer_norm: Some(NormSpan::Gate), ..plain }),
        ("layer norm, peepholes", LstmOptions { layer_norm: Some(NormSpan::Whole), peepholes: true, ..plain }),
    ] {
        add(&format!("lstm {name}"), options.build().unwrap(), lstm(options));
    }
    add("gru", Cell::gru(), truth::Cell::gru());
    add("gru reset before", Cell::gru_reset_before(), truth::Cell::gru_reset_before());
    add("layer norm gru", Cell::layer_norm_gru(), truth::Cell::layer_norm_gru());
    for reset in [Reset::After, Reset::Before] {
        let plain = GruOptions { reset, ..GruOptions::default() };
        for (name, options) in [
            ("gate clip", GruOptions { gate_clip: Some(0.4), ..plain }),
            ("hard", GruOptions { gates: Activation::HARD_SIGMOID_ONNX, candidate: Activation::Relu, ..plain }),
        ] {
            add(&format!("gru reset {reset:?} {name}"), options.build().unwrap(), gru(options));
        }
    }
    let each = GruOptions { layer_norm: Some(NormSpan::Gate), ..GruOptions::default() };
    add("gru layer norm of each gate", each.build().unwrap(), gru(each));
    for candidate in [Activation::Relu, Activation::Tanh, Activation::Sin, Activation::LeakyRelu(0.01)] {
        for (name, layer_norm, affine) in [("li gru", false, false), ("sli gru", true, false), ("affine sli gru", true, true)] {
            let options = LiGruOptions { candidate, layer_norm, affine, input_norm: None };
            add(&format!("{name} {candidate:?}"), options.build().unwrap(), li_gru(options));
        }
    }
    for forget in [ForgetGate::Sigmoid, ForgetGate::Exponential] {
        add(&format!("s lstm {forget:?}"), Cell::s_lstm(forget), s_lstm(forget));
    }
    add("min gru", Cell::min_gru(false), truth::Cell::min_gru());
    let positive = truth::Cell { candidate: truth::Activation::PositiveHalf, ..truth::Cell::min_gru() };
    add("min gru positive", Cell::min_gru(true), positive);
    add("qrnn", Cell::qrnn(), truth::Cell::qrnn());
    all
}
