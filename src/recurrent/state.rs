//! What a layer carries from one call to the next.

use super::cell::Cell;
use crate::device::Context;
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor};
use std::fmt;
use std::marker::PhantomData;

/// The state of N sequences after their last frame, on the GPU: one tensor [S, N, H], where S is 2 for
/// an LSTM (h, c) and 1 for a GRU (h). Give it to the next [`forward`](super::Layer::forward).
///
/// A call never changes the state that it was given, so an old one can be returned to (beams,
/// retries). Clones share memory.
#[derive(Clone)]
pub struct State<C> {
    tensor: Tensor,
    cell: PhantomData<C>,
}

impl<C: Cell> State<C> {
    /// The state before the first frame: zeros, for `batch` sequences of `hidden_size` units.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn zeros(context: &Context, batch: usize, hidden_size: usize) -> Result<Self> {
        Self::of(Tensor::zeros(context, &[C::KIND.states, batch, hidden_size], DType::F32)?)
    }

    /// Takes an f32 tensor [S, N, H] for a state.
    ///
    /// # Errors
    /// [`Error::Shape`] if it has other sides, [`Error::Value`] if it does not hold f32.
    pub fn of(tensor: Tensor) -> Result<Self> {
        match tensor.shape() {
            &[states, _, _] if states == C::KIND.states => {}
            other => {
                return Err(Error::Shape {
                    argument: "state",
                    expected: format!("[{}, N, H] for a {}", C::KIND.states, C::KIND.name),
                    got: format!("{other:?}"),
                });
            }
        }
        tensor.expect_f32("state")?;
        Ok(Self { tensor, cell: PhantomData })
    }

    /// The tensor [S, N, H].
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// N.
    pub fn batch(&self) -> usize {
        self.tensor.shape()[1]
    }

    /// H.
    pub fn hidden_size(&self) -> usize {
        self.tensor.shape()[2]
    }

    /// Reads h back: [N, H], row-major.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`].
    pub async fn h(&self) -> Result<Vec<f32>> {
        self.vector(0).await
    }

    /// [`h`](Self::h), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn h_blocking(&self) -> Result<Vec<f32>> {
        pollster::block_on(self.h())
    }

    /// The `index`-th of the S parts.
    pub(super) async fn vector(&self, index: usize) -> Result<Vec<f32>> {
        let plane = self.batch() * self.hidden_size();
        let mut all = self.tensor.to_vec().await?;
        all.truncate((index + 1) * plane);
        Ok(all.split_off(index * plane))
    }
}

impl<C: Cell> fmt::Debug for State<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} state of {} sequences, {} units", C::KIND.name, self.batch(), self.hidden_size())
    }
}
