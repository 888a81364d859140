//! The options that the suite runs, a line each.

use weft::lattice::{FastEmit, Gradients, Kind, Reduction, TransducerLoss, TransducerLossBuilder};

/// How a case restricts the lattices of its utterances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Restriction {
    None,
    /// Positions of each frame.
    Band,
    /// Frames of each label.
    Windows,
}

/// Options of a loss and of its batch.
#[derive(Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    pub sigma: f32,
    pub delay: f32,
    /// Penalty of the symbol that is the end of the sentence.
    pub eos: Option<f32>,
    /// Weight of the expected latency.
    pub latency: f32,
    /// Some labels are wildcards; probability of a frame after one.
    pub wildcard: Option<f32>,
    pub fast_emit: FastEmit,
    pub clamp: Option<f32>,
    /// Whether utterances have weights.
    pub weights: bool,
    pub reduction: Reduction,
    pub restriction: Restriction,
}

/// Nothing but the lattice.
pub const PLAIN: Setting = Setting {
    name: "plain",
    sigma: 0.0,
    delay: 0.0,
    eos: None,
    latency: 0.0,
    wildcard: None,
    fast_emit: FastEmit::CostUnchanged(0.0),
    clamp: None,
    weights: false,
    reduction: Reduction::None,
    restriction: Restriction::None,
};

pub fn settings() -> Vec<Setting> {
    let all = Setting {
        name: "all at once",
        sigma: 0.05,
        delay: 0.3,
        eos: Some(0.4),
        wildcard: Some(0.3),
        fast_emit: FastEmit::CostScaled(0.2),
        clamp: Some(0.1),
        weights: true,
        reduction: Reduction::Mean,
        restriction: Restriction::Band,
        ..PLAIN
    };
    vec![
        PLAIN,
        Setting { name: "sigma", sigma: 0.05, ..PLAIN },
        Setting { name: "delay penalty", delay: 0.3, ..PLAIN },
        Setting { name: "EOS penalty", eos: Some(0.4), ..PLAIN },
        Setting { name: "minimum latency", latency: 0.7, ..PLAIN },
        Setting { name: "wildcards", wildcard: Some(0.3), ..PLAIN },
        Setting { name: "wildcards that nothing follows", wildcard: Some(0.0), ..PLAIN },
        Setting { name: "FastEmit, cost unchanged", fast_emit: FastEmit::CostUnchanged(0.2), ..PLAIN },
        Setting { name: "FastEmit, cost scaled", fast_emit: FastEmit::CostScaled(0.2), ..PLAIN },
        Setting { name: "clamp", clamp: Some(0.1), ..PLAIN },
        Setting { name: "weights", weights: true, ..PLAIN },
        Setting { name: "clamp and weights", clamp: Some(0.1), weights: true, ..PLAIN },
        Setting { name: "sum", weights: true, reduction: Reduction::Sum, ..PLAIN },
        Setting { name: "mean", weights: true, reduction: Reduction::Mean, ..PLAIN },
        Setting { name: "mean over frames", reduction: Reduction::MeanFrames, ..PLAIN },
        Setting { name: "mean over labels", reduction: Reduction::MeanLabels, ..PLAIN },
        Setting { name: "band", restriction: Restriction::Band, ..PLAIN },
        Setting { name: "label windows", restriction: Restriction::Windows, ..PLAIN },
        Setting { name: "all at once, and minimum latency", latency: 0.7, ..all },
        all,
    ]
}

impl Setting {
    /// Whether gradients are those of the cost: FastEmit and clamps change them after the fact.
    pub fn is_differentiable(&self) -> bool {
        self.lambda() == 0.0 && self.clamp.is_none()
    }

    pub fn lambda(&self) -> f32 {
        match self.fast_emit {
            FastEmit::CostUnchanged(lambda) | FastEmit::CostScaled(lambda) => lambda,
        }
    }

    /// What a cost is multiplied by.
    pub fn cost_scale(&self) -> f64 {
        match self.fast_emit {
            FastEmit::CostUnchanged(_) => 1.0,
            FastEmit::CostScaled(lambda) => f64::from(1.0 + lambda),
        }
    }

    /// What a reduction divides by.
    pub fn denominator(&self, lengths: &[[usize; 2]]) -> f64 {
        let sum = |side: usize| lengths.iter().map(|length| length[side] as f64).sum();
        match self.reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::Mean => lengths.len() as f64,
            Reduction::MeanFrames => sum(0),
            Reduction::MeanLabels => sum(1),
        }
    }

    pub fn loss(&self, kind: &Kind, eos: u32, gradients: Gradients) -> TransducerLossBuilder {
        let kind = kind.clone().under_normalised(self.sigma).unwrap();
        let mut loss =
            TransducerLoss::of(kind).gradients(gradients).fast_emit(self.fast_emit).delay_penalty(self.delay).min_latency(self.latency);
        loss = loss.reduction(self.reduction);
        if let Some(penalty) = self.eos {
            loss = loss.eos_penalty(eos, penalty);
        }
        if let Some(probability) = self.wildcard {
            loss = loss.wildcard(probability);
        }
        match self.clamp {
            Some(limit) => loss.clamp(limit),
            None => loss,
        }
    }
}
