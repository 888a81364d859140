// y[b, n, t] = act(bias[n] + sum_{c, k} weight[n, c, k] * x[b, c, t * stride + k - padding]), zero
// outside x: a PyTorch Conv1d. Computed as the product of the unrolled windows (rows b, t) with the
// weights (columns n), whose common side is (c, k).
// Twin: src/cpu/conv.rs::conv1d.
#import activation

struct Params {
    batch: u32,
    channels_in: u32,
    length_in: u32,
    channels_out: u32,
    length_out: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
    activation: u32,
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
// One column more than the tile: neighbours in depth fall into other memory banks.
var<workgroup> wg_x: array<f32, DEPTH * (TILE + 1u)>;
var<workgroup> wg_w: array<f32, DEPTH * (TILE + 1u)>;

// The number of an unrolled window: row m = (b, t), depth d = (c, k).
fn unrolled(m: u32, d: u32) -> f32 {
    let t = m % params.length_out;
    let k = d % params.kernel;
    // Wraps below zero on the left of x, so that one comparison finds both ends.
    let at = t * params.stride + k - params.padding;
    if (at >= params.length_in) {
        return 0.0;
    }
    let row = m / params.length_out * params.channels_in + d / params.kernel;
    return x[row * params.length_in + at];
}

// 256 invocations own a tile of 32 rows (b, t) by 32 channels n, 2 x 2 cells each. Tiles are numbered
// with the channels running fastest, so that neighbours share their windows in the cache.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let rows = params.batch * params.length_out;
    let depth = params.channels_in * params.kernel;
    let across = (params.channels_out + TILE - 1u) / TILE;
    let tile = group.x + group.y * groups.x;
    let first_row = tile / across * TILE;
    let first_channel = tile % across * TILE;
    // Neighbours along a row write neighbours of y.
    let row = local % 16u;
    let channel = local / 16u;
    var sum = vec4f(0.0);
    for (var d0 = 0u; d0 < depth; d0 += DEPTH) {
        for (var i = local; i < DEPTH * TILE; i += 256u) {
            let d = d0 + i % DEPTH;
            let lane = i / DEPTH;
            let m = first_row + lane;
            let n = first_channel + lane;
            var xv = 0.0;
            if (d < depth && m < rows) {
                xv = unrolled(m, d);
            }
            var wv = 0.0;
            if (d < depth && n < params.channels_out) {
                wv = weight[n * depth + d];
            }
            let at = i % DEPTH * (TILE + 1u) + lane;
            wg_x[at] = xv;
            wg_w[at] = wv;
        }
        workgroupBarrier();
        for (var d = 0u; d < DEPTH; d++) {
            let at = d * (TILE + 1u);
            let xs = vec2f(wg_x[at + row], wg_x[at + row + 16u]);
            let ws = vec2f(wg_w[at + channel], wg_w[at + channel + 16u]);
            sum += vec4f(xs.x * ws, xs.y * ws);
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        let m = first_row + row + (i / 2u) * 16u;
        let n = first_channel + channel + (i % 2u) * 16u;
        if (m < rows && n < params.channels_out) {
            var value = sum[i];
            if (params.has_bias != 0u) {
                value += bias[n];
            }
            let b = m / params.length_out;
            let t = m % params.length_out;
            y[(b * params.channels_out + n) * params.length_out + t] = activate(params.activation, value);
        }
    }
}
