//! Activations of gates, candidates and outputs.

use crate::expr::Value;

/// An activation, with the numbers α and β that some have. The list is that of ONNX's recurrent operators, and the sine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// x
    Identity,
    /// tanh x
    Tanh,
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// max(0, x); slope 0 at 0.
    Relu,
    /// x where x > 0, else α x.
    LeakyRelu(f32),
    /// x where x > α, else 0.
    ThresholdedRelu(f32),
    /// sin x
    Sin,
    /// α x + β, within \[0, 1]. Libraries differ in α: see [`HARD_SIGMOID_ONNX`](Self::HARD_SIGMOID_ONNX) and its neighbours. The
    /// slope is 0 at 0 and 1.
    HardSigmoid(f32, f32),
    /// x, within [-1, 1]; the slope is 0 at -1 and 1.
    HardTanh,
    /// α x + β
    Affine(f32, f32),
    /// α tanh(β x)
    ScaledTanh(f32, f32),
    /// x where x > 0, else α (e^x - 1).
    Elu(f32),
    /// log(1 + e^x)
    Softplus,
    /// x / (1 + |x|)
    Softsign,
}

impl Activation {
    /// The hard sigmoid of ONNX without attributes, and of Keras 2: 0.2 x + 0.5.
    pub const HARD_SIGMOID_ONNX: Self = Self::HardSigmoid(0.2, 0.5);
    /// The hard sigmoid of PyTorch and Keras 3: x / 6 + 0.5.
    pub const HARD_SIGMOID_PYTORCH: Self = Self::HardSigmoid(1.0 / 6.0, 0.5);
    /// The hard sigmoid of Myrtle's CAIMAN-ASR: x / 8 + 0.5.
    pub const HARD_SIGMOID_CAIMAN: Self = Self::HardSigmoid(0.125, 0.5);

    /// The activation of a value.
    pub fn of<'g>(self, x: Value<'g>) -> Value<'g> {
        let zero = x.constant(0.0);
        match self {
            Self::Identity => x,
            Self::Tanh => x.tanh(),
            Self::Sigmoid => x.sigmoid(),
            Self::Relu => x.relu(),
            Self::LeakyRelu(alpha) => zero.less(x, x, x * alpha),
            Self::ThresholdedRelu(alpha) => zero.constant(alpha).less(x, x, 0.0),
            Self::Sin => x.sin(),
            Self::HardSigmoid(alpha, beta) => (x * alpha + beta).clamp(0.0, 1.0),
            Self::HardTanh => x.clamp(-1.0, 1.0),
            Self::Affine(alpha, beta) => x * alpha + beta,
            Self::ScaledTanh(alpha, beta) => (x * beta).tanh() * alpha,
            // The branch that is not taken must be finite too. At 0 the gradient is that of x, so the slope is α.
            Self::Elu(alpha) => zero.less(x, x, (x.min(0.0).exp() - 1.0) * alpha),
            Self::Softplus => x.softplus(),
            Self::Softsign => x / (x.abs() + 1.0),
        }
    }
}
