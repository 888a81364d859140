//! The wasm-bindgen surface of weft: what the TypeScript of this package calls. Nothing computes here,
//! and it is private to the package: its users see the classes of `js/`.
//!
//! Errors cross as JavaScript `Error`s whose `name` tells the kind. Handles may be freed while a call
//! that began on them is still running: every call holds what it needs. Arguments are copied before a
//! call returns its promise.

mod batch;
mod cells;
mod context;
mod ctc;
mod error;
mod kind;
mod lattices;
mod loss;
mod memory;
mod numbers;
mod report;
mod vad;
mod weights;
