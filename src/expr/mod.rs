//! Expressions of one hidden unit, as data: the pointwise arithmetic of a recurrent cell.
//!
//! A [`Function`] is a list of named inputs, arithmetic on them, and named outputs. It is written with Rust's operators on
//! [`Value`]s, and is simplified while it is built. From one definition follow
//! - its derivative, which is a function again ([`Function::derivative`]),
//! - its text in WGSL ([`Function::wgsl`]),
//! - its values, in f64 ([`Function::eval`]) and in f32 for many units side by side ([`Function::eval_lanes`]).
//!
//! ```
//! use weft::expr::Function;
//! # fn main() -> weft::Result<()> {
//! let leaky = Function::new(["h", "x"], |[h, x]| vec![("h", 0.9 * h + 0.1 * x.tanh())])?;
//! let gradient = leaky.derivative(&["h", "x"])?; // of h, x and d_h; gives d_h, d_x
//! assert_eq!(gradient.inputs(), ["h", "x", "d_h"]);
//! assert_eq!(gradient.outputs(), ["d_h", "d_x"]);
//! let [d_h, d_x] = gradient.eval(&[0.0, 0.0, 1.0])[..] else { unreachable!() };
//! assert!((d_h - 0.9).abs() < 1e-7 && (d_x - 0.1).abs() < 1e-7);
//! # Ok(())
//! # }
//! ```
//!
//! **What is computed.** Constants are f32. Functions of one argument are total: `exp` saturates at e^88, `log` takes
//! arguments below the smallest normal f32 for that number, `sqrt` takes negative ones for 0. So nothing but a product or a
//! quotient can overflow. Where a term is multiplied by the constant 0, it is dropped, whatever it is.
//!
//! **Ties.** At a tie of `min` and `max` the gradient goes to the left operand, so `x.max(0.0)` has slope 1 at 0, and
//! [`relu`](Value::relu), which has the constant on the left, slope 0, as in PyTorch. `abs` and `sign` have slope 0 at 0.

mod derivative;
mod eval;
mod function;
mod graph;
mod lanes;
mod math;
mod value;
mod wgsl;

pub use function::Function;
pub(crate) use function::{Draft, check_constants, check_names};
pub use lanes::Scratch;
pub use value::{Operand, Value};
pub use wgsl::{FUNCTIONS, Text};
