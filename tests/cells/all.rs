//! Every cell with every option, and numbers to try them with.

use weft::recurrent::cells::{Activation, Cell, ForgetGate, GruOptions, LiGruOptions, LstmOptions, NormSpan, Pair, Reset};

/// One of each kind, with numbers that differ from what they are in other libraries by default.
pub const ACTIVATIONS: [(&str, Activation); 17] = [
    ("identity", Activation::Identity),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
    ("relu", Activation::Relu),
    ("leaky_relu", Activation::LeakyRelu(0.03)),
    ("thresholded_relu", Activation::ThresholdedRelu(0.7)),
    ("sin", Activation::Sin),
    ("hard_sigmoid", Activation::HardSigmoid(0.3, 0.4)),
    ("hard_sigmoid_onnx", Activation::HARD_SIGMOID_ONNX),
    ("hard_sigmoid_pytorch", Activation::HARD_SIGMOID_PYTORCH),
    ("hard_sigmoid_caiman", Activation::HARD_SIGMOID_CAIMAN),
    ("hard_tanh", Activation::HardTanh),
    ("affine", Activation::Affine(0.8, -0.2)),
    ("scaled_tanh", Activation::ScaledTanh(1.7, 0.6)),
    ("elu", Activation::Elu(0.9)),
    ("softplus", Activation::Softplus),
    ("softsign", Activation::Softsign),
];

/// Every cell with every option, by names that are file names too.
pub fn cells() -> Vec<(String, Cell)> {
    let mut cells = vec![
        ("lstm".to_owned(), Cell::lstm()),
        ("gru".to_owned(), Cell::gru()),
        ("gru_reset_before".to_owned(), Cell::gru_reset_before()),
        ("li_gru".to_owned(), Cell::li_gru()),
        ("sli_gru".to_owned(), Cell::sli_gru()),
        ("layer_norm_lstm".to_owned(), Cell::layer_norm_lstm()),
        ("layer_norm_gru".to_owned(), Cell::layer_norm_gru()),
        ("s_lstm".to_owned(), Cell::s_lstm(ForgetGate::Sigmoid)),
        ("s_lstm_exponential".to_owned(), Cell::s_lstm(ForgetGate::Exponential)),
        ("min_gru".to_owned(), Cell::min_gru(false)),
        ("min_gru_positive".to_owned(), Cell::min_gru(true)),
        ("qrnn".to_owned(), Cell::qrnn()),
    ];
    for (name, activation) in ACTIVATIONS {
        cells.push((format!("rnn_{name}"), Cell::rnn(activation).unwrap()));
        cells.push((format!("ind_rnn_{name}"), Cell::ind_rnn(activation).unwrap()));
        let li_gru = LiGruOptions { candidate: activation, layer_norm: true, affine: true, input_norm: None };
        cells.push((format!("sli_gru_affine_{name}"), li_gru.build().unwrap()));
    }
    for (name, options) in lstms() {
        cells.push((name, options.build().unwrap()));
    }
    for (name, options) in grus() {
        cells.push((name, options.build().unwrap()));
    }
    cells
}

/// All combinations of an LSTM's options, then each part with another activation.
pub fn lstms() -> Vec<(String, LstmOptions)> {
    let mut all = Vec::new();
    for bits in 0..32 {
        let on = |bit: u32| bits >> bit & 1 == 1;
        let options = LstmOptions {
            peepholes: on(0),
            coupled: on(1),
            cell_clip: on(2).then_some(0.9),
            gate_clip: on(3).then_some(1.3),
            layer_norm: on(4).then_some(NormSpan::Gate),
            ..LstmOptions::default()
        };
        all.push((format!("lstm_{bits:05b}"), options));
    }
    let full = LstmOptions { peepholes: true, ..LstmOptions::default() };
    for (name, activation) in ACTIVATIONS {
        all.push((format!("lstm_gates_{name}"), LstmOptions { gates: activation, ..full }));
        all.push((format!("lstm_candidate_{name}"), LstmOptions { candidate: activation, ..full }));
        all.push((format!("lstm_output_{name}"), LstmOptions { output: activation, ..full }));
    }
    all
}

/// All combinations of a GRU's options that there are.
pub fn grus() -> Vec<(String, GruOptions)> {
    let mut all = Vec::new();
    for bits in 0..6 {
        let clipped = bits & 1 == 1;
        let (reset, layer_norm) = [(Reset::After, None), (Reset::Before, None), (Reset::After, Some(NormSpan::Gate))][bits / 2];
        let options = GruOptions {
            reset,
            layer_norm,
            gate_clip: clipped.then_some(1.1),
            gates: if clipped { Activation::HARD_SIGMOID_ONNX } else { Activation::Sigmoid },
            candidate: if clipped { Activation::Softsign } else { Activation::Tanh },
        };
        all.push((format!("gru_{bits}"), options));
    }
    all
}

/// The functions of a cell, with their names.
pub fn pairs(cell: &Cell) -> Vec<(&'static str, Pair)> {
    let mut pairs = vec![("update", Pair { function: cell.update().clone(), gradient: cell.update_gradient().clone() })];
    pairs.extend(cell.mid().map(|mid| ("mid", mid.clone())));
    pairs.extend(cell.output().map(|output| ("output", output.clone())));
    pairs
}

/// Numbers in (-1, 1), the same in each run.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // Few bits, so that f32 holds them.
        ((self.0 >> 42) as f64 + 0.5) / f64::from(1 << 21) - 1.0
    }

    /// A number for an input of this name, of the size that a trained cell has; what `cell` divides by is positive.
    pub fn for_input(&mut self, cell: &Cell, name: &str) -> f64 {
        let n = self.next();
        match name {
            // The normaliser of the sLSTM.
            "s2" => n.abs() + 0.5,
            _ if name.starts_with('m') => {
                if n < -0.5 {
                    0.0
                } else {
                    1.25
                }
            }
            _ if name.starts_with('s') && cell.states().len() == 4 => n,
            _ => 2.0 * n,
        }
    }
}
