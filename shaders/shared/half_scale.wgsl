// Numbers as f16, times a power of two that takes the largest of them, by their magnitude, to where f16 has most room above 2^-14: from
// 2^14 to 2^15. Undone, what was rounded is off by 2^-11 of itself at most, or by 2^-39 of the largest. What is not finite stays such.
// Twin: src/cpu/convert.rs.
#import cell_half

// The bits of a magnitude, 0 for what is not finite.
fn finite_bits(x: f32) -> u32 {
    let bits = bitcast<u32>(x) & 0x7fffffffu;
    return select(bits, 0u, bits >= 0x7f800000u);
}

fn finite_bits_of_four(x: vec4f) -> u32 {
    return max(max(finite_bits(x.x), finite_bits(x.y)), max(finite_bits(x.z), finite_bits(x.w)));
}

// Its exponent as f32 has it, of the largest magnitude's bits: a power of two whose inverse is a normal number too.
fn scale_exponent(largest: u32) -> u32 {
    return select(min(268u - (largest >> 23u), 253u), 127u, largest == 0u);
}

fn power_of_two(exponent: u32) -> f32 {
    return bitcast<f32>(exponent << 23u);
}

// Two numbers, each times its scale, in a word.
fn scaled_halves(x: f32, y: f32, scale: vec2f) -> u32 {
    let x_bits = bitcast<u32>(x);
    let y_bits = bitcast<u32>(y);
    let word = pack2x16float(vec2f(cell_half(finite_or_zero(x_bits) * scale.x), cell_half(finite_or_zero(y_bits) * scale.y)));
    return word | not_finite(x_bits) | (not_finite(y_bits) << 16u);
}

fn finite_or_zero(bits: u32) -> f32 {
    return bitcast<f32>(select(bits, 0u, (bits & 0x7fffffffu) >= 0x7f800000u));
}

// The f16 of an infinity or a NaN, 0 for what is finite.
fn not_finite(bits: u32) -> u32 {
    let magnitude = bits & 0x7fffffffu;
    let word = select(0x7c00u, 0x7e00u, magnitude > 0x7f800000u) | ((bits >> 16u) & 0x8000u);
    return select(0u, word, magnitude >= 0x7f800000u);
}
