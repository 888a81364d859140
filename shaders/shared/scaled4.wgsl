// Four columns of scaled numbers at once: scaled.wgsl, component by component.
// Twin: src/cpu/scaled.rs.
#import scaled

struct Scaled4 {
    e: vec4i,
    m: vec4f,
}

fn scaled4_zero() -> Scaled4 {
    return Scaled4(vec4i(EXPONENT_ZERO), vec4f(0.0));
}

// 2^-|d|; 0 from 127 on.
fn shrink4(d: vec4i) -> vec4f {
    return bitcast<vec4f>(vec4u(max(vec4i(127) - abs(d), vec4i(0))) << vec4u(23u));
}

fn scaled4_add(a: Scaled4, b: Scaled4) -> Scaled4 {
    let d = a.e - b.e;
    let b_leads = d < vec4i(0);
    return Scaled4(max(a.e, b.e), select(a.m, b.m, b_leads) + select(b.m, a.m, b_leads) * shrink4(d));
}

fn scaled4_mul(a: Scaled4, b: Scaled4) -> Scaled4 {
    return Scaled4(a.e + b.e, a.m * b.m);
}

// Where b is the greater.
fn scaled4_less(a: Scaled4, b: Scaled4) -> vec4<bool> {
    let d = a.e - b.e;
    let b_leads = d < vec4i(0);
    let shrink = shrink4(d);
    return select(a.m, a.m * shrink, b_leads) < select(b.m * shrink, b.m, b_leads);
}

fn scaled4_select(a: Scaled4, b: Scaled4, take_b: vec4<bool>) -> Scaled4 {
    return Scaled4(select(a.e, b.e, take_b), select(a.m, b.m, take_b));
}

// What the column before each one holds; `before` comes before the first.
fn scaled4_shift(a: Scaled4, before: Scaled) -> Scaled4 {
    return Scaled4(vec4i(before.e, a.e.xyz), vec4f(before.m, a.m.xyz));
}

fn scaled4_tidy(a: Scaled4) -> Scaled4 {
    let bits = bitcast<vec4u>(a.m);
    let e = a.e + vec4i(bits >> vec4u(23u)) - vec4i(127);
    let zero = (bits < vec4u(0x00800000u)) | (e < vec4i(EXPONENT_ZERO));
    let m = bitcast<vec4f>((bits & vec4u(0x007fffffu)) | vec4u(0x3f800000u));
    return Scaled4(select(e, vec4i(EXPONENT_ZERO), zero), select(m, vec4f(0.0), zero));
}

fn scaled4_log2(a: Scaled4, anchor: vec4i) -> vec4f {
    return vec4f(a.e - anchor) + log2(max(a.m, vec4f(1e-37)));
}

// Right for plain weights only.
fn plain_weight4(words: vec4u) -> Scaled4 {
    return Scaled4(
        vec4i(words >> vec4u(23u)) - vec4i(127),
        bitcast<vec4f>((words & vec4u(0x007fffffu)) | vec4u(0x3f800000u)),
    );
}

fn any_weight4(words: vec4u) -> Scaled4 {
    let x = any_weight(words.x);
    let y = any_weight(words.y);
    let z = any_weight(words.z);
    let w = any_weight(words.w);
    return Scaled4(vec4i(x.e, y.e, z.e, w.e), vec4f(x.m, y.m, z.m, w.m));
}
