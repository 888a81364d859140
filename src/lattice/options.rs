//! What a transducer loss does beside its lattice.

use super::Kind;
use crate::error::{Error, Result};

/// Which gradients a run gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Gradients {
    /// None: the scores are read once and nothing of their size is written.
    #[default]
    None,
    /// In tensors of their own.
    Separate,
    /// Over the scores, which are gone then: no second tensor of their size.
    InPlace,
}

impl From<bool> for Gradients {
    fn from(wanted: bool) -> Self {
        if wanted { Self::Separate } else { Self::None }
    }
}

/// FastEmit (Yu et al. 2021, arXiv:2010.11148): the gradient through labels, times 1 + lambda; that of durations stays as it is, as
/// in NeMo. Implementations differ in the cost that they tell; hence two names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FastEmit {
    /// The cost stays as it is (warp-rnnt).
    CostUnchanged(f32),
    /// The cost is multiplied by 1 + lambda (NeMo).
    CostScaled(f32),
}

impl FastEmit {
    pub(super) fn lambda(self) -> f32 {
        match self {
            Self::CostUnchanged(lambda) | Self::CostScaled(lambda) => lambda,
        }
    }
}

/// One number for a batch. Gradients are those of that number. Utterances that are not ok add nothing; the denominators
/// count them, because the gradients are scaled before anybody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// No number; gradients are those of each cost.
    #[default]
    None,
    /// Sum of the costs.
    Sum,
    /// Sum over N.
    Mean,
    /// Sum over the frames of the batch.
    MeanFrames,
    /// Sum over the labels of the batch.
    MeanLabels,
}

/// All options of a loss.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub kind: Kind,
    pub gradients: Gradients,
    pub fast_emit: FastEmit,
    pub delay_penalty: f32,
    pub eos: Option<(u32, f32)>,
    pub wildcard: f32,
    pub clamp: Option<f32>,
    pub reduction: Reduction,
    pub workspace_limit: Option<u64>,
    /// Whether arcs, variables and anchors are the caller's, in both directions, instead of workspace.
    pub keep_lattice: bool,
}

impl Options {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            gradients: Gradients::None,
            fast_emit: FastEmit::CostUnchanged(0.0),
            delay_penalty: 0.0,
            eos: None,
            wildcard: 1.0,
            clamp: None,
            reduction: Reduction::None,
            workspace_limit: None,
            keep_lattice: false,
        }
    }

    /// Directions of the sweep: forward for costs, backward for the rest.
    pub fn directions(&self) -> u64 {
        if self.gradients == Gradients::None && !self.keep_lattice { 1 } else { 2 }
    }

    pub fn check(&self) -> Result<()> {
        let not_negative = |argument, value: f32, help| {
            if value >= 0.0 && value.is_finite() { Ok(()) } else { Err(Error::Value { argument, value: value.to_string(), help }) }
        };
        not_negative("fast_emit", self.fast_emit.lambda(), "lambda is 0 or more, finite")?;
        not_negative("delay_penalty", self.delay_penalty, "the penalty is 0 or more, finite")?;
        not_negative("eos_penalty", self.eos.map_or(0.0, |(_, penalty)| penalty), "the penalty is 0 or more, finite")?;
        not_negative("wildcard", self.wildcard, "the probability of staying after a wildcard is 0 or more, finite")?;
        match self.clamp {
            Some(clamp) if clamp.is_nan() || clamp <= 0.0 => {
                Err(Error::Value { argument: "clamp", value: clamp.to_string(), help: "gradients are clamped at a number above 0" })
            }
            _ => Ok(()),
        }
    }
}
