// y[m, n] = act_out(bias[n] + sum_k act_in(x[m, k]) * weight[n, k]): a PyTorch Linear.
// Twin: src/cpu/dense.rs::linear. Params twin: src/dense/linear.rs::LinearParams.
#import activation

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    activation_in: u32,
    activation_out: u32,
    has_bias: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> x: array<f32>;
@group(0) @binding(2)
var<storage, read> weight: array<f32>;
@group(0) @binding(3)
var<storage, read> bias: array<f32>;
@group(0) @binding(4)
var<storage, read_write> y: array<f32>;

const TILE = 32u;
const DEPTH = 16u;
// One column more than the tile: neighbours in k fall into other memory banks.
var<workgroup> wg_x: array<f32, DEPTH * (TILE + 1u)>;
var<workgroup> wg_w: array<f32, DEPTH * (TILE + 1u)>;

// 256 invocations own a 32 x 32 tile of y, 2 x 2 cells each.
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let first_row = group.y * TILE;
    let first_column = group.x * TILE;
    let column = local % 16u;
    let row = local / 16u;
    var sum = vec4f(0.0);
    for (var k0 = 0u; k0 < params.inputs; k0 += DEPTH) {
        for (var i = local; i < DEPTH * TILE; i += 256u) {
            let k = i % DEPTH;
            let lane = i / DEPTH;
            let m = first_row + lane;
            let n = first_column + lane;
            let in_depth = k0 + k < params.inputs;
            var xv = 0.0;
            if (in_depth && m < params.rows) {
                xv = activate(params.activation_in, x[m * params.inputs + k0 + k]);
            }
            var wv = 0.0;
            if (in_depth && n < params.outputs) {
                wv = weight[n * params.inputs + k0 + k];
            }
            wg_x[k * (TILE + 1u) + lane] = xv;
            wg_w[k * (TILE + 1u) + lane] = wv;
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let at = k * (TILE + 1u);
            let xs = vec2f(wg_x[at + row], wg_x[at + row + 16u]);
            let ws = vec2f(wg_w[at + column], wg_w[at + column + 16u]);
            sum += vec4f(xs.x * ws, xs.y * ws);
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        let m = first_row + row + (i / 2u) * 16u;
        let n = first_column + column + (i % 2u) * 16u;
        if (m < params.rows && n < params.outputs) {
            var value = sum[i];
            if (params.has_bias != 0u) {
                value += bias[n];
            }
            y[m * params.outputs + n] = activate(params.activation_out, value);
        }
    }
}
