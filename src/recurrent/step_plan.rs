//! The plan of the stepped tier: the input projection of many frames by one product, then one dispatch
//! a frame. Long input is cut into stretches of time, so that no window of a buffer exceeds the
//! device's limit and the workspace stays small; the state goes on from stretch to stretch.

use super::cell::CellKind;
use crate::dense::{Activation, record_linear};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::error::{Error, Result};
use bytemuck::{Pod, Zeroable};

/// Workspace for the input projection of one stretch of time, unless a single frame needs more.
const PROJECTION_BYTES: u64 = 256 << 20;
/// Hidden units a workgroup of `shaders/shared/stepped_tier.wgsl`.
const UNITS: u64 = 8;

/// Twin of `Params` in `shaders/shared/stepped_tier.wgsl`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct StepParams {
    pub batch: u32,
    pub hidden: u32,
    pub frame: u32,
    pub gx_first: u32,
    pub y_first: u32,
    pub has_bias: u32,
    pub has_lengths: u32,
}

/// Shapes of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepProblem {
    pub frames: u64,
    pub batch: u64,
    pub inputs: u64,
    pub hidden: u64,
    pub bias: bool,
    pub lengths: bool,
    /// Whether a state is given; otherwise the first is zero.
    pub state: bool,
}

impl StepProblem {
    /// Sizes in bytes of what one frame takes: its part of x, of the input projection, and of y.
    fn frame_bytes(&self, kind: CellKind) -> [u64; 3] {
        let numbers = |columns: u64| self.batch.saturating_mul(columns).saturating_mul(4);
        [numbers(self.inputs), numbers(kind.gates as u64 * self.hidden), numbers(self.hidden)]
    }
}

/// Fails where the weights exceed what a kernel can see at once.
pub(super) fn check_weights(caps: &Caps, kind: CellKind, inputs: usize, hidden: usize) -> Result<()> {
    let bytes = |columns: usize| kind.gates as u64 * hidden as u64 * columns as u64 * 4;
    for (what, need) in [("weight_ih, bytes", bytes(inputs)), ("weight_hh, bytes", bytes(hidden))] {
        let have = caps.max_window_bytes();
        if need > have {
            return Err(Error::LimitExceeded { what, need, have, help: "use a smaller hidden_size or input_size" });
        }
    }
    Ok(())
}

/// Frames of one stretch of time: at least one, or an error.
fn stretch(caps: &Caps, kind: CellKind, problem: &StepProblem) -> Result<u64> {
    let limit = caps.max_window_bytes();
    let shifted = caps.max_shifted_window_bytes();
    let [x, projection, y] = problem.frame_bytes(kind);
    let mut frames = problem.frames.min((PROJECTION_BYTES / projection.max(1)).max(1));
    for (what, need, have) in [
        ("one frame of x, bytes", x, shifted),
        ("the input projection of one frame, bytes", projection, limit),
        ("one frame of y, bytes", y, shifted),
    ] {
        if need > have {
            return Err(Error::LimitExceeded { what, need, have, help: "use smaller batches" });
        }
        frames = frames.min(have / need.max(1));
    }
    Ok(frames)
}

/// Sequences a workgroup: many, so that a weight once read serves them all; few where there are few.
fn batch_tile(batch: u64) -> (u64, &'static [(&'static str, f64)]) {
    match batch {
        0..=1 => (1, &[("BATCH", 1.0)]),
        2..=4 => (4, &[("BATCH", 4.0)]),
        _ => (8, &[("BATCH", 8.0)]),
    }
}

/// Buffers of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepBuffers {
    /// [T, N, I]
    pub x: BufferId,
    /// [G H, I]
    pub weight_ih: BufferId,
    /// [G H, H]
    pub weight_hh: BufferId,
    /// bias_ih and bias_hh, each [G H].
    pub bias: Option<[BufferId; 2]>,
    /// [N]
    pub lengths: Option<BufferId>,
    /// [S, N, H]
    pub state: Option<BufferId>,
    /// [S, N, H]
    pub new_state: BufferId,
    /// [T, N, H]
    pub y: BufferId,
}

/// Makes the plan. The caller provides, in this order: x [T, N, I], weight_ih [G H, I], weight_hh
/// [G H, H], bias_ih [G H] and bias_hh [G H] if any, lengths [N] if any, the state [S, N, H] if any, and
/// for the results the new state [S, N, H] and y [T, N, H]. T and N are at least 1.
pub(super) fn plan(caps: &Caps, kind: CellKind, problem: &StepProblem) -> Result<Recording> {
    let &StepProblem { frames, batch, inputs, hidden, .. } = problem;
    let [x_bytes, _, y_bytes] = problem.frame_bytes(kind);
    let rows = kind.gates as u64 * hidden;
    let state_bytes = kind.states as u64 * batch * hidden * 4;

    let mut recording = Recording::new();
    let buffers = StepBuffers {
        x: recording.bound("x", frames * x_bytes),
        weight_ih: recording.bound("weight_ih", rows * inputs * 4),
        weight_hh: recording.bound("weight_hh", rows * hidden * 4),
        bias: problem.bias.then(|| [recording.bound("bias_ih", rows * 4), recording.bound("bias_hh", rows * 4)]),
        lengths: problem.lengths.then(|| recording.bound("lengths", batch * 4)),
        state: problem.state.then(|| recording.bound("state", state_bytes)),
        new_state: recording.bound("new_state", state_bytes),
        y: recording.bound("y", frames * y_bytes),
    };
    record(&mut recording, caps, kind, problem, &buffers)?;
    Ok(recording)
}

