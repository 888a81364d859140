// Cells with two products, forward, the second of two dispatches of a step: the products with what mid.wgsl left, and the
// update. Workgroups are those of step.wgsl.
// Twin: src/cpu/cells/mid.rs.
#import cell_call

// [frames, batch, hidden]
@group(0) @binding(6)
var<storage, read_write> y: array<f32>;
// [1 + CELL_ROWS - CELL_SECOND, batch, hidden]: what the second product multiplies; the products with h.
@group(0) @binding(7)
var<storage, read_write> mids: array<f32>;

const UNITS = 8u;
const LANES = 32u;
const MAX_BATCH = 8u;
// Sequences a workgroup: 1, 4 or MAX_BATCH.
override BATCH: u32 = 4u;
const PIECES = 5u;
alias Rows = CellSecond;
#import lane_sum
#import row_weights

fn weights_at(at: u32) -> Rows {
    return cell_narrow_second(weight_lanes_at(at));
}

fn carried(at: u32) -> f32 {
    return mids[at];
}
#import lane_products

// The products with h of a unit.
fn kept_products(at: u32) -> vec4f {
    let count = CELL_ROWS - CELL_SECOND;
    var r = vec4f();
    if (count > 0u) {
        r.x = mids[plane() + at];
    }
    if (count > 1u) {
        r.y = mids[2u * plane() + at];
    }
    if (count > 2u) {
        r.z = mids[3u * plane() + at];
    }
    return r;
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
    let frame = params.first;
    let own_unit = group.x * UNITS + local % UNITS;
    let own = local / UNITS;
    let n = first + own;
    let finishes = own < BATCH && own_unit < hidden && n < params.batch;
    let at = n * hidden + own_unit;
    var running = false;
    var x = vec4f();
    var r = vec4f();
    var s = vec4f();
    if (finishes) {
        running = runs(n, frame);
        s = states_at(params.steps, at);
        x = inputs_at(frame, n, own_unit);
        r = kept_products(at);
    }

    let unit = min(group.x * UNITS + local / LANES, hidden - 1u);
    multiply_any(unit * hidden, first, hidden, hidden, local, subgroup_size);

    if (finishes) {
        var out = 0.0;
        if (running) {
            r += cell_wide_second(lane_total(own, local % UNITS, subgroup_size));
            s = unit_step(frame, at, own_unit, x, r, s);
            out = s.x;
        }
        set_states(params.steps + 1u, at, states_before(params.steps + 1u, frame_of(1u), n, s));
        y[params.y_first + at] = out;
    }
}
