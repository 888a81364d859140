// A batch norm, of the moments of parts (moments.wgsl) or of running statistics: what columns are to be multiplied with and what is
// to be added. An invocation owns a column.
// Twin: src/cpu/cells/batch_norm.rs.

struct Params {
    columns: u32,
    parts: u32,
    eps: f32,
    momentum: f32,
    // 1: by the moments; otherwise by the running statistics.
    by_moments: u32,
    // 1: the running statistics take on what the moments say.
    moves: u32,
    has_gain: u32,
    has_bias: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [3, parts, columns]: number, mean, sum of squares around it.
@group(0) @binding(1)
var<storage, read> moments: array<f32>;
// [columns] each
@group(0) @binding(2)
var<storage, read> gain: array<f32>;
@group(0) @binding(3)
var<storage, read> bias: array<f32>;
@group(0) @binding(4)
var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(5)
var<storage, read_write> running_var: array<f32>;
// [5, columns]: factor and summand of the norm alone; with gain and bias; the number of frames.
@group(0) @binding(6)
var<storage, read_write> statistics: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let column = id.x + id.y * groups.x * 64u;
    if (column < params.columns) {
        var count = 0.0;
        var mean = 0.0;
        var variance = 0.0;
        if (params.by_moments != 0u) {
            var squares = 0.0;
            let pitch = params.parts * params.columns;
            // Parts are joined pairwise (Chan, Golub and LeVeque 1983).
            for (var part = 0u; part < params.parts; part++) {
                let at = part * params.columns + column;
                let own = moments[at];
                if (own > 0.0) {
                    let delta = moments[at + pitch] - mean;
                    let all = count + own;
                    mean += delta * (own / all);
                    squares += moments[at + 2u * pitch] + delta * delta * (count * own / all);
                    count = all;
                }
            }
            variance = squares / max(count, 1.0);
            if (params.moves != 0u && count > 0.0) {
                running_mean[column] = mix(running_mean[column], mean, params.momentum);
                running_var[column] = mix(running_var[column], squares / max(count - 1.0, 1.0), params.momentum);
            }
        } else {
            mean = running_mean[column];
            variance = running_var[column];
        }
        let factor = inverseSqrt(variance + params.eps);
        var scale = factor;
        if (params.has_gain != 0u) {
            scale *= gain[column];
        }
        var shift = -mean * scale;
        if (params.has_bias != 0u) {
            shift += bias[column];
        }
        statistics[column] = factor;
        statistics[params.columns + column] = -mean * factor;
        statistics[2u * params.columns + column] = scale;
        statistics[3u * params.columns + column] = shift;
        statistics[4u * params.columns + column] = count;
    }
}
