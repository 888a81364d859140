//! Dense layers: what stands before and after the serial loops.

mod activation;
pub(crate) mod column_sums;
mod conv1d;
mod convert;
pub(crate) mod gemm;
mod layer;
#[cfg(not(target_family = "wasm"))]
mod line_most;
mod linear;
mod matmul;
pub(crate) mod matrix;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod scaled;
#[cfg(not(target_family = "wasm"))]
mod split;
#[cfg(test)]
mod tests;
mod tile;

pub use activation::Activation;
pub(crate) use column_sums::record_column_sums;
#[cfg(not(target_family = "wasm"))]
pub(crate) use column_sums::record_column_sums_in;
pub use column_sums::{column_sums, column_sums_reported};
#[cfg(not(target_family = "wasm"))]
pub use column_sums::{column_sums_blocking, column_sums_reported_blocking};
pub(crate) use conv1d::Layer as ConvLayer;
#[cfg(not(target_family = "wasm"))]
pub use conv1d::conv1d_blocking;
pub use conv1d::{Conv1dOptions, conv1d};
pub use convert::convert;
#[cfg(not(target_family = "wasm"))]
pub use convert::convert_blocking;
#[cfg(not(target_family = "wasm"))]
pub(crate) use convert::record_narrow;
pub(crate) use convert::{Conversion, record_convert};
pub use gemm::Form;
pub(crate) use gemm::Gemm;
pub use layer::Linear;
pub(crate) use linear::record_linear;
pub use matmul::{matmul, matmul_into};
#[cfg(not(target_family = "wasm"))]
pub use matmul::{matmul_blocking, matmul_into_blocking};
pub(crate) use matrix::Matrix;
#[cfg(not(target_family = "wasm"))]
pub(crate) use split::{Scratch, record_split};
#[cfg(not(target_family = "wasm"))]
pub(crate) use tile::multiplies_halves;
