//! Status words of the utterances. Twin of `shaders/shared/lattice_status.wgsl`.

use crate::lattice::Status;

pub(super) const OK: u32 = Status::Ok as u32;
pub(super) const EMPTY: u32 = Status::Empty as u32;
pub(super) const INFEASIBLE: u32 = Status::Infeasible as u32;
/// All bits of the others.
pub(super) const NON_FINITE: u32 = Status::NonFinite as u32;
