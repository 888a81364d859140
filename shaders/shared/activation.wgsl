// Twin: src/dense/activation.rs (codes) and src/cpu/math.rs (values).

// Only exp of a negative number is taken: exp(100) would be an infinity, which WGSL lets a compiler
// assume never to happen.
fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

// The built-in tanh overflows to NaN on some drivers for |x| > 44, and 1 - e^(-2|x|) loses every digit
// of a small x: below 1/4 the odd series is exact to the last bit or two.
fn tanh_safe(x: f32) -> f32 {
    let e = exp(-2.0 * abs(x));
    let s = x * x;
    let series = x + x * s * (-0.33333333 + s * (0.13333333 + s * (-0.053968254 + s * 0.021869488)));
    return select(sign(x) * (1.0 - e) / (1.0 + e), series, s < 0.0625);
}

// Codes: 0 identity, 1 relu, 2 sigmoid, 3 tanh.
fn activate(code: u32, x: f32) -> f32 {
    switch code {
        case 1u: { return max(x, 0.0); }
        case 2u: { return sigmoid(x); }
        case 3u: { return tanh_safe(x); }
        default: { return x; }
    }
}
