//! Scalar functions, as the shaders compute them (`shaders/shared/*.wgsl`).

use crate::dense::Activation;

/// x within [-limit, limit], where `clamp` would end the process if the limit were NaN, and would bring the code that says so.
pub(crate) fn limited(x: f32, limit: f32) -> f32 {
    match x {
        _ if x > limit => limit,
        _ if x < -limit => -limit,
        _ => x,
    }
}

/// Logistic function; as in the shaders, only exp of a negative number is taken.
pub(crate) fn sigmoid(x: f32) -> f32 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// Twin of `activate` in `shaders/shared/activation.wgsl`.
pub(crate) fn activate(code: u32, x: f32) -> f32 {
    match code {
        c if c == Activation::Relu as u32 => x.max(0.0),
        c if c == Activation::Sigmoid as u32 => sigmoid(x),
        c if c == Activation::Tanh as u32 => x.tanh(),
        _ => x,
    }
}

/// A random word for four numbers: PCG4D (Jarzynski and Olano 2020).
pub(crate) fn random_words(numbers: [u32; 4]) -> [u32; 4] {
    let mut v = numbers.map(|n| n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let mix = |v: [u32; 4]| {
        let [x, y, z, w] = v;
        [
            x.wrapping_add(y.wrapping_mul(w)),
            y.wrapping_add(z.wrapping_mul(x)),
            z.wrapping_add(x.wrapping_mul(y)),
            w.wrapping_add(y.wrapping_mul(z)),
        ]
    };
    v = mix(v).map(|n| n ^ (n >> 16));
    mix(v)
}
