//! Matrices within buffers, as products are given them.

use crate::device::Caps;
use crate::device::recording::{Binding, BufferId};
use crate::error::{Result, within};
use crate::tensor::DType;

/// A matrix in a buffer: lines of neighbours, `stride` elements from one to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    pub buffer: BufferId,
    /// Where it begins in the buffer, in elements.
    pub first: u64,
    pub stride: u32,
    /// f32 or f16.
    pub dtype: DType,
}

impl Matrix {
    /// f32 that begin where a window does.
    pub fn new(window: Binding, stride: u32) -> Self {
        Self { buffer: window.buffer, first: window.offset / 4, stride, dtype: DType::F32 }
    }

    /// What follows so many lines.
    pub fn after_lines(self, line: u32) -> Self {
        Self { first: self.first + u64::from(line) * u64::from(self.stride), ..self }
    }

    /// The window of some lines, and where the matrix begins there, in elements. Without elements it is some word of the buffer.
    pub fn window(self, caps: &Caps, lines: u32, width: u32) -> (Binding, u32) {
        let Self { buffer, first, stride, dtype } = self;
        if lines == 0 || width == 0 {
            return (Binding { buffer, offset: 0, bytes: 4 }, 0);
        }
        let element = dtype.bytes();
        let begin = first * element;
        let begin = begin - begin % caps.storage_alignment;
        let end = (first + u64::from(lines - 1) * u64::from(stride) + u64::from(width)).saturating_mul(element);
        let bytes = (end - begin).saturating_add(3) & !3;
        (Binding { buffer, offset: begin, bytes }, (first - begin / element) as u32)
    }

    /// Lines of a width that fit into one window, wherever it begins.
    pub fn lines_in_window(self, caps: &Caps, width: u32) -> u64 {
        let most = caps.max_shifted_window_bytes() / self.dtype.bytes();
        match most.checked_sub(u64::from(width)) {
            Some(rest) => 1 + rest / u64::from(self.stride.max(1)),
            None => 0,
        }
    }

    /// Fails where so many lines do not fit into one window.
    pub fn expect_in_window(self, caps: &Caps, what: &'static str, lines: u32, width: u32) -> Result<()> {
        within(what, self.window(caps, lines, width).0.bytes, caps.max_window_bytes(), "split the layer")
    }

    /// Whether lines of a width can be read in fours.
    pub fn is_in_fours(self, width: u32) -> bool {
        [self.first, u64::from(self.stride), u64::from(width)].iter().all(|size| size.is_multiple_of(4))
    }
}
