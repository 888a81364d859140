//! The plan of a linear layer.

use super::Activation;
use crate::device::Caps;
use crate::device::recording::{Binding, Recording, fold};
use crate::device::shader::{DenseLinearParams, Kernel};
use crate::error::{Result, within};

/// Rows and columns of the invocations of `shaders/dense/linear.wgsl`.
const SIDE: u32 = 16;
/// Columns of its tile.
const COLUMNS: u32 = 4 * SIDE;
/// From this many rows on, an invocation owns four of them.
const MANY_ROWS: u32 = 64;

/// Rows of the tile of `shaders/dense/linear.wgsl` by the number of rows: an invocation owns 1 or 4.
fn rows_each(rows: u32) -> u32 {
    if rows >= MANY_ROWS { 4 } else { 1 }
}

/// Most rows of one launch: whole tiles, within the work that a launch may take.
fn launch_rows(caps: &Caps, [rows, inputs, outputs]: [u32; 3]) -> u32 {
    let tile_rows = u64::from(rows_each(rows) * SIDE);
    let tile_work = tile_rows * (u64::from(inputs) * u64::from(outputs)).max(1);
    let most = (caps.submit_work() / tile_work).max(1).saturating_mul(tile_rows);
    most.min(u64::from(rows)) as u32
}

/// Launches of a product of these sides.
pub(crate) fn linear_launches(caps: &Caps, shape: [u32; 3]) -> u64 {
    u64::from(shape[0].div_ceil(launch_rows(caps, shape).max(1)))
}

/// Records `y = act_out(act_in(x) · weightᵀ + bias)`: x [rows, inputs], weight [outputs, inputs],
/// bias [outputs] or none, y [rows, outputs]. x and y may begin at any element. Much work is cut into
/// several launches.
pub(crate) fn record_linear(
    recording: &mut Recording,
    caps: &Caps,
    [x, weight, y]: [Binding; 3],
    bias: Option<Binding>,
    shape: [u32; 3],
    [activation_in, activation_out]: [Activation; 2],
) -> Result<()> {
    let [rows, inputs, outputs] = shape;
    let columns = outputs.div_ceil(COLUMNS);
    let most_outputs = u64::from(caps.max_workgroups) * u64::from(COLUMNS);
    within("linear layer: outputs", u64::from(outputs), most_outputs, "split the layer")?;
    let (x, x_first) = x.aligned(caps);
    let (y, y_first) = y.aligned(caps);
    // A layer without bias binds its weights twice: a binding cannot be left out.
    let set = recording.bind(&[x, weight, bias.unwrap_or(weight), y]);
    let (rows_each, launch_rows) = (rows_each(rows), launch_rows(caps, shape));
    let constants = [("ROWS_EACH", f64::from(rows_each))];
    let mut first = 0;
    while first < rows {
        let count = launch_rows.min(rows - first);
        let params = DenseLinearParams {
            rows: count,
            inputs,
            outputs,
            x_first: x_first + first * inputs,
            y_first: y_first + first * outputs,
            activation_in: activation_in as u32,
            activation_out: activation_out as u32,
            has_bias: u32::from(bias.is_some()),
        };
        let [y_groups, z_groups, _] = fold(u64::from(count.div_ceil(rows_each * SIDE)), caps.max_workgroups);
        let work = u64::from(count) * u64::from(inputs) * u64::from(outputs);
        recording.dispatch_with(caps.shader(Kernel::DenseLinear), &constants, set, &params, [columns, y_groups, z_groups], work);
        first += count;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::device::recording::Command;

    #[test]
    fn much_work_is_cut_into_launches_that_cover_every_row_once() {
        let caps = Caps::portable();
        for shape @ [rows, inputs, outputs] in [[5_000, 4_000, 4_000], [40, 30_000, 30_000], [70_001, 1_000, 3_000], [1, 1, 1]] {
            let bytes = |a: u32, b: u32| u64::from(a) * u64::from(b) * 4;
            let mut recording = Recording::new();
            let sizes = [("x", bytes(rows, inputs)), ("weight", bytes(inputs, outputs)), ("y", bytes(rows, outputs))];
            let windows = sizes.map(|(label, bytes)| {
                let buffer = recording.bound(label, bytes + 12);
                Binding { offset: 12, bytes, ..recording.whole(buffer) }
            });
            record_linear(&mut recording, &caps, windows, None, shape, [Activation::Identity; 2]).unwrap();
            let mut first = 0;
            for command in &recording.commands {
                let Command::Dispatch(dispatch) = command else { continue };
                let params = &recording.uniforms[dispatch.params as usize..][..size_of::<DenseLinearParams>()];
                let params: DenseLinearParams = bytemuck::pod_read_unaligned(params);
                assert_eq!([params.x_first, params.y_first], [3 + first * inputs, 3 + first * outputs]);
                assert!(dispatch.work <= caps.submit_work() || params.rows <= 64);
                first += params.rows;
            }
            assert_eq!(first, rows);
            assert_eq!(recording.dispatches() as u64, linear_launches(&caps, shape));
            let work = bytes(rows, inputs) / 4 * u64::from(outputs);
            assert!(linear_launches(&caps, shape) >= work.div_ceil(caps.submit_work()), "{shape:?}");
        }
    }
}
