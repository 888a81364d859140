// Twin: src/dense/activation.rs (codes) and src/cpu/math.rs (values).

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-x));
}

// tanh by exp of a negative number: the built-in overflows to NaN on some drivers for |x| > 44.
fn tanh_safe(x: f32) -> f32 {
    let e = exp(-2.0 * abs(x));
    return sign(x) * (1.0 - e) / (1.0 + e);
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
