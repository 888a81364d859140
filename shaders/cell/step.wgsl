// The stepped tier, forward: one dispatch is one step of every sequence. A workgroup owns UNITS hidden units
// with all their rows, and BATCH sequences: each weight is read once for all of them, along k, so neighbouring
// invocations read neighbouring words.
// Twin: src/cpu/cells/step.rs.
#import cell_call

// [frames, batch, hidden]
@group(0) @binding(6)
var<storage, read_write> y: array<f32>;

const UNITS = 8u;
const LANES = 32u;
const MAX_BATCH = 4u;
// Sequences a workgroup: 1 or MAX_BATCH.
override BATCH: u32 = 4u;
// Units of a head see each other only, so that only their columns count: all units are one, or a head has whole workgroups.
override HEADS: u32 = 1u;
// Where those of the own head begin.
var<private> block: u32;

alias Rows = CellRows;
#import lane_sum
#import row_weights

fn weights_at(at: u32) -> Rows {
    return cell_narrow(weight_lanes_at(at));
}

// h before the step.
fn carried(at: u32) -> f32 {
    return states[slot_at(params.steps) + block + at];
}
#import lane_product

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
    let frame = params.first;
    var any = false;
    for (var b = 0u; b < BATCH; b++) {
        if (first + b < params.batch) {
            any = any || runs(first + b, frame);
        }
    }

    // One invocation a unit and sequence finishes the step. It asks for what that takes beforehand, so
    // that it has come when the sums are ready.
    let own_unit = group.x * UNITS + local % UNITS;
    let own = local / UNITS;
    let n = first + own;
    let finishes = own < BATCH && own_unit < hidden && n < params.batch;
    let at = n * hidden + own_unit;
    var running = false;
    var x = vec4f();
    var s = vec4f();
    if (finishes) {
        running = runs(n, frame);
        s = states_at(params.steps, at);
        x = inputs_at(frame, n, own_unit);
    }

    // Units and sequences past the edge compute what a neighbour computes, and drop it.
    let unit = min(group.x * UNITS + local / LANES, hidden - 1u);
    let columns = hidden / HEADS;
    if (HEADS > 1u) {
        block = unit / columns * columns;
    }
    let end = select(0u, columns, any && CELL_ROWS > 0u);
    multiply(unit * hidden + block, first, hidden, end, local, subgroup_size);

    if (finishes) {
        var out = 0.0;
        if (running) {
            s = unit_step(frame, at, own_unit, x, cell_wide(lane_total(own, local % UNITS, subgroup_size)), s);
            out = s.x;
        }
        set_states(params.steps + 1u, at, states_before(params.steps + 1u, frame_of(1u), n, s));
        y[params.y_first + at] = out;
    }
}
