// The stepped tier, forward, of one sequence: what a step reads are the weights, each once. So all loads of an invocation are on
// their way at once; PACK4: by four, where hidden is a multiple of four.
// Twin: src/cpu/cells/step.rs.
#import cell_call

// [frames, batch, hidden]
@group(0) @binding(6)
var<storage, read_write> y: array<f32>;

// Units of a workgroup, and invocations of a unit; what each reads of a row, by four.
#shape UNITS 2
#shape LANES 128
#shape QUADS 1
const BATCH = 1u;
const MAX_BATCH = 1u;
alias Rows = CellRows;
#import lane_sum

// h before the step, 0 past its end.
fn carried(before: u32, k: u32) -> f32 {
    return select(0.0, states[before + min(k, params.hidden - 1u)], k < params.hidden);
}

// Four weights of a row from k on; past its end some others, which nothing comes of.
fn weights_at(row: u32, k: u32) -> vec4f {
#ifdef PACK4
    return weight_hh[(row + min(k, params.hidden - 4u)) / 4u];
#else
    let last = params.hidden - 1u;
    return vec4f(
        weight_hh[row + min(k, last)],
        weight_hh[row + min(k + 1u, last)],
        weight_hh[row + min(k + 2u, last)],
        weight_hh[row + min(k + 3u, last)],
    );
#endif
}

@compute @workgroup_size(UNITS * LANES)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) local: u32,
#ifdef SUBGROUPS
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
#ifndef SUBGROUPS
    let subgroup_size = 1u;
#endif
    let hidden = params.hidden;
    let lane = local % LANES;
    let row = min(group.x * UNITS + local / LANES, hidden - 1u) * hidden;
    let pitch = hidden * hidden;
    let before = slot_at(params.steps);
#repeat j QUADS
    let k$j = (lane + $(j)u * LANES) * 4u;
    let h$j = vec4f(carried(before, k$j), carried(before, k$j + 1u), carried(before, k$j + 2u), carried(before, k$j + 3u));
    let first$j = weights_at(row, k$j);
    var second$j = vec4f();
    var third$j = vec4f();
    var fourth$j = vec4f();
    if (CELL_ROWS > 1u) {
        second$j = weights_at(row + pitch, k$j);
    }
    if (CELL_ROWS > 2u) {
        third$j = weights_at(row + 2u * pitch, k$j);
    }
    if (CELL_ROWS > 3u) {
        fourth$j = weights_at(row + 3u * pitch, k$j);
    }
#end

    // One invocation a unit finishes the step: what that takes has come when the sums are ready.
    let unit = group.x * UNITS + local;
    let finishes = local < UNITS && unit < hidden;
    let frame = params.first;
    var x = vec4f();
    var s = vec4f();
    var bias = vec4f();
    var p = vec4f();
    var m = vec4f();
    var running = false;
    if (finishes) {
        x = inputs_at(frame, 0u, unit);
        s = states_at(params.steps, unit);
        bias = bias_at(unit);
        p = parameters_at(unit);
        m = masks_at(unit);
        running = runs(0u, frame);
    }

    var sum = vec4f();
#repeat j QUADS
    sum += vec4f(dot(first$j, h$j), dot(second$j, h$j), dot(third$j, h$j), dot(fourth$j, h$j));
#end
    sum_lanes(0u, cell_narrow(sum), local, subgroup_size);
    workgroupBarrier();
    if (finishes) {
        var out = 0.0;
        if (running) {
            let r = cell_wide(lane_total(0u, local, subgroup_size)) + bias;
            s = zoned_out(frame, unit, cell_update(x, r, s, p, m), s);
            out = s.x;
        }
        set_states(params.steps + 1u, unit, states_before(params.steps + 1u, frame_of(1u), 0u, s));
        y[params.y_first + unit] = out;
    }
}
