//! A projected h: y = m W_hr, of the m [T, N, H] that the steps give. The steps see m only. The first m is zero, and what the first h
//! makes of the gates is added to those of each sequence's first frame; where a norm or another state of the cell comes between, m is the
//! state instead of h.

use super::backward::{BackwardBuffers, valid_frames};
use super::weights::{Recurrent, product};
use super::{Problem, Slot, window};
use crate::dense::{Form, Gemm, Matrix};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{CellEmptyParams, CellFirstGradientParams, CellFirstParams, Kernel};
use crate::error::Result;
use crate::tensor::DType;

/// What first frames have of the first h: [N, R H].
pub(super) fn first_rows(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    weights: &Recurrent,
    h: Option<BufferId>,
) -> Result<Option<BufferId>> {
    let (Some(h), Some(outputs)) = (h, problem.projection) else { return Ok(None) };
    let rows = problem.shape.rows * problem.hidden;
    let out = recording.workspace("first_rows", problem.row_bytes(rows));
    let factors = [(h, outputs), (weights.dropped, outputs), (out, rows)];
    product(recording, Form::Nt, [problem.batch, rows, outputs], factors, false).record(recording, caps)?;
    Ok(Some(out))
}

/// Adds them to the gates of frames `begin` to `begin + count`, or takes the gradients of those from there.
pub(super) fn at_first_frames(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    [rows, sequences]: [BufferId; 2],
    gates: Matrix,
    (begin, count): (u64, u64),
    backward: bool,
) {
    let columns = problem.shape.rows * problem.hidden;
    let (gates, gates_first) = gates.window(caps, (count * problem.batch) as u32, columns as u32);
    let [rows, sequences] = [rows, sequences].map(|buffer| recording.whole(buffer));
    let set = recording.bind(&if backward { [sequences, gates, rows] } else { [sequences, rows, gates] });
    let values = problem.batch * columns;
    let grid = fold(values.div_ceil(256), caps.max_workgroups);
    let params = CellFirstParams {
        batch: problem.batch as u32,
        hidden: problem.hidden as u32,
        columns: columns as u32,
        frames: count as u32,
        frame: begin as u32,
        all_frames: problem.frames as u32,
        reversed: u32::from(problem.reversed),
        gates_first,
        has_lengths: u32::from(problem.lengths),
        resets_first: problem.resets_first() as u32,
        reset_words: problem.reset_words() as u32,
    };
    let shader = caps.shader(if backward { Kernel::CellFirstGradient } else { Kernel::CellFirst });
    const { assert!(size_of::<CellFirstParams>() == size_of::<CellFirstGradientParams>()) };
    recording.dispatch(shader, set, &params, grid, values);
}

/// y of all frames, of `m`.
pub(super) fn outputs(recording: &mut Recording, caps: &Caps, problem: &Problem, [m, y, weight_hr]: [BufferId; 3]) -> Result<()> {
    let &Problem { frames, batch, hidden, .. } = problem;
    let outputs = problem.outputs();
    let factors = [(m, hidden), (weight_hr, hidden), (y, outputs)];
    product(recording, Form::Nt, [frames * batch, outputs, hidden], factors, false).record(recording, caps)
}

/// The last h, of the last slot of the states; of sequences without frames that which was given.
pub(super) fn last_h(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    (last, weight_hr, new_h): (Slot, BufferId, BufferId),
    (h, sequences): (Option<BufferId>, Option<BufferId>),
) -> Result<()> {
    let (hidden, outputs) = (problem.hidden, problem.outputs());
    let factors = [(last.buffer, hidden), (weight_hr, hidden), (new_h, outputs)];
    let product = product(recording, Form::Nt, [problem.batch, outputs, hidden], factors, false);
    Gemm { a: plane(problem, last), ..product }.record(recording, caps)?;
    if let (Some(h), Some(sequences)) = (h, sequences.filter(|_| problem.lengths)) {
        keep_empty(recording, caps, problem, [h, sequences, new_h]);
    }
    Ok(())
}

/// The first state of a slot, [N, H].
pub(super) fn plane(problem: &Problem, slot: Slot) -> Matrix {
    Matrix { buffer: slot.buffer, first: slot.slot * problem.batch * problem.hidden, stride: problem.hidden as u32, dtype: DType::F32 }
}

/// Rows [N, P] of sequences without frames go through unchanged.
pub(super) fn keep_empty(recording: &mut Recording, caps: &Caps, problem: &Problem, [from, sequences, to]: [BufferId; 3]) {
    let columns = problem.outputs();
    let windows = [sequences, from, to].map(|buffer| recording.whole(buffer));
    let set = recording.bind(&windows);
    let params = CellEmptyParams { batch: problem.batch as u32, columns: columns as u32 };
    let values = problem.batch * columns;
    recording.dispatch(caps.shader(Kernel::CellEmpty), set, &params, fold(values.div_ceil(256), caps.max_workgroups), values);
}

/// The way back.
pub(super) struct Projected<'a> {
    buffers: &'a BackwardBuffers,
    weights: &'a Recurrent,
    weight_hr: BufferId,
    d_weight_hr: BufferId,
    unprojected: BufferId,
    /// [N, R H]: what first frames have of the first h.
    rows: Option<BufferId>,
    /// Of an h that is a state of its own: its gradient [N, P], and those of the rows.
    first: Option<First>,
    /// Frames of dy that sequences have, where some are short.
    valid: Option<BufferId>,
    /// dy W_hr of a stretch.
    d_unprojected: BufferId,
}

struct First {
    d_h: BufferId,
    d_rows: BufferId,
}

