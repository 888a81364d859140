//! f32 as f16, where numbers of any size come together: every line, or every column, times a power of two of its own, which takes the
//! largest of them to between 2^14 and 2^15. Products of these are multiplied by what undoes the power as they are written.

use super::line_most::record_line_most;
use super::matrix::Matrix;
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{DenseNarrowColumnsParams, DenseNarrowLinesParams, Kernel};
use crate::error::Result;
use crate::tensor::DType;

/// A matrix of f16, and what undoes the power of each of its lines, or columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scaled {
    pub halves: Matrix,
    /// Of f32.
    pub factors: Binding,
}

impl Scaled {
    /// What follows so many columns, of one whose columns have factors.
    pub fn after_columns(self, column: u64) -> Self {
        let Self { halves, factors } = self;
        let bytes = 4 * column;
        Self {
            halves: Matrix { first: halves.first + column, ..halves },
            factors: Binding { offset: factors.offset + bytes, bytes: factors.bytes - bytes, ..factors },
        }
    }
}

/// Records the conversion of `x` [lines, width] of f32, by lines, into `halves`, of 2 B a number, and `factors`, of 4 B a line. `x` can be
/// read in fours.
///
/// # Errors
/// [`LimitExceeded`](crate::Error::LimitExceeded) where one line exceeds a window.
pub(crate) fn record_scaled_lines(
    recording: &mut Recording,
    caps: &Caps,
    x: Matrix,
    sides @ [lines, width]: [u32; 2],
    [halves, factors]: [BufferId; 2],
) -> Result<Scaled> {
    let out = Matrix { buffer: halves, first: 0, stride: width, dtype: DType::F16 };
    // A line has a factor; those of a piece begin where a window may.
    let all = Matrix { buffer: factors, first: 0, stride: 1, dtype: DType::F32 };
    for (first, count) in pieces(caps, x, sides)? {
        let (x_window, x_first) = x.after_lines(first).window(caps, count, width);
        let [(out_window, _), (factors_window, _)] =
            [(out, width), (all, 1)].map(|(to, width)| to.after_lines(first).window(caps, count, width));
        let set = recording.bind(&[x_window, out_window, factors_window]);
        let params = DenseNarrowLinesParams { lines: count, width, x_first, x_stride: x.stride };
        let grid = fold(count.into(), caps.max_workgroups);
        recording.dispatch(caps.shader(Kernel::DenseNarrowLines), set, &params, grid, u64::from(count) * u64::from(width));
    }
    Ok(Scaled { halves: out, factors: Binding { buffer: factors, offset: 0, bytes: 4 * u64::from(lines) } })
}

/// The same by columns; `factors` and `largest` of 4 B a column.
///
/// # Errors
/// As [`record_scaled_lines`].
pub(crate) fn record_scaled_columns(
    recording: &mut Recording,
    caps: &Caps,
    x: Matrix,
    sides @ [_, width]: [u32; 2],
    [halves, factors, largest]: [BufferId; 3],
) -> Result<Scaled> {
    let out = Matrix { buffer: halves, first: 0, stride: width, dtype: DType::F16 };
    let of_columns = |buffer| Binding { buffer, offset: 0, bytes: 4 * u64::from(width) };
    recording.clear(largest);
    let pieces = pieces(caps, x, sides)?;
    for &(first, count) in &pieces {
        record_line_most(recording, caps, x.after_lines(first), [count, width], false, of_columns(largest));
    }
    for (first, count) in pieces {
        let (x_window, x_first) = x.after_lines(first).window(caps, count, width);
        let (out_window, _) = out.after_lines(first).window(caps, count, width);
        let set = recording.bind(&[x_window, of_columns(largest), out_window, of_columns(factors)]);
        let params = DenseNarrowColumnsParams { lines: count, width, x_first, x_stride: x.stride };
        let work = u64::from(count) * u64::from(width);
        let grid = fold((work / 4).div_ceil(256), caps.max_workgroups);
        recording.dispatch(caps.shader(Kernel::DenseNarrowColumns), set, &params, grid, work);
    }
    Ok(Scaled { halves: out, factors: of_columns(factors) })
}

/// Lines of launches, the first and how many: those of all begin where windows may.
fn pieces(caps: &Caps, x: Matrix, [lines, width]: [u32; 2]) -> Result<Vec<(u32, u32)>> {
    x.expect_in_window(caps, "one line of gradients, bytes", 1, width)?;
    let most = (caps.submit_work() / u64::from(width.max(1))).min(x.lines_in_window(caps, width)) & !63;
    let most = most.clamp(64, u32::MAX.into()) as u32;
    Ok((0..lines).step_by(most as usize).map(|first| (first, most.min(lines - first))).collect())
}
