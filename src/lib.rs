//! weft: portable GPU compute for sequence models whose inner loop is serial.

mod cpu;
pub mod dense;
pub mod device;
mod error;
pub mod lattice;
pub mod recurrent;
pub mod speech;
mod tensor;
mod weights;

pub use device::{Caps, Context, ContextOptions, RunReport, Variant};
pub use error::{Error, Result};
pub use tensor::{DType, Tensor};
pub use weights::Weights;
/// The wgpu that this crate was built with, for those who share a device.
pub use wgpu;
