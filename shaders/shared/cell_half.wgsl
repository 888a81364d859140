// x as the nearest number of f16, ties to even; beyond the largest of those, that one. By integers: what a device makes of f32 on the
// way to f16 is its own affair.
// Twin: src/tensor.rs, nearest_half.
fn cell_half(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let magnitude = bits & 0x7fffffffu;
    let whole = bitcast<f32>((bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u);
    // Below 2^-14 they are 2^-24 apart.
    let small = round(x * 16777216.0) * 5.9604645e-8;
    let most = bitcast<f32>((bits & 0x80000000u) | 0x477fe000u);
    let finite = select(select(whole, small, magnitude < 0x38800000u), most, magnitude >= 0x477fe000u);
    return select(finite, x, magnitude > 0x7f800000u);
}
