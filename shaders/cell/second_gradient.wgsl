// Cells with two products, backward, the first of two dispatches of a step: what the products with h of the step after leave
// to this one's states, and the gradient of this step's second product. The other is mid_gradient.wgsl. Workgroups are those
// of step_gradient.wgsl.
// Twin: src/cpu/cells/mid_gradient.rs.
#import cell_gradient_call

// [hidden, CELL_ROWS, hidden]
@group(0) @binding(1)
var<storage, read> weight_transposed: array<f32>;

const UNITS = 4u;
const LANES = 64u;
const MAX_BATCH = 8u;
override BATCH: u32 = 4u;
const PIECES = 2u;
alias Rows = f32;
#import lane_sum

fn weights_at(at: u32) -> Rows {
    return weight_transposed[at];
}

fn carried(at: u32) -> f32 {
    return gates[params.next_first + at];
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
    let rows = CELL_ROWS * hidden;

    let own_unit = group.x * UNITS + local % UNITS;
    let own = local / UNITS;
    let n = first + own;
    let finishes = own < BATCH && own_unit < hidden && n < params.batch;
    let at = n * hidden + own_unit;
    var running = false;
    var x = vec4f();
    var r = vec4f();
    var s = vec4f();
    var d = vec4f();
    var own_dy = 0.0;
    if (finishes) {
        d = carry_at(at, CELL_STATES);
        running = params.has_frame != 0u && runs(n, params.frame);
        if (running) {
            s = states_at(params.slot, at);
            x = gates_at(params.inputs_first + n * CELL_INPUTS * hidden + own_unit, CELL_INPUTS);
            r = gates_at(params.products_first + n * rows + own_unit, CELL_ROWS);
            own_dy = dy[params.dy_first + at];
        }
    }

    let unit = min(group.x * UNITS + local / LANES, hidden - 1u);
    let end = (CELL_ROWS - CELL_SECOND) * hidden;
    multiply_any(unit * rows, first, rows, select(0u, end, params.has_next != 0u), local, subgroup_size);

    if (finishes) {
        if (params.has_next != 0u && !begins_anew(n, params.next)) {
            d.x += lane_total(own, local % UNITS, subgroup_size);
        }
        set_carry(at, CELL_STATES, d);
        d.x += own_dy;
        var second = vec4f();
        if (running) {
            let keeps = kept_states(params.frame, at);
            second = cell_gradient(x, r, s, parameters_at(own_unit), masks_at(at), select(d, vec4f(), keeps)).r;
        }
        // [batch, CELL_SECOND, hidden]
        let to = (CELL_STATES + CELL_PARAMETERS) * plane() + n * CELL_SECOND * hidden + own_unit;
        for (var k = 0u; k < CELL_SECOND; k++) {
            carry[to + k * hidden] = second[CELL_ROWS - CELL_SECOND + k];
        }
    }
}
