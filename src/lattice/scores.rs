//! What a loss is computed from: logits or log-probabilities, and how they lie in memory.

use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor};

/// Raw scores of a joiner: the loss applies the softmax, and gradients are with respect to them. -inf masks a
/// symbol. f32, or f16 storage (the arithmetic is f32), which is quickest where V is even.
///
/// Given to a loss that wants log-probabilities, or the other way round, scores train badly and nobody
/// notices; hence two types.
#[derive(Clone, Debug)]
pub struct Logits<'a>(Scores<'a>);

/// Log-probabilities in nats: nothing is normalised, and gradients are the partial derivatives with respect to
/// them (minus the occupancies).
#[derive(Clone, Debug)]
pub struct LogProbs<'a>(Scores<'a>);

/// Scores with their meaning and layout: made from [`Logits`] or [`LogProbs`].
#[derive(Clone, Debug)]
pub struct Scores<'a> {
    pub(super) parts: Vec<&'a Tensor>,
    pub(super) meaning: Meaning,
    pub(super) layout: Layout,
}

/// What scores mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Meaning {
    Logits,
    LogProbs,
    /// Log-probabilities of the blank, of the next label, and of what else arcs name, only.
    Gathered,
}

/// How scores lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// [N, T, U1, V].
    Padded,
    /// [sum of T (U + 1), V]: utterance after utterance, without padding.
    Packed,
    /// [N, T, U1, V] with elements of one symbol apart from those of the next by 1, and so many elements from
    /// utterance to utterance, frame to frame, position to position.
    Strided { shape: [usize; 4], strides: [usize; 3] },
}

impl<'a> Scores<'a> {
    fn new(parts: Vec<&'a Tensor>, meaning: Meaning, layout: Layout) -> Self {
        Self { parts, meaning, layout }
    }
}

impl<'a> Logits<'a> {
    /// [N, T, U1, V]: utterance, frame, number of labels emitted so far, symbol. T and U1 - 1 are at least the
    /// longest utterance's lengths; what lies beyond the lengths of an utterance is never read.
    pub fn padded(logits: &'a Tensor) -> Self {
        Self::padded_parts(vec![logits])
    }

    /// A batch that no single buffer holds: tensors [Nᵢ, T, U1, V] with the same T, U1 and V.
    pub fn padded_parts(parts: Vec<&'a Tensor>) -> Self {
        Self(Scores::new(parts, Meaning::Logits, Layout::Padded))
    }

    /// [Σ T (U + 1), V]: the T (U + 1) rows of an utterance, frame by frame, then those of the next. No row is
    /// padding, so none is read or written in vain.
    pub fn packed(logits: &'a Tensor) -> Self {
        Self::packed_parts(vec![logits])
    }

    /// Packed rows in several tensors, each with whole utterances.
    pub fn packed_parts(parts: Vec<&'a Tensor>) -> Self {
        Self(Scores::new(parts, Meaning::Logits, Layout::Packed))
    }

    /// A tensor of any shape seen as [N, T, U1, V], with `strides` elements from utterance to utterance, frame to
    /// frame and position to position; symbols lie side by side.
    pub fn strided(logits: &'a Tensor, shape: [usize; 4], strides: [usize; 3]) -> Self {
        Self(Scores::new(vec![logits], Meaning::Logits, Layout::Strided { shape, strides }))
    }
}

impl<'a> LogProbs<'a> {
    /// As [`Logits::padded`].
    pub fn padded(log_probs: &'a Tensor) -> Self {
        Self::padded_parts(vec![log_probs])
    }

    /// As [`Logits::padded_parts`].
    pub fn padded_parts(parts: Vec<&'a Tensor>) -> Self {
        Self(Scores::new(parts, Meaning::LogProbs, Layout::Padded))
    }

    /// As [`Logits::packed`].
    pub fn packed(log_probs: &'a Tensor) -> Self {
        Self::packed_parts(vec![log_probs])
    }

    /// As [`Logits::packed_parts`].
    pub fn packed_parts(parts: Vec<&'a Tensor>) -> Self {
        Self(Scores::new(parts, Meaning::LogProbs, Layout::Packed))
    }

    /// As [`Logits::strided`].
    pub fn strided(log_probs: &'a Tensor, shape: [usize; 4], strides: [usize; 3]) -> Self {
        Self(Scores::new(vec![log_probs], Meaning::LogProbs, Layout::Strided { shape, strides }))
    }

    /// [N, T, U1, 2]: of each cell the log-probability of the blank and of its next label (in the last position
    /// it is ignored). 2/V of the memory.
    pub fn gathered(log_probs: &'a Tensor) -> Self {
        Self(Scores::new(vec![log_probs], Meaning::Gathered, Layout::Padded))
    }

    /// Gathered and packed: [Σ T (U + 1), 2].
    pub fn gathered_packed(log_probs: &'a Tensor) -> Self {
        Self(Scores::new(vec![log_probs], Meaning::Gathered, Layout::Packed))
    }
}

impl<'a> From<Logits<'a>> for Scores<'a> {
    fn from(logits: Logits<'a>) -> Self {
        logits.0
    }
}

impl<'a> From<LogProbs<'a>> for Scores<'a> {
    fn from(log_probs: LogProbs<'a>) -> Self {
        log_probs.0
    }
}

impl Scores<'_> {
    /// Name of the argument, for errors.
    pub(super) fn name(&self) -> &'static str {
        match self.meaning {
            Meaning::Logits => "logits",
            Meaning::LogProbs | Meaning::Gathered => "log-probs",
        }
    }

    /// The common type of the parts.
    pub(super) fn dtype(&self) -> Result<DType> {
        let Some(first) = self.parts.first() else {
            return Err(self.shape_error("at least one tensor", "none"));
        };
        if self.parts.iter().any(|part| part.dtype() != first.dtype()) || first.dtype() == DType::U32 {
            let dtypes: Vec<_> = self.parts.iter().map(|part| part.dtype()).collect();
            return Err(Error::Value {
                argument: self.name(),
                value: format!("{dtypes:?}"),
                help: "scores are f32 or f16, all parts alike",
            });
        }
        Ok(first.dtype())
    }

    pub(super) fn shape_error(&self, expected: &str, got: impl std::fmt::Display) -> Error {
        Error::Shape { argument: self.name(), expected: expected.to_owned(), got: got.to_string() }
    }
}
