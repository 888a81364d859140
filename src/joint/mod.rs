//! The joiner of a transducer, fused with the loss: the logits [N, T, U1, V] never exist as a whole.
//!
//! A [`Joiner`] adds what an encoder says of a frame and a predictor of a position, applies an activation, and makes logits of it by a last
//! layer. A [`JointLoss`] takes both outputs and gives the costs of a batch, and the gradients of both outputs and of all weights. Rows of
//! logits, without those of padding, are made tile by tile: once for the row pass of the lattice, and once more for its gradient pass.
//! Memory is that of the lattices and of one tile. Any [kind](crate::lattice::Kind) of lattice will do. Of
//! [sums without a layer](Joiner::additive) no logits are written at all, and there is a [smoothed loss](JointLoss::smoothed) of them.
//!
//! Products: 4 · 2 · Σ T (U + 1) · H · V operations with gradients, a quarter of that without. As NeMo's "Flash RNN-T" and the fused losses
//! of others do, but with one arithmetic for all lattices and on any device.

mod batch;
mod inputs;
mod joiner;
mod loss;
mod plan;
mod rows;
mod smoothing;
mod sums;
#[cfg(test)]
mod tests;
mod tiles;

pub use batch::{JointBatch, JointShape};
pub use joiner::Joiner;
pub use loss::{JoinerGradients, JointGradients, JointLoss, JointOutput, LinearGradients};
pub use plan::JointPlan;
