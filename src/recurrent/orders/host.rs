//! Weights in memory of the host.

/// One direction of one layer, row-major, in the order of this crate, which is PyTorch's. G is the number of gates, P the
/// size of h: H, unless there is a projection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostWeights {
    /// I
    pub input_size: usize,
    /// H
    pub hidden_size: usize,
    /// [G H, I]
    pub weight_ih: Vec<f32>,
    /// [G H, P]
    pub weight_hh: Vec<f32>,
    /// bias_ih and bias_hh, each [G H]. Where another library has one bias, it is the first, and the second is zero.
    pub bias: Option<[Vec<f32>; 2]>,
    /// The projection [P, H].
    pub weight_hr: Option<Vec<f32>>,
    /// Weights of the cell state in the gates i, f and o, each \[H].
    pub peepholes: Option<[Vec<f32>; 3]>,
    /// The norm of W x.
    pub norm_ih: Option<NormWeights>,
    /// The norm of R h.
    pub norm_hh: Option<NormWeights>,
}

/// A layer norm or batch norm over [G H].
#[derive(Clone, Debug, PartialEq)]
pub struct NormWeights {
    /// Factors.
    pub weight: Vec<f32>,
    /// What is added.
    pub bias: Vec<f32>,
    /// Running mean and variance of a batch norm.
    pub running: Option<[Vec<f32>; 2]>,
}
