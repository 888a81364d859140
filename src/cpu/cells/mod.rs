//! Twins of `shaders/cell/*.wgsl`.

mod batch_norm;
mod first;
mod gradient;
mod merge;
mod mid;
mod mid_gradient;
mod norms;
mod product;
mod row;
mod row_gradient;
mod scan_gradient;
mod sequences;
#[cfg(not(target_family = "wasm"))]
mod state_sums;
mod states;
mod step;
mod unit;
mod weights;

pub(super) use batch_norm::{batch_norm, batch_norm_gradient, moments};
pub(super) use first::{empty, first, first_gradient};
pub(super) use gradient::step_gradient;
#[cfg(not(target_family = "wasm"))]
pub(super) use gradient::{local_gradient, steps_gradient};
pub(super) use merge::{merge, split};
pub(super) use mid::{mid, mid_step, mids};
pub(super) use mid_gradient::{mid_gradient, second_gradient};
pub(super) use norms::{affine, normalise, normalise_gradient};
pub(super) use product::{pack_rows, product};
pub(super) use row::{normed_step, row};
pub(super) use row_gradient::row_gradient;
pub(super) use scan_gradient::scan_gradient;
#[cfg(not(target_family = "wasm"))]
pub(super) use state_sums::state_sums;
pub(super) use states::{copy_states, valid_frames};
#[cfg(not(target_family = "wasm"))]
pub(super) use step::{local, steps_in_halves};
pub(super) use step::{step, steps};
pub(super) use weights::{weight, weight_gradient};
