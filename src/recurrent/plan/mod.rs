//! Plans of a layer: what runs, in what order, on which part of which buffer. Long input is cut into stretches of time, so
//! that no window of a buffer exceeds the device's limit and the workspace stays small; states go on from stretch to stretch.

mod backward;
mod batch_norm;
mod forward;
#[cfg(not(target_family = "wasm"))]
mod geometry;
#[cfg_attr(target_family = "wasm", path = "not_halved.rs")]
mod halved;
#[cfg(not(target_family = "wasm"))]
mod local;
#[cfg(not(target_family = "wasm"))]
mod matrices;
mod mid;
#[cfg(not(target_family = "wasm"))]
mod normed;
mod norms;
#[cfg(not(target_family = "wasm"))]
mod persistent;
mod projected;
mod rows;
mod scan;
mod stepped;
#[cfg(all(test, not(target_family = "wasm")))]
mod tests;
#[cfg(not(target_family = "wasm"))]
mod tier;
#[cfg(not(target_family = "wasm"))]
mod tune;
mod ways;
mod weights;

pub(super) use backward::backward;
pub(super) use forward::{ForwardBuffers, forward, record_forward};
#[cfg(not(target_family = "wasm"))]
pub(super) use tune::measure;
pub(super) use ways::Choice;

use super::Tier;
use super::cells::{InputNorm, Norms};
use crate::dense::{Conversion, Matrix, record_convert};
use crate::device::Caps;
use crate::device::program::Program;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{CellCopyStatesParams, Kernel};
#[cfg(not(target_family = "wasm"))]
use crate::device::tunings::Tunings;
use crate::error::{Result, within};
use crate::tensor::DType;
use std::sync::Arc;

/// Workspace for what one stretch of time takes, unless a single frame needs more.
const STRETCH_BYTES: u64 = 256 << 20;

/// Vectors of each kind that a unit of a cell has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Gates of the input projection.
    pub inputs: u64,
    /// Rows of the recurrent product, and how many of them, the last ones, multiply what comes of the others.
    pub rows: u64,
    pub second: u64,
    pub states: u64,
    pub parameters: u64,
    pub masks: u64,
    /// Whether the cell knows projection and product only as their sum.
    pub summed: bool,
    /// Whether h can be projected, as the cell itself does not look at it; and whether a projected h is a state of its own: the cell
    /// must know its product in a sum with W x only, and have other states.
    pub projects: bool,
    pub has_own_h: bool,
    /// Gains of the product's norm: one for each row, or none. Vectors of the norm of a state: gain and bias.
    pub gains: u64,
    pub state_vectors: u64,
}

impl Shape {
    /// Vectors of H numbers that units have.
    pub(super) fn unit_vectors(&self) -> u64 {
        self.rows + self.parameters + self.gains + self.state_vectors
    }
}

/// A way of running the steps that is being measured.
#[cfg(not(target_family = "wasm"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial(ways::Way);

/// How a cell goes from frame to frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    /// Units do not see each other: all frames in a launch.
    Scan,
    /// A launch a step.
    Steps,
    /// Two, because there are two products.
    Mid,
    /// Two, because there are norms over all units of a sequence.
    Rows,
}

impl Walk {
    /// Launches a step, at most, and so steps that wait for each other.
    fn launches(self) -> u64 {
        match self {
            Self::Scan | Self::Steps => 1,
            Self::Mid | Self::Rows => 2,
        }
    }
}

/// How states are kept at random.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Zoneout {
    /// Of 2^32: how often h keeps its value, and how often the others do.
    pub first: u32,
    pub others: u32,
    pub seed: u32,
    /// Whether states become the mean of both, as after training.
    pub means: bool,
}

/// Which numbers of the recurrent weight are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct WeightDrop {
    /// Of 2^32, how often a number is; 0: never.
    pub odds: u32,
    /// What the others are multiplied by.
    pub scale: f32,
    pub seed: u32,
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub shape: Shape,
    pub program: Arc<Program>,
    pub frames: u64,
    pub batch: u64,
    pub input_size: u64,
    pub hidden: u64,
    pub reversed: bool,
    pub bias: bool,
    pub lengths: bool,
    pub resets: bool,
    /// Whether first states are given, or gradients of the last ones; otherwise they are zero.
    pub state: bool,
    pub zoneout: Zoneout,
    /// Heads, whose units see each other only: 1 if all do.
    pub heads: u64,
    /// P, if h is projected, and whether that of the states before the first frame is given.
    pub projection: Option<u64>,
    pub first_h: bool,
    pub weight_drop: WeightDrop,
    pub norms: Norms,
    /// Whether a batch norm takes the statistics of this batch.
    pub training: bool,
    /// What shall run the steps, if anything was asked for.
    pub tier: Option<Tier>,
    /// What was measured, if plans go by that.
    #[cfg(not(target_family = "wasm"))]
    pub tunings: Option<Arc<Tunings>>,
    /// What is being measured.
    #[cfg(not(target_family = "wasm"))]
    pub trial: Option<Trial>,
    /// Whether x, y and the weights of both products are f16.
    pub halves: bool,
}

