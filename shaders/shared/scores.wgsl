// Scores in memory, PACK of them at a time: f32, or f16 without any need of f16 arithmetic, which lies in words of two
// whatever PACK is. Non-finite ones are found by their bits: a compiler may assume that floats are finite.
// The importing kernel declares `scores` as an array of Packed. Twin: src/cpu/scores.rs.
#import scaled

// Stands for log 0. Finite, and so far out that a sum of two of them still is.
const LOG_ZERO: f32 = -1e30;

fn is_log_zero(x: f32) -> bool {
    return x <= 0.5 * LOG_ZERO;
}

#ifdef F16
// Bits above these, without the sign: infinite or NaN.
const LARGEST = 0x7bffu;

fn is_unusable(bits: u32) -> bool {
    return (bits & 0x7fffu) > 0x7c00u || bits == 0x7c00u;
}

fn score_of(bits: u32) -> f32 {
    return select(select(unpack2x16float(bits).x, 0.0, is_unusable(bits)), LOG_ZERO, bits == 0xfc00u);
}
#else
// Bits above these, without the sign: beyond 1e30, whose differences may overflow.
const LARGEST = 0x7149f2cau;

// NaN or +inf.
fn is_unusable(bits: u32) -> bool {
    return (bits & 0x7fffffffu) > 0x7f800000u || bits == 0x7f800000u;
}

// A score that arithmetic may touch: -inf (a masked symbol) is log 0, an unusable one is 0, and others
// end at +-1e30.
fn score_of(bits: u32) -> f32 {
    let clean = select(select(bits, 0u, is_unusable(bits)), bitcast<u32>(LOG_ZERO), bits == 0xff800000u);
    return clamp(bitcast<f32>(clean), LOG_ZERO, -LOG_ZERO);
}
#endif

#ifdef PACK4
const PACK = 4u;
alias Scores = vec4f;
alias Bits = vec4u;
#ifdef F16
alias Packed = vec2u;

fn bits_of(packed: Packed) -> Bits {
    return vec4u(packed.x & 0xffffu, packed.x >> 16u, packed.y & 0xffffu, packed.y >> 16u);
}

fn unpack_scores(packed: Packed) -> Scores {
    return vec4f(unpack2x16float(packed.x), unpack2x16float(packed.y));
}

fn pack_scores(x: Scores) -> Packed {
    return vec2u(pack2x16float(x.xy), pack2x16float(x.zw));
}

// Largest bits without their sign.
fn magnitude(packed: Packed) -> u32 {
    let m = bits_of(packed) & vec4u(0x7fffu);
    return max(max(m.x, m.y), max(m.z, m.w));
}
#else
alias Packed = vec4u;

fn bits_of(packed: Packed) -> Bits {
    return packed;
}

fn unpack_scores(packed: Packed) -> Scores {
    return bitcast<vec4f>(packed);
}

fn pack_scores(x: Scores) -> Packed {
    return bitcast<vec4u>(x);
}

fn magnitude(packed: Packed) -> u32 {
    let m = packed & vec4u(0x7fffffffu);
    return max(max(m.x, m.y), max(m.z, m.w));
}
#endif

// The symbols of a pack.
fn symbols_of(pack: u32) -> Bits {
    return vec4u(0u, 1u, 2u, 3u) + 4u * pack;
}

fn clean_scores(packed: Packed) -> Scores {
    let bits = bits_of(packed);
    return vec4f(score_of(bits.x), score_of(bits.y), score_of(bits.z), score_of(bits.w));
}

fn has_unusable(bits: Bits) -> bool {
    return is_unusable(bits.x) || is_unusable(bits.y) || is_unusable(bits.z) || is_unusable(bits.w);
}

fn largest_of(x: Scores) -> f32 {
    return max(max(x.x, x.y), max(x.z, x.w));
}

fn sum_of(x: Scores) -> f32 {
    return (x.x + x.y) + (x.z + x.w);
}
#else
#ifdef PACK2
const PACK = 2u;
alias Scores = vec2f;
alias Bits = vec2u;
#ifdef F16
alias Packed = u32;

fn bits_of(packed: Packed) -> Bits {
    return vec2u(packed & 0xffffu, packed >> 16u);
}

fn unpack_scores(packed: Packed) -> Scores {
    return unpack2x16float(packed);
}

fn pack_scores(x: Scores) -> Packed {
    return pack2x16float(x);
}

fn magnitude(packed: Packed) -> u32 {
    return max(packed & 0x7fffu, (packed >> 16u) & 0x7fffu);
}
#else
alias Packed = vec2u;

fn bits_of(packed: Packed) -> Bits {
    return packed;
}

fn unpack_scores(packed: Packed) -> Scores {
    return bitcast<vec2f>(packed);
}

fn pack_scores(x: Scores) -> Packed {
    return bitcast<vec2u>(x);
}

fn magnitude(packed: Packed) -> u32 {
    return max(packed.x & 0x7fffffffu, packed.y & 0x7fffffffu);
}
#endif

fn symbols_of(pack: u32) -> Bits {
    return vec2u(2u * pack, 2u * pack + 1u);
}

fn clean_scores(packed: Packed) -> Scores {
    let bits = bits_of(packed);
    return vec2f(score_of(bits.x), score_of(bits.y));
}

fn has_unusable(bits: Bits) -> bool {
    return is_unusable(bits.x) || is_unusable(bits.y);
}

fn largest_of(x: Scores) -> f32 {
    return max(x.x, x.y);
}

fn sum_of(x: Scores) -> f32 {
    return x.x + x.y;
}
#else
const PACK = 1u;
alias Scores = f32;
alias Bits = u32;
alias Packed = u32;

fn bits_of(packed: Packed) -> Bits {
    return packed;
}

#ifdef F16
fn unpack_scores(packed: Packed) -> Scores {
    return unpack2x16float(packed).x;
}

fn magnitude(packed: Packed) -> u32 {
    return packed & 0x7fffu;
}
#else
fn unpack_scores(packed: Packed) -> Scores {
    return bitcast<f32>(packed);
}

fn pack_scores(x: Scores) -> Packed {
    return bitcast<u32>(x);
}

fn magnitude(packed: Packed) -> u32 {
    return packed & 0x7fffffffu;
}
#endif

fn symbols_of(pack: u32) -> Bits {
    return pack;
}

fn clean_scores(packed: Packed) -> Scores {
    return score_of(packed);
}

fn has_unusable(bits: Bits) -> bool {
    return is_unusable(bits);
}

fn largest_of(x: Scores) -> f32 {
    return x;
}

fn sum_of(x: Scores) -> f32 {
    return x;
}
#endif
#endif
