//! The GRU and what varies in it.

use super::builder::{check_clip, clipped};
use super::{Activation, Cell, CellBuilder, InputNorm, Norm, NormSpan, Norms};
use crate::error::{Error, Result};

/// A GRU with other parts than the plain one, which is the default.
///
/// Gates in the order r, z, n (reset, update, new):
/// ```text
/// r = σ(x_r + r_r)   z = σ(x_z + r_z)
/// n = tanh(x_n + r (R_n h + b_hn))     reset after the product
/// n = tanh(x_n + R_n (r h) + b_hn)     reset before it
/// h' = (1 - z) n + z h
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GruOptions {
    /// Where the reset gate acts.
    pub reset: Reset,
    /// The arguments of all activations are kept within \[-clip, clip] (ONNX's `clip`).
    pub gate_clip: Option<f32>,
    /// The activation of r and z: σ.
    pub gates: Activation,
    /// The activation of n: tanh.
    pub candidate: Activation,
    /// Layer normalisation of W x and R h, with gains, before their biases (Haste). Only with the reset after the product.
    pub layer_norm: Option<NormSpan>,
}

/// Where the reset gate of a GRU acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// On the product R_n h and its bias: PyTorch, cuDNN, Keras with `reset_after`, ONNX with `linear_before_reset`.
    #[default]
    After,
    /// On h: Cho et al. 2014 (arXiv:1406.1078), ONNX's default. A step has two products, one after the other.
    Before,
}

impl Default for GruOptions {
    fn default() -> Self {
        Self { reset: Reset::After, gate_clip: None, gates: Activation::Sigmoid, candidate: Activation::Tanh, layer_norm: None }
    }
}

impl Cell {
    /// The GRU as PyTorch and cuDNN have it: gates r, z, n; the reset gate comes after the product. See [`GruOptions`] for the
    /// equations.
    pub fn gru() -> Self {
        GruOptions::default().builder().assemble()
    }

    /// The GRU whose reset gate comes before the product (Cho et al. 2014; ONNX's default).
    pub fn gru_reset_before() -> Self {
        GruOptions { reset: Reset::Before, ..GruOptions::default() }.builder().assemble()
    }

    /// The layer-normalised GRU of Haste: [`GruOptions::layer_norm`] over whole vectors.
    pub fn layer_norm_gru() -> Self {
        GruOptions { layer_norm: Some(NormSpan::Whole), ..GruOptions::default() }.builder().assemble()
    }
}

impl GruOptions {
    /// The cell.
    ///
    /// # Errors
    /// [`Error::Value`] if the clip is not positive, a number of an activation is not finite, or layer normalisation is asked
    /// for with the reset before the product.
    pub fn build(self) -> Result<Cell> {
        check_clip("gate_clip", self.gate_clip)?;
        if self.layer_norm.is_some() && self.reset == Reset::Before {
            let help = "R h is two products then, and no library says how to normalise them; take Reset::After";
            return Err(Error::Value { argument: "layer_norm", value: "with Reset::Before".to_owned(), help });
        }
        self.builder().build()
    }

    fn builder(self) -> CellBuilder {
        let gates = &["reset", "update", "new"];
        let name = match (self.layer_norm, self.reset) {
            (Some(_), _) => "layer-norm GRU",
            (None, Reset::After) => "GRU",
            (None, Reset::Before) => "GRU, reset before",
        };
        let norm = self.layer_norm.map(|span| Norm { span, gain: true, bias: false, eps: Norm::EPS });
        let plain = Cell::builder(name)
            .gates(gates)
            .recurrent(gates)
            .states(&["h"])
            .norms(Norms { input: norm.map(InputNorm::Layer), recurrent: norm, state: None })
            .update(move |u| {
                let gate = |lane: usize| self.gates.of(clipped(u.x[lane] + u.r[lane], self.gate_clip));
                let product = if self.reset == Reset::After { gate(0) * u.r[2] } else { u.r[2] };
                let n = self.candidate.of(clipped(u.x[2] + product, self.gate_clip));
                let z = gate(1);
                vec![(1.0 - z) * n + z * u.s[0]]
            });
        match self.reset {
            Reset::After => plain,
            Reset::Before => plain.mid(1, move |u| self.gates.of(clipped(u.x[0] + u.r[0], self.gate_clip)) * u.s[0]),
        }
    }
}
