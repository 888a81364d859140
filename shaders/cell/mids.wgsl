// What the second product of a cell multiplies, for all frames of a stretch: of the gates that were computed again.
// Twin: src/cpu/cells/mid.rs.
#slot cell

struct Params {
    batch: u32,
    hidden: u32,
    frames: u32,
    // Where the first frame begins in `gates`: inputs, and products; and its states in theirs, by slots.
    inputs_first: u32,
    products_first: u32,
    slot_first: u32,
    slots: u32,
    // The first frame.
    first: u32,
    has_lengths: u32,
    resets_first: u32,
    reset_words: u32,
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
@group(0) @binding(4)
var<storage, read_write> gates: array<f32>;
// [frames, batch, hidden]
@group(0) @binding(5)
var<storage, read_write> mids: array<f32>;

#import cell_sequences
#import cell_units
#import cell_gates

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (number < params.frames * plane()) {
        let frame = number / plane();
        let at = number % plane();
        let n = at / params.hidden;
        let unit = at % params.hidden;
        let line = frame * params.batch + n;
        var mid = 0.0;
        if (runs(n, params.first + frame)) {
            let x = gates_at(params.inputs_first + line * CELL_INPUTS * params.hidden + unit, CELL_INPUTS);
            let r = gates_at(params.products_first + line * CELL_ROWS * params.hidden + unit, CELL_ROWS - CELL_SECOND);
            let s = states_at(params.slot_first + frame, at);
            mid = cell_mid(x, r, s, parameters_at(unit), masks_at(at));
        }
        mids[number] = mid;
    }
}
