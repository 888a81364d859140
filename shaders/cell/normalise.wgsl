// Layer norm of lines, in place, then times a gain and plus a bias. A workgroup owns a line.
// Twin: src/cpu/cells/norms.rs.

struct Params {
    lines: u32,
    // What has a mean of its own: so many spans of a line, of so many numbers.
    spans: u32,
    size: u32,
    // Where the lines begin.
    first: u32,
    eps: f32,
    has_gain: u32,
    has_bias: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [spans, size] each
@group(0) @binding(1)
var<storage, read> gain: array<f32>;
@group(0) @binding(2)
var<storage, read> bias: array<f32>;
// [lines, spans, size]
@group(0) @binding(3)
var<storage, read_write> values: array<f32>;
// [lines, spans]: what the centred numbers were multiplied with.
@group(0) @binding(4)
var<storage, read_write> factors: array<f32>;

alias Total = f32;
#import row_total

const INVOCATIONS = 256u;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
#ifdef SUBGROUPS
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
#ifndef SUBGROUPS
    let subgroup_size = 1u;
#endif
    let number = group.x + group.y * groups.x;
    let is_there = number < params.lines;
    let line = min(number, params.lines - 1u);
    for (var span = 0u; span < params.spans; span++) {
        let first = params.first + (line * params.spans + span) * params.size;
        var sum = 0.0;
        for (var i = local; i < params.size; i += INVOCATIONS) {
            sum += values[first + i];
        }
        let mean = row_total(sum, local, subgroup_size) / f32(params.size);
        var squares = 0.0;
        for (var i = local; i < params.size; i += INVOCATIONS) {
            let centred = values[first + i] - mean;
            squares += centred * centred;
        }
        let factor = inverseSqrt(row_total(squares, local, subgroup_size) / f32(params.size) + params.eps);
        for (var i = local; i < params.size && is_there; i += INVOCATIONS) {
            var value = (values[first + i] - mean) * factor;
            if (params.has_gain != 0u) {
                value *= gain[span * params.size + i];
            }
            if (params.has_bias != 0u) {
                value += bias[span * params.size + i];
            }
            values[first + i] = value;
        }
        if (is_there && local == 0u) {
            factors[line * params.spans + span] = factor;
        }
    }
}
