//! The plan of a linear layer.

use super::Activation;
use crate::device::Caps;
use crate::device::recording::{Binding, Recording, fold};
use crate::device::shader::{DenseLinearParams, Kernel};
use crate::error::{Error, Result};

/// Rows and columns of the invocations of `shaders/dense/linear.wgsl`.
const SIDE: u32 = 16;
/// Columns of its tile.
const COLUMNS: u32 = 4 * SIDE;
/// From this many rows on, an invocation owns four of them.
const MANY_ROWS: u32 = 64;

/// Records `y = act_out(act_in(x) · weightᵀ + bias)`: x [rows, inputs], weight [outputs, inputs],
/// bias [outputs] or none, y [rows, outputs]. x and y may begin at any element.
pub(crate) fn record_linear(
    recording: &mut Recording,
    caps: &Caps,
    [x, weight, y]: [Binding; 3],
    bias: Option<Binding>,
    [rows, inputs, outputs]: [u32; 3],
    [activation_in, activation_out]: [Activation; 2],
) -> Result<()> {
    let (rows_each, constants): (u32, &'static [(&'static str, f64)]) =
        if rows >= MANY_ROWS { (4, &[("ROWS_EACH", 4.0)]) } else { (1, &[("ROWS_EACH", 1.0)]) };
    let columns = outputs.div_ceil(COLUMNS);
    if columns > caps.max_workgroups {
        return Err(Error::LimitExceeded {
            what: "linear layer: outputs",
            need: u64::from(outputs),
            have: u64::from(caps.max_workgroups) * u64::from(COLUMNS),
            help: "split the layer",
        });
    }
    let [y_groups, z_groups, _] = fold(u64::from(rows.div_ceil(rows_each * SIDE)), caps.max_workgroups);
    let (x, x_first) = x.aligned(caps);
    let (y, y_first) = y.aligned(caps);
    // A layer without bias binds its weights twice: a binding cannot be left out.
    let set = recording.bind(&[x, weight, bias.unwrap_or(weight), y]);
    let params = DenseLinearParams {
        rows,
        inputs,
        outputs,
        x_first,
        y_first,
        activation_in: activation_in as u32,
        activation_out: activation_out as u32,
        has_bias: u32::from(bias.is_some()),
    };
    let work = u64::from(rows) * u64::from(inputs) * u64::from(outputs);
    recording.dispatch_with(caps.shader(Kernel::DenseLinear), constants, set, &params, [columns, y_groups, z_groups], work);
    Ok(())
}