impl<'a> Projected<'a> {
    /// Begins it, for stretches of `most` frames: what comes of the gradient of the last h goes into `carry`. `None` without a projection.
    pub(super) fn new(
        recording: &mut Recording,
        caps: &Caps,
        problem: &Problem,
        buffers: &'a BackwardBuffers,
        weights: &'a Recurrent,
        carry: BufferId,
        most: u64,
    ) -> Result<Option<Self>> {
        let (Some(weight_hr), Some(d_weight_hr), Some(unprojected)) = (buffers.weight_hr, buffers.d_weight_hr, buffers.unprojected) else {
            return Ok(None);
        };
        let &Problem { batch, hidden, frames, .. } = problem;
        let outputs = problem.outputs();
        recording.clear(d_weight_hr);
        if let Some(d_new_h) = buffers.d_new_h {
            let factors = [(d_new_h, outputs), (weight_hr, hidden), (carry, hidden)];
            product(recording, Form::Nn, [batch, hidden, outputs], factors, false).record(recording, caps)?;
            // The m after the last frame is that of the states there.
            let factors = [(d_new_h, outputs), (buffers.states, hidden), (d_weight_hr, hidden)];
            let mut gradient = product(recording, Form::Tn, [outputs, hidden, batch], factors, true);
            let slots = frames + 1;
            gradient.b = plane(problem, Slot { buffer: buffers.states, slots, slot: problem.slot_of(frames, slots), state: 0 });
            gradient.record(recording, caps)?;
        }
        let rows = first_rows(recording, caps, problem, weights, buffers.h)?;
        let first = buffers.d_h.map(|d_h| {
            let d_rows = recording.workspace("d_first_rows", problem.row_bytes(problem.shape.rows * hidden));
            recording.clear(d_rows);
            First { d_h, d_rows }
        });
        Ok(Some(Self {
            buffers,
            weights,
            weight_hr,
            d_weight_hr,
            unprojected,
            rows,
            first,
            valid: problem.lengths.then(|| recording.workspace("valid_dy", most * problem.row_bytes(outputs))),
            d_unprojected: recording.workspace("d_unprojected", most * problem.plane_bytes()),
        }))
    }

    /// The gradient of what the steps of a stretch gave, and its share of that of the projection.
    pub(super) fn record_dy(
        &self,
        recording: &mut Recording,
        caps: &Caps,
        problem: &Problem,
        (begin, count): (u64, u64),
    ) -> Result<Binding> {
        let &Problem { batch, hidden, .. } = problem;
        let outputs = problem.outputs();
        let lines = count * batch;
        let dy = match (self.valid, self.buffers.sequences) {
            (Some(valid), Some(sequences)) => {
                valid_frames(recording, caps, problem, [self.buffers.dy, sequences, valid], (outputs, DType::F32), (begin, count));
                Matrix::new(recording.whole(valid), outputs as u32)
            }
            _ => Matrix::new(window(self.buffers.dy, begin, count, problem.row_bytes(outputs)), outputs as u32),
        };
        let factors = [(self.buffers.dy, outputs), (self.weight_hr, hidden), (self.d_unprojected, hidden)];
        let mut to_steps = product(recording, Form::Nn, [lines, hidden, outputs], factors, false);
        to_steps.a = dy;
        to_steps.record(recording, caps)?;
        let factors = [(self.buffers.dy, outputs), (self.unprojected, hidden), (self.d_weight_hr, hidden)];
        let mut to_weight = product(recording, Form::Tn, [outputs, hidden, lines], factors, true);
        to_weight.a = dy;
        to_weight.b = Matrix::new(window(self.unprojected, begin, count, problem.plane_bytes()), hidden as u32);
        to_weight.record(recording, caps)?;
        Ok(window(self.d_unprojected, 0, count, problem.plane_bytes()))
    }

    /// Those, or, where nothing is known of them, any other buffer.
    fn sequences(&self) -> BufferId {
        self.buffers.sequences.unwrap_or(self.buffers.units)
    }

    /// As forward.
    pub(super) fn add_first_rows(&self, recording: &mut Recording, caps: &Caps, problem: &Problem, gates: Matrix, stretch: (u64, u64)) {
        if let Some(rows) = self.rows {
            at_first_frames(recording, caps, problem, [rows, self.sequences()], gates, stretch, false);
        }
    }

    /// The gradients of those, where the frames are in the stretch.
    pub(super) fn take_first_rows(&self, recording: &mut Recording, caps: &Caps, problem: &Problem, gates: Matrix, stretch: (u64, u64)) {
        if let Some(first) = &self.first {
            at_first_frames(recording, caps, problem, [first.d_rows, self.sequences()], gates, stretch, true);
        }
    }

    /// These, and the h that made the rows, if there was one.
    pub(super) fn first_rows(&self) -> Option<[BufferId; 2]> {
        self.buffers.h.zip(self.first.as_ref()).map(|(h, first)| [first.d_rows, h])
    }

    /// The gradient of the first h.
    pub(super) fn record_d_h(&self, recording: &mut Recording, caps: &Caps, problem: &Problem) -> Result<()> {
        let Some(&First { d_h, d_rows }) = self.first.as_ref() else { return Ok(()) };
        let (rows, outputs) = (problem.shape.rows * problem.hidden, problem.outputs());
        let factors = [(d_rows, rows), (self.weights.dropped, outputs), (d_h, outputs)];
        product(recording, Form::Nn, [problem.batch, outputs, rows], factors, false).record(recording, caps)?;
        if let (Some(d_new_h), Some(sequences)) = (self.buffers.d_new_h, self.buffers.sequences.filter(|_| problem.lengths)) {
            keep_empty(recording, caps, problem, [d_new_h, sequences, d_h]);
        }
        Ok(())
    }
}
