//! The problem that a transducer loss is given, and every check on it.

use super::Blank;
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor};
use std::fmt;

/// A padded batch of utterances.
#[derive(Clone, Copy, Debug)]
pub struct LossBatch<'a> {
    /// Raw logits (not log-probabilities), f32 [N, T, U1, V]: utterance, frame, number of labels
    /// emitted so far, symbol. T and U1 - 1 are at least the longest utterance's lengths; what lies
    /// beyond the lengths of an utterance is never read. -inf masks a symbol.
    pub logits: &'a Tensor,
    /// Labels, row-major [N, U1 - 1]; what lies beyond the length of a target is ignored.
    pub targets: &'a [u32],
    /// Frames of each utterance, `[N]`.
    pub frames: &'a [u32],
    /// Labels of each utterance, `[N]`. None is an ordinary number.
    pub labels: &'a [u32],
}

/// Sides of the logits of a batch: all that a plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LossShape {
    /// N.
    pub utterances: usize,
    /// T, padded.
    pub frames: usize,
    /// U1: most labels + 1.
    pub positions: usize,
    /// V, with the blank.
    pub vocab: usize,
}

impl fmt::Display for LossShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[N {}, T {}, U1 {}, V {}]", self.utterances, self.frames, self.positions, self.vocab)
    }
}

impl LossShape {
    /// Checks that the sides make sense together with a blank.
    pub(super) fn check(self, blank: Blank) -> Result<()> {
        if self.positions == 0 || self.vocab == 0 {
            return Err(shape_error("logits", "[N, T, U1, V] with U1 = most labels + 1 and V of at least 1", self));
        }
        if blank.0 as usize >= self.vocab {
            return Err(Error::Value {
                argument: "blank",
                value: blank.0.to_string(),
                help: "the blank must be one of the V symbols of the logits",
            });
        }
        Ok(())
    }
}

impl LossBatch<'_> {
    /// Checks everything that the host knows and gives the sides of the logits.
    pub(super) fn check(&self, blank: Blank) -> Result<LossShape> {
        let &[utterances, frames, positions, vocab] = self.logits.shape() else {
            return Err(shape_error("logits", "four sides [N, T, U1, V]", format!("{:?}", self.logits.shape())));
        };
        if self.logits.dtype() != DType::F32 {
            return Err(Error::Value { argument: "logits", value: format!("{:?}", self.logits.dtype()), help: "logits are f32" });
        }
        let shape = LossShape { utterances, frames, positions, vocab };
        shape.check(blank)?;
        let slices = [("frames", self.frames, 1), ("labels", self.labels, 1), ("targets", self.targets, positions - 1)];
        for (argument, slice, width) in slices {
            if Some(slice.len()) != utterances.checked_mul(width) {
                return Err(Error::Shape {
                    argument,
                    expected: format!("{utterances} x {width} values for logits {shape}"),
                    got: format!("{} values", slice.len()),
                });
            }
        }
        for (argument, lengths, max) in [("frames", self.frames, frames), ("labels", self.labels, positions - 1)] {
            if let Some((utterance, &length)) = lengths.iter().enumerate().find(|&(_, &length)| length as usize > max) {
                return Err(Error::Length { argument, utterance, length: length as usize, max });
            }
        }
        for (utterance, &labels) in self.labels.iter().enumerate() {
            let target = &self.targets[utterance * (positions - 1)..][..labels as usize];
            for (position, &label) in target.iter().enumerate() {
                let problem = match label {
                    _ if label as usize >= vocab => "is outside the vocabulary",
                    _ if label == blank.0 => "is the blank",
                    _ => continue,
                };
                return Err(Error::Label { utterance, position, label, problem, vocab, blank: blank.0 as usize });
            }
        }
        Ok(shape)
    }

    /// The words that the kernels read: frames [N], labels [N], targets [N, U1 - 1].
    pub(super) fn words(&self) -> Vec<u32> {
        [self.frames, self.labels, self.targets].concat()
    }
}

fn shape_error(argument: &'static str, expected: &str, got: impl fmt::Display) -> Error {
    Error::Shape { argument, expected: expected.to_owned(), got: got.to_string() }
}
