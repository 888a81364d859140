//! Recurrent layers: cells, and the plans that run them over time.
//!
//! A [`Layer`] is one cell kind with its weights: [`Lstm`], [`Gru`]. Conventions are PyTorch's: gate
//! order, two biases, x [T, N, I] and y [T, N, H] with T frames, N sequences, I inputs and H hidden
//! units. [`Layer::forward`] projects the input of all frames by one product, then runs one fused
//! kernel a frame (`shaders/shared/stepped_tier.wgsl`), everything in one recording.

mod cell;
pub mod cells;
mod gru;
mod layer;
mod lstm;
pub mod orders;
mod state;
mod step_plan;
mod weights;

pub use cell::Cell;
pub use gru::{Gru, GruCell, GruState};
pub use layer::Layer;
pub use lstm::{Lstm, LstmCell, LstmState};
pub use state::State;
pub use weights::CellWeights;
