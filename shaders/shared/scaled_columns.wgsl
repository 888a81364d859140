// Scaled numbers (scaled.wgsl) of one, two or four columns at once, component by component.
#import scaled

#ifdef PACK4
const COLUMNS = 4u;
alias Floats = vec4f;
alias Ints = vec4i;
alias Words = vec4u;
alias Bools = vec4<bool>;

fn numbers() -> Words {
    return vec4u(0u, 1u, 2u, 3u);
}

// What the column before each one has; `before` comes before the first.
fn shift_ints(a: Ints, before: i32) -> Ints {
    return vec4i(before, a.xyz);
}

fn shift_floats(a: Floats, before: f32) -> Floats {
    return vec4f(before, a.xyz);
}

fn reverse_words(a: Words) -> Words {
    return a.wzyx;
}

fn reverse_floats(a: Floats) -> Floats {
    return a.wzyx;
}

fn last_int(a: Ints) -> i32 {
    return a.w;
}

fn last_float(a: Floats) -> f32 {
    return a.w;
}

// Column i.
fn int_at(a: Ints, i: u32) -> i32 {
    return a[i];
}

fn float_at(a: Floats, i: u32) -> f32 {
    return a[i];
}

fn any_weights(words: Words) -> Columns {
    let x = any_weight(words.x);
    let y = any_weight(words.y);
    let z = any_weight(words.z);
    let w = any_weight(words.w);
    return Columns(vec4i(x.e, y.e, z.e, w.e), vec4f(x.m, y.m, z.m, w.m));
}

// Gives empty columns the exponent of the column before.
fn fill(a: Ints, before: i32) -> Ints {
    let x = select(a.x, before, a.x <= EXPONENT_ZERO);
    let y = select(a.y, x, a.y <= EXPONENT_ZERO);
    let z = select(a.z, y, a.z <= EXPONENT_ZERO);
    return vec4i(x, y, z, select(a.w, z, a.w <= EXPONENT_ZERO));
}
#else
#ifdef PACK2
const COLUMNS = 2u;
alias Floats = vec2f;
alias Ints = vec2i;
alias Words = vec2u;
alias Bools = vec2<bool>;

fn numbers() -> Words {
    return vec2u(0u, 1u);
}

fn shift_ints(a: Ints, before: i32) -> Ints {
    return vec2i(before, a.x);
}

fn shift_floats(a: Floats, before: f32) -> Floats {
    return vec2f(before, a.x);
}

fn reverse_words(a: Words) -> Words {
    return a.yx;
}

fn reverse_floats(a: Floats) -> Floats {
    return a.yx;
}

fn last_int(a: Ints) -> i32 {
    return a.y;
}

fn last_float(a: Floats) -> f32 {
    return a.y;
}

fn int_at(a: Ints, i: u32) -> i32 {
    return a[i];
}

fn float_at(a: Floats, i: u32) -> f32 {
    return a[i];
}

fn any_weights(words: Words) -> Columns {
    let x = any_weight(words.x);
    let y = any_weight(words.y);
    return Columns(vec2i(x.e, y.e), vec2f(x.m, y.m));
}

fn fill(a: Ints, before: i32) -> Ints {
    let x = select(a.x, before, a.x <= EXPONENT_ZERO);
    return vec2i(x, select(a.y, x, a.y <= EXPONENT_ZERO));
}
#else
const COLUMNS = 1u;
alias Floats = f32;
alias Ints = i32;
alias Words = u32;
alias Bools = bool;

fn numbers() -> Words {
    return 0u;
}

fn shift_ints(a: Ints, before: i32) -> Ints {
    return before;
}

fn shift_floats(a: Floats, before: f32) -> Floats {
    return before;
}

fn reverse_words(a: Words) -> Words {
    return a;
}

fn reverse_floats(a: Floats) -> Floats {
    return a;
}

fn last_int(a: Ints) -> i32 {
    return a;
}

fn last_float(a: Floats) -> f32 {
    return a;
}

fn int_at(a: Ints, i: u32) -> i32 {
    return a;
}

fn float_at(a: Floats, i: u32) -> f32 {
    return a;
}

fn any_weights(words: Words) -> Columns {
    let x = any_weight(words);
    return Columns(x.e, x.m);
}

fn fill(a: Ints, before: i32) -> Ints {
    return select(a, before, a <= EXPONENT_ZERO);
}
#endif
#endif

struct Columns {
    e: Ints,
    m: Floats,
}

fn columns_zero() -> Columns {
    return Columns(Ints(EXPONENT_ZERO), Floats(0.0));
}

// 2^-|d|; 0 from 127 on.
fn shrink(d: Ints) -> Floats {
    return bitcast<Floats>(Words(max(Ints(127) - abs(d), Ints(0))) << Words(23u));
}

fn columns_add(a: Columns, b: Columns) -> Columns {
    let d = a.e - b.e;
    let b_leads = d < Ints(0);
    return Columns(max(a.e, b.e), select(a.m, b.m, b_leads) + select(b.m, a.m, b_leads) * shrink(d));
}

fn columns_mul(a: Columns, b: Columns) -> Columns {
    return Columns(a.e + b.e, a.m * b.m);
}

// Where b is the greater.
fn columns_less(a: Columns, b: Columns) -> Bools {
    let d = a.e - b.e;
    let b_leads = d < Ints(0);
    let s = shrink(d);
    return select(a.m, a.m * s, b_leads) < select(b.m * s, b.m, b_leads);
}

fn columns_select(a: Columns, b: Columns, take_b: Bools) -> Columns {
    return Columns(select(a.e, b.e, take_b), select(a.m, b.m, take_b));
}

fn columns_shift(a: Columns, before: Scaled) -> Columns {
    return Columns(shift_ints(a.e, before.e), shift_floats(a.m, before.m));
}

fn columns_tidy(a: Columns) -> Columns {
    let bits = bitcast<Words>(a.m);
    let e = a.e + Ints(bits >> Words(23u)) - Ints(127);
    let zero = (bits < Words(0x00800000u)) | (e < Ints(EXPONENT_ZERO));
    let m = bitcast<Floats>((bits & Words(0x007fffffu)) | Words(0x3f800000u));
    return Columns(select(e, Ints(EXPONENT_ZERO), zero), select(m, Floats(0.0), zero));
}

fn columns_log2(a: Columns, anchor: Ints) -> Floats {
    return Floats(a.e - anchor) + log2(max(a.m, Floats(1e-37)));
}

// Right for plain weights only.
fn plain_weights(words: Words) -> Columns {
    return Columns(
        Ints(words >> Words(23u)) - Ints(127),
        bitcast<Floats>((words & Words(0x007fffffu)) | Words(0x3f800000u)),
    );
}
