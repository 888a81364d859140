//! Cells with two products (the GRU with the reset gate before the product): two launches a step.

use super::stepped::{GatesAt, Spread, Windows, gradient_params, step_params, steps_back};
use super::{Problem, Slot};
use crate::device::Caps;
use crate::device::recording::{BindSet, Binding, BufferId, Recording, fold};
use crate::device::shader::{CellMidsParams, Kernel};

/// The steps of a stretch. `bindings` are those of `shaders/shared/cell_call.wgsl`, then y; `mids` [1 + R - second, N, H] is what the
/// two launches share.
pub(super) fn forward(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    bindings: &[Binding; 6],
    mids: BufferId,
    windows: Windows,
) {
    let &[gx, weight_hh, units, sequences, states, y] = bindings;
    let mids = recording.whole(mids);
    let sets = [
        recording.bind(&[gx, weight_hh, units, sequences, states, mids]),
        recording.bind(&[gx, weight_hh, units, sequences, states, y, mids]),
    ];
    let spreads = [Kernel::CellMid, Kernel::CellMidStep].map(|kernel| Spread::like_step(caps, problem, kernel));
    let (first, count) = windows.stretch;
    for step in first..first + count {
        let params = step_params(problem, windows, step);
        for (spread, set) in spreads.iter().zip(sets) {
            recording.dispatch_program(
                (spread.shader, &problem.program),
                &spread.constants,
                set,
                &params,
                spread.grid,
                problem.step_work(),
            );
        }
    }
}

/// What the second products of a stretch multiplied, [frames, N, H]: of its gates, at `[inputs, products]` of the buffer.
pub(super) fn multiplied(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    [units, sequences, gates, mids]: [BufferId; 4],
    [inputs_first, products_first]: [u64; 2],
    states: Slot,
    (first_frame, frames): (u64, u64),
) {
    let bindings = [units, sequences, states.buffer, gates, mids].map(|buffer| recording.whole(buffer));
    let set = recording.bind(&bindings);
    let params = CellMidsParams {
        batch: problem.batch as u32,
        hidden: problem.hidden as u32,
        frames: frames as u32,
        inputs_first: inputs_first as u32,
        products_first: products_first as u32,
        slot_first: states.slot as u32,
        slots: states.slots as u32,
        first: first_frame as u32,
        has_lengths: u32::from(problem.lengths),
        resets_first: problem.resets_first() as u32,
        reset_words: problem.reset_words() as u32,
    };
    let values = frames * problem.batch * problem.hidden;
    let grid = fold(values.div_ceil(256), caps.max_workgroups);
    recording.dispatch_program((caps.shader(Kernel::CellMids), &problem.program), &[], set, &params, grid, values);
}

/// The steps of a stretch from its last to its first, and what is left to multiply after the first of all. `set` as in
/// [`stepped::backward`](super::stepped::backward).
pub(super) fn backward(recording: &mut Recording, caps: &Caps, problem: &Problem, set: BindSet, windows: Windows, gates_at: GatesAt<'_>) {
    let spreads = [Kernel::CellSecondGradient, Kernel::CellMidGradient].map(|kernel| Spread::of(caps, problem, kernel, problem.hidden));
    for step in steps_back(windows) {
        let params = gradient_params(problem, windows, gates_at, step);
        for spread in &spreads[..if step.is_some() { 2 } else { 1 }] {
            recording.dispatch_program(
                (spread.shader, &problem.program),
                &spread.constants,
                set,
                &params,
                spread.grid,
                problem.step_work(),
            );
        }
    }
}
