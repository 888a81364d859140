//! What the persistent tier has besides for cells with layer norms: workgroups hand sums over their units to each other.

use super::geometry::Geometry;
use super::{Problem, STRETCH_BYTES, Walk};
use crate::dense::{Matrix, record_column_sums};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{CellStateSumsParams, Kernel};
use crate::error::Result;
use crate::recurrent::cells::NormSpan;
use crate::tensor::DType;

/// What parts of `carry` begin at, bytes: a binding may on any device.
const WINDOW: u64 = 256;

/// Whether there are norms between product and output.
pub(super) fn is_normed(problem: &Problem) -> bool {
    problem.walk() == Walk::Rows
}

/// Norms of a step, each of which waits for all units.
pub(super) fn exchanges(problem: &Problem) -> u32 {
    u32::from(problem.norms.recurrent.is_some()) + u32::from(problem.norms.state.is_some())
}

/// Means of the product of a sequence at a frame.
pub(super) fn spans(problem: &Problem) -> u64 {
    problem.norms.recurrent.map_or(0, |norm| match norm.span {
        NormSpan::Whole => 1,
        NormSpan::Gate => problem.shape.rows,
    })
}

/// How the kernel sums over units: `shaders/shared/group_sums.wgsl`.
pub(super) fn shape(caps: &Caps, problem: &Problem, geometry: &Geometry) -> [(&'static str, f64); 3] {
    let groups = groups(problem, geometry) as u32;
    [
        ("NORM_STAGES", geometry.unit_stages(caps)),
        ("NORM_VALUES", spans(problem).max(1) as u32),
        ("NORM_LOADS", groups.div_ceil(geometry.units())),
    ]
    .map(|(name, value)| (name, f64::from(value)))
}

/// Bytes of the steps that are left undone, and of the sums of the weights' columns behind them.
pub(super) fn undone_bytes(problem: &Problem) -> u64 {
    problem.plane_bytes() + 4 * spans(problem) * problem.hidden
}

/// What norms cost a step of the persistent tier.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Toll {
    /// How often units wait for each other besides.
    pub exchanges: u32,
    /// Registers of an invocation.
    pub registers: u32,
    /// Whether sums of other workgroups take the registers of their rows, which are used by then unless those of other chunks wait there.
    /// Counted so where the other choice is a launch a norm; the rest was fitted without it.
    pub shares: bool,
}

impl Toll {
    /// Backward the sums of all norms are one exchange; a normalised state has gradients of its own.
    pub(super) fn of(problem: &Problem, backward: bool) -> Self {
        let all = exchanges(problem);
        match (all, backward, problem.norms.state.is_some()) {
            (0, ..) => Self::default(),
            (_, false, _) => Self { exchanges: all, registers: 8 + 4 * all, shares: false },
            (_, true, false) => Self { exchanges: 1, registers: 24, shares: false },
            (_, true, true) => Self { exchanges: 1, registers: 40, shares: true },
        }
    }
}

