//! Dense layers: what stands before and after the serial loops.

mod activation;
mod conv1d;
mod layer;
mod linear;

pub use activation::Activation;
pub(crate) use conv1d::Layer as ConvLayer;
#[cfg(not(target_family = "wasm"))]
pub use conv1d::conv1d_blocking;
pub use conv1d::{Conv1dOptions, conv1d};
pub use layer::Linear;
pub(crate) use linear::{linear_launches, record_linear};
