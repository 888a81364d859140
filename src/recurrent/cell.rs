//! What distinguishes one cell from another, for everything that runs cells.

use crate::device::shader::Kernel;

/// Facts of a cell.
#[derive(Clone, Copy, Debug)]
pub struct CellKind {
    /// Name, for people.
    pub(super) name: &'static str,
    /// Gates: rows of the weights are `gates * hidden_size`.
    pub(super) gates: usize,
    /// Vectors of H numbers that a sequence carries from frame to frame; h is the first.
    pub(super) states: usize,
    /// Its kernel of the stepped tier.
    pub(super) step: Kernel,
}

/// A cell that layers can be made of: [`LstmCell`](super::LstmCell), [`GruCell`](super::GruCell).
pub trait Cell: Sealed {}

/// Keeps the set of cells closed: each needs kernels of this crate.
pub trait Sealed: Clone + Send + Sync + 'static {
    /// Facts of the cell.
    const KIND: CellKind;
}

impl<C: Sealed> Cell for C {}