/// The same backward, where all sums of a step are vectors of so many numbers.
pub(super) fn shape_back(caps: &Caps, problem: &Problem, geometry: &Geometry) -> [(&'static str, f64); 3] {
    let mut shape = shape(caps, problem, geometry);
    shape[1].1 = sum_values(problem).into();
    shape
}

/// What the local tier must know of the sums backward, to do the rest.
pub(super) fn constants_back(problem: &Problem, groups: u64) -> [(&'static str, f64); 2] {
    [("UNIT_GROUPS", groups as f64), ("SUM_VALUES", sum_values(problem).into())]
}

/// Numbers of a vector of sums: two of each span, and two of the state, which come last in a vector of four.
fn sum_values(problem: &Problem) -> u32 {
    match (problem.norms.state.is_some(), spans(problem)) {
        (true, _) => 4,
        (false, 1) => 2,
        (false, _) => problem.shape.rows as u32,
    }
}

/// Vectors of sums of a step: those of one span, or of none, are in the one of the state.
fn sum_vectors(problem: &Problem) -> u64 {
    let state = u64::from(problem.norms.state.is_some());
    match spans(problem) {
        0 => state,
        1 => 1,
        _ => 2 + state,
    }
}

/// Workgroups along the units.
pub(super) fn groups(problem: &Problem, geometry: &Geometry) -> u64 {
    problem.hidden.div_ceil(geometry.units().into())
}

/// Bytes of the sums that workgroups hand to each other backward, in so many frames.
pub(super) fn sum_bytes(problem: &Problem, geometry: &Geometry, frames: u64) -> u64 {
    frames.saturating_mul(problem.batch).saturating_mul(sum_vectors(problem) * groups(problem, geometry)).saturating_mul(16)
}

/// What a step back must know of a normalised state, behind the planes and the factors in `carry`: made for all frames of a stretch at
/// once, by `shaders/cell/state_sums.wgsl`.
#[derive(Clone, Copy)]
pub(super) struct StateSums {
    /// Where the factors begin, bytes.
    factors_first: u64,
}

impl StateSums {
    /// None if no state is normalised.
    pub(super) fn new(problem: &Problem, factors_first: u64) -> Option<Self> {
        problem.norms.state.map(|_| Self { factors_first })
    }

    fn first(self, problem: &Problem, frames: u64) -> u64 {
        let factors = frames.saturating_mul(problem.batch).saturating_mul(spans(problem)).saturating_mul(4);
        self.factors_first.saturating_add(factors.next_multiple_of(WINDOW))
    }

    /// Bytes of `carry` for stretches of so many frames.
    pub(super) fn end(self, problem: &Problem, frames: u64) -> u64 {
        let words = frames.saturating_mul(problem.batch).saturating_mul(2 + 4 * spans(problem));
        self.first(problem, frames).saturating_add(words.saturating_mul(4))
    }

    /// Of a stretch, from its first frame in memory on: where that begins in `gates`, and the slot of the states before it. The buffers:
    /// units, sequences, states, gates and `carry`.
    pub(super) fn record(
        self,
        recording: &mut Recording,
        caps: &Caps,
        problem: &Problem,
        buffers: [BufferId; 5],
        ([inputs_first, products_first], [slot, slots]): ([u64; 2], [u64; 2]),
        (begin, count): (u64, u64),
    ) {
        let [units, sequences, states, gates, carry] = buffers;
        let offset = self.first(problem, count);
        let known = Binding { buffer: carry, offset, bytes: self.end(problem, count) - offset };
        let [units, sequences, states, gates] = [units, sequences, states, gates].map(|buffer| recording.whole(buffer));
        let set = recording.bind(&[units, sequences, states, gates, known]);
        let lines = count * problem.batch;
        let params = CellStateSumsParams {
            batch: problem.batch as u32,
            hidden: problem.hidden as u32,
            lines: lines as u32,
            frame: begin as u32,
            inputs_first: inputs_first as u32,
            products_first: products_first as u32,
            slot: slot as u32,
            slots: slots as u32,
            has_lengths: u32::from(problem.lengths),
            resets_first: problem.resets_first() as u32,
            reset_words: problem.reset_words() as u32,
        };
        let shader = (caps.shader(Kernel::CellStateSums), &problem.program);
        let work = lines.saturating_mul(problem.hidden).saturating_mul(problem.shape.rows);
        recording.dispatch_program(shader, &[], set, &params, fold(lines, caps.max_workgroups), work);
    }
}

/// Puts the sums of the weights' columns behind the steps that are left undone: weights less their means give products with mean 0.
pub(super) fn record_sums(recording: &mut Recording, caps: &Caps, problem: &Problem, [weight_hh, undone]: [BufferId; 2]) -> Result<()> {
    let Problem { hidden, shape, .. } = *problem;
    let spans = spans(problem);
    let matrix = |buffer, first| Matrix { buffer, first, stride: hidden as u32, dtype: DType::F32 };
    for span in 0..spans {
        let lines = shape.rows * hidden / spans;
        let out = matrix(undone, problem.plane_bytes() / 4 + span * hidden);
        let weights = matrix(weight_hh, span * lines * hidden);
        record_column_sums(recording, caps, weights, [lines as u32, hidden as u32], out, false)?;
    }
    Ok(())
}

/// Bytes of what workgroups hand to each other in a frame.
fn frame_bytes(problem: &Problem, geometry: &Geometry) -> u64 {
    u64::from(exchanges(problem)).saturating_mul(problem.batch).saturating_mul(groups(problem, geometry)).saturating_mul(16)
}

/// Frames of a stretch that have room for that, at least one.
pub(super) fn most_frames(caps: &Caps, problem: &Problem, geometry: &Geometry) -> u64 {
    (caps.max_window_bytes().min(STRETCH_BYTES) / frame_bytes(problem, geometry).max(1)).max(1)
}

/// Bytes of what workgroups hand to each other in so many frames; afterwards the local tier has its products there.
pub(super) fn exchange_bytes(problem: &Problem, geometry: &Geometry, frames: u64) -> u64 {
    frames.saturating_mul(frame_bytes(problem, geometry)).max(problem.shape.rows.saturating_mul(problem.plane_bytes()))
}
