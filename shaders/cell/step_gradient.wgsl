// The stepped tier, backward: one dispatch is one step of every sequence, from the last to the first. Gates were
// computed again for all frames; their gradients take their place. A workgroup owns UNITS hidden units, and BATCH
// sequences: it multiplies the gradients of the gates of the step after this one by the transposed weights.
// Twin: src/cpu/cells/gradient.rs.
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

// Units of a head see each other only, so that only the rows of that count: all units are one, or a head has whole workgroups of them.
override HEADS: u32 = 1u;
// Units of a head, where there are several.
override HEAD_UNITS: u32 = 1u;
// Where the weights of the own unit begin, and the units of its head.
var<private> own_weights: u32;
var<private> block: u32;

// The place of number k of the rows of a head among all rows.
fn row_of(k: u32) -> u32 {
    return k / HEAD_UNITS * (HEADS * HEAD_UNITS) + block + k % HEAD_UNITS;
}

fn weights_at(at: u32) -> Rows {
    if (HEADS > 1u) {
        return weight_transposed[own_weights + row_of(at)];
    }
    return weight_transposed[own_weights + at];
}

fn carried(at: u32) -> f32 {
    if (HEADS > 1u) {
        let rows = CELL_ROWS * HEAD_UNITS;
        return gates[params.next_first + at / rows * HEADS * rows + row_of(at % rows)];
    }
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
    let inputs = params.inputs_first + n * CELL_INPUTS * hidden + own_unit;
    let products = params.products_first + n * rows + own_unit;
    var running = false;
    var x = vec4f();
    var r = vec4f();
    var s = vec4f();
    var d = vec4f();
    if (finishes) {
        d = carry_at(at, CELL_STATES);
        running = params.has_frame != 0u && runs(n, params.frame);
        if (running) {
            s = states_at(params.slot, at);
            x = gates_at(inputs, CELL_INPUTS);
            if (CELL_SUMMED == 0u) {
                r = gates_at(products, CELL_ROWS);
            }
            d.x += dy[params.dy_first + at];
        }
    }

    let unit = min(group.x * UNITS + local / LANES, hidden - 1u);
    own_weights = unit * rows;
    var own_rows = rows;
    if (HEADS > 1u) {
        block = unit / HEAD_UNITS * HEAD_UNITS;
        own_rows = CELL_ROWS * HEAD_UNITS;
    }
    multiply_any(0u, first, own_rows, select(0u, own_rows, params.has_next != 0u), local, subgroup_size);

    if (finishes) {
        if (params.has_next != 0u && !begins_anew(n, params.next)) {
            d.x += lane_total(own, local % UNITS, subgroup_size);
        }
        var g = CellGradient();
        g.s = d;
        if (running) {
            let keeps = kept_states(params.frame, at);
            g = cell_gradient(x, r, s, parameters_at(own_unit), masks_at(at), select(d, vec4f(), keeps));
            g.s += select(vec4f(), d, keeps);
            if (CELL_PARAMETERS > 0u) {
                let sums = at + CELL_STATES * plane();
                set_carry(sums, CELL_PARAMETERS, carry_at(sums, CELL_PARAMETERS) + g.p);
            }
        }
        g.s = select(g.s, vec4f(), params.has_frame != 0u && begins_anew(n, params.frame));
        set_carry(at, CELL_STATES, g.s);
        if (params.has_frame != 0u) {
            set_gates(inputs, CELL_INPUTS, g.x);
            if (CELL_SUMMED == 0u) {
                set_gates(products, CELL_ROWS, g.r);
            }
        }
    }
}
