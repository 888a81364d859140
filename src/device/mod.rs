//! The device: a context, plain facts about it, plans as plain data, and the engine that runs them.

mod caps;
pub(crate) mod recording;
pub(crate) mod shader;

pub use caps::{Caps, DeviceKind};
