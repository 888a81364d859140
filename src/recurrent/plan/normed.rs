//! What the persistent tier has besides for cells with layer norms: workgroups hand sums over their units to each other.

use super::geometry::Geometry;
use super::{Problem, STRETCH_BYTES, Walk};
use crate::dense::{Matrix, record_column_sums};
use crate::device::Caps;
use crate::device::recording::{BufferId, Recording};
use crate::error::Result;
use crate::recurrent::cells::NormSpan;
use crate::tensor::DType;

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

/// The same backward, where the norm's derivative takes two sums of each span, all in one vector, or each of all spans in a vector.
pub(super) fn shape_back(caps: &Caps, problem: &Problem, geometry: &Geometry) -> [(&'static str, f64); 3] {
    let mut shape = shape(caps, problem, geometry);
    shape[1].1 = sum_values(problem).into();
    shape
}

/// What the local tier must know of the sums backward, to do the rest.
pub(super) fn constants_back(problem: &Problem, groups: u64) -> [(&'static str, f64); 2] {
    [("UNIT_GROUPS", groups as f64), ("SUM_VALUES", sum_values(problem).into())]
}

fn sum_values(problem: &Problem) -> u32 {
    if spans(problem) == 1 { 2 } else { problem.shape.rows as u32 }
}

/// Workgroups along the units.
pub(super) fn groups(problem: &Problem, geometry: &Geometry) -> u64 {
    problem.hidden.div_ceil(geometry.units().into())
}

/// Bytes of the sums that workgroups hand to each other backward, in so many frames.
pub(super) fn sum_bytes(problem: &Problem, geometry: &Geometry, frames: u64) -> u64 {
    let vectors = match spans(problem) {
        0 => 0,
        1 => 1,
        _ => 2,
    };
    frames.saturating_mul(problem.batch).saturating_mul(vectors * groups(problem, geometry)).saturating_mul(16)
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
