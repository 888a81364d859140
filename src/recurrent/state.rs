//! What a layer carries from one call to the next.

use super::Cell;
use crate::device::Context;
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor};
use std::fmt;

/// The states of N sequences after their last frame, on the device: one tensor [S, N, H], h first (S is 2 for an LSTM: h and c;
/// 1 for a GRU). Give it to the next call. Where h is [projected](super::Layer::projected), it is a tensor of its own, [N, P]
/// (but in cells with norms, which carry what is projected).
///
/// A call never changes the state that it was given, so an old one can be returned to (beams, retries). Clones share memory.
#[derive(Clone)]
pub struct State {
    tensor: Tensor,
    projected: Option<Tensor>,
}

impl State {
    /// The state before the first frame: zeros, for `batch` sequences of `hidden_size` units.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn zeros(context: &Context, cell: &Cell, batch: usize, hidden_size: usize) -> Result<Self> {
        Ok(Self { tensor: Tensor::zeros(context, &[cell.states().len(), batch, hidden_size], DType::F32)?, projected: None })
    }

    /// Takes an f32 tensor [S, N, H] for a state.
    ///
    /// # Errors
    /// [`Error::Shape`] if it has other than three sides, [`Error::Value`] if it does not hold f32.
    pub fn of(tensor: Tensor) -> Result<Self> {
        if tensor.shape().len() != 3 {
            return Err(Error::Shape { argument: "state", expected: "[S, N, H]".to_owned(), got: format!("{:?}", tensor.shape()) });
        }
        tensor.expect_f32("state")?;
        Ok(Self { tensor, projected: None })
    }

    /// Takes f32 tensors h [N, P] and others [S - 1, N, H] (c of an LSTM) for a state of a layer that projects h.
    ///
    /// # Errors
    /// [`Error::Shape`] if they have not two and three sides, or not the same N, [`Error::Value`] if they do not hold f32.
    pub fn projected(h: Tensor, others: Tensor) -> Result<Self> {
        match (h.shape(), others.shape()) {
            (&[batch, _], &[_, same, _]) if batch == same => {}
            (h, others) => {
                let got = format!("{h:?} and {others:?}");
                return Err(Error::Shape { argument: "state", expected: "h [N, P] and others [S - 1, N, H]".to_owned(), got });
            }
        }
        h.expect_f32("h")?;
        others.expect_f32("others")?;
        Ok(Self { tensor: others, projected: Some(h) })
    }

    /// The tensor [S, N, H]; without h, [S - 1, N, H], where that is projected.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// h [N, P], where it is projected.
    pub fn projected_h(&self) -> Option<&Tensor> {
        self.projected.as_ref()
    }

    /// Its tensors, as plans ask for them.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Tensor> {
        self.projected.iter().chain(std::iter::once(&self.tensor))
    }

    /// Number of sequences.
    pub fn batch(&self) -> usize {
        self.tensor.shape().get(1).copied().unwrap_or_default()
    }

    /// Reads h back: [N, H], row-major; [N, P] where it is projected.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`].
    pub async fn h(&self) -> Result<Vec<f32>> {
        self.read(0).await
    }

    /// Reads one of the states back, in the order of [`Cell::states`]: [N, H], row-major.
    ///
    /// # Errors
    /// As [`h`](Self::h); [`Error::Value`] if the cell has no such state.
    pub async fn read(&self, number: usize) -> Result<Vec<f32>> {
        let [states, batch, hidden] = *self.tensor.shape() else { return Ok(Vec::new()) };
        let number = match &self.projected {
            Some(h) if number == 0 => return h.to_vec().await,
            Some(_) => number - 1,
            None => number,
        };
        if number >= states {
            return Err(Error::Value { argument: "number", value: number.to_string(), help: "a cell has fewer states: see Cell::states" });
        }
        let plane = batch * hidden;
        Ok(self.tensor.to_vec().await?[number * plane..][..plane].to_vec())
    }

    /// [`h`](Self::h), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn h_blocking(&self) -> Result<Vec<f32>> {
        pollster::block_on(self.h())
    }

    /// [`read`](Self::read), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn read_blocking(&self, number: usize) -> Result<Vec<f32>> {
        pollster::block_on(self.read(number))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.projected {
            Some(h) => write!(f, "state {:?} and {:?}", h.shape(), self.tensor.shape()),
            None => write!(f, "state {:?}", self.tensor.shape()),
        }
    }
}
