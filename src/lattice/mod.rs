//! Transducer lattices: losses from logits or log-probabilities, with gradients.
//!
//! A lattice of T frames and U labels has the cells (t, u), t < T, u <= U. A [kind](Kind) of lattice says which arcs leave a cell: in
//! RNN-T the blank, one frame on, and the next label, one position on. The cost of an utterance is -log of the summed probability of
//! all paths from (0, 0) to the end, (T, U).
//!
//! Three stages, whatever the kind: a **row pass** reads the scores once and keeps the weights of the arcs; a **sweep** walks
//! the diagonals t + u from both ends; a **gradient pass** reads the scores once more and writes their gradient. Cells that
//! no path visits are not read again.
//!
//! What else the paths tell (alignments, posteriors, entropy, expected frames) follows from a lattice that is
//! [kept](TransducerLoss::lattice).
//!
//! [CTC](CtcLoss), whose lattice has no positions but states, is a loss of its own with the same three stages.
//!
//! Accuracy: forward and backward variables are f32 mantissas with integer exponents, so that rounding errors do not grow with the
//! cost. At 1500 frames and 300 labels gradients are within 4e-6 of f64 (those of log-domain f32 within 1e-2), costs of up to
//! 10^7 cells within 3e-6 of it, relative; on the CPU and on lavapipe (`tests/lattice/long.rs`). Small lattices of every kind, input and
//! layout: `cargo xtask conformance`. Where scores are thousands of nats apart, gradients lose digits as f32 scores do.

mod align;
mod arc_plan;
mod arc_table;
mod band;
mod batch;
mod ctc;
#[cfg(test)]
mod halves_tests;
mod kind;
mod layout;
mod loss;
mod options;
mod plan;
mod scores;
#[cfg(test)]
mod short_tests;
mod source;
mod status;
mod targets;
mod tile;
mod window;

#[cfg(not(target_family = "wasm"))]
pub(crate) use align::keep;
pub use align::{Alignment, Emission, Lattice, Lattices, PathArc};
pub(crate) use arc_table::{ARC_WORDS, KIND_WORDS, NEXT_LABEL, NONE, OTHERS};
pub use band::Band;
pub use batch::{LossBatch, LossShape};
pub(crate) use ctc::{COLUMNS, CtcUtterance, DEPTH};
pub use ctc::{CtcAlignment, CtcBatch, CtcLattice, CtcLattices, CtcLoss, CtcLossBuilder, CtcOutput, CtcPath, CtcPlan, CtcShape, LabelSpan};
#[cfg(not(target_family = "wasm"))]
pub(crate) use kind::Gathered;
pub use kind::{Arc, Blank, Exit, Kind, Normalisation, Token, WILDCARD};
#[cfg(not(target_family = "wasm"))]
pub(crate) use layout::Problem;
pub(crate) use layout::{CHUNK, HEADER};
#[cfg(not(target_family = "wasm"))]
pub(crate) use loss::Results;
pub use loss::{LossOutput, TransducerLoss, TransducerLossBuilder};
#[cfg(not(target_family = "wasm"))]
pub(crate) use options::Options;
pub use options::{FastEmit, Gradients, Reduction};
pub use plan::TransducerPlan;
pub use scores::{LogProbs, Logits, Scores};
#[cfg(not(target_family = "wasm"))]
pub(crate) use source::{Batch, Source};
pub use status::Status;
#[cfg(not(target_family = "wasm"))]
pub(crate) use targets::Targets;
#[cfg(not(target_family = "wasm"))]
pub(crate) use window::Window;
