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

/// The normalisation of W x, for all frames at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputNorm {
    /// Over the gates of one sequence in one frame.
    Layer(Norm),
    /// Each gate of each unit over all frames of all sequences.
    Batch(BatchNorm),
}

/// Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167), as PyTorch's BatchNorm1d: in training (v - mean) / sqrt(var + eps)
/// with mean and biased variance of the frames that the sequences have, padding left out; otherwise with running ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Whether there is a gain to learn.
    pub gain: bool,
    /// Whether there is a bias to learn.
    pub bias: bool,
    /// What is added to the variance.
    pub eps: f32,
    /// How much of the new mean and of the new unbiased variance the running ones take on in each call in training.
    pub momentum: f32,
}

impl BatchNorm {
    /// That of SpeechBrain's LiGRU: with gain and bias, eps 1e-5, momentum 0.05.
    pub const SPEECHBRAIN: Self = Self { gain: true, bias: true, eps: Norm::EPS, momentum: 0.05 };
}

impl InputNorm {
    /// What is added to the variance.
    pub fn eps(self) -> f32 {
        match self {
            Self::Layer(norm) => norm.eps,
            Self::Batch(norm) => norm.eps,
        }
    }

    /// Whether there are a gain and a bias to learn.
    pub fn affine(self) -> [bool; 2] {
        match self {
            Self::Layer(norm) => [norm.gain, norm.bias],
            Self::Batch(norm) => [norm.gain, norm.bias],
        }
    }
}

/// The normalisations of a cell. They are the tier's to apply: the cell's functions see what is normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Norms {
    /// On W x, before its bias.
    pub input: Option<InputNorm>,
    /// On R h, before its bias.
    pub recurrent: Option<Norm>,
    /// On a new state: the index of the state, and how. What comes out goes to [`Cell::output`](super::Cell::output) and no
    /// further; the next frame sees the state as it was before.
    pub state: Option<(usize, Norm)>,
}

impl Norms {
    /// eps of all that there are.
    pub(super) fn all_eps(&self) -> impl Iterator<Item = f32> {
        [self.input.map(InputNorm::eps), self.recurrent.map(|norm| norm.eps), self.state.map(|(_, norm)| norm.eps)].into_iter().flatten()
    }
}

impl Norm {
    /// eps of PyTorch's LayerNorm, SpeechBrain and Haste.
    pub const EPS: f32 = 1e-5;
}