/// Adds the layer to a plan. T and N are at least 1; bias, lengths and state are there as `problem`
/// says.
pub(super) fn record(recording: &mut Recording, caps: &Caps, kind: CellKind, problem: &StepProblem, buffers: &StepBuffers) -> Result<()> {
    let &StepProblem { frames, batch, inputs, hidden, .. } = problem;
    let &StepBuffers { x, weight_ih, weight_hh, bias, lengths, state: given_state, new_state, y } = buffers;
    if frames > u64::from(u32::MAX) {
        return Err(Error::LimitExceeded {
            what: "frames",
            need: frames,
            have: u64::from(u32::MAX),
            help: "carry the state over several calls",
        });
    }
    let stretch_frames = stretch(caps, kind, problem)?;
    let [x_bytes, projection_bytes, y_bytes] = problem.frame_bytes(kind);
    let rows = kind.gates as u64 * hidden;
    let state_bytes = kind.states as u64 * batch * hidden * 4;
    let projection = recording.workspace("projection", stretch_frames * projection_bytes);

    // The state goes from one of these to the other: a step reads all of h while it is replaced.
    let ping = (frames > 1).then(|| recording.workspace("state_even", state_bytes));
    let pong = (frames > 2 || given_state.is_none()).then(|| recording.workspace("state_odd", state_bytes));
    if let (None, Some(zero)) = (given_state, pong) {
        recording.clear(zero);
    }
    let carrier = |frame: u64| if frame.is_multiple_of(2) { ping } else { pong };
    let before = |frame: u64| if frame == 0 { given_state.or(pong) } else { carrier(frame - 1) };
    let after = |frame: u64| if frame + 1 == frames { Some(new_state) } else { carrier(frame) };

    let shader = caps.shader(kind.step);
    let (tile, constants) = batch_tile(batch);
    let [tiles_y, tiles_z, _] = fold(batch.div_ceil(tile), caps.max_workgroups);
    let grid = [hidden.div_ceil(UNITS) as u32, tiles_y, tiles_z];
    let window = |buffer: BufferId, first: u64, count: u64, frame_bytes: u64| Binding {
        buffer,
        offset: first * frame_bytes,
        bytes: count * frame_bytes,
    };
    let mut first = 0;
    while first < frames {
        let count = stretch_frames.min(frames - first);
        let gx = window(projection, 0, count, projection_bytes);
        let windows = [window(x, first, count, x_bytes), recording.whole(weight_ih), gx];
        let bias_ih = bias.map(|[bias_ih, _]| recording.whole(bias_ih));
        let shape = [(count * batch) as u32, inputs as u32, rows as u32];
        record_linear(recording, caps, windows, bias_ih, shape, [Activation::Identity; 2])?;

        let (y_window, y_first) = window(y, first, count, y_bytes).aligned(caps);
        // A binding cannot be left out: the weights stand in for a missing bias or lengths.
        let bias_hh = bias.map_or(weight_hh, |[_, bias_hh]| bias_hh);
        let shared = [gx, recording.whole(weight_hh), recording.whole(bias_hh), recording.whole(lengths.unwrap_or(weight_hh))];
        let mut sets = Vec::new();
        for step in 0..count {
            let frame = first + step;
            let (Some(from), Some(to)) = (before(frame), after(frame)) else { continue };
            let known = sets.iter().find(|(states, _)| *states == (from, to)).map(|&(_, set)| set);
            let set = known.unwrap_or_else(|| {
                let [gx, weight_hh, bias_hh, lengths] = shared;
                let states = [recording.whole(from), recording.whole(to)];
                let set = recording.bind(&[gx, weight_hh, bias_hh, lengths, states[0], states[1], y_window]);
                sets.push(((from, to), set));
                set
            });
            let params = StepParams {
                batch: batch as u32,
                hidden: hidden as u32,
                frame: frame as u32,
                gx_first: (step * batch * rows) as u32,
                y_first: y_first + (step * batch * hidden) as u32,
                has_bias: u32::from(bias.is_some()),
                has_lengths: u32::from(lengths.is_some()),
            };
            recording.dispatch_with(shader, constants, set, &params, grid, batch * rows * hidden);
        }
        first += count;
    }
    Ok(())
}