impl Problem {
    /// Bytes of `columns` numbers of each sequence.
    fn row_bytes(&self, columns: u64) -> u64 {
        self.batch.saturating_mul(columns).saturating_mul(4)
    }

    /// Of one frame in f32: x, the gates of the input projection, the rows of the product, and y.
    fn frame_bytes(&self) -> [u64; 4] {
        let hidden = self.hidden;
        [self.input_size, self.shape.inputs.saturating_mul(hidden), self.shape.rows.saturating_mul(hidden), hidden]
            .map(|columns| self.row_bytes(columns))
    }

    /// The type of x, y and the weights of both products.
    fn dtype(&self) -> DType {
        if self.halves { DType::F16 } else { DType::F32 }
    }

    /// Bytes in whole words of so many numbers of that type.
    fn bytes_of(&self, numbers: u64) -> u64 {
        (numbers.saturating_mul(self.dtype().bytes()).saturating_add(3) & !3).max(4)
    }

    /// A matrix of that type in a buffer: lines of `stride` numbers, from one of them on.
    fn matrix(&self, buffer: BufferId, line: u64, stride: u64) -> Matrix {
        Matrix { buffer, first: line * stride, stride: stride as u32, dtype: self.dtype() }
    }

    /// Bytes of one state of all sequences.
    fn plane_bytes(&self) -> u64 {
        self.row_bytes(self.hidden)
    }

    /// Columns of the recurrent weight as it is kept.
    fn kept_columns(&self) -> u64 {
        self.projection.unwrap_or(self.hidden / self.heads.max(1))
    }

    /// Numbers of h, and of y, of a sequence.
    fn outputs(&self) -> u64 {
        self.projection.unwrap_or(self.hidden)
    }

    /// States that are not in the tensor of states: a projected h. Where that is none, the tensor has what is projected.
    fn apart(&self) -> u64 {
        u64::from(self.projection.is_some() && self.shape.has_own_h)
    }

    fn is_batch_norm(&self) -> bool {
        matches!(self.norms.input, Some(InputNorm::Batch(_)))
    }

    /// Whether the norm of W x has gains.
    fn has_gain_ih(&self) -> bool {
        self.norms.input.is_some_and(|norm| norm.affine()[0])
    }

    /// How it goes from frame to frame.
    fn walk(&self) -> Walk {
        if self.norms.recurrent.is_some() || self.norms.state.is_some() {
            return Walk::Rows;
        }
        match (self.shape.rows, self.shape.second) {
            (0, _) => Walk::Scan,
            (_, 0) => Walk::Steps,
            _ => Walk::Mid,
        }
    }

    /// Steps that wait for each other, by launches or within them.
    pub(super) fn serial_steps(&self, tier: Tier) -> u64 {
        self.frames * if tier == Tier::Stepped { self.walk().launches() } else { 1 }
    }

    /// Elementary operations of a launch that is one step.
    fn step_work(&self) -> u64 {
        self.batch * self.shape.rows * self.hidden * self.hidden
    }

    /// The frame of a step.
    fn frame_of(&self, step: u64) -> u64 {
        if self.reversed { self.frames - 1 - step } else { step }
    }

    /// The slot of the states before a step, of so many: in the order of the frames.
    fn slot_of(&self, step: u64, slots: u64) -> u64 {
        (if self.reversed { self.frames - step } else { step }) % slots
    }

    /// The words of the buffer of sequences: lengths and masks, and the bits of resets.
    pub(super) fn sequence_words(&self) -> [u64; 2] {
        let masks = self.shape.masks * self.batch * self.hidden;
        let first = if self.lengths || masks > 0 || self.resets { self.batch + masks } else { 0 };
        [first, if self.resets { self.frames * self.reset_words() } else { 0 }]
    }

    /// Words of the resets of one frame.
    pub(super) fn reset_words(&self) -> u64 {
        self.batch.div_ceil(32)
    }

    /// Where the resets begin; 0 if there are none.
    fn resets_first(&self) -> u64 {
        if self.resets { self.sequence_words()[0] } else { 0 }
    }

    /// Whether there is anything to know of the sequences.
    pub(super) fn has_sequences(&self) -> bool {
        self.sequence_words().iter().any(|&words| words > 0)
    }

    /// Stretches of steps in their order, each the first step and how many.
    fn stretches(&self, most: u64) -> impl DoubleEndedIterator<Item = (u64, u64)> + use<> {
        let (frames, most) = (self.frames, most.max(1));
        (0..frames.div_ceil(most)).map(move |number| (number * most, most.min(frames - number * most)))
    }

