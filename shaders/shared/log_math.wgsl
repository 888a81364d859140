// Natural logarithms of probabilities. Twin: src/cpu/lattice.rs.

// Stands for log 0. Finite, because WGSL lets a compiler assume that no infinity exists; so far out
// that a sum of two of them is still finite and exp() of it is 0.
const LOG_ZERO: f32 = -1e30;

fn is_log_zero(x: f32) -> bool {
    return x <= 0.5 * LOG_ZERO;
}

// log(exp(a) + exp(b)), never below LOG_ZERO: sums of sentinels must not drift to infinity.
fn log_add(a: f32, b: f32) -> f32 {
    let high = max(a, b);
    let low = min(a, b);
    return max(high + log(1.0 + exp(low - high)), LOG_ZERO);
}

// Whether the bits of a logit are NaN or +inf. Tested on integers: a compiler may fold float tests.
fn is_unusable(bits: u32) -> bool {
    return (bits & 0x7fffffffu) > 0x7f800000u || bits == 0x7f800000u;
}

// A logit that arithmetic may touch: -inf (a masked symbol) is log 0, an unusable one is 0. Finite
// ones end at +-1e30, so that their differences are finite too.
fn finite_logit(bits: u32) -> f32 {
    var clean = select(bits, 0u, is_unusable(bits));
    clean = select(clean, bitcast<u32>(LOG_ZERO), bits == 0xff800000u);
    return clamp(bitcast<f32>(clean), LOG_ZERO, -LOG_ZERO);
}
