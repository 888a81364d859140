//! The LSTM.

use super::cell::{CellKind, Sealed};
use super::{Layer, State};
use crate::device::shader::Kernel;
use crate::error::Result;

/// The LSTM cell as PyTorch has it, gates in the order i, f, g, o:
///
/// `i, f, o = σ(W x + b_ih + R h + b_hh)`, `g = tanh(W x + b_ih + R h + b_hh)`,
/// `c' = f c + i g`, `h' = o tanh(c')`.
#[derive(Clone, Copy, Debug)]
pub struct LstmCell;

impl Sealed for LstmCell {
    const KIND: CellKind = CellKind { name: "LSTM", gates: 4, states: 2, step: Kernel::CellLstmStep };
}

/// One LSTM layer: weight_ih \[4H, I], weight_hh \[4H, H], biases \[4H].
pub type Lstm = Layer<LstmCell>;

/// h and c of an LSTM layer.
pub type LstmState = State<LstmCell>;

impl LstmState {
    /// Reads c back: [N, H], row-major.
    ///
    /// # Errors
    /// [`DeviceLost`](crate::Error::DeviceLost), [`OutOfMemory`](crate::Error::OutOfMemory).
    pub async fn c(&self) -> Result<Vec<f32>> {
        self.vector(1).await
    }

    /// [`c`](Self::c), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn c_blocking(&self) -> Result<Vec<f32>> {
        pollster::block_on(self.c())
    }
}
