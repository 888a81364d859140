//! What a transducer loss does beside its lattice.

use super::layout::Stride;
use super::{Kind, Status};
use crate::error::{Error, Result, number};

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
    pub(crate) fn lambda(self) -> f32 {
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

impl Reduction {
    /// What the costs of a batch of these lengths are divided by; `None`: nothing is reduced, or nothing divided.
    pub(super) fn denominator(self, frames: &[u32], labels: &[u32]) -> Option<f64> {
        let total = |lengths: &[u32]| lengths.iter().map(|&length| f64::from(length)).sum::<f64>().max(1.0);
        match self {
            Self::None | Self::Sum => None,
            Self::Mean => Some((frames.len() as f64).max(1.0)),
            Self::MeanFrames => Some(total(frames)),
            Self::MeanLabels => Some(total(labels)),
        }
    }

    /// What the cost of each utterance of a batch, and its gradient, is multiplied by.
    pub(super) fn scales(self, frames: &[u32], labels: &[u32], weights: Option<&[f32]>) -> Vec<f32> {
        let factor = self.denominator(frames, labels).map_or(1.0, |denominator| 1.0 / denominator);
        let weight = |n: usize| weights.map_or(1.0, |weights| f64::from(weights[n]));
        (0..frames.len()).map(|n| (weight(n) * factor) as f32).collect()
    }

    /// The number for a batch.
    pub(super) fn reduce(self, costs: &[f32], status: &[Status], scales: &[f32]) -> Option<f64> {
        if self == Self::None {
            return None;
        }
        let ok = costs.iter().zip(status).zip(scales).filter(|((_, status), _)| **status == Status::Ok);
        Some(ok.map(|((&cost, _), &scale)| f64::from(cost) * f64::from(scale)).sum())
    }
}

/// All options of a loss.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub kind: Kind,
    pub gradients: Gradients,
    pub fast_emit: FastEmit,
    pub delay_penalty: f32,
    pub eos: Option<(u32, f32)>,
    /// Weight of the expected latency.
    pub latency: f32,
    pub wildcard: f32,
    pub clamp: Option<f32>,
    pub reduction: Reduction,
    pub workspace_limit: Option<u64>,
    /// Whether arcs, variables and anchors are the caller's, in both directions, instead of workspace.
    pub keep_lattice: bool,
    /// Whether batches of any size are worked on in halves: tests are small.
    pub always_halved: bool,
    /// Whether there are rows for the cells of the bands only: as many a frame as its widest range has, counted from where each begins.
    pub pruned: bool,
}

impl Options {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            gradients: Gradients::None,
            fast_emit: FastEmit::CostUnchanged(0.0),
            delay_penalty: 0.0,
            eos: None,
            latency: 0.0,
            wildcard: 1.0,
            clamp: None,
            reduction: Reduction::None,
            workspace_limit: None,
            keep_lattice: false,
            always_halved: false,
            pruned: false,
        }
    }

    /// Directions of the sweep: forward for costs, backward for the rest.
    pub fn directions(&self) -> u64 {
        if self.gradients == Gradients::None && !self.keep_lattice && self.latency == 0.0 { 1 } else { 2 }
    }

    /// Planes of means of the latency: onward for costs, so far for gradients.
    pub fn means(&self) -> u64 {
        match self.gradients {
            _ if self.latency == 0.0 => 0,
            Gradients::None => 1,
            Gradients::Separate | Gradients::InPlace => 2,
        }
    }

    /// What one step of the sweep takes. The kernels of any arcs know the latency, and lattices of bands; those of two arcs do not.
    pub fn stride(&self) -> Stride {
        match self.pruned {
            true => Stride::Band,
            false if self.latency == 0.0 => Stride::of(&self.kind),
            false => Stride::Cell,
        }
    }

    pub fn check(&self) -> Result<()> {
        let not_negative = |argument, value: f32, help| {
            if value >= 0.0 && value.is_finite() { Ok(()) } else { Err(Error::Value { argument, value: number(value), help }) }
        };
        not_negative("fast_emit", self.fast_emit.lambda(), "lambda is 0 or more, finite")?;
        not_negative("delay_penalty", self.delay_penalty, "the penalty is 0 or more, finite")?;
        not_negative("eos_penalty", self.eos.map_or(0.0, |(_, penalty)| penalty), "the penalty is 0 or more, finite")?;
        not_negative("min_latency", self.latency, "the weight is 0 or more, finite")?;
        not_negative("wildcard", self.wildcard, "the probability of staying after a wildcard is 0 or more, finite")?;
        match self.clamp {
            Some(clamp) if clamp.is_nan() || clamp <= 0.0 => {
                Err(Error::Value { argument: "clamp", value: number(clamp), help: "gradients are clamped at a number above 0" })
            }
            _ => Ok(()),
        }
    }
}
