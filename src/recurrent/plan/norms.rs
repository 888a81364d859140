//! Layer norms of lines: of the gates of many frames at once.

use crate::dense::Matrix;
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{CellAffineParams, CellNormaliseGradientParams, CellNormaliseParams, Kernel};
use crate::recurrent::cells::NormSpan;

/// Lines of gates, and what of them has a mean of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    pub lines: u64,
    pub spans: u64,
    pub size: u64,
}

impl Lines {
    pub(super) fn of(lines: u64, gates: u64, hidden: u64, span: NormSpan) -> Self {
        match span {
            NormSpan::Whole => Self { lines, spans: 1, size: gates * hidden },
            NormSpan::Gate => Self { lines, spans: gates, size: hidden },
        }
    }

    /// Bytes of a factor for each mean.
    pub(super) fn factor_bytes(self) -> u64 {
        4 * self.lines * self.spans
    }

    fn values(self) -> u64 {
        self.lines * self.spans * self.size
    }
}

/// Normalises lines in place, with gain and bias where there are. `factors` keeps a number for each mean. `stand_in` is any buffer that
/// is only read.
pub(super) fn normalise(
    recording: &mut Recording,
    caps: &Caps,
    (lines, eps): (Lines, f32),
    values: Matrix,
    [gain, bias]: [Option<BufferId>; 2],
    factors: Binding,
    stand_in: BufferId,
) {
    let (window, first) = values.window(caps, 1, lines.values() as u32);
    let [gain_window, bias_window] = [gain, bias].map(|buffer| recording.whole(buffer.unwrap_or(stand_in)));
    let set = recording.bind(&[gain_window, bias_window, window, factors]);
    let params = CellNormaliseParams {
        lines: lines.lines as u32,
        spans: lines.spans as u32,
        size: lines.size as u32,
        first,
        eps,
        has_gain: u32::from(gain.is_some()),
        has_bias: u32::from(bias.is_some()),
    };
    recording.dispatch(caps.shader(Kernel::CellNormalise), set, &params, fold(lines.lines, caps.max_workgroups), lines.values());
}

/// Columns [lines, columns] times a scale and plus a shift, where there are; in place, or of lines elsewhere.
pub(super) fn affine(
    recording: &mut Recording,
    caps: &Caps,
    [lines, columns]: [u64; 2],
    from: Option<Matrix>,
    to: Matrix,
    [scale, shift]: [Option<Matrix>; 2],
    stand_in: BufferId,
) {
    let count = lines * columns;
    let (to_window, to_first) = to.window(caps, 1, count as u32);
    let (from_window, from_first) = from.map_or_else(|| (recording.whole(stand_in), 0), |from| from.window(caps, 1, count as u32));
    let column_windows =
        [scale, shift].map(|row| row.map_or_else(|| (recording.whole(stand_in), 0), |row| row.window(caps, 1, columns as u32)));
    let [(scale_window, scale_first), (shift_window, shift_first)] = column_windows;
    let set = recording.bind(&[scale_window, shift_window, from_window, to_window]);
    let params = CellAffineParams {
        count: count as u32,
        columns: columns as u32,
        from_first,
        to_first,
        in_place: u32::from(from.is_none()),
        scale_first,
        shift_first,
        has_scale: u32::from(scale.is_some()),
        has_shift: u32::from(shift.is_some()),
    };
    recording.dispatch(caps.shader(Kernel::CellAffine), set, &params, fold(count.div_ceil(256), caps.max_workgroups), count);
}

/// The way back: `gradients` of what came out become those of what went in; `normalised`, before gain and bias, becomes what sums to the
/// gradient of the gain.
pub(super) fn normalise_gradient(
    recording: &mut Recording,
    caps: &Caps,
    lines: Lines,
    gradients: Matrix,
    [normalised, factors]: [BufferId; 2],
    gain: Option<BufferId>,
) {
    let (window, first) = gradients.window(caps, 1, lines.values() as u32);
    let bindings = [gain.unwrap_or(factors), factors, normalised].map(|buffer| recording.whole(buffer));
    let set = recording.bind(&[bindings[0], bindings[1], window, bindings[2]]);
    let params = CellNormaliseGradientParams {
        lines: lines.lines as u32,
        spans: lines.spans as u32,
        size: lines.size as u32,
        first,
        has_gain: u32::from(gain.is_some()),
    };
    recording.dispatch(caps.shader(Kernel::CellNormaliseGradient), set, &params, fold(lines.lines, caps.max_workgroups), lines.values());
}
