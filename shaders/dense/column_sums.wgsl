// out[part, n] = sum of x[m, n] over the rows m of the part, or that added to out: the gradient of a bias.
// Twin: src/cpu/gemm.rs::column_sums.

struct Params {
    rows: u32,
    columns: u32,
    // Rows of a part.
    part_rows: u32,
    parts: u32,
    // Where x and out begin in their windows; from row to row, and from part to part.
    x_first: u32,
    x_stride: u32,
    out_first: u32,
    part_stride: u32,
    // Adds to out instead of replacing it.
    accumulates: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> x: array<f32>;
@group(0) @binding(2)
var<storage, read_write> out: array<f32>;

// 256 invocations take 64 columns of a part, four rows at a time.
const COLUMNS = 64u;
const LANES = 4u;
var<workgroup> wg_sums: array<f32, COLUMNS * LANES>;

fn element(m: u32, n: u32, end: u32) -> f32 {
    if (m < end && n < params.columns) {
        return x[params.x_first + m * params.x_stride + n];
    }
    return 0.0;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let across = (params.columns + COLUMNS - 1u) / COLUMNS;
    let number = group.x + group.y * groups.x;
    let part = number / across;
    let n = number % across * COLUMNS + local % COLUMNS;
    let begin = min(part * params.part_rows, params.rows);
    let end = min(begin + params.part_rows, params.rows);
    // Four sums of its own, so that four reads are under way.
    var sums = vec4f();
    for (var m = begin + local / COLUMNS; m < end; m += 4u * LANES) {
        sums += vec4f(element(m, n, end), element(m + LANES, n, end), element(m + 2u * LANES, n, end), element(m + 3u * LANES, n, end));
    }
    wg_sums[local] = (sums.x + sums.y) + (sums.z + sums.w);
    workgroupBarrier();
    if (local < COLUMNS && n < params.columns && part < params.parts) {
        let at = params.out_first + part * params.part_stride + n;
        let sum = (wg_sums[local] + wg_sums[local + COLUMNS]) + (wg_sums[local + 2u * COLUMNS] + wg_sums[local + 3u * COLUMNS]);
        if (params.accumulates != 0u) {
            out[at] += sum;
        } else {
            out[at] = sum;
        }
    }
}
