//! weft: portable GPU compute for sequence models whose inner loop is serial.

mod cpu;
pub mod dense;
pub mod device;
mod error;

pub use error::{Error, Result};
