//! The plan of the stepped tier: the input projection of many frames by one product, then one dispatch
//! a frame. Long input is cut into stretches of time, so that no window of a buffer exceeds the
//! device's limit and the workspace stays small; the state goes on from stretch to stretch.

use super::cell::CellKind;
use crate::dense::{Activation, linear_launches, record_linear};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
/// Those of every cell on this tier.
use crate::device::shader::CellLstmStepParams as StepParams;
use crate::error::{Result, within};

/// Workspace for the input projection of one stretch of time, unless a single frame needs more.
const PROJECTION_BYTES: u64 = 256 << 20;
/// Hidden units a workgroup of `shaders/shared/stepped_tier.wgsl`.
const UNITS: u64 = 8;

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
    let row_bytes = 4 * (kind.gates as u64).saturating_mul(hidden as u64);
    let help = "use a smaller hidden_size or input_size";
    within("weight_ih, bytes", row_bytes.saturating_mul(inputs as u64), caps.max_window_bytes(), help)?;
    within("weight_hh, bytes", row_bytes.saturating_mul(hidden as u64), caps.max_window_bytes(), help)
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
        within(what, need, have, "use smaller batches")?;
        frames = frames.min(have / need.max(1));
    }
    Ok(frames)
}

/// Workgroups from which on a step keeps a large GPU busy.
const MANY_WORKGROUPS: u64 = 128;