    /// The frames of a stretch of steps: the first in memory.
    fn first_frame(&self, (first, count): (u64, u64)) -> u64 {
        if self.reversed { self.frames - first - count } else { first }
    }
}

/// Fails where the weights exceed what a kernel can see at once.
pub(super) fn check_weights(caps: &Caps, shape: Shape, input_size: usize, hidden: usize) -> Result<()> {
    let bytes = |rows: u64, columns: usize| 4 * rows.saturating_mul(hidden as u64).saturating_mul(columns as u64);
    let help = "use a smaller hidden_size or input_size";
    within("weight_ih, bytes", bytes(shape.inputs, input_size), caps.max_window_bytes(), help)?;
    within("weight_hh, bytes", bytes(shape.rows, hidden), caps.max_window_bytes(), help)
}

/// Frames of one stretch: at least one, or an error. `gates` are the bytes of all that is computed of one frame.
fn stretch_frames(caps: &Caps, problem: &Problem, gates: u64) -> Result<u64> {
    let shifted = caps.max_shifted_window_bytes();
    let [x, .., y] = problem.frame_bytes();
    let mut frames = problem.frames.min((STRETCH_BYTES / gates.max(1)).max(1));
    for (what, need, have) in [
        ("one frame of x, bytes", x, shifted),
        ("the gates of one frame, bytes", gates, caps.max_window_bytes()),
        ("one frame of y, bytes", y, shifted),
    ] {
        within(what, need, have, "use smaller batches")?;
        frames = frames.min(have / need.max(1));
    }
    Ok(frames)
}

/// Slots of states that are not kept: so many that the first and the last of a stretch are not the same, neither in stretches of `most`
/// frames nor in the rest of `frames`.
#[cfg(not(target_family = "wasm"))]
fn slots_of_stretches(frames: u64, most: u64) -> u64 {
    let rest = frames % most.max(1);
    (2..).find(|slots| !most.is_multiple_of(*slots) && (rest == 0 || !rest.is_multiple_of(*slots))).unwrap_or(2)
}

/// The weights of the recurrent product in f32, as kernels that have no matrices of f16 take them.
fn widened(recording: &mut Recording, caps: &Caps, problem: &Problem, weight_hh: BufferId) -> BufferId {
    let numbers = problem.shape.rows * problem.hidden * problem.kept_columns();
    if !problem.halves || numbers == 0 {
        return weight_hh;
    }
    let wide = recording.workspace("weight_hh_wide", numbers * 4);
    record_convert(recording, caps, [weight_hh, wide], numbers, Conversion::Widen);
    wide
}

/// Part of a buffer of frames.
fn window(buffer: BufferId, first: u64, count: u64, frame_bytes: u64) -> Binding {
    Binding { buffer, offset: first * frame_bytes, bytes: count * frame_bytes }
}

/// A slot of a buffer of states.
#[derive(Clone, Copy)]
struct Slot {
    buffer: BufferId,
    slots: u64,
    slot: u64,
    /// States before those that are meant.
    state: u64,
}

impl Slot {
    /// Of a buffer with one slot.
    fn only(buffer: BufferId) -> Self {
        Self { buffer, slots: 1, slot: 0, state: 0 }
    }

    /// The states from this one on.
    fn at_state(self, state: u64) -> Self {
        Self { state, ..self }
    }
}

/// Copies `states` states of all sequences from a slot to another, or makes them zero, as those before them become. At the frame that follows, those of sequences
/// that begin anew become zero. `stand_in` is any buffer that is read.
fn copy_states(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    (states, source, destination): (u64, Option<Slot>, Slot),
    next: Option<(u64, BufferId)>,
    stand_in: BufferId,
) {
    let from = source.unwrap_or(Slot::only(stand_in));
    let next = next.filter(|_| problem.resets);
    let set = [from.buffer, next.map_or(stand_in, |(_, sequences)| sequences), destination.buffer].map(|buffer| recording.whole(buffer));
    let set = recording.bind(&set);
    let params = CellCopyStatesParams {
        batch: problem.batch as u32,
        hidden: problem.hidden as u32,
        states: states as u32,
        from_state: from.state as u32,
        to_state: destination.state as u32,
        from_slots: from.slots as u32,
        from_slot: from.slot as u32,
        to_slots: destination.slots as u32,
        to_slot: destination.slot as u32,
        has_source: u32::from(source.is_some()),
        frame: next.map_or(0, |(frame, _)| frame as u32),
        has_lengths: u32::from(next.is_some() && problem.lengths),
        resets_first: next.map_or(0, |_| problem.resets_first() as u32),
        reset_words: problem.reset_words() as u32,
    };
    let values = (destination.state + states) * problem.batch * problem.hidden;
    let grid = fold(values.div_ceil(256), caps.max_workgroups);
    recording.dispatch(caps.shader(Kernel::CellCopyStates), set, &params, grid, values);
}
