//! The light GRU, and its stable form.

use super::{Activation, Cell, CellBuilder, InputNorm, Norm, NormSpan, Norms};
use crate::error::Result;

/// A light GRU with other parts than the plain one, which is the default.
///
/// Gates in SpeechBrain's order, candidate first; m is the mask of the recurrent dropout, drawn once a sequence:
/// ```text
/// z = σ(x_z + r_z)   h~ = relu(x_h + r_h) m   h' = z h + (1 - z) h~
/// ```
/// SpeechBrain has no biases but those of the norms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LiGruOptions {
    /// The activation of the candidate: relu. SpeechBrain has tanh, sin and leaky relu as well.
    pub candidate: Activation,
    /// Layer normalisation of R h over all 2H rows (SLi-GRU).
    pub layer_norm: bool,
    /// Whether that normalisation has a gain and a bias (SpeechBrain's `recurrent_elementwise_affine`).
    pub affine: bool,
    /// The normalisation of W x: none. SpeechBrain's `batchnorm`, its default, is
    /// [`BatchNorm::SPEECHBRAIN`](super::BatchNorm::SPEECHBRAIN); its `layernorm` is of span [`NormSpan::Whole`], with gain and bias.
    pub input_norm: Option<InputNorm>,
}

impl Default for LiGruOptions {
    fn default() -> Self {
        Self { candidate: Activation::Relu, layer_norm: false, affine: false, input_norm: None }
    }
}

impl Cell {
    /// The light GRU (Ravanelli et al. 2018, arXiv:1803.10225) as SpeechBrain has it. See [`LiGruOptions`] for the equations.
    pub fn li_gru() -> Self {
        LiGruOptions::default().builder().assemble()
    }

    /// The stabilised light GRU (Moumen and Parcollet 2023, arXiv:2302.10144) as SpeechBrain has it: a light GRU whose recurrent
    /// product is layer-normalised, without gain and bias.
    pub fn sli_gru() -> Self {
        LiGruOptions { layer_norm: true, ..LiGruOptions::default() }.builder().assemble()
    }
}

impl LiGruOptions {
    /// The cell.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) if a number of the activation is not finite.
    pub fn build(self) -> Result<Cell> {
        self.builder().build()
    }

    fn builder(self) -> CellBuilder {
        let gates = &["candidate", "update"];
        let norm = Norm { span: NormSpan::Whole, gain: self.affine, bias: self.affine, eps: Norm::EPS };
        Cell::builder(if self.layer_norm { "SLi-GRU" } else { "LiGRU" })
            .gates(gates)
            .recurrent(gates)
            .states(&["h"])
            .masks(&["candidate"])
            .norms(Norms { input: self.input_norm, recurrent: self.layer_norm.then_some(norm), state: None })
            .update(move |u| {
                let candidate = self.candidate.of(u.x[0] + u.r[0]) * u.m[0];
                let z = (u.x[1] + u.r[1]).sigmoid();
                vec![z * u.s[0] + (1.0 - z) * candidate]
            })
    }
}
