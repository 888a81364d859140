//! Speech: what the kernels are for. Voice activity detection with Silero VAD v6.

mod plan;
mod segments;
mod vad;

pub use segments::{Segment, SegmentOptions, segments};
pub use vad::{Vad, VadOptions, VadStream};

/// Sample rate that the network was trained at, Hz.
const SAMPLE_RATE: u32 = 16_000;
/// Samples a probability.
const FRAME: usize = 512;
