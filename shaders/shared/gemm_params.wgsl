// What every product of `gemm.wgsl` is given, and what becomes of its sums.
#import activation

struct Params {
    rows: u32,
    columns: u32,
    // Of the sum over k, and how much of it a part takes: a multiple of 32, and of no more than `depth` where there is one.
    depth: u32,
    part_depth: u32,
    parts: u32,
    // Where each matrix begins in its window, and from line to line, in elements.
    a_first: u32,
    a_stride: u32,
    b_first: u32,
    b_stride: u32,
    c_first: u32,
    c_stride: u32,
    // From part to part in c.
    part_stride: u32,
    bias_first: u32,
    has_bias: u32,
    // Multiplies every row by a number of its own, which stand in place of the bias.
    has_factors: u32,
    // Adds to c instead of replacing it.
    accumulates: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;

#ifdef PACK4
alias Sums = vec4f;
#else
alias Sums = f32;
#endif
// [columns], or factors [rows]
@group(0) @binding(3)
var<storage, read> bias: array<f32>;
// [parts][rows, columns]
@group(0) @binding(4)
var<storage, read_write> c: array<Sums>;

// Activations of A's elements, and of C's, by their codes: only these are compiled.
override ACTIVATION_IN: u32 = 0u;
override ACTIVATION_OUT: u32 = 0u;

fn activate_four(code: u32, x: vec4f) -> vec4f {
    return vec4f(activate(code, x.x), activate(code, x.y), activate(code, x.z), activate(code, x.w));
}

fn finished(m: u32, n: u32, sum: f32) -> f32 {
    var value = sum;
    if (params.has_factors != 0u) {
        value *= bias[params.bias_first + m];
    }
#ifndef COOP
    if (params.has_bias != 0u) {
        value += bias[params.bias_first + n];
    }
#endif
    if (ACTIVATION_OUT != 0u) {
        value = activate(ACTIVATION_OUT, value);
    }
    return value;
}

// Four neighbours of a row, from column n on; those outside of C are dropped.
fn store_four(part: u32, m: u32, n: u32, sums: vec4f) {
    if (m >= params.rows) {
        return;
    }
    let at = params.c_first + part * params.part_stride + m * params.c_stride + n;
#ifdef PACK4
    if (n < params.columns) {
        var value =
            vec4f(finished(m, n, sums.x), finished(m, n + 1u, sums.y), finished(m, n + 2u, sums.z), finished(m, n + 3u, sums.w));
        if (params.accumulates != 0u) {
            value += c[at / 4u];
        }
        c[at / 4u] = value;
    }
#else
    for (var i = 0u; i < 4u; i++) {
        if (n + i < params.columns) {
            var value = finished(m, n + i, sums[i]);
            if (params.accumulates != 0u) {
                value += c[at + i];
            }
            c[at + i] = value;
        }
    }
#endif
}
