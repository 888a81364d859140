//! Which rows a workgroup of a pass over rows takes. Twin: `shaders/shared/arcs_tiles.wgsl`.

use super::layout::{Stride, UtteranceShape};
use std::ops::Range;

/// Rows of a workgroup.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub rows: u32,
    /// Frames that they lie in, each a diagonal after the other; 1: rows as they come.
    pub frames: u32,
}

impl Tile {
    pub fn of(stride: Stride, rows: u32) -> Self {
        // Few rows would be in as many frames, and share no line.
        let frames = if stride == Stride::Cell && rows >= 16 { 8 } else { 1 };
        Self { rows, frames }
    }

    /// Workgroups for the rows of an utterance that are among `rows`.
    pub fn groups(self, shape: &UtteranceShape, rows: &Range<u64>) -> u64 {
        let end = shape.rows.min(rows.end);
        if end <= rows.start {
            return 0;
        }
        if self.frames == 1 {
            return (end - rows.start).div_ceil(self.rows.into());
        }
        let (positions, frames) = (u64::from(shape.positions), u64::from(self.frames));
        let long = (end - 1) / positions - rows.start / positions + 1;
        long.div_ceil(frames) * (positions + frames - 1).div_ceil(u64::from(self.rows) / frames)
    }
}
