//! Which order puts what where.

use super::blocks::NONE;
use crate::error::{Error, Result};

/// Whose order, names and orientation.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Order {
    /// `nn.LSTM`, `nn.GRU`, `nn.RNN`: this layer of it, names with `_l{layer}` and `_l{layer}_reverse`. cuDNN's order too.
    PyTorch {
        /// From 0.
        layer: usize,
    },
    /// `nn.LSTMCell`, `nn.GRUCell`, `nn.RNNCell`: names without a suffix.
    PyTorchCell,
    /// The operators LSTM, GRU and RNN. A GRU with `linear_before_reset` = 1 is one with reset after.
    Onnx,
    /// `keras.layers.LSTM`, `GRU` and `SimpleRNN`.
    Keras,
    /// WebNN with its default layouts, "iofg" and "zrn".
    WebNn,
    /// WebNN with the layouts "ifgo" and "rzn".
    WebNnIfgo,
    /// TensorFlow's BasicLSTMCell and the basicLSTMCell of TensorFlow.js, which add this number to the gate f
    /// when they run; it is in the bias here.
    TfBasicLstm {
        /// 1 unless it was said otherwise.
        forget_bias: f32,
    },
    /// Haste's LSTM and GRU.
    Haste,
    /// `rnn.{layer}` of SpeechBrain's LiGRU and SLiGRU; both directions of a layer share these weights. Masks for dropout
    /// that the file may have are not read.
    SpeechBrain,
}

/// Cells that other libraries have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gated {
    /// One row a unit.
    Rnn,
    /// i, f, g, o.
    Lstm,
    /// i, g, o, and f = 1 - i. ONNX (`input_forget`) keeps rows of f that nothing reads: they are dropped, and written as zeros.
    LstmCoupled,
    /// r, z, n; the reset gate after the product (PyTorch, cuDNN, Keras by default).
    GruResetAfter,
    /// r, z, n; the reset gate before the product (ONNX by default).
    GruResetBefore,
    /// Candidate, z.
    LiGru,
}

impl Gated {
    /// G.
    pub fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::LiGru => 2,
            Self::GruResetAfter | Self::GruResetBefore | Self::LstmCoupled => 3,
            Self::Lstm => 4,
        }
    }
}

