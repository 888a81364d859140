//! Weights as other libraries lay them out, in and out.
//!
//! Nothing in the numbers says in which order the gates are: the caller names the [`Order`], and
//! [`import`] says what it expected where a shape contradicts it.
//!
//! | order | arrays | rows of an LSTM | of a GRU |
//! |---|---|---|---|
//! | weft, PyTorch, cuDNN | `weight_ih` \[G H, I], `weight_hh` \[G H, H], `bias_ih`, `bias_hh` \[G H], `weight_hr` \[P, H] | i f g o | r z n |
//! | ONNX | `W` \[D, G H, I], `R` \[D, G H, H], `B` \[D, 2 G H], `P` \[D, 3 H] | i o f c, `P` i o f | z r h |
//! | Keras | `kernel` \[I, G H], `recurrent_kernel` \[H, G H], `bias` \[G H], of a GRU with reset after \[2, G H] | i f c o | z r h |
//! | WebNN | `weight` \[D, G H, I], `recurrentWeight` \[D, G H, H], `bias`, `recurrentBias` \[D, G H], `peepholeWeight` \[D, 3 H] | i o f g or i f g o | z r n or r z n |
//! | TensorFlow's BasicLSTMCell | `kernel` \[I + H, 4 H], `bias` \[4 H] without the forget bias | i j f o | |
//! | Haste | `kernel` \[I, G H], `recurrent_kernel` \[H, G H], `bias`, of a GRU `recurrent_bias` \[G H] | i g f o | z r g |
//! | SpeechBrain's LiGRU | `w.weight` \[2 H, I], `u.weight` \[2 H, H], `norm.*`, `layer_norm.*` \[2 H] | candidate, z | |

mod blocks;
mod export;
mod format;
mod host;
mod import;

pub use export::{NamedArray, export};
pub use format::{Gated, Order};
pub use host::{HostWeights, NormWeights};
pub use import::import;