/// Sequences a workgroup: many, so that a weight once read serves them all; fewer where that would leave
/// few workgroups.
fn batch_tile(batch: u64, hidden: u64) -> (u64, &'static [(&'static str, f64)]) {
    match batch {
        0..=1 => (1, &[("BATCH", 1.0)]),
        5.. if hidden.div_ceil(UNITS) * batch.div_ceil(8) >= MANY_WORKGROUPS => (8, &[("BATCH", 8.0)]),
        _ => (4, &[("BATCH", 4.0)]),
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
    let rows = kind.gates as u64 * hidden;
    let [x_bytes, _, y_bytes] = problem.frame_bytes(kind);
    let state_bytes = y_bytes.saturating_mul(kind.states as u64);
    let [x_bytes, y_bytes] = [x_bytes, y_bytes].map(|bytes| bytes.saturating_mul(frames));
    for (what, need) in [("x, bytes", x_bytes), ("y, bytes", y_bytes), ("state, bytes", state_bytes)] {
        within(what, need, caps.max_buffer_bytes, "carry the state over several calls, or use smaller batches")?;
    }

    let mut recording = Recording::new();
    let buffers = StepBuffers {
        x: recording.bound("x", x_bytes),
        weight_ih: recording.bound("weight_ih", rows * inputs * 4),
        weight_hh: recording.bound("weight_hh", rows * hidden * 4),
        bias: problem.bias.then(|| [recording.bound("bias_ih", rows * 4), recording.bound("bias_hh", rows * 4)]),
        lengths: problem.lengths.then(|| recording.bound("lengths", batch * 4)),
        state: problem.state.then(|| recording.bound("state", state_bytes)),
        new_state: recording.bound("new_state", state_bytes),
        y: recording.bound("y", y_bytes),
    };
    record(&mut recording, caps, kind, problem, &buffers)?;
    Ok(recording)
}

/// Adds the layer to a plan. T and N are at least 1; bias, lengths and state are there as `problem`
/// says.
pub(super) fn record(recording: &mut Recording, caps: &Caps, kind: CellKind, problem: &StepProblem, buffers: &StepBuffers) -> Result<()> {
    let &StepProblem { frames, batch, inputs, hidden, .. } = problem;
    let &StepBuffers { x, weight_ih, weight_hh, bias, lengths, state: given_state, new_state, y } = buffers;
    let stretch_frames = stretch(caps, kind, problem)?;
    let products = linear_launches(caps, [(stretch_frames * batch) as u32, inputs as u32, (kind.gates as u64 * hidden) as u32])?;
    let launches = frames.saturating_add(frames.div_ceil(stretch_frames).saturating_mul(products));
    within("one call, launches", launches, caps.max_launches(), "carry the state over several calls")?;
    let [x_bytes, projection_bytes, y_bytes] = problem.frame_bytes(kind);
    let rows = kind.gates as u64 * hidden;
    let state_bytes = y_bytes * kind.states as u64;
    let projection = recording.workspace("projection", stretch_frames * projection_bytes);

    // The state goes from one of these to the other: a step reads all of h while it is replaced. Short
    // calls need fewer.
    let even = if frames > 1 { recording.workspace("state_even", state_bytes) } else { new_state };
    let odd = if frames > 2 || given_state.is_none() { recording.workspace("state_odd", state_bytes) } else { new_state };
    if given_state.is_none() {
        recording.clear(odd);
    }
    let carrier = |frame: u64| if frame.is_multiple_of(2) { even } else { odd };
    let before = |frame: u64| if frame == 0 { given_state.unwrap_or(odd) } else { carrier(frame - 1) };
    let after = |frame: u64| if frame + 1 == frames { new_state } else { carrier(frame) };

    let shader = caps.shader(kind.step);
    let (tile, constants) = batch_tile(batch, hidden);
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
            let (from, to) = (before(frame), after(frame));
            let known = sets.iter().find(|(states, _)| *states == (from, to)).map(|&(_, set)| set);
            let set = known.unwrap_or_else(|| {
                let [gx, weight_hh, bias_hh, lengths] = shared;
                let set = recording.bind(&[gx, weight_hh, bias_hh, lengths, recording.whole(from), recording.whole(to), y_window]);
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use crate::device::recording::{Command, Dispatch};
    use crate::device::shader::Kernel;
    use crate::error::Error;
    use crate::recurrent::cell::Sealed;
    use crate::recurrent::{GruCell, LstmCell};

    fn problem(frames: u64, batch: u64, inputs: u64, hidden: u64) -> StepProblem {
        StepProblem { frames, batch, inputs, hidden, bias: true, lengths: true, state: true }
    }

    fn dispatches(recording: &Recording) -> Vec<&Dispatch> {
        let mut all = Vec::new();
        for command in &recording.commands {
            if let Command::Dispatch(dispatch) = command {
                all.push(dispatch);
            }
        }
        all
    }

    fn step_params(recording: &Recording, dispatch: &Dispatch) -> StepParams {
        bytemuck::pod_read_unaligned(&recording.uniforms[dispatch.params as usize..][..size_of::<StepParams>()])
    }

    fn label(recording: &Recording, dispatch: &Dispatch, binding: usize) -> &'static str {
        recording.buffers[recording.sets[dispatch.set.0][binding - 1].buffer.0].label
    }

    #[test]
    fn one_product_then_one_dispatch_a_frame() {
        let recording = plan(&Caps::portable(), LstmCell::KIND, &problem(500, 16, 80, 640)).unwrap();
        let kernels: Vec<Kernel> = dispatches(&recording).iter().map(|d| d.shader.kernel).collect();
        assert_eq!(kernels[0], Kernel::DenseGemm);
        assert_eq!(kernels[1..], [Kernel::CellLstmStep; 500]);
    }

    #[test]
    fn the_state_is_handed_from_frame_to_frame() {
        for given in [true, false] {
            for frames in 1..8 {
                let problem = StepProblem { state: given, ..problem(frames, 3, 5, 7) };
                let recording = plan(&Caps::portable(), GruCell::KIND, &problem).unwrap();
                let steps: Vec<_> = dispatches(&recording).into_iter().filter(|d| d.shader.kernel == Kernel::CellGruStep).collect();
                assert_eq!(steps.len() as u64, frames);
                let mut written = if given { "state" } else { "state_odd" };
                for (frame, step) in steps.iter().enumerate() {
                    let (from, to) = (label(&recording, step, 5), label(&recording, step, 6));
                    assert_eq!(step_params(&recording, step).frame as usize, frame);
                    assert_eq!(from, written, "frame {frame} of {frames}");
                    assert_ne!(from, to);
                    written = to;
                }
                assert_eq!(written, "new_state");
                let cleared = recording.commands.iter().any(|command| matches!(command, Command::Clear(_)));
                assert_eq!(cleared, !given);
            }
        }
    }

    #[test]
    fn windows_stay_within_the_limits_and_cover_every_frame_once() {
        let tight = Caps { max_binding_bytes: 100_000, ..Caps::portable() };
        let large = Caps { max_buffer_bytes: 1 << 33, ..Caps::portable() };
        for (caps, problem) in [
            (&tight, problem(1_000, 3, 5, 7)),
            (&tight, problem(333, 17, 13, 31)),
            (&tight, problem(97, 1, 91, 61)),
            (&large, problem(3_000, 255, 1_023, 1_021)),
            (&Caps::portable(), problem(70_000, 1, 80, 256)),
        ] {
            let recording = plan(caps, LstmCell::KIND, &problem).unwrap();
            for binding in recording.sets.iter().flatten() {
                assert!(binding.bytes <= caps.max_binding_bytes && binding.offset % caps.storage_alignment == 0);
                assert!(binding.offset + binding.bytes <= recording.buffers[binding.buffer.0].bytes);
            }
            let frame_elements = problem.batch * problem.hidden;
            let mut frame = 0;
            let mut stretch = 0;
            for dispatch in dispatches(&recording) {
                if matches!(dispatch.shader.kernel, Kernel::DenseGemm | Kernel::DenseGemmThin) {
                    stretch = frame;
                    continue;
                }
                let params = step_params(&recording, dispatch);
                let y = recording.sets[dispatch.set.0][6];
                assert_eq!(u64::from(params.frame), frame);
                assert_eq!(y.offset / 4 + u64::from(params.y_first), frame * frame_elements);
                assert!((u64::from(params.y_first) + frame_elements) * 4 <= y.bytes);
                assert_eq!(u64::from(params.gx_first), (frame - stretch) * 4 * frame_elements);
                frame += 1;
            }
            assert_eq!(frame, problem.frames);
            assert!(recording.buffers.iter().all(|b| b.label != "projection" || b.bytes <= PROJECTION_BYTES.min(caps.max_binding_bytes)));
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error_with_both_numbers() {
        let caps = Caps::portable();
        let large = Caps { max_buffer_bytes: 1 << 33, ..Caps::portable() };
        let refused_by = |caps: &Caps, problem| match plan(caps, GruCell::KIND, &problem) {
            Err(Error::LimitExceeded { what, need, have, .. }) => (what, need, have),
            other => panic!("{:?}", other.map(|r| r.to_string())),
        };
        let refused = |problem| refused_by(&caps, problem);
        let (what, need, have) = refused_by(&large, problem(2, 1 << 16, 8, 1_024));
        assert_eq!((what, need, have), ("the input projection of one frame, bytes", (1 << 16) * 3 * 1_024 * 4, 128 << 20));
        let (what, need, _) = refused_by(&large, problem(1, 1 << 16, 1_024, 8));
        assert_eq!((what, need), ("one frame of x, bytes", 1 << 28));
        let (what, need, have) = refused(problem(1 << 20, 1, 1, 1));
        // Each frame has a launch, and each launch 256 B of params in one buffer; one product comes first.
        assert_eq!((what, need, have), ("one call, launches", (1 << 20) + 1, 1 << 20));
        assert!(plan(&caps, GruCell::KIND, &problem((1 << 12) - 1, 1, 1, 1)).is_ok());
        assert_eq!(refused(problem(1 << 33, 1, 1, 1)).0, "x, bytes");
        // Products beyond 64 bits.
        assert_eq!(refused(problem(u64::MAX, u64::MAX, 1, 1)), ("x, bytes", u64::MAX, 256 << 20));
        assert!(check_weights(&caps, GruCell::KIND, 80, 3_000).is_ok());
        assert!(matches!(check_weights(&caps, GruCell::KIND, 80, 4_000), Err(Error::LimitExceeded { what: "weight_hh, bytes", .. })));
        assert!(matches!(check_weights(&caps, GruCell::KIND, 1 << 20, 80), Err(Error::LimitExceeded { what: "weight_ih, bytes", .. })));
    }
}
