//! The GRU.

use super::cell::{CellKind, Sealed};
use super::{Layer, State};
use crate::device::shader::Kernel;

/// The GRU cell as PyTorch and cuDNN have it (the reset gate comes after the product), gates in the
/// order r, z, n:
///
/// `r, z = σ(W x + b_ih + R h + b_hh)`, `n = tanh(W_n x + b_in + r (R_n h + b_hn))`,
/// `h' = (1 - z) n + z h`.
#[derive(Clone, Copy, Debug)]
pub struct GruCell;

impl Sealed for GruCell {
    const KIND: CellKind = CellKind { name: "GRU", gates: 3, states: 1, step: Kernel::CellGruStep };
}

/// One GRU layer: weight_ih \[3H, I], weight_hh \[3H, H], biases \[3H].
pub type Gru = Layer<GruCell>;

/// h of a GRU layer.
pub type GruState = State<GruCell>;