/// Which biases there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bias {
    /// One array for W x, one for R h.
    Two(&'static str, &'static str),
    /// Both in one array, one after the other.
    Joined(&'static str),
    /// Both in one array of two rows.
    Pair(&'static str),
    /// One that stands for the sum.
    One(&'static str),
    None,
}

/// An [`Order`] for a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    pub weight: &'static str,
    /// `None`: the rows below `weight`.
    pub recurrent: Option<&'static str>,
    pub bias: Bias,
    /// [D, 3 H], blocks i, o, f.
    pub peepholes: Option<&'static str>,
    /// [P, H]
    pub projection: Option<&'static str>,
    /// Norms and running statistics.
    pub norms: bool,
    /// For each of their blocks of H, which of ours it is, or [`NONE`].
    pub blocks: &'static [usize],
    /// The names of these, for messages.
    pub letters: &'static str,
    /// Matrices have a column for each of our rows.
    pub transposed: bool,
    /// Arrays have the direction as first side.
    pub directions: bool,
    /// What is in our bias of the gate f and not in theirs.
    pub forget_bias: f32,
}

impl Order {
    /// The name, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PyTorch { .. } | Self::PyTorchCell => "PyTorch",
            Self::Onnx => "ONNX",
            Self::Keras => "Keras",
            Self::WebNn => "WebNN",
            Self::WebNnIfgo => "WebNN, ifgo or rzn",
            Self::TfBasicLstm { .. } => "BasicLSTMCell",
            Self::Haste => "Haste",
            Self::SpeechBrain => "SpeechBrain",
        }
    }

    pub(super) fn format(self, cell: Gated) -> Result<Format> {
        use Gated::{GruResetAfter, GruResetBefore, LiGru, Lstm, LstmCoupled, Rnn};
        let plain = Format {
            weight: "kernel",
            recurrent: Some("recurrent_kernel"),
            bias: Bias::One("bias"),
            peepholes: None,
            projection: None,
            norms: false,
            blocks: &[0],
            letters: "of one gate",
            transposed: true,
            directions: false,
            forget_bias: 0.0,
        };
        let ordered = |blocks, letters| Format { blocks, letters, ..plain };
        let ours = match cell {
            Rnn => plain,
            Lstm => ordered(&[0, 1, 2, 3], "i f g o"),
            GruResetAfter | GruResetBefore => ordered(&[0, 1, 2], "r z n"),
            LiGru => ordered(&[0, 1], "candidate z"),
            LstmCoupled => ordered(&[0, 1, 2], "i g o"),
        };
        let update_first = || ordered(&[1, 0, 2], "z r n");
        let rows = |format| Format { transposed: false, ..format };
        Ok(match (self, cell) {
            (Self::PyTorch { .. } | Self::PyTorchCell, Rnn | Lstm | GruResetAfter) => Format {
                weight: "weight_ih",
                recurrent: Some("weight_hh"),
                bias: Bias::Two("bias_ih", "bias_hh"),
                projection: (cell == Lstm && self != Self::PyTorchCell).then_some("weight_hr"),
                ..rows(ours)
            },
            (Self::Onnx, Rnn | Lstm | LstmCoupled | GruResetAfter | GruResetBefore) => Format {
                weight: "W",
                recurrent: Some("R"),
                bias: Bias::Joined("B"),
                peepholes: matches!(cell, Lstm | LstmCoupled).then_some("P"),
                directions: true,
                ..rows(match cell {
                    Lstm => ordered(&[0, 3, 1, 2], "i o f c"),
                    LstmCoupled => ordered(&[0, 2, NONE, 1], "i o f c"),
                    Rnn => ours,
                    _ => update_first(),
                })
            },
            (Self::WebNn | Self::WebNnIfgo, Lstm | GruResetAfter | GruResetBefore) => Format {
                weight: "weight",
                recurrent: Some("recurrentWeight"),
                bias: Bias::Two("bias", "recurrentBias"),
                peepholes: (cell == Lstm).then_some("peepholeWeight"),
                directions: true,
                ..rows(match (self, cell) {
                    (Self::WebNnIfgo, _) => ours,
                    (_, Lstm) => ordered(&[0, 3, 1, 2], "i o f g"),
                    _ => update_first(),
                })
            },
            (Self::Keras, GruResetAfter) => Format { bias: Bias::Pair("bias"), ..update_first() },
            (Self::Keras, GruResetBefore) => update_first(),
            (Self::Keras, Rnn | Lstm) => ours,
            (Self::TfBasicLstm { forget_bias }, Lstm) => Format { recurrent: None, forget_bias, ..ordered(&[0, 2, 1, 3], "i j f o") },
            (Self::Haste, Lstm) => ordered(&[0, 2, 1, 3], "i g f o"),
            (Self::Haste, GruResetAfter) => Format { bias: Bias::Two("bias", "recurrent_bias"), ..update_first() },
            (Self::SpeechBrain, LiGru) => {
                Format { weight: "w.weight", recurrent: Some("u.weight"), bias: Bias::None, norms: true, ..rows(ours) }
            }
            _ => {
                return Err(Error::Value {
                    argument: "order",
                    value: format!("{} of a {cell:?}", self.name()),
                    help: "this library has no such cell; take the order of one that has",
                });
            }
        })
    }

    /// What follows the name of an array in this direction.
    pub(super) fn suffix(self, direction: usize) -> String {
        match self {
            Self::PyTorch { layer } => format!("_l{layer}{}", if direction == 1 { "_reverse" } else { "" }),
            _ => String::new(),
        }
    }
}
