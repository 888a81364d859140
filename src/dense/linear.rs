//! The plan of a linear layer: a product whose factors both run along the inputs.

use super::Activation;
use super::gemm::{Form, Gemm};
use super::matrix::Matrix;
use crate::device::Caps;
use crate::device::recording::{Binding, Recording};
use crate::error::Result;

/// `y = act_out(act_in(x) · weightᵀ + bias)`.
fn product([x, weight, y]: [Binding; 3], bias: Option<Binding>, [rows, inputs, outputs]: [u32; 3], activations: [Activation; 2]) -> Gemm {
    Gemm {
        form: Form::Nt,
        sides: [rows, outputs, inputs],
        a: Matrix::new(x, inputs),
        b: Matrix::new(weight, inputs),
        c: Matrix::new(y, outputs),
        bias,
        accumulates: false,
        activations,
    }
}

/// Records `y = act_out(act_in(x) · weightᵀ + bias)`: x [rows, inputs], weight [outputs, inputs],
/// bias [outputs] or none, y [rows, outputs]. All may begin at any element. Much work, or windows beyond the device's limit,
/// are cut into several launches.
///
/// # Errors
/// [`LimitExceeded`](crate::Error::LimitExceeded) where the weight, or a row of x or y, exceeds a window.
pub(crate) fn record_linear(
    recording: &mut Recording,
    caps: &Caps,
    windows: [Binding; 3],
    bias: Option<Binding>,
    shape: [u32; 3],
    activations: [Activation; 2],
) -> Result<()> {
    product(windows, bias, shape, activations).record(recording, caps)
}
