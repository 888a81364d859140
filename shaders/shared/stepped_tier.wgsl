// The stepped tier: one dispatch is one step of every sequence. A workgroup owns UNITS hidden units
// with all their gates, and BATCH sequences: each weight is read once for all of them, along k, so
// neighbouring invocations read neighbouring words. The importing kernel imports its cell first.
// Params twin: src/recurrent/step_plan.rs::StepParams.
#import lane_sum

struct Params {
    batch: u32,
    hidden: u32,
    // This frame's number in the sequence, for the comparison with lengths.
    frame: u32,
    // Where this frame begins in gx and in y, in elements.
    gx_first: u32,
    y_first: u32,
    has_bias: u32,
    has_lengths: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [frames, batch, GATES * hidden]: the input projection, bias_ih included.
@group(0) @binding(1)
var<storage, read> gx: array<f32>;
// [GATES * hidden, hidden]
@group(0) @binding(2)
var<storage, read> weight_hh: array<f32>;
// [GATES * hidden]
@group(0) @binding(3)
var<storage, read> bias_hh: array<f32>;
// [batch]
@group(0) @binding(4)
var<storage, read> lengths: array<u32>;
// [STATES, batch, hidden]
@group(0) @binding(5)
var<storage, read> state_in: array<f32>;
// [STATES, batch, hidden]
@group(0) @binding(6)
var<storage, read_write> state_out: array<f32>;
// [frames, batch, hidden]
@group(0) @binding(7)
var<storage, read_write> y: array<f32>;

const UNITS = 8u;
const LANES = 32u;
const MAX_BATCH = 8u;
// Sequences a workgroup, at most MAX_BATCH.
override BATCH: u32 = 4u;

var<private> partial: array<Gates, MAX_BATCH>;

// Frames past the end of a sequence leave its state alone, and their y is 0.
fn runs(n: u32) -> bool {
    if (params.has_lengths == 0u) {
        return true;
    }
    return params.frame < lengths[n];
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
    let hidden = params.hidden;
    let first = (group.y + group.z * groups.y) * BATCH;
    var any = false;
    for (var b = 0u; b < BATCH; b++) {
        if (first + b < params.batch) {
            any = any || runs(first + b);
        }
    }
    // Units and sequences past the edge compute what a neighbour computes, and drop it.
    let unit = min(group.x * UNITS + local / LANES, hidden - 1u);
    let end = select(0u, hidden, any);
    for (var k = local % LANES; k < end; k += LANES) {
        let weight = weight_at(unit * hidden + k, hidden * hidden);
        for (var b = 0u; b < BATCH; b++) {
            partial[b] += weight * state_in[min(first + b, params.batch - 1u) * hidden + k];
        }
    }
    sum_lanes(local, subgroup_size);

    let own_unit = group.x * UNITS + local % UNITS;
    let own = local / UNITS;
    let n = first + own;
    if (own < BATCH && own_unit < hidden && n < params.batch) {
        let at = n * hidden + own_unit;
        let plane = params.batch * hidden;
        var state = vec2f(state_in[at], 0.0);
        if (STATES > 1u) {
            state.y = state_in[plane + at];
        }
        var out = 0.0;
        if (runs(n)) {
            var u = lane_total(own, local % UNITS, subgroup_size);
            if (params.has_bias != 0u) {
                u += bias_at(own_unit, hidden);
            }
            state = update(gx_at(params.gx_first + n * GATES * hidden + own_unit, hidden), u, state);
            out = state.x;
        }
        state_out[at] = state.x;
        if (STATES > 1u) {
            state_out[plane + at] = state.y;
        }
        y[params.y_first + at] = out;
    }
}
