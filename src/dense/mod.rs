//! Dense layers: what stands before and after the serial loops.

mod activation;
mod layer;
mod linear;

pub use activation::Activation;
pub use layer::Linear;
pub(crate) use linear::{LinearParams, record_linear};
