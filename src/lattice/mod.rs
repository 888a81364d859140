//! Transducer lattices: losses from logits, with gradients.
//!
//! A lattice of T frames and U labels has the cells (t, u), t < T, u <= U. From each of them the model
//! emits the blank (one frame on) or the next label (one position on); the cost of an utterance is
//! -log of the summed probability of all paths from (0, 0) through the blank of (T - 1, U).
//!
//! Three stages, whatever the kind of lattice: a **row pass** reads the logits once and keeps three
//! numbers a cell; a **sweep** walks the diagonals t + u from both ends; a **gradient pass** reads the
//! logits once more and writes their gradient.
//!
//! Accuracy: everything is f32 in the log domain, so rounding errors grow with the number of diagonals.
//! Costs are right to about 1e-6, relative, over hundreds of diagonals and to 1e-5 over thousands.
//! Gradients are right to about 2e-6 of the cost, absolute: 1e-5 for an utterance of cost 5, 1e-2 for
//! 1500 frames and 300 labels of an untrained model (cost 6500).

mod batch;
mod plan;
mod status;
mod transducer;

pub use batch::{LossBatch, LossShape};
pub use plan::TransducerPlan;
pub(crate) use plan::{RowParams, SweepParams};
pub use status::Status;
pub use transducer::{Blank, LossOutput, TransducerLoss, TransducerLossBuilder};
