//! Recurrent cells, as data.
//!
//! A [`Cell`] says what one hidden unit computes in one frame, as [functions](crate::expr): its update, and for some cells what a
//! second product multiplies ([`mid`](Cell::mid)) or what follows the normalisation of a state ([`output`](Cell::output)).
//! Derivatives, WGSL and CPU twin follow from these, so that every cell and every option runs in every tier. Cells of one's
//! own are made by [`Cell::builder`], or, LSTMs and GRUs with other parts, by [`LstmOptions`], [`GruOptions`] and
//! [`LiGruOptions`].
//!
//! ```
//! # fn main() -> weft::Result<()> {
//! use weft::recurrent::cells::Cell;
//!
//! // A leaky unit: h' = (1 - a) h + a tanh(x + R h), with a learnt rate a = σ(p) for each unit.
//! let leaky = Cell::builder("leaky RNN")
//!     .gates(&["candidate"])
//!     .recurrent(&["candidate"])
//!     .states(&["h"])
//!     .params(&["rate"])
//!     .update(|u| {
//!         let rate = u.p[0].sigmoid();
//!         vec![(1.0 - rate) * u.s[0] + rate * (u.x[0] + u.r[0]).tanh()]
//!     })
//!     .build()?;
//! assert_eq!(leaky.update().inputs(), ["x0", "r0", "s0", "p0"]);
//! # Ok(())
//! # }
//! ```

mod activation;
mod builder;
mod cell;
mod gru;
mod ind_rnn;
mod li_gru;
mod lstm;
mod min_gru;
mod norm;
mod qrnn;
mod rnn;
mod s_lstm;
mod wgsl;

pub use activation::Activation;
pub use builder::{CellBuilder, Unit};
pub use cell::{Cell, Pair};
pub use gru::{GruOptions, Reset};
pub use li_gru::LiGruOptions;
pub use lstm::LstmOptions;
pub use norm::{BatchNorm, InputNorm, Norm, NormSpan, Norms};
pub use s_lstm::ForgetGate;
