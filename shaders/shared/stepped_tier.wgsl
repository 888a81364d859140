// The stepped tier: one dispatch is one step of every sequence. A workgroup owns UNITS hidden units
// with all their gates, and BATCH sequences: each weight is read once for all of them, along k, so
// neighbouring invocations read neighbouring words. The importing kernel imports its cell first.
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
// Sequences a workgroup: 1, 4 or MAX_BATCH.
override BATCH: u32 = 4u;

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

    // One invocation a unit and sequence finishes the step. It asks for what that takes beforehand, so
    // that it has come when the sums are ready.
    let own_unit = group.x * UNITS + local % UNITS;
    let own = local / UNITS;
    let n = first + own;
    let finishes = own < BATCH && own_unit < hidden && n < params.batch;
    let at = n * hidden + own_unit;
    let states = params.batch * hidden;
    var running = false;
    var x = Gates();
    var bias = Gates();
    var state = vec2f();
    if (finishes) {
        running = runs(n);
        state.x = state_in[at];
        if (STATES > 1u) {
            state.y = state_in[states + at];
        }
        x = gx_at(params.gx_first + n * GATES * hidden + own_unit, hidden);
        if (params.has_bias != 0u) {
            bias = bias_at(own_unit, hidden);
        }
    }

    // Units and sequences past the edge compute what a neighbour computes, and drop it.
    let unit = min(group.x * UNITS + local / LANES, hidden - 1u);
    let end = select(0u, hidden, any);
    // Where h of each sequence begins. All of these are named, not an array, so that they stay in
    // registers; those beyond BATCH are never used.
    let last = params.batch - 1u;
    let row0 = min(first, last) * hidden;
    let row1 = min(first + 1u, last) * hidden;
    let row2 = min(first + 2u, last) * hidden;
    let row3 = min(first + 3u, last) * hidden;
    let row4 = min(first + 4u, last) * hidden;
    let row5 = min(first + 5u, last) * hidden;
    let row6 = min(first + 6u, last) * hidden;
    let row7 = min(first + 7u, last) * hidden;
    var sum0 = Gates();
    var sum1 = Gates();
    var sum2 = Gates();
    var sum3 = Gates();
    var sum4 = Gates();
    var sum5 = Gates();
    var sum6 = Gates();
    var sum7 = Gates();
    let weights = unit * hidden;
    let plane = hidden * hidden;
    var k = local % LANES;
    // Several steps along k together, so that their loads wait at the same time: four where a step
    // loads little, else two. The sums stay in the order of k.
    if (BATCH == 1u) {
        for (; k + 3u * LANES < end; k += 4u * LANES) {
            let w0 = weight_at(weights + k, plane);
            let w1 = weight_at(weights + k + LANES, plane);
            let w2 = weight_at(weights + k + 2u * LANES, plane);
            let w3 = weight_at(weights + k + 3u * LANES, plane);
            let h = vec4f(
                state_in[row0 + k],
                state_in[row0 + k + LANES],
                state_in[row0 + k + 2u * LANES],
                state_in[row0 + k + 3u * LANES],
            );
            sum0 += w0 * h.x;
            sum0 += w1 * h.y;
            sum0 += w2 * h.z;
            sum0 += w3 * h.w;
        }
    } else {
        for (; k + LANES < end; k += 2u * LANES) {
            let w0 = weight_at(weights + k, plane);
            let w1 = weight_at(weights + k + LANES, plane);
            sum0 += w0 * state_in[row0 + k];
            sum0 += w1 * state_in[row0 + k + LANES];
            sum1 += w0 * state_in[row1 + k];
            sum1 += w1 * state_in[row1 + k + LANES];
            sum2 += w0 * state_in[row2 + k];
            sum2 += w1 * state_in[row2 + k + LANES];
            sum3 += w0 * state_in[row3 + k];
            sum3 += w1 * state_in[row3 + k + LANES];
            if (BATCH > 4u) {
                sum4 += w0 * state_in[row4 + k];
                sum4 += w1 * state_in[row4 + k + LANES];
                sum5 += w0 * state_in[row5 + k];
                sum5 += w1 * state_in[row5 + k + LANES];
                sum6 += w0 * state_in[row6 + k];
                sum6 += w1 * state_in[row6 + k + LANES];
                sum7 += w0 * state_in[row7 + k];
                sum7 += w1 * state_in[row7 + k + LANES];
            }
        }
    }
    for (; k < end; k += LANES) {
        let weight = weight_at(weights + k, plane);
        sum0 += weight * state_in[row0 + k];
        if (BATCH > 1u) {
            sum1 += weight * state_in[row1 + k];
            sum2 += weight * state_in[row2 + k];
            sum3 += weight * state_in[row3 + k];
        }
        if (BATCH > 4u) {
            sum4 += weight * state_in[row4 + k];
            sum5 += weight * state_in[row5 + k];
            sum6 += weight * state_in[row6 + k];
            sum7 += weight * state_in[row7 + k];
        }
    }
    sum_lanes(0u, sum0, sum1, local, subgroup_size);
    if (BATCH > 1u) {
        sum_lanes(2u, sum2, sum3, local, subgroup_size);
    }
    if (BATCH > 4u) {
        sum_lanes(4u, sum4, sum5, local, subgroup_size);
        sum_lanes(6u, sum6, sum7, local, subgroup_size);
    }
    workgroupBarrier();

    if (finishes) {
        var out = 0.0;
        if (running) {
            state = update(x, lane_total(own, local % UNITS, subgroup_size) + bias, state);
            out = state.x;
        }
        state_out[at] = state.x;
        if (STATES > 1u) {
            state_out[states + at] = state.y;
        }
        y[params.y_first + at] = out;
    }
}
