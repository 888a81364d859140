//! Layer norm and batch norm; their shift is the bias that follows them.

use super::tape::{Id, Tape};
use super::values::Ids;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// Over all rows together, or over those of each gate.
    Layer { eps: f64, each_gate: bool },
    /// Each row over all frames of all sequences; padding does not count.
    Batch { eps: f64 },
    /// Each row by `norm_ih.running_mean` and `norm_ih.running_var`.
    Running { eps: f64 },
}

impl Norm {
    pub const LAYER: Self = Self::Layer { eps: 1e-5, each_gate: false };
    pub const BATCH: Self = Self::Batch { eps: 1e-5 };
    pub const RUNNING: Self = Self::Running { eps: 1e-5 };

    /// Layer norm of one vector of `gates` parts.
    pub fn layer(self, tape: &mut Tape, vector: Id, gates: usize, weight: Id) -> Id {
        let Self::Layer { eps, each_gate } = self else { panic!("{self:?} of one vector") };
        let groups = if each_gate { gates } else { 1 };
        let width = tape.len(vector) / groups;
        let parts: Vec<Id> = (0..groups)
            .map(|group| {
                let part = tape.slice(vector, group * width, width);
                let mean = tape.sum(part);
                let mean = tape.scale(mean, 1.0 / width as f64);
                let mean = tape.spread(mean, width);
                let centred = tape.sub(part, mean);
                let square = tape.mul(centred, centred);
                let variance = tape.sum(square);
                let variance = tape.scale(variance, 1.0 / width as f64);
                let factor = inverse_deviation(tape, variance, eps);
                let factor = tape.spread(factor, width);
                tape.mul(centred, factor)
            })
            .collect();
        let whole = tape.join(&parts);
        tape.mul(whole, weight)
    }
}

/// 1 / sqrt(variance + eps)
fn inverse_deviation(tape: &mut Tape, variance: Id, eps: f64) -> Id {
    tape.map(variance, |v| ((v + eps).powf(-0.5), -0.5 * (v + eps).powf(-1.5)))
}

/// Mean and variance (of these frames: divided by their number) of each row.
pub fn statistics(tape: &mut Tape, frames: &[Id]) -> (Id, Id) {
    let mean_of = |tape: &mut Tape, all: &[Id]| {
        let total = all[1..].iter().fold(all[0], |sum, &x| tape.add(sum, x));
        tape.scale(total, 1.0 / all.len() as f64)
    };
    let mean = mean_of(tape, frames);
    let squares: Vec<Id> = frames
        .iter()
        .map(|&x| {
            let centred = tape.sub(x, mean);
            tape.mul(centred, centred)
        })
        .collect();
    (mean, mean_of(tape, &squares))
}

/// The norm of W x for all frames.
pub fn normalise(norm: Norm, tape: &mut Tape, weights: &Ids, frames: &[Id], gates: usize) -> Vec<Id> {
    let weight = weights.get("norm_ih.weight");
    let (eps, mean, variance) = match norm {
        Norm::Layer { .. } => return frames.iter().map(|&x| norm.layer(tape, x, gates, weight)).collect(),
        _ if frames.is_empty() => return Vec::new(),
        Norm::Batch { eps } => {
            let (mean, variance) = statistics(tape, frames);
            (eps, mean, variance)
        }
        Norm::Running { eps } => (eps, weights.get("norm_ih.running_mean"), weights.get("norm_ih.running_var")),
    };
    let factor = inverse_deviation(tape, variance, eps);
    let factor = tape.mul(factor, weight);
    frames
        .iter()
        .map(|&x| {
            let centred = tape.sub(x, mean);
            tape.mul(centred, factor)
        })
        .collect()
}
