//! The independently recurrent network.

use super::{Activation, Cell};
use crate::error::Result;

impl Cell {
    /// The IndRNN (Li et al. 2018, arXiv:1803.04831): `h' = f(x + u h)` with one recurrent weight u (`weight_hh` \[H]) a unit.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) if a number of the activation is not finite.
    pub fn ind_rnn(activation: Activation) -> Result<Self> {
        Cell::builder("IndRNN")
            .gates(&["hidden"])
            .states(&["h"])
            .params(&["weight_hh"])
            .update(|u| vec![activation.of(u.x[0] + u.p[0] * u.s[0])])
            .build()
    }
}
