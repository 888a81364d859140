//! Functions of one argument in f32, for lanes: no branches and no calls, so that the compiler can take several lanes at
//! once. Twin of `functions.wgsl`; within 3 units in the last place, or 1e-7 where that is more.

use super::graph::Unary;
use std::f32::consts::{FRAC_1_PI, FRAC_PI_2, LN_2, LOG2_E};

/// From here on `exp` gives what it gives here: e^89 is no f32.
pub(super) const EXP_MAX: f32 = 88.0;
/// Adding this to an f32 below 2^22 rounds it to a whole number, which then stands in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 and π in pieces: whole multiples of all but the last, up to some thousands, are exact.
const LN_2_PARTS: [f32; 2] = [0.693_115_23, 3.194_618_4e-5];
const PI_PARTS: [f32; 3] = [3.140_625, 0.000_967_025_76, 6.278_329_5e-7];

/// One function of a constant, or of a single lane.
pub(super) fn unary(op: Unary, x: f32) -> f32 {
    match op {
        Unary::Neg => -x,
        Unary::Exp => exp(x),
        Unary::Log => log(x),
        Unary::Sqrt => sqrt(x),
        Unary::Tanh => tanh(x),
        Unary::Sigmoid => sigmoid(x),
        Unary::Softplus => softplus(x),
        Unary::Sin => sin(x),
        Unary::Cos => cos(x),
        Unary::Abs => x.abs(),
        Unary::Sign => sign(x),
    }
}

/// e^x, at most e^88.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let x = if x > EXP_MAX { EXP_MAX } else { x };
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    // x = n ln 2 + r with |r| < 0.35, where the series to r^7 leaves 5e-9.
    let r = (x - n * LN_2_PARTS[0]) - n * LN_2_PARTS[1];
    let tail = 1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0))));
    let series = 1.0 + (r + r * r * (0.5 + r * tail));
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { series * power }
}

/// Natural logarithm; of the smallest normal number where x is below.
#[inline(always)]
pub(super) fn log(x: f32) -> f32 {
    let x = if x < f32::MIN_POSITIVE { f32::MIN_POSITIVE } else { x };
    // x = 2^k m with m within a factor √2 of 1.
    let k = (x.to_bits().wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits()) as i32) >> 23;
    let m = f32::from_bits(x.to_bits().wrapping_sub((k as u32) << 23));
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    // log m = 2 artanh s, |s| < 0.172: the series to s^9 leaves 2e-9.
    let tail = 2.0 / 3.0 + s2 * (2.0 / 5.0 + s2 * (2.0 / 7.0 + s2 * (2.0 / 9.0)));
    let log_m = 2.0 * s + s * s2 * tail;
    let result = k as f32 * LN_2 + log_m;
    // Neither an infinity nor a NaN has a mantissa to speak of.
    if x < f32::INFINITY { result } else { x }
}

/// Square root, of 0 where x is below.
#[inline(always)]
pub(super) fn sqrt(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x.sqrt() }
}

/// Hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let e = exp(-2.0 * x.abs());
    let s = x * x;
    let series = x + x * s * (-0.333_333_34 + s * (0.133_333_34 + s * (-0.053_968_254 + s * 0.021_869_488)));
    let quotient = ((1.0 - e) / (1.0 + e)).copysign(x);
    if s < 0.0625 { series } else { quotient }
}

/// Logistic function.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// log(1 + e^x).
#[inline(always)]
pub(super) fn softplus(x: f32) -> f32 {
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + log(1.0 + exp(-x.abs()))
}

/// Sine; exact to 1e-7 for |x| up to 10,000, and within [-1, 1] always.
#[inline(always)]
pub(super) fn sin(x: f32) -> f32 {
    let shifted = x * FRAC_1_PI + ROUND;
    half_turn(x, shifted - ROUND, shifted)
}

/// Cosine, likewise: the sine of what is a quarter of a turn further.
#[inline(always)]
pub(super) fn cos(x: f32) -> f32 {
    let shifted = (x * FRAC_1_PI + 0.5) + ROUND;
    half_turn(x, (shifted - ROUND) - 0.5, shifted)
}

/// The sine of x - turns π, negative where the last bit of `parity` is set.
#[inline(always)]
fn half_turn(x: f32, turns: f32, parity: f32) -> f32 {
    let r = ((x - turns * PI_PARTS[0]) - turns * PI_PARTS[1]) - turns * PI_PARTS[2];
    let r = if r > FRAC_PI_2 { FRAC_PI_2 } else { r };
    let r = if r < -FRAC_PI_2 { -FRAC_PI_2 } else { r };
    let s = r * r;
    let tail = 1.0 / 120.0 + s * (-1.0 / 5040.0 + s * (1.0 / 362_880.0 + s * (-1.0 / 39_916_800.0)));
    let series = r + r * s * (-1.0 / 6.0 + s * tail);
    f32::from_bits(series.to_bits() ^ (parity.to_bits() << 31))
}

/// -1, 0 or 1.
#[inline(always)]
pub(super) fn sign(x: f32) -> f32 {
    let positive = if x > 0.0 { 1.0 } else { x };
    if x < 0.0 { -1.0 } else { positive }
}
