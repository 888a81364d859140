// Layer norm of lines, backward: the gradients of what came out, in place, become those of what went in; and the normalised lines
// become what is to be summed for the gradient of the gain. A workgroup owns a line.
// Twin: src/cpu/cells/norms.rs.

struct Params {
    lines: u32,
    spans: u32,
    size: u32,
    // Where the lines of gradients begin.
    first: u32,
    has_gain: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [spans, size]
@group(0) @binding(1)
var<storage, read> gain: array<f32>;
// [lines, spans]
@group(0) @binding(2)
var<storage, read> factors: array<f32>;
// [lines, spans, size]
@group(0) @binding(3)
var<storage, read_write> gradients: array<f32>;
@group(0) @binding(4)
var<storage, read_write> normalised: array<f32>;

alias Total = vec2f;
#import row_total

const INVOCATIONS = 256u;

// The gradient of a normalised number.
fn gained(i: u32, d: f32) -> f32 {
    if (params.has_gain != 0u) {
        return d * gain[i];
    }
    return d;
}

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
        let first = (line * params.spans + span) * params.size;
        var sums = vec2f();
        for (var i = local; i < params.size; i += INVOCATIONS) {
            let d = gained(span * params.size + i, gradients[params.first + first + i]);
            sums += vec2f(d, d * normalised[first + i]);
        }
        let means = row_total(sums, local, subgroup_size) / f32(params.size);
        let factor = factors[line * params.spans + span];
        for (var i = local; i < params.size && is_there; i += INVOCATIONS) {
            let d = gradients[params.first + first + i];
            let hat = normalised[first + i];
            gradients[params.first + first + i] = factor * (gained(span * params.size + i, d) - means.x - hat * means.y);
            normalised[first + i] = d * hat;
        }
    }
}
