//! Cells without a product: all frames of a stretch in one launch.

use super::Problem;
use super::stepped::{GatesAt, Windows, gradient_params, step_params};
use crate::device::Caps;
use crate::device::recording::{BindSet, Binding, Recording, fold};
use crate::device::shader::{CellScanGradientParams, CellScanParams, Kernel};

/// Invocations of a workgroup of `shaders/cell/scan.wgsl` and `scan_gradient.wgsl`.
const INVOCATIONS: u64 = 64;

/// `bindings` are those of `shaders/shared/cell_call.wgsl`, then y.
pub(super) fn forward(recording: &mut Recording, caps: &Caps, problem: &Problem, bindings: &[Binding; 6], windows: Windows) {
    let (first, count) = windows.stretch;
    let params = CellScanParams { frames: count as u32, ..step_params(problem, windows, first) };
    let set = recording.bind(bindings);
    let units = problem.batch * problem.hidden;
    let grid = fold(units.div_ceil(INVOCATIONS), caps.max_workgroups);
    recording.dispatch_program((caps.shader(Kernel::CellScan), &problem.program), &[], set, &params, grid, units * count);
}

/// `set` are the bindings of `shaders/cell/scan_gradient.wgsl`.
pub(super) fn backward(recording: &mut Recording, caps: &Caps, problem: &Problem, set: BindSet, windows: Windows, gates_at: GatesAt<'_>) {
    let (first, count) = windows.stretch;
    let last = gradient_params(problem, windows, gates_at, Some(first + count - 1));
    let params = CellScanGradientParams {
        batch: last.batch,
        hidden: last.hidden,
        last: last.frame,
        frames: count as u32,
        reversed: u32::from(problem.reversed),
        gates_last: last.inputs_first,
        dy_last: last.dy_first,
        slot_last: last.slot,
        slots: last.slots,
        has_lengths: last.has_lengths,
        resets_first: last.resets_first,
        reset_words: last.reset_words,
        zone_first: last.zone_first,
        zone_others: last.zone_others,
        seed: last.seed,
    };
    let units = problem.batch * problem.hidden;
    let grid = fold(units.div_ceil(INVOCATIONS), caps.max_workgroups);
    recording.dispatch_program((caps.shader(Kernel::CellScanGradient), &problem.program), &[], set, &params, grid, units * count);
}
