//! The vanilla RNN.

use super::{Activation, Cell};
use crate::error::Result;

impl Cell {
    /// The vanilla RNN (Elman 1990): `h' = f(x + r)`. PyTorch has it with tanh and relu.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) if a number of the activation is not finite.
    pub fn rnn(activation: Activation) -> Result<Self> {
        Cell::builder("RNN")
            .gates(&["hidden"])
            .recurrent(&["hidden"])
            .states(&["h"])
            .update(|u| vec![activation.of(u.x[0] + u.r[0])])
            .build()
    }
}
