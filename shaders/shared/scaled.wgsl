// Probabilities far below what f32 holds: m * 2^e with a f32 mantissa and an i32 exponent. Sums of
// products in this form have neither exp nor log on their chain, and do not lose digits as the exponent
// grows: a log-domain f32 of -9000 is rounded to 1e-3. Twin: src/cpu/scaled.rs.

struct Scaled {
    e: i32,
    // 0, or at least 1 between the places that call scaled_tidy; growing by at most 2 bits an operation.
    m: f32,
}

// Exponent of zero. Sums of a few dozen of these and of EXPONENT_NEVER stay within i32.
const EXPONENT_ZERO = -0x40000000;
// What an arc of probability zero adds to an exponent: more than any real arc can.
const EXPONENT_NEVER = -0x2000000;
// Base-2 logarithms below this are probability zero.
const LOG2_NEVER = -4.0e6;
const LOG2_E: f32 = 1.4426950408889634;
const LN_2: f32 = 0.6931471805599453;

fn scaled_zero() -> Scaled {
    return Scaled(EXPONENT_ZERO, 0.0);
}

fn scaled_one() -> Scaled {
    return Scaled(0, 1.0);
}

// 2^n for n <= 127; 0 below -126.
fn power_of_two(n: i32) -> f32 {
    return bitcast<f32>(u32(max(n, -127) + 127) << 23u);
}

fn scaled_add(a: Scaled, b: Scaled) -> Scaled {
    let d = a.e - b.e;
    return Scaled(max(a.e, b.e), a.m * power_of_two(min(d, 0)) + b.m * power_of_two(min(-d, 0)));
}

fn scaled_mul(a: Scaled, b: Scaled) -> Scaled {
    return Scaled(a.e + b.e, a.m * b.m);
}

// Mantissa back to [1, 2). To be called before it can have grown by more than 120 bits.
fn scaled_tidy(a: Scaled) -> Scaled {
    let bits = bitcast<u32>(a.m);
    let e = a.e + i32(bits >> 23u) - 127;
    let zero = bits < 0x00800000u || e < EXPONENT_ZERO;
    let m = bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u);
    return Scaled(select(e, EXPONENT_ZERO, zero), select(m, 0.0, zero));
}

// log2 of a value relative to 2^anchor; -2^22 or less for zero.
fn scaled_log2(a: Scaled, anchor: i32) -> f32 {
    // An integer of 23 bits as a float, without the conversion, which shares a slow unit with the logarithm.
    let e = bitcast<f32>(clamp(a.e - anchor, -0x3fffff, 0x3fffff) + 0x4b400000) - 12582912.0;
    return e + log2(max(a.m, 1e-37));
}

// 2^(anchor + x), exact in the exponent.
fn scaled_exp2(x: f32, anchor: i32) -> Scaled {
    let whole = round(max(x, LOG2_NEVER));
    let never = x < LOG2_NEVER;
    return Scaled(select(anchor + i32(whole), EXPONENT_ZERO, never), select(exp2(x - whole), 0.0, never));
}

// An arc's weight in one word: the probability itself where f32 holds it, which costs no logarithm to
// take apart; else, with the top bit set, the base-2 logarithm without its last bit.
fn weight_word(log2_weight: f32) -> u32 {
    let plain = abs(log2_weight) < 126.0;
    return select(0x80000000u | (bitcast<u32>(log2_weight) >> 1u), bitcast<u32>(exp2(log2_weight)), plain);
}

fn is_plain_weight(word: u32) -> bool {
    return word < 0x80000000u;
}

// Right for plain weights only.
fn plain_weight(word: u32) -> Scaled {
    return Scaled(i32(word >> 23u) - 127, bitcast<f32>((word & 0x007fffffu) | 0x3f800000u));
}

// Right for any weight.
fn any_weight(word: u32) -> Scaled {
    let x = bitcast<f32>(word << 1u);
    let never = x < LOG2_NEVER;
    let whole = round(max(x, LOG2_NEVER));
    let wide = Scaled(select(i32(whole), EXPONENT_NEVER, never), select(exp2(max(x, LOG2_NEVER) - whole), 0.0, never));
    let plain = plain_weight(word);
    let is_plain = is_plain_weight(word);
    return Scaled(select(wide.e, plain.e, is_plain), select(wide.m, plain.m, is_plain));
}

fn weight_log2(word: u32) -> f32 {
    return select(bitcast<f32>(word << 1u), log2(bitcast<f32>(word)), is_plain_weight(word));
}
