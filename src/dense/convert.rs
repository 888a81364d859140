//! f32 and f16, from one to the other.

use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{DenseNarrowParams, DenseWidenParams, Kernel};
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor, declare};

/// Records the conversion of `count` numbers, which begin where the buffers do: [f32, f16] if it `narrows`, else [f16, f32].
pub(crate) fn record_convert(recording: &mut Recording, caps: &Caps, [from, to]: [BufferId; 2], count: u64, narrows: bool) {
    // Pieces begin where windows may.
    let most = (caps.max_window_bytes() / 4).min(caps.submit_work()).min(u64::from(u32::MAX)) & !255;
    let mut first = 0;
    while first < count {
        let piece = most.max(256).min(count - first);
        let wide = |buffer| Binding { buffer, offset: first * 4, bytes: piece * 4 };
        let short = |buffer| Binding { buffer, offset: first * 2, bytes: (piece * 2).next_multiple_of(4) };
        let grid = fold(piece.div_ceil(512), caps.max_workgroups);
        if narrows {
            let set = recording.bind(&[wide(from), short(to)]);
            recording.dispatch(caps.shader(Kernel::DenseNarrow), set, &DenseNarrowParams { count: piece as u32 }, grid, piece);
        } else {
            let set = recording.bind(&[short(from), wide(to)]);
            recording.dispatch(caps.shader(Kernel::DenseWiden), set, &DenseWidenParams { count: piece as u32 }, grid, piece);
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
    let narrows = match (x.dtype(), to) {
        (from, to) if from == to => return Ok(x.clone()),
        (DType::F32, DType::F16) => true,
        (DType::F16, DType::F32) => false,
        (from, to) => {
            let value = format!("{from:?} to {to:?}");
            return Err(Error::Value { argument: "to", value, help: "convert f32 to f16, or f16 to f32" });
        }
    };
    let out = Tensor::empty(x.context(), x.shape(), to)?;
    if !x.is_empty() {
        let (mut recording, mut bound) = (Recording::new(), Vec::new());
        let buffers = [("x", x), ("converted", &out)].map(|(label, tensor)| declare(&mut recording, &mut bound, label, tensor));
        record_convert(&mut recording, x.context().caps(), buffers, x.len() as u64, narrows);
        x.context().run(&recording, &bound).await?;
    }
    Ok(out)
}

/// [`convert`], on the calling thread.
#[cfg(not(target_family = "wasm"))]
pub fn convert_blocking(x: &Tensor, to: DType) -> Result<Tensor> {
    pollster::block_on(convert(x, to))
}
