//! Connectionist temporal classification (Graves et al. 2006): a frame-synchronous lattice over the 2 U + 1
//! states of a target, blanks between labels.
//!
//! State 2 u is the blank before label u, state 2 u + 1 is label u. Each frame emits one symbol: a path stays
//! in its state, goes on to the next, or from a label straight to the next one if the two differ. It begins in
//! one of the first two states and ends in one of the last two.

mod alignment;
mod batch;
mod lattice;
mod layout;
mod loss;
mod plan;
mod trellis;

pub use alignment::{CtcAlignment, LabelSpan};
pub use batch::{CtcBatch, CtcShape};
pub use lattice::{CtcLattice, CtcLattices, CtcPath};
pub(crate) use layout::{COLUMNS, CtcUtterance, DEPTH};
pub use loss::{CtcLoss, CtcLossBuilder, CtcOutput};
pub use plan::CtcPlan;
