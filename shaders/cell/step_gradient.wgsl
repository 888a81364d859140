// The stepped tier, backward: one dispatch is one step of every sequence, from the last to the first. Gates were
// computed again for all frames; their gradients take their place. A workgroup owns UNITS hidden units, and BATCH
// sequences: it multiplies the gradients of the gates of the step after this one by the transposed weights.
// Twin: src/cpu/cells/gradient.rs.
#slot cell

struct Params {
    batch: u32,
    hidden: u32,
    // This frame, and that of the step after.
    frame: u32,
    next: u32,
    // 0: there is no step after this one.
    has_next: u32,
    // 0: this is before the first step: what is left is to multiply.
    has_frame: u32,
    // Where this frame begins in `gates`: inputs, and products. Where the products of the step after begin.
    inputs_first: u32,
    products_first: u32,
    next_first: u32,
    // Where this frame begins in dy.
    dy_first: u32,
    // The slot of the states before this frame, and slots.
    slot: u32,
    slots: u32,
    has_lengths: u32,
    resets_first: u32,
    reset_words: u32,
    zone_first: u32,
    zone_others: u32,
    seed: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [hidden, CELL_ROWS, hidden]
@group(0) @binding(1)
var<storage, read> weight_transposed: array<f32>;
@group(0) @binding(2)
var<storage, read> units: array<f32>;
@group(0) @binding(3)
var<storage, read> sequences: array<u32>;
// [CELL_STATES, slots, batch, hidden]
@group(0) @binding(4)
var<storage, read> states: array<f32>;
// [frames, batch, hidden]
@group(0) @binding(5)
var<storage, read> dy: array<f32>;
// Of each frame [batch, CELL_INPUTS, hidden], and, unless they were added to those, [batch, CELL_ROWS, hidden] with bias.
@group(0) @binding(6)
var<storage, read_write> gates: array<f32>;
// [CELL_STATES + CELL_PARAMETERS, batch, hidden]: gradients of the states after this step, but for what comes by the
// weights; sums of those of the parameters.
@group(0) @binding(7)
var<storage, read_write> carry: array<f32>;

#import cell_sequences
#import cell_units
#import zoneout

const UNITS = 4u;
const LANES = 64u;
const MAX_BATCH = 8u;
override BATCH: u32 = 4u;
alias Rows = f32;
#import lane_sum

fn weights_at(at: u32) -> Rows {
    return weight_transposed[at];
}

fn carried(at: u32) -> f32 {
    return gates[params.next_first + at];
}
#import lane_product
#import lane_pieces

// Lane k is at + k * pitch, for the first `count`.
fn gates_at(at: u32, count: u32) -> vec4f {
    var v = vec4f();
    if (count > 0u) {
        v.x = gates[at];
    }
    if (count > 1u) {
        v.y = gates[at + params.hidden];
    }
    if (count > 2u) {
        v.z = gates[at + 2u * params.hidden];
    }
    if (count > 3u) {
        v.w = gates[at + 3u * params.hidden];
    }
    return v;
}

fn set_gates(at: u32, count: u32, v: vec4f) {
    if (count > 0u) {
        gates[at] = v.x;
    }
    if (count > 1u) {
        gates[at + params.hidden] = v.y;
    }
    if (count > 2u) {
        gates[at + 2u * params.hidden] = v.z;
    }
    if (count > 3u) {
        gates[at + 3u * params.hidden] = v.w;
    }
}

fn carry_at(at: u32, count: u32) -> vec4f {
    var v = vec4f();
    if (count > 0u) {
        v.x = carry[at];
    }
    if (count > 1u) {
        v.y = carry[at + plane()];
    }
    if (count > 2u) {
        v.z = carry[at + 2u * plane()];
    }
    if (count > 3u) {
        v.w = carry[at + 3u * plane()];
    }
    return v;
}

fn set_carry(at: u32, count: u32, v: vec4f) {
    if (count > 0u) {
        carry[at] = v.x;
    }
    if (count > 1u) {
        carry[at + plane()] = v.y;
    }
    if (count > 2u) {
        carry[at + 2u * plane()] = v.z;
    }
    if (count > 3u) {
        carry[at + 3u * plane()] = v.w;
    }
}

// The states of a unit before this frame. `at` is n * hidden + unit.
fn states_at(at: u32) -> vec4f {
    let first = params.slot * plane() + at;
    let pitch = params.slots * plane();
    var s = vec4f(states[first], 0.0, 0.0, 0.0);
    if (CELL_STATES > 1u) {
        s.y = states[pitch + first];
    }
    if (CELL_STATES > 2u) {
        s.z = states[2u * pitch + first];
    }
    if (CELL_STATES > 3u) {
        s.w = states[3u * pitch + first];
    }
    return s;
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
            s = states_at(at);
            x = gates_at(inputs, CELL_INPUTS);
            if (CELL_SUMMED == 0u) {
                r = gates_at(products, CELL_ROWS);
            }
            d.x += dy[params.dy_first + at];
        }
    }

    let unit = min(group.x * UNITS + local / LANES, hidden - 1u);
    let end = select(0u, rows, params.has_next != 0u && CELL_ROWS > 0u);
    if (BATCH > 1u) {
        multiply_pieces(unit * rows, first, rows, end, local, subgroup_size);
    } else {
        multiply(unit * rows, first, rows, end, local, subgroup_size);
    }

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
            g.s = select(g.s, vec4f(), begins_anew(n, params.frame));
            if (CELL_PARAMETERS > 0u) {
                let sums = at + CELL_STATES * plane();
                set_carry(sums, CELL_PARAMETERS, carry_at(sums, CELL_PARAMETERS) + g.p);
            }
        }
        set_carry(at, CELL_STATES, g.s);
        if (params.has_frame != 0u) {
            set_gates(inputs, CELL_INPUTS, g.x);
            if (CELL_SUMMED == 0u) {
                set_gates(products, CELL_ROWS, g.r);
            }
        }
    }
}
