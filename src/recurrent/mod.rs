//! Recurrent layers: cells, and the plans that run them over time.
//!
//! A [`Cell`] is data: the update of one hidden unit. A [`Layer`] is a cell with its weights. Conventions are PyTorch's: gate
//! order, two biases, x [T, N, I] and y [T, N, H] with T frames, N sequences, I inputs and H hidden units. [`Layer::forward`]
//! projects the input of all frames by one product, then a [`Tier`] takes the steps, everything in one recording.

mod between;
pub mod cells;
mod explain;
mod layer;
mod options;
pub mod orders;
mod plan;
mod program;
mod sequences;
mod stack;
mod state;
mod stream;
mod tape;
mod tier;
mod weights;

pub use cells::Cell;
pub use explain::{Explanation, Plan};
pub use layer::Layer;
pub use options::{RunOptions, TrainOptions};
pub use stack::{Level, Merge, Stack, StackTape};
pub use state::State;
pub use tape::{Gradients, Tape};
pub use tier::{Refusal, Tier};
pub use weights::LayerWeights;
