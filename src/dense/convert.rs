//! f32 and f16, from one to the other.

use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{DenseNarrowParams, DenseWidenParams, Kernel};
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor, declare};

/// Which way numbers are converted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Conversion {
    /// f16 to f32.
    Widen,
    /// f32, times a scale, to f16.
    Narrow(f32),
}

/// Records the conversion of `count` numbers, which begin where the buffers do.
pub(crate) fn record_convert(recording: &mut Recording, caps: &Caps, [from, to]: [BufferId; 2], count: u64, conversion: Conversion) {
    record_from(recording, caps, (from, 0), to, count, conversion);
}

/// Records that f32 from one of `from` on become f16, from the beginning of `to`.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn record_narrow(recording: &mut Recording, caps: &Caps, from: (BufferId, u64), to: BufferId, count: u64) {
    record_from(recording, caps, from, to, count, Conversion::Narrow(1.0));
}

/// Numbers of f16 begin where a window may.
fn record_from(
    recording: &mut Recording,
    caps: &Caps,
    (from, from_first): (BufferId, u64),
    to: BufferId,
    count: u64,
    conversion: Conversion,
) {
    // Pieces begin where windows may.
    let most = (caps.max_shifted_window_bytes() / 4).min(caps.submit_work()).min(u64::from(u32::MAX)) & !255;
    let mut first = 0;
    while first < count {
        let piece = most.max(256).min(count - first);
        let wide = |buffer, first: u64| Binding { buffer, offset: first * 4, bytes: piece * 4 };
        let short = |buffer| Binding { buffer, offset: first * 2, bytes: (piece * 2).next_multiple_of(4) };
        let grid = fold(piece.div_ceil(512), caps.max_workgroups);
        let count = piece as u32;
        match conversion {
            Conversion::Narrow(scale) => {
                let (wide, x_first) = wide(from, from_first + first).aligned(caps);
                let set = recording.bind(&[wide, short(to)]);
                recording.dispatch(caps.shader(Kernel::DenseNarrow), set, &DenseNarrowParams { count, scale, x_first }, grid, piece);
            }
            Conversion::Widen => {
                let set = recording.bind(&[short(from), wide(to, first)]);
                recording.dispatch(caps.shader(Kernel::DenseWiden), set, &DenseWidenParams { count }, grid, piece);
            }
        }
        first += piece;
    }
}

/// The same numbers as f32 or f16. To f16 they become the nearest, ties to even; what is beyond ±65,504 becomes that. A tensor that has
/// the type already is given back, not copied.
///
/// # Errors
/// [`Error::Value`] for integers; [`Error::LimitExceeded`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
pub async fn convert(x: &Tensor, to: DType) -> Result<Tensor> {
    let conversion = match (x.dtype(), to) {
        (from, to) if from == to => return Ok(x.clone()),
        (DType::F32, DType::F16) => Conversion::Narrow(1.0),
        (DType::F16, DType::F32) => Conversion::Widen,
        (from, to) => {
            let value = format!("{from:?} to {to:?}");
            return Err(Error::Value { argument: "to", value, help: "convert f32 to f16, or f16 to f32" });
        }
    };
    let out = Tensor::empty(x.context(), x.shape(), to)?;
    if !x.is_empty() {
        let (mut recording, mut bound) = (Recording::new(), Vec::new());
        let buffers = [("x", x), ("converted", &out)].map(|(label, tensor)| declare(&mut recording, &mut bound, label, tensor));
        record_convert(&mut recording, x.context().caps(), buffers, x.len() as u64, conversion);
        x.context().run(&recording, &bound).await?;
    }
    Ok(out)
}

/// [`convert`], on the calling thread.
#[cfg(not(target_family = "wasm"))]
pub fn convert_blocking(x: &Tensor, to: DType) -> Result<Tensor> {
    pollster::block_on(convert(x, to))
}
