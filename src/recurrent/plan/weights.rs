//! The matrix of the recurrent product, where it is not the weight as it is kept: numbers are dropped (DropConnect), units see those of
//! their head only, or h is projected. All are made one dense matrix before the first step, so that every tier runs them.

use super::Problem;
use crate::dense::{Activation, Form, Gemm, Matrix};
use crate::device::Caps;
use crate::device::recording::{BufferId, Recording, fold};
use crate::device::shader::{CellWeightGradientParams, CellWeightParams, Kernel};
use crate::error::Result;

/// The weight on its way to the product.
#[derive(Clone, Copy)]
pub(super) struct Recurrent {
    /// As it is kept, [R H, columns].
    kept: BufferId,
    /// With zeros for what is dropped, and outside of blocks: [R H, H], or [R H, P] of a projected h.
    pub dropped: BufferId,
    /// [P, H]
    weight_hr: Option<BufferId>,
    /// What the steps multiply by: [R H, H].
    pub matrix: BufferId,
}

impl Recurrent {
    /// Records what makes the matrix.
    pub(super) fn new(
        recording: &mut Recording,
        caps: &Caps,
        problem: &Problem,
        kept: BufferId,
        weight_hr: Option<BufferId>,
    ) -> Result<Self> {
        let [rows, hidden] = [problem.shape.rows * problem.hidden, problem.hidden];
        let mut dropped = kept;
        if rows > 0 && (problem.weight_drop.odds > 0 || problem.heads > 1) {
            dropped = recording.workspace("weight_dropped", rows * wide_columns(problem) * 4);
            record_blocks(recording, caps, problem, [kept, dropped], false);
        }
        let mut matrix = dropped;
        if let (Some(weight_hr), Some(outputs)) = (weight_hr, problem.projection) {
            // R W_hr m = (R W_hr) m: no step waits for h.
            matrix = recording.workspace("weight_projected", rows * hidden * 4);
            if problem.frames == 1 && problem.apart() > 0 {
                // The only frame sees no m but zero.
                recording.clear(matrix);
            } else {
                let factors = [(dropped, outputs), (weight_hr, hidden), (matrix, hidden)];
                product(recording, Form::Nn, [rows, hidden, outputs], factors, false).record(recording, caps)?;
            }
        }
        Ok(Self { kept, dropped, weight_hr, matrix })
    }

    /// Where the gradient of the matrix goes, if the weight's is `d_kept`.
    pub(super) fn gradient(&self, recording: &mut Recording, problem: &Problem, d_kept: BufferId) -> BufferId {
        if self.matrix == self.kept {
            return d_kept;
        }
        recording.workspace("d_matrix", problem.shape.rows * problem.hidden * problem.hidden * 4)
    }

    /// Gradients of the weights, of `d_matrix`. `first_rows` are gradients of the gates of first frames [N, R H], and the projected h
    /// that made them. Adds to `d_weight_hr`.
    pub(super) fn back(
        &self,
        recording: &mut Recording,
        caps: &Caps,
        problem: &Problem,
        [d_matrix, d_kept]: [BufferId; 2],
        d_weight_hr: Option<BufferId>,
        first_rows: Option<[BufferId; 2]>,
    ) -> Result<()> {
        if d_matrix == d_kept {
            return Ok(());
        }
        let [rows, hidden] = [problem.shape.rows * problem.hidden, problem.hidden];
        let mut d_dropped = d_matrix;
        if let (Some(weight_hr), Some(d_weight_hr), Some(outputs)) = (self.weight_hr, d_weight_hr, problem.projection) {
            d_dropped = if self.dropped == self.kept { d_kept } else { recording.workspace("d_dropped", rows * outputs * 4) };
            let factors = [(d_matrix, hidden), (weight_hr, hidden), (d_dropped, outputs)];
            product(recording, Form::Nt, [rows, outputs, hidden], factors, false).record(recording, caps)?;
            if let Some([d_rows, h]) = first_rows {
                let factors = [(d_rows, rows), (h, outputs), (d_dropped, outputs)];
                product(recording, Form::Tn, [rows, outputs, problem.batch], factors, true).record(recording, caps)?;
            }
            let factors = [(self.dropped, outputs), (d_matrix, hidden), (d_weight_hr, hidden)];
            product(recording, Form::Tn, [outputs, hidden, rows], factors, true).record(recording, caps)?;
        }
        if d_dropped != d_kept {
            record_blocks(recording, caps, problem, [d_dropped, d_kept], true);
        }
        Ok(())
    }
}

/// Columns of the weight with its blocks in their places.
fn wide_columns(problem: &Problem) -> u64 {
    problem.outputs()
}

/// A product of whole buffers, each with the width of its lines.
pub(super) fn product(recording: &Recording, form: Form, sides: [u64; 3], factors: [(BufferId, u64); 3], accumulates: bool) -> Gemm {
    let [a, b, c] = factors.map(|(buffer, width)| Matrix::new(recording.whole(buffer), width as u32));
    Gemm { form, sides: sides.map(|side| side as u32), a, b, c, bias: None, accumulates, activations: [Activation::Identity; 2] }
}

/// From the weight as it is kept to that with blocks in their places, or gradients back.
fn record_blocks(recording: &mut Recording, caps: &Caps, problem: &Problem, [from, to]: [BufferId; 2], backward: bool) {
    let windows = [from, to].map(|buffer| recording.whole(buffer));
    let set = recording.bind(&windows);
    let rows = problem.shape.rows * problem.hidden;
    let [columns, all_columns, units, head_units] =
        [problem.kept_columns(), wide_columns(problem), problem.hidden, problem.hidden / problem.heads.max(1)].map(|side| side as u32);
    let (drop, scale, seed) = (problem.weight_drop.odds, problem.weight_drop.scale, problem.weight_drop.seed);
    let grid = |values: u64| fold(values.div_ceil(256), caps.max_workgroups);
    let rows32 = rows as u32;
    if backward {
        let values = rows * u64::from(columns);
        let params = CellWeightGradientParams { rows: rows32, columns, all_columns, units, head_units, drop, scale, seed };
        recording.dispatch(caps.shader(Kernel::CellWeightGradient), set, &params, grid(values), values);
    } else {
        let values = rows * u64::from(all_columns);
        let params = CellWeightParams { rows: rows32, columns, all_columns, units, head_units, drop, scale, seed };
        recording.dispatch(caps.shader(Kernel::CellWeight), set, &params, grid(values), values);
    }
}
