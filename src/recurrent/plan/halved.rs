//! Products of the backward pass of layers in f16, on devices that multiply matrices of f16. h is such a number as it is. Gradients of
//! gates are f32 of any size: they become f16 times powers of two, of each frame of a sequence for the gradient of x, which no other
//! sequence sees then, and of each gate of a unit for those of the weights.

use super::Problem;
use crate::dense::scaled::{Scaled, record_scaled_columns, record_scaled_lines};
use crate::dense::{Gemm, Matrix, multiplies_halves, record_narrow};
use crate::device::Caps;
use crate::device::recording::{BufferId, Recording};
use crate::error::Result;
use crate::tensor::DType;

/// Multiplications of a call from which on the conversions, six launches a stretch, are worth it on an H100.
const MUCH_WORK: u64 = 1 << 30;

/// Where the numbers lie.
pub(super) struct Halved {
    /// Gradients of gates or products of a stretch.
    d: BufferId,
    line_factors: BufferId,
    column_factors: BufferId,
    largest: BufferId,
    /// h before each frame, where it is f16.
    h: Option<BufferId>,
    /// Whether x can be read in fours.
    takes_x: bool,
}

impl Halved {
    /// For stretches of `most` frames, if the device and the layer are such that matrices are worth it.
    pub(super) fn new(recording: &mut Recording, caps: &Caps, problem: &Problem, most: u64) -> Option<Self> {
        let &Problem { frames, batch, hidden, input_size, shape, .. } = problem;
        let lines = |frames: u64| frames.saturating_mul(batch);
        let work = lines(frames).saturating_mul(2 * hidden).saturating_mul(shape.inputs * input_size + shape.rows * hidden);
        // Launches cost software adapters nothing, and their tests are of small layers.
        let is_worth = caps.is_software() || work >= MUCH_WORK;
        if !(problem.halves && multiplies_halves(caps) && hidden.is_multiple_of(4) && is_worth) {
            return None;
        }
        let columns = shape.inputs.max(shape.rows) * hidden;
        // Means of zoneout are no f16, and what is projected need not be.
        let is_half = !(problem.zoneout.means && problem.zoneout.first > 0) && problem.projection.is_none();
        Some(Self {
            d: recording.workspace("d_gates_half", 2 * lines(most) * columns),
            line_factors: recording.workspace("line_factors", 4 * lines(most)),
            column_factors: recording.workspace("column_factors", 4 * columns),
            largest: recording.workspace("largest of each column", 4 * columns),
            h: (is_half && shape.rows > shape.second).then(|| recording.workspace("h_half", 2 * lines(most) * hidden)),
            takes_x: input_size.is_multiple_of(4),
        })
    }

    /// The h before each of `lines` lines. That before the first frame is rounded.
    pub(super) fn h(&self, recording: &mut Recording, caps: &Caps, h: Matrix, lines: u64) -> Option<Matrix> {
        let buffer = self.h?;
        record_narrow(recording, caps, (h.buffer, h.first), buffer, lines * u64::from(h.stride));
        Some(Matrix { buffer, first: 0, dtype: DType::F16, ..h })
    }

    /// Gradients by columns, for the gradient of a weight.
    pub(super) fn columns(&self, recording: &mut Recording, caps: &Caps, d: Matrix, lines: u64) -> Result<Scaled> {
        let buffers = [self.d, self.column_factors, self.largest];
        record_scaled_columns(recording, caps, d, [lines as u32, d.stride], buffers)
    }

    /// The gradient of a weight, of gradients from a column on.
    pub(super) fn record_weight(&self, recording: &mut Recording, caps: &Caps, product: Gemm, (d, from): (Scaled, u64)) -> Result<()> {
        let Scaled { halves, factors } = d.after_columns(from);
        Gemm { a: halves, ..product }.record_with_factors(recording, caps, factors, &mut None)
    }

    /// Whether products with x and its weight are taken by matrices.
    pub(super) fn takes_x(&self) -> bool {
        self.takes_x
    }

    /// The gradient of x. It takes the place of gradients by columns.
    pub(super) fn record_x(&self, recording: &mut Recording, caps: &Caps, product: Gemm) -> Result<()> {
        let [lines, _, columns] = product.sides;
        let Scaled { halves, factors } = record_scaled_lines(recording, caps, product.a, [lines, columns], [self.d, self.line_factors])?;
        Gemm { a: halves, ..product }.record_with_factors(recording, caps, factors, &mut None)
    }
}
