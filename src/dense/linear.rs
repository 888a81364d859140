//! The plan of a linear layer.

use super::Activation;
use crate::device::Caps;
use crate::device::recording::{Binding, Recording};
use crate::device::shader::Kernel;
use crate::error::{Error, Result};
use bytemuck::{Pod, Zeroable};

/// Side of the output tile of `shaders/dense/linear.wgsl`.
const TILE: u32 = 32;

/// Twin of `Params` in `shaders/dense/linear.wgsl`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct LinearParams {
    pub rows: u32,
    pub inputs: u32,
    pub outputs: u32,
    pub activation_in: u32,
    pub activation_out: u32,
    pub has_bias: u32,
}

/// Records `y = act_out(act_in(x) · weightᵀ + bias)`: x [rows, inputs], weight [outputs, inputs],
/// bias [outputs] or none, y [rows, outputs].
pub(crate) fn record_linear(
    recording: &mut Recording,
    caps: &Caps,
    [x, weight, y]: [Binding; 3],
    bias: Option<Binding>,
    [rows, inputs, outputs]: [u32; 3],
    [activation_in, activation_out]: [Activation; 2],
) -> Result<()> {
    let grid = [outputs.div_ceil(TILE), rows.div_ceil(TILE), 1];
    if let Some(&side) = grid.iter().find(|&&side| side > caps.max_workgroups) {
        return Err(Error::LimitExceeded {
            what: "linear layer: workgroups a side",
            need: u64::from(side),
            have: u64::from(caps.max_workgroups),
            help: "run fewer rows a call",
        });
    }
    // A layer without bias binds its weights twice: a binding cannot be left out.
    let set = recording.bind(&[x, weight, bias.unwrap_or(weight), y]);
    let params = LinearParams {
        rows,
        inputs,
        outputs,
        activation_in: activation_in as u32,
        activation_out: activation_out as u32,
        has_bias: u32::from(bias.is_some()),
    };
    let work = u64::from(rows) * u64::from(inputs) * u64::from(outputs);
    recording.dispatch(caps.shader(Kernel::DenseLinear), set, &params, grid, work);
    Ok(())
}
