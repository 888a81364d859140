//! Layers of every cell, forward and backward, on the CPU twin and on every variant of this machine's adapter, against the f64
//! truth of `tests/recurrent/truth`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../recurrent/pairs.rs"]
mod pairs;
#[path = "../recurrent/truth/mod.rs"]
mod truth;

mod case;
mod conformance;
mod errors;
mod forward;
mod gradients;
mod halves;
mod sizes;
mod stacks;
mod stretches;
mod truncated;
mod tuning;
mod weights;
