//! Cells: values, derivatives, texts and lanes of every cell with every option.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod against_truth;
mod all;
#[path = "../common/mod.rs"]
mod common;
mod differences;
mod errors;
mod gpu;
mod harness;
mod known;
mod lanes;
#[path = "../recurrent/pairs.rs"]
mod pairs;
mod texts;
#[path = "../recurrent/truth/mod.rs"]
mod truth;
