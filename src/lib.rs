//! weft: portable GPU compute for sequence models whose inner loop is serial: transducer losses
//! ([`lattice`]; fused with their joiner: [`joint`]), recurrent cells ([`recurrent`]), and what stands around them ([`dense`], [`speech`]).
//!
//! Everything runs in a [`Context`]: a GPU through wgpu, or the CPU twins of all kernels. Tensors stay
//! where they are until they are read. Every `async` function has a `_blocking` twin on native.
//!
//! ```
//! # fn main() -> weft::Result<()> {
//! use weft::lattice::{Blank, Logits, LossBatch, TransducerLoss};
//! use weft::{Context, Tensor};
//!
//! let gpu = Context::cpu(); // or Context::new_blocking(ContextOptions::from_env())?
//! let logits = Tensor::from_slice(&gpu, &[1, 2, 3, 5], &[0.1; 30])?;
//! let loss = TransducerLoss::rnnt(Blank(0)).gradients(true).build(&gpu)?;
//! let out = loss.run_blocking(&LossBatch::new(Logits::padded(&logits), &[1, 2], &[2], &[2]))?;
//! // Uniform logits: C(T - 1 + U, U) paths of T + U symbols, each of probability 1 / V.
//! assert!((out.costs[0] - (4.0 * 5f32.ln() - 3f32.ln())).abs() < 1e-5);
//! # Ok(())
//! # }
//! ```

mod cpu;
pub mod dense;
pub mod device;
mod error;
pub mod expr;
#[cfg(not(target_family = "wasm"))]
pub mod joint;
pub mod lattice;
mod order;
pub mod recurrent;
pub mod speech;
mod tensor;
mod weights;

#[cfg(not(target_family = "wasm"))]
pub use device::KernelTime;
pub use device::{Caps, Context, ContextOptions, DeviceKind, RunReport, Variant};
pub use error::{Error, Result};
/// The 16-bit float of [`Tensor::from_f16`].
pub use half::f16;
pub use tensor::{DType, Tensor};
pub use weights::Weights;
/// The wgpu that this crate was built with, for those who share a device.
pub use wgpu;

/// The examples of the README and of the pages, compiled by the tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/choosing-a-cell.md")]
    struct ChoosingACell;
    #[doc = include_str!("../docs/choosing-a-lattice.md")]
    struct ChoosingALattice;
    #[doc = include_str!("../docs/coming-from.md")]
    struct ComingFrom;
}
