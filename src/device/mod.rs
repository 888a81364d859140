//! The device: a context, plain facts about it, plans as plain data, and the engine that runs them.

mod adapter;
mod caps;
mod clock;
mod context;
mod engine;
#[cfg(not(target_family = "wasm"))]
mod kernel_times;
mod lost;
mod pipelines;
#[cfg(not(target_family = "wasm"))]
mod poller;
mod pool;
pub(crate) mod program;
pub(crate) mod recording;
mod schedule;
mod scope;
pub(crate) mod shader;
mod table;
#[cfg(test)]
mod tests;
mod threads;
mod timing;
#[cfg(not(target_family = "wasm"))]
mod together;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod tunings;
#[cfg(not(target_family = "wasm"))]
mod unroll;

pub use caps::{Caps, DeviceKind};
pub(crate) use context::Storage;
pub use context::{Context, ContextOptions, Variant};
pub use engine::RunReport;
#[cfg(not(target_family = "wasm"))]
pub use kernel_times::KernelTime;
