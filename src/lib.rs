//! weft: portable GPU compute for sequence models whose inner loop is serial.

mod cpu;
pub mod dense;
pub mod device;
mod error;
mod tensor;

pub use device::{Caps, Context, ContextOptions, RunReport, Variant};
pub use error::{Error, Result};
pub use tensor::{DType, Tensor};
/// The wgpu that this crate was built with, for those who share a device.
pub use wgpu;
