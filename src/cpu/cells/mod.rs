//! Twins of `shaders/cell/*.wgsl`.

mod gradient;
mod merge;
mod sequences;
mod states;
mod step;
mod unit;

pub(super) use gradient::step_gradient;
pub(super) use merge::{merge, split};
pub(super) use states::{copy_states, valid_frames};
pub(super) use step::step;
