//! Scores as kernels see them. Twin of `shaders/shared/scores.wgsl` and `log_sum.wgsl`.

use half::f16;

/// Nats to base-2 logarithms.
pub(super) const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// Stands for log 0.
pub(super) const LOG_ZERO: f32 = -1e30;

pub(super) fn is_log_zero(x: f32) -> bool {
    x <= 0.5 * LOG_ZERO
}

/// Scores of either type, by the words of their buffer.
#[derive(Clone, Copy)]
pub(super) enum Elements<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
}

impl<'a> Elements<'a> {
    pub fn of(words: &'a [u32], half: bool) -> Self {
        if half { Self::F16(bytemuck::cast_slice(words)) } else { Self::F32(bytemuck::cast_slice(words)) }
    }

    /// A score as it is.
    pub fn raw(self, at: usize) -> f32 {
        match self {
            Self::F32(x) => x[at],
            Self::F16(x) => x[at].to_f32(),
        }
    }

    /// NaN or +inf.
    pub fn is_unusable(self, at: usize) -> bool {
        let x = self.raw(at);
        x.is_nan() || x == f32::INFINITY
    }

    /// A score that arithmetic may touch.
    pub fn clean(self, at: usize) -> f32 {
        if self.is_unusable(at) { 0.0 } else { self.raw(at).clamp(LOG_ZERO, -LOG_ZERO) }
    }
}

/// log2(sum(2^x)) of base-2 logarithms; `None` if all are log 0.
pub(super) fn log_sum(x: impl Iterator<Item = f32> + Clone) -> Option<f32> {
    let peak = x.clone().fold(LOG_ZERO, f32::max);
    if is_log_zero(peak) {
        return None;
    }
    let sum: f64 = x.map(|x| f64::from(x - peak).exp2()).sum();
    Some(peak + sum.log2() as f32)
}
