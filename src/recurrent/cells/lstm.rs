//! The LSTM and what varies in it.

use super::builder::{check_clip, clipped};
use super::{Activation, Cell, CellBuilder, InputNorm, Norm, NormSpan, Norms, Unit};
use crate::error::Result;
use crate::expr::Value;

/// An LSTM with other parts than the plain one, which is the default.
///
/// With a = x + r, gates in the order i, f, g, o:
/// ```text
/// i = σ(a_i + w_ci c)   f = σ(a_f + w_cf c)   g = tanh(a_g)
/// c' = f c + i g        o = σ(a_o + w_co c')  h' = o tanh(c')
/// ```
/// A forget bias is part of the bias, a projection of h is the layer's.
///
/// ```
/// # fn main() -> weft::Result<()> {
/// use weft::recurrent::cells::LstmOptions;
///
/// let cell = LstmOptions { coupled: true, cell_clip: Some(3.0), ..LstmOptions::default() }.build()?;
/// assert_eq!(cell.gates(), ["input", "cell", "output"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LstmOptions {
    /// Peepholes (Gers and Schmidhuber 2000; ONNX's P): parameters `weight_ci`, `weight_cf`, `weight_co`, \[H] each; without
    /// them w = 0. The output gate sees the new c.
    pub peepholes: bool,
    /// Coupled input and forget gate, f = 1 - i (Greff et al. 2017, arXiv:1503.04069; ONNX's `input_forget`): three gates, i, g
    /// and o. To have i = 1 - f instead, as in TensorFlow, negate the weights of f.
    pub coupled: bool,
    /// The new c is kept within \[-clip, clip] before anything sees it (cuDNN).
    pub cell_clip: Option<f32>,
    /// The arguments of the activations of i, f, g and o are kept within \[-clip, clip] (ONNX's `clip`).
    pub gate_clip: Option<f32>,
    /// The activation of i, f and o: σ.
    pub gates: Activation,
    /// The activation of g: tanh.
    pub candidate: Activation,
    /// The activation of c' in h': tanh.
    pub output: Activation,
    /// Layer normalisation of W x and R h, with gains, before the bias, and of c' in h', with gain and bias (Ba, Kiros and
    /// Hinton 2016, arXiv:1607.06450; Haste): `a = LN(W x) + LN(R h) + b`, `h' = o tanh(LN(c'))`. The span is that of the
    /// first two; Haste has [`NormSpan::Whole`].
    pub layer_norm: Option<NormSpan>,
}

impl Default for LstmOptions {
    fn default() -> Self {
        Self {
            peepholes: false,
            coupled: false,
            cell_clip: None,
            gate_clip: None,
            gates: Activation::Sigmoid,
            candidate: Activation::Tanh,
            output: Activation::Tanh,
            layer_norm: None,
        }
    }
}

impl Cell {
    /// The LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000) as PyTorch and cuDNN have it: gates i,
    /// f, g, o; states h, c. See [`LstmOptions`] for the equations.
    pub fn lstm() -> Self {
        LstmOptions::default().builder().assemble()
    }

    /// The layer-normalised LSTM of Haste: [`LstmOptions::layer_norm`] over whole vectors.
    pub fn layer_norm_lstm() -> Self {
        LstmOptions { layer_norm: Some(NormSpan::Whole), ..LstmOptions::default() }.builder().assemble()
    }
}

impl LstmOptions {
    /// The cell.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) if a clip is not positive, or a number of an activation is not finite.
    pub fn build(self) -> Result<Cell> {
        check_clip("cell_clip", self.cell_clip)?;
        check_clip("gate_clip", self.gate_clip)?;
        self.builder().build()
    }

    fn builder(self) -> CellBuilder {
        let gates: &[&str] = if self.coupled { &["input", "cell", "output"] } else { &["input", "forget", "cell", "output"] };
        let params: &[&str] = match (self.peepholes, self.coupled) {
            (false, _) => &[],
            (true, false) => &["weight_ci", "weight_cf", "weight_co"],
            (true, true) => &["weight_ci", "weight_co"],
        };
        let name = if self.layer_norm.is_some() { "layer-norm LSTM" } else { "LSTM" };
        let plain = Cell::builder(name).gates(gates).recurrent(gates).states(&["h", "c"]).params(params);
        let Some(span) = self.layer_norm else {
            return plain.update(move |u| {
                let c = self.cell_state(u);
                vec![self.hidden(u, c, c), c]
            });
        };
        let product = Norm { span, gain: true, bias: false, eps: Norm::EPS };
        let state = Norm { span: NormSpan::Gate, gain: true, bias: true, eps: Norm::EPS };
        plain
            .norms(Norms { input: Some(InputNorm::Layer(product)), recurrent: Some(product), state: Some((1, state)) })
            .update(move |u| vec![u.s[0].constant(0.0), self.cell_state(u)])
            .output(move |u, n| self.hidden(u, u.s[1], n))
    }

    /// One of the gates: the argument x + r of `lane`, and the peephole of `peephole` at `c`.
    fn gate<'g>(self, u: Unit<'g>, lane: usize, peephole: usize, c: Value<'g>) -> Value<'g> {
        let a = u.x[lane] + u.r[lane];
        self.gates.of(clipped(if self.peepholes { a + u.p[peephole] * c } else { a }, self.gate_clip))
    }

    /// c'.
    fn cell_state<'g>(self, u: Unit<'g>) -> Value<'g> {
        let c = u.s[1];
        let i = self.gate(u, 0, 0, c);
        let (f, g) = if self.coupled { (1.0 - i, 1) } else { (self.gate(u, 1, 1, c), 2) };
        let g = self.candidate.of(clipped(u.x[g] + u.r[g], self.gate_clip));
        clipped(f * c + i * g, self.cell_clip)
    }

    /// h', of the new c and of what the output's activation sees of it.
    fn hidden<'g>(self, u: Unit<'g>, c: Value<'g>, seen: Value<'g>) -> Value<'g> {
        let (lane, peephole) = if self.coupled { (2, 1) } else { (3, 2) };
        self.gate(u, lane, peephole, c) * self.output.of(seen)
    }
}
