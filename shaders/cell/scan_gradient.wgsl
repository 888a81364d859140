// Cells without a product, backward: an invocation is a unit of a sequence, which walks the frames of a launch from the last
// to the first. Gates were computed again for all frames; their gradients take their place.
// Twin: src/cpu/cells/scan_gradient.rs.
#slot cell

struct Params {
    batch: u32,
    hidden: u32,
    // The frame of the last step of this launch, and frames before it, or after it if `reversed`.
    last: u32,
    frames: u32,
    reversed: u32,
    // Where frame `last` begins in `gates` and in dy, and its states in theirs, by slots.
    gates_last: u32,
    dy_last: u32,
    slot_last: u32,
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
@group(0) @binding(1)
var<storage, read> units: array<f32>;
@group(0) @binding(2)
var<storage, read> sequences: array<u32>;
// [CELL_STATES, slots, batch, hidden]
@group(0) @binding(3)
var<storage, read> states: array<f32>;
// [frames, batch, hidden]
@group(0) @binding(4)
var<storage, read> dy: array<f32>;
// [frames, batch, CELL_INPUTS, hidden]
@group(0) @binding(5)
var<storage, read_write> gates: array<f32>;
// [CELL_STATES + CELL_PARAMETERS, batch, hidden]: gradients of the states after the last step; sums of those of the parameters.
@group(0) @binding(6)
var<storage, read_write> carry: array<f32>;

#import cell_sequences
#import cell_units
#import cell_gates
#import cell_carry
#import zoneout

// What came before step k, counted from the last, in memory: k frames, but frames run the other way where `reversed`.
fn back(last: u32, k: u32, length: u32) -> u32 {
    return select(last - k * length, last + k * length, params.reversed != 0u);
}

// What one step needs.
struct Known {
    x: vec4f,
    s: vec4f,
    dy: f32,
}

fn known_at(step: u32, n: u32, unit: u32) -> Known {
    let k = min(step, params.frames - 1u);
    let at = n * params.hidden + unit;
    let row = CELL_INPUTS * params.hidden;
    let x = gates_at(back(params.gates_last, k, params.batch * row) + n * row + unit, CELL_INPUTS);
    return Known(x, states_at(back(params.slot_last, k, 1u), at), dy[back(params.dy_last, k, plane()) + at]);
}

// Gradients of the states before a step, and sums of those of the parameters.
struct Sums {
    s: vec4f,
    p: vec4f,
}

fn one(k: u32, n: u32, unit: u32, known: Known, after: Sums) -> Sums {
    if (k >= params.frames) {
        return after;
    }
    let frame = back(params.last, k, 1u);
    let at = n * params.hidden + unit;
    let row = CELL_INPUTS * params.hidden;
    var sums = after;
    var dx = vec4f();
    if (runs(n, frame)) {
        let d = after.s + vec4f(known.dy, 0.0, 0.0, 0.0);
        let keeps = kept_states(frame, at);
        let g = cell_gradient(known.x, vec4f(), known.s, parameters_at(unit), masks_at(at), select(d, vec4f(), keeps));
        sums.s = select(g.s + select(vec4f(), d, keeps), vec4f(), begins_anew(n, frame));
        sums.p += g.p;
        dx = g.x;
    }
    set_gates(back(params.gates_last, k, params.batch * row) + n * row + unit, CELL_INPUTS, dx);
    return sums;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 64u;
    if (number < plane()) {
        let n = number / params.hidden;
        let unit = number % params.hidden;
        let parameters = number + CELL_STATES * plane();
        var sums = Sums(carry_at(number, CELL_STATES), carry_at(parameters, CELL_PARAMETERS));
        var next0 = known_at(0u, n, unit);
        var next1 = known_at(1u, n, unit);
        for (var k = 0u; k < params.frames; k += 2u) {
            let own0 = next0;
            let own1 = next1;
            next0 = known_at(k + 2u, n, unit);
            next1 = known_at(k + 3u, n, unit);
            sums = one(k, n, unit, own0, sums);
            sums = one(k + 1u, n, unit, own1, sums);
        }
        set_carry(number, CELL_STATES, sums.s);
        set_carry(parameters, CELL_PARAMETERS, sums.p);
    }
}
