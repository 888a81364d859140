// C[m, n] = sum over the parts of parts[part][m, n], in their order, times a factor of the row if there are any, or that added to C.
// Twin: src/cpu/gemm.rs::sum_parts.

struct Params {
    rows: u32,
    columns: u32,
    parts: u32,
    // From part to part, and from row to row of a part.
    part_stride: u32,
    row_stride: u32,
    // Where C begins in its window, and from row to row of it.
    c_first: u32,
    c_stride: u32,
    // Adds to C instead of replacing it.
    accumulates: u32,
    factors_first: u32,
    has_factors: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> parts: array<f32>;
// [rows]
@group(0) @binding(2)
var<storage, read> factors: array<f32>;
@group(0) @binding(3)
var<storage, read_write> c: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let cell = (group.x + group.y * groups.x) * 256u + local;
    let m = cell / params.columns;
    let n = cell % params.columns;
    if (m < params.rows) {
        let at = params.c_first + m * params.c_stride + n;
        var factor = 1.0;
        if (params.has_factors != 0u) {
            factor = factors[params.factors_first + m];
        }
        var sum = 0.0;
        if (params.accumulates != 0u) {
            sum = c[at];
        }
        var part_at = m * params.row_stride + n;
        for (var part = 0u; part < params.parts; part++) {
            sum += factor * parts[part_at];
            part_at += params.part_stride;
        }
        c[at] = sum;
    }
}
