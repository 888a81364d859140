//! What every recurrent cell must give, in f64 and by plain loops.
//!
//! A [`Cell`] is written as its paper has it, on a [`Tape`] that gives the gradients of all it was made of.
//! A [`Problem`] is one cell over a batch of sequences, a [`Stack`] several layers and directions.
//!
//! ```text
//! let mut problem = Problem::random(Cell::lstm(), [frames, batch, inputs, hidden], seed);
//! problem.lengths = vec![5, 0, 7];                   // and reverse, resets, zoneout, mask, weight_mask
//! let x = problem.values.f32("x");                   // what the library gets: x, weight_ih, bias_ih, h, c
//! let solution = problem.solve();                    // y, states, all, statistics
//! let pull = problem.random_pull(seed);              // gradients of y and of the last states
//! let gradients = problem.gradients(&pull);          // of all of problem.values, by the same names
//! ```
//!
//! Nothing here knows the library: other test crates include this folder as a module of their own.
#![allow(dead_code, unused_imports, reason = "each test crate uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod activation;
mod cell;
mod fixtures;
mod layer;
mod norm;
mod onnx;
mod stack;
mod tape;
mod values;

pub use activation::Activation;
pub use cell::{Cell, Kind};
pub use fixtures::{SPEECHBRAIN_MOMENTUM, SpeechbrainCase, TorchCase, counts, list, speechbrain_cases, torch_cases, wave};
pub use layer::{Problem, Pull, Solution, Statistics};
pub use norm::Norm;
pub use onnx::{Array, OnnxCase, onnx_cases};
pub use stack::{Direction, Merge, Stack};
pub use tape::{Gradients, Id, Tape};
pub use values::{Ids, Values};
