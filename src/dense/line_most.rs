//! The largest magnitude of each line of a matrix, or of each column: `shaders/dense/line_most.wgsl`.

use super::matrix::Matrix;
use crate::device::Caps;
use crate::device::recording::{Binding, Recording, fold};
use crate::device::shader::{DenseLineMostParams, Kernel};

/// Lines and columns of a workgroup.
const LINES: u32 = 64;
const COLUMNS: u32 = 256;

/// Records it for `x`, which can be read in fours: of its lines where `along`, of its columns otherwise. What `out` holds, 4 B each, stays
/// where it is larger: a matrix may come in pieces, after a clear.
pub(super) fn record_line_most(recording: &mut Recording, caps: &Caps, x: Matrix, [lines, width]: [u32; 2], along: bool, out: Binding) {
    let (window, first) = x.window(caps, lines, width);
    let set = recording.bind(&[window, out]);
    let params = DenseLineMostParams { lines, width, first, stride: x.stride };
    let grid = fold(u64::from(width.div_ceil(COLUMNS)) * u64::from(lines.div_ceil(LINES)), caps.max_workgroups);
    let work = u64::from(lines) * u64::from(width);
    recording.dispatch_with(caps.shader(Kernel::DenseLineMost), &[("ALONG", f64::from(u8::from(along)))], set, &params, grid, work);
}
