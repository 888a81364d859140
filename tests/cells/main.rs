//! Cells: values, derivatives, texts and lanes of every cell with every option.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod all;
#[path = "../common/mod.rs"]
mod common;
mod differences;
mod errors;
mod gpu;
mod harness;
mod known;
mod lanes;
mod texts;
