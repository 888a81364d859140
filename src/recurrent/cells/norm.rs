//! Which vectors of a cell are normalised before it sees them.

/// Layer normalisation: (v - mean v) / sqrt(var v + eps), with the biased variance, over the units of one sequence in one
/// frame; then times a gain and plus a bias, a number a row, where the cell has them (Ba, Kiros and Hinton 2016,
/// arXiv:1607.06450).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// What has a mean and a variance of its own.
    pub span: NormSpan,
    /// Whether there is a gain to learn.
    pub gain: bool,
    /// Whether there is a bias to learn.
    pub bias: bool,
    /// What is added to the variance.
    pub eps: f32,
}

/// What has a mean and a variance of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormSpan {
    /// All rows of all units: the whole vector of gates.
    Whole,
    /// The H rows of one gate.
    Gate,
}

/// The layer normalisations of a cell. They are the tier's to apply: the cell's functions see what is normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Norms {
    /// On W x, before its bias.
    pub input: Option<Norm>,
    /// On R h, before its bias.
    pub recurrent: Option<Norm>,
    /// On a new state: the index of the state, and how. What comes out goes to [`Cell::output`](super::Cell::output) and no
    /// further; the next frame sees the state as it was before.
    pub state: Option<(usize, Norm)>,
}

impl Norm {
    /// eps of PyTorch's LayerNorm, SpeechBrain and Haste.
    pub const EPS: f32 = 1e-5;
}
