// y[m, n] = act_out(bias[n] + sum_k act_in(x[m, k]) * weight[n, k]): a PyTorch Linear.
// Twin: src/cpu/dense.rs::linear.
#import activation

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    // Where x and y begin in their windows, in elements.
    x_first: u32,
    y_first: u32,
    activation_in: u32,
    activation_out: u32,
    has_bias: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [rows, inputs]
@group(0) @binding(1)
var<storage, read> x: array<f32>;
// [outputs, inputs]
@group(0) @binding(2)
var<storage, read> weight: array<f32>;
// [outputs]
@group(0) @binding(3)
var<storage, read> bias: array<f32>;
// [rows, outputs]
@group(0) @binding(4)
var<storage, read_write> y: array<f32>;

// 256 invocations, 16 x 16, own a tile of y: ROWS_EACH x 4 neighbouring cells each. Whatever the tile,
// a cell is summed in the order of k, so that the same row has the same bits in any batch.
// 1 for few rows, else 4. Twin: src/dense/linear.rs.
override ROWS_EACH: u32 = 4u;
const SIDE = 16u;
const COLUMNS = 4u * SIDE;
const DEPTH = 16u;
// In fours, along rows of x and along outputs. One four more than the tile: neighbours in k fall into
// other memory banks.
const PITCH = SIDE + 1u;
var<workgroup> wg_x: array<vec4f, DEPTH * PITCH>;
var<workgroup> wg_w: array<vec4f, DEPTH * PITCH>;

fn store(m: u32, first_column: u32, sum: vec4f) {
    for (var i = 0u; i < 4u; i++) {
        let n = first_column + i;
        if (m < params.rows && n < params.outputs) {
            var value = sum[i];
            if (params.has_bias != 0u) {
                value += bias[n];
            }
            y[params.y_first + m * params.outputs + n] = activate(params.activation_out, value);
        }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let tile_rows = ROWS_EACH * SIDE;
    let first_row = (group.y + group.z * groups.y) * tile_rows;
    let first_column = group.x * COLUMNS;
    let column = local % SIDE;
    let row = local / SIDE;
    var sum0 = vec4f();
    var sum1 = vec4f();
    var sum2 = vec4f();
    var sum3 = vec4f();
    for (var k0 = 0u; k0 < params.inputs; k0 += DEPTH) {
        let k = k0 + local % DEPTH;
        let at = (local % DEPTH) * PITCH;
        for (var lane = local / DEPTH; lane < tile_rows; lane += SIDE) {
            let m = first_row + lane;
            var value = 0.0;
            if (k < params.inputs && m < params.rows) {
                value = activate(params.activation_in, x[params.x_first + m * params.inputs + k]);
            }
            wg_x[at + lane / 4u][lane % 4u] = value;
        }
        for (var lane = local / DEPTH; lane < COLUMNS; lane += SIDE) {
            let n = first_column + lane;
            var value = 0.0;
            if (k < params.inputs && n < params.outputs) {
                value = weight[n * params.inputs + k];
            }
            wg_w[at + lane / 4u][lane % 4u] = value;
        }
        workgroupBarrier();
        for (var d = 0u; d < DEPTH; d++) {
            let weights = wg_w[d * PITCH + column];
            if (ROWS_EACH == 1u) {
                sum0 += wg_x[d * PITCH + row / 4u][row % 4u] * weights;
            } else {
                let xs = wg_x[d * PITCH + row];
                sum0 += xs.x * weights;
                sum1 += xs.y * weights;
                sum2 += xs.z * weights;
                sum3 += xs.w * weights;
            }
        }
        workgroupBarrier();
    }
    let m = first_row + row * ROWS_EACH;
    let n = first_column + column * 4u;
    store(m, n, sum0);
    if (ROWS_EACH > 1u) {
        store(m + 1u, n, sum1);
        store(m + 2u, n, sum2);
        store(m + 3u, n, sum3);
    }
}
