// Cells with two products, forward, the first of two dispatches of a step: the products with h, and what the second product
// multiplies. The other is mid_step.wgsl. Workgroups are those of step.wgsl.
// Twin: src/cpu/cells/mid.rs.
#import cell_call

// [1 + CELL_ROWS - CELL_SECOND, batch, hidden]: what the second product multiplies; the products with h.
@group(0) @binding(6)
var<storage, read_write> mids: array<f32>;

const UNITS = 8u;
const LANES = 32u;
const MAX_BATCH = 8u;
// Sequences a workgroup: 1, 4 or MAX_BATCH.
override BATCH: u32 = 4u;
const PIECES = 5u;
alias Rows = CellFirst;
#import lane_sum
#import row_weights

fn weights_at(at: u32) -> Rows {
    return cell_narrow_first(weight_lanes_at(at));
}

// h before the step.
fn carried(at: u32) -> f32 {
    return states[slot_at(params.steps) + at];
}
#import lane_products

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
    var s = vec4f();
    if (finishes) {
        running = runs(n, frame);
        s = states_at(params.steps, at);
        x = inputs_at(frame, n, own_unit);
    }

    let unit = min(group.x * UNITS + local / LANES, hidden - 1u);
    multiply_any(unit * hidden, first, hidden, hidden, local, subgroup_size);

    if (finishes) {
        let r = cell_wide_first(lane_total(own, local % UNITS, subgroup_size));
        let mid = cell_mid(x, r + bias_at(own_unit), s, parameters_at(own_unit), masks_at(at));
        // Of a sequence that has ended, whatever x holds there stays out.
        mids[at] = select(0.0, mid, running);
        let count = CELL_ROWS - CELL_SECOND;
        if (count > 0u) {
            mids[plane() + at] = r.x;
        }
        if (count > 1u) {
            mids[2u * plane() + at] = r.y;
        }
        if (count > 2u) {
            mids[3u * plane() + at] = r.z;
        }
    }
}
