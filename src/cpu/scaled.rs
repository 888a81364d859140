//! Probabilities far below what f32 holds: m * 2^e. Twin of `shaders/shared/scaled.wgsl`.

/// Exponent of zero.
pub(super) const EXPONENT_ZERO: i32 = -0x4000_0000;
/// What an arc of probability zero adds to an exponent.
pub(super) const EXPONENT_NEVER: i32 = -0x200_0000;
/// Exponents end here: weights of arcs that are no probabilities stay far enough from the end of an i32.
const MOST_EXPONENT: i32 = 0x2000_0000;
const MOST_WEIGHT: i32 = 0x200_0000;
/// Base-2 logarithms below this are probability zero.
pub(crate) const LOG2_NEVER: f32 = -4.0e6;

/// m * 2^e.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scaled {
    pub e: i32,
    pub m: f32,
}

impl Scaled {
    pub const ZERO: Self = Self { e: EXPONENT_ZERO, m: 0.0 };
    pub const ONE: Self = Self { e: 0, m: 1.0 };

    pub fn add(self, other: Self) -> Self {
        let d = self.e - other.e;
        let m = self.m * power_of_two(d.min(0)) + other.m * power_of_two((-d).min(0));
        Self { e: self.e.max(other.e), m }
    }

    pub fn mul(self, other: Self) -> Self {
        Self { e: self.e.saturating_add(other.e), m: self.m * other.m }
    }

    /// Mantissa back to [1, 2).
    pub fn tidy(self) -> Self {
        let bits = self.m.to_bits();
        let e = self.e + (bits >> 23) as i32 - 127;
        if bits < 0x0080_0000 || e < EXPONENT_ZERO {
            return Self::ZERO;
        }
        Self { e: e.min(MOST_EXPONENT), m: f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000) }
    }

    /// As a float; 0 below what that holds with all its digits.
    pub fn value(self) -> f32 {
        self.m * power_of_two(self.e.min(4))
    }

    /// log2 relative to 2^anchor.
    pub fn log2(self, anchor: i32) -> f32 {
        (self.e - anchor).clamp(-0x3f_ffff, 0x3f_ffff) as f32 + self.m.max(1e-37).log2()
    }

    /// 2^(anchor + x).
    pub fn exp2(x: f32, anchor: i32) -> Self {
        if x < LOG2_NEVER {
            return Self::ZERO;
        }
        let whole = x.round_ties_even();
        Self { e: anchor + (whole as i32).min(MOST_WEIGHT), m: (x - whole).exp2() }
    }

    /// An arc's weight from its word.
    pub fn weight(word: u32) -> Self {
        if word < 0x8000_0000 {
            return Self { e: (word >> 23) as i32 - 127, m: f32::from_bits((word & 0x007f_ffff) | 0x3f80_0000) };
        }
        let x = f32::from_bits(word << 1);
        if x < LOG2_NEVER {
            return Self { e: EXPONENT_NEVER, m: 0.0 };
        }
        Self::exp2(x, 0)
    }
}

fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n.max(-127) + 127) as u32) << 23)
}

/// The word that keeps an arc's weight.
pub(super) fn weight_word(log2_weight: f32) -> u32 {
    if log2_weight.abs() < 126.0 { log2_weight.exp2().to_bits() } else { 0x8000_0000 | (log2_weight.to_bits() >> 1) }
}

/// log2 of an arc's weight.
pub(super) fn weight_log2(word: u32) -> f32 {
    if word < 0x8000_0000 { f32::from_bits(word).log2() } else { f32::from_bits(word << 1) }
}
