//! Batch norm of the gates of all frames.

use super::Problem;
use crate::dense::{Matrix, record_column_sums};
use crate::device::Caps;
use crate::device::recording::{BufferId, Recording, fold};
use crate::device::shader::{CellBatchNormGradientParams, CellBatchNormParams, CellMomentsParams, Kernel};
use crate::error::Result;
use crate::recurrent::cells::BatchNorm;
use crate::tensor::DType;

/// Columns of a workgroup of `shaders/cell/moments.wgsl`; lines that are worth one; workgroups that keep a large GPU busy.
const COLUMNS: u64 = 64;
const LEAST_LINES: u64 = 64;
const BUSY: u64 = 512;

/// What a batch norm works with: in workspace, but for gain and bias.
#[derive(Clone, Copy)]
pub(super) struct Statistics {
    norm: BatchNorm,
    columns: u64,
    /// Parts of each stretch, and of all.
    parts: u64,
    all_parts: u64,
    /// [3, parts, X H]
    moments: BufferId,
    /// [5, X H], as `shaders/cell/batch_norm.wgsl` leaves them.
    statistics: BufferId,
    gain: Option<BufferId>,
    bias: Option<BufferId>,
    stand_in: BufferId,
}

/// Columns of the statistics: of the norm alone, and with gain and bias.
pub(super) const ALONE: u64 = 0;
pub(super) const WHOLE: u64 = 2;

impl Statistics {
    /// For stretches of so many lines at most. `stand_in` is any buffer that is only read.
    pub(super) fn new(
        recording: &mut Recording,
        norm: BatchNorm,
        [columns, lines, stretches]: [u64; 3],
        [gain, bias]: [Option<BufferId>; 2],
        stand_in: BufferId,
    ) -> Self {
        let parts = (BUSY / columns.div_ceil(COLUMNS)).clamp(1, (lines / LEAST_LINES).max(1));
        let all_parts = parts * stretches;
        Self {
            norm,
            columns,
            parts,
            all_parts,
            moments: recording.workspace("moments", 12 * all_parts * columns),
            statistics: recording.workspace("statistics", 20 * columns),
            gain,
            bias,
            stand_in,
        }
    }

    /// Moments of a stretch: of its gates; or, with what was normalised, of their gradients.
    pub(super) fn take(
        &self,
        recording: &mut Recording,
        caps: &Caps,
        problem: &Problem,
        (values, normalised): (Matrix, Option<BufferId>),
        (number, first_frame, count): (u64, u64, u64),
        sequences: BufferId,
    ) {
        let lines = count * problem.batch;
        let (window, values_first) = values.window(caps, 1, (lines * self.columns) as u32);
        let [sequences, normalised_window, moments] =
            [sequences, normalised.unwrap_or(self.stand_in), self.moments].map(|buffer| recording.whole(buffer));
        let set = recording.bind(&[sequences, window, normalised_window, moments]);
        let params = CellMomentsParams {
            batch: problem.batch as u32,
            hidden: problem.hidden as u32,
            lines: lines as u32,
            columns: self.columns as u32,
            part_lines: lines.div_ceil(self.parts) as u32,
            parts: self.parts as u32,
            first_part: (number * self.parts) as u32,
            all_parts: self.all_parts as u32,
            frame: first_frame as u32,
            values_first,
            backward: u32::from(normalised.is_some()),
            has_lengths: u32::from(problem.lengths),
            resets_first: 0,
            reset_words: 0,
        };
        let grid = fold(self.columns.div_ceil(COLUMNS) * self.parts, caps.max_workgroups);
        recording.dispatch(caps.shader(Kernel::CellMoments), set, &params, grid, lines * self.columns);
    }

    /// The statistics: of the moments, which `running` mean and variance then take on if `moves`; or of those.
    pub(super) fn settle(&self, recording: &mut Recording, caps: &Caps, by_moments: bool, moves: bool, running: [BufferId; 2]) {
        let read = [self.moments, self.gain.unwrap_or(self.stand_in), self.bias.unwrap_or(self.stand_in)];
        let [a, b, c] = read.map(|buffer| recording.whole(buffer));
        let [mean, variance, statistics] = [running[0], running[1], self.statistics].map(|buffer| recording.whole(buffer));
        let set = recording.bind(&[a, b, c, mean, variance, statistics]);
        let params = CellBatchNormParams {
            columns: self.columns as u32,
            parts: self.all_parts as u32,
            eps: self.norm.eps,
            momentum: self.norm.momentum,
            by_moments: u32::from(by_moments),
            moves: u32::from(moves),
            has_gain: u32::from(self.gain.is_some()),
            has_bias: u32::from(self.bias.is_some()),
        };
        let grid = fold(self.columns.div_ceil(64), caps.max_workgroups);
        recording.dispatch(caps.shader(Kernel::CellBatchNorm), set, &params, grid, self.columns * self.all_parts);
    }

    /// Applies them to lines, in place.
    pub(super) fn apply(&self, recording: &mut Recording, caps: &Caps, lines: u64, values: Matrix, which: u64) {
        let row =
            |number: u64| Matrix { buffer: self.statistics, first: number * self.columns, stride: self.columns as u32, dtype: DType::F32 };
        let columns = [which, which + 1].map(|number| Some(row(number)));
        super::norms::affine(recording, caps, [lines, self.columns], None, values, columns, self.stand_in);
    }

    /// The sums of gradients times what was normalised, [X H], of those that were taken: the gradient of the gain.
    pub(super) fn total(&self, recording: &mut Recording, caps: &Caps, normalised_sums: BufferId) -> Result<()> {
        let plane = |number: u64| Matrix {
            buffer: self.moments,
            first: number * self.all_parts * self.columns,
            stride: self.columns as u32,
            dtype: DType::F32,
        };
        let whole = Matrix { buffer: normalised_sums, first: 0, stride: self.columns as u32, dtype: DType::F32 };
        record_column_sums(recording, caps, plane(2), [self.all_parts as u32, self.columns as u32], whole, false)
    }

    /// The way back: `gradients` of the gates of some frames become those of what was normalised. `sums` [X H] are those of all frames,
    /// which the bias has, and `normalised_sums` the total.
    pub(super) fn back(
        &self,
        recording: &mut Recording,
        caps: &Caps,
        problem: &Problem,
        gradients: Matrix,
        [sequences, sums, normalised_sums, normalised]: [BufferId; 4],
        (begin, count): (u64, u64),
    ) {
        let lines = count * problem.batch;
        let (window, gradients_first) = gradients.window(caps, 1, (lines * self.columns) as u32);
        let [a, b, c, d, e] = [sequences, self.statistics, sums, normalised_sums, normalised].map(|buffer| recording.whole(buffer));
        let set = recording.bind(&[a, b, c, d, e, window]);
        let params = CellBatchNormGradientParams {
            batch: problem.batch as u32,
            hidden: problem.hidden as u32,
            count: (lines * self.columns) as u32,
            columns: self.columns as u32,
            frame: begin as u32,
            gradients_first,
            has_lengths: u32::from(problem.lengths),
            resets_first: 0,
            reset_words: 0,
        };
        let grid = fold((lines * self.columns).div_ceil(256), caps.max_workgroups);
        recording.dispatch(caps.shader(Kernel::CellBatchNormGradient), set, &params, grid, lines * self.columns);
    }
}
