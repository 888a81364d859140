//! Activations with their derivatives, under the names of ONNX where it has one.

/// f(x). α and β are the fields, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Identity,
    Tanh,
    Sigmoid,
    Relu,
    /// x, or α x below zero.
    LeakyRelu(f64),
    Sin,
    /// α x + β within [0, 1].
    HardSigmoid(f64, f64),
    /// x within [α, β].
    HardTanh(f64, f64),
    /// α x + β.
    Affine(f64, f64),
    /// x, or α (exp(x) - 1) below zero.
    Elu(f64),
    /// ln(1 + exp(x)).
    Softplus,
    /// x / (1 + |x|).
    Softsign,
    /// x above α, otherwise 0.
    ThresholdedRelu(f64),
    /// α tanh(β x).
    ScaledTanh(f64, f64),
    /// x + 1/2, or sigmoid(x) below zero: what minGRU in log space makes of its candidate.
    PositiveHalf,
}

pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// ln sigmoid(x), without overflow.
pub fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

impl Activation {
    /// Value and derivative; on an edge, that of the flat side.
    pub fn at(self, x: f64) -> (f64, f64) {
        let clamp = |y: f64, low: f64, high: f64, slope: f64| (y.clamp(low, high), if low < y && y < high { slope } else { 0.0 });
        match self {
            Self::Identity => (x, 1.0),
            Self::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
            Self::Sigmoid => (sigmoid(x), sigmoid(x) * sigmoid(-x)),
            Self::Relu => clamp(x, 0.0, f64::INFINITY, 1.0),
            Self::LeakyRelu(alpha) => {
                if x >= 0.0 {
                    (x, 1.0)
                } else {
                    (alpha * x, alpha)
                }
            }
            Self::Sin => (x.sin(), x.cos()),
            Self::HardSigmoid(alpha, beta) => clamp(alpha * x + beta, 0.0, 1.0, alpha),
            Self::HardTanh(alpha, beta) => clamp(x, alpha, beta, 1.0),
            Self::Affine(alpha, beta) => (alpha * x + beta, alpha),
            Self::Elu(alpha) => {
                if x >= 0.0 {
                    (x, 1.0)
                } else {
                    (alpha * x.exp_m1(), alpha * x.exp())
                }
            }
            Self::Softplus => (-log_sigmoid(-x), sigmoid(x)),
            Self::Softsign => (x / (1.0 + x.abs()), (1.0 + x.abs()).powi(-2)),
            Self::ThresholdedRelu(alpha) => {
                if x > alpha {
                    (x, 1.0)
                } else {
                    (0.0, 0.0)
                }
            }
            Self::ScaledTanh(alpha, beta) => (alpha * (beta * x).tanh(), alpha * beta * (1.0 - (beta * x).tanh().powi(2))),
            Self::PositiveHalf => {
                if x >= 0.0 {
                    (x + 0.5, 1.0)
                } else {
                    (sigmoid(x), sigmoid(x) * sigmoid(-x))
                }
            }
        }
    }
}
