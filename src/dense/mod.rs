//! Dense layers: what stands before and after the serial loops.

mod activation;
mod linear;

pub use activation::Activation;
pub(crate) use linear::{LinearParams, record_linear};
