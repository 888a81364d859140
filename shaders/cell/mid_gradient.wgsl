// Cells with two products, backward, the second of two dispatches of a step: the gradient of what the second product
// multiplied, and of all else. Workgroups are those of step_gradient.wgsl.
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

// Gradients of the second product, as second_gradient.wgsl left them.
fn carried(at: u32) -> f32 {
    return carry[(CELL_STATES + CELL_PARAMETERS) * plane() + at];
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
    let second = CELL_SECOND * hidden;

    let own_unit = group.x * UNITS + local % UNITS;
    let own = local / UNITS;
    let n = first + own;
    let finishes = own < BATCH && own_unit < hidden && n < params.batch;
    let at = n * hidden + own_unit;
    let inputs = params.inputs_first + n * CELL_INPUTS * hidden + own_unit;
    let products = params.products_first + n * rows + own_unit;
    var running = false;
    var x = vec4f();
    var r = vec4f();
    var s = vec4f();
    var d = vec4f();
    if (finishes) {
        running = runs(n, params.frame);
        d = carry_at(at, CELL_STATES);
        if (running) {
            s = states_at(params.slot, at);
            x = gates_at(inputs, CELL_INPUTS);
            r = gates_at(products, CELL_ROWS);
            d.x += dy[params.dy_first + at];
        }
    }

    let unit = min(group.x * UNITS + local / LANES, hidden - 1u);
    multiply_any(unit * rows + rows - second, first, second, second, local, subgroup_size);

    if (finishes) {
        var g = CellGradient();
        if (running) {
            let p = parameters_at(own_unit);
            let m = masks_at(at);
            let keeps = kept_states(params.frame, at);
            g = cell_gradient(x, r, s, p, m, select(d, vec4f(), keeps));
            let mid = cell_mid_gradient(x, r, s, p, m, lane_total(own, local % UNITS, subgroup_size));
            g = CellGradient(g.x + mid.x, g.r + mid.r, g.s + mid.s, g.p + mid.p);
            g.s = select(g.s + select(vec4f(), d, keeps), vec4f(), begins_anew(n, params.frame));
            set_carry(at, CELL_STATES, g.s);
            if (CELL_PARAMETERS > 0u) {
                let sums = at + CELL_STATES * plane();
                set_carry(sums, CELL_PARAMETERS, carry_at(sums, CELL_PARAMETERS) + g.p);
            }
        }
        set_gates(inputs, CELL_INPUTS, g.x);
        set_gates(products, CELL_ROWS, g.r);
    }
}
