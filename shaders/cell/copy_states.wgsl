// Copies the states of all sequences from one slot of a buffer to one of another, or makes them zero: those of all
// sequences, or of those that begin anew at a frame. Either buffer may have states before those that are copied; in the
// destination those become zero.
// Twin: src/cpu/cells/states.rs.

struct Params {
    batch: u32,
    hidden: u32,
    states: u32,
    // States of each buffer before those that are copied.
    from_state: u32,
    to_state: u32,
    // Slots of each buffer, and the one that is meant.
    from_slots: u32,
    from_slot: u32,
    to_slots: u32,
    to_slot: u32,
    has_source: u32,
    // The frame.
    frame: u32,
    has_lengths: u32,
    resets_first: u32,
    reset_words: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [from_state + states, from_slots, batch, hidden]
@group(0) @binding(1)
var<storage, read> source: array<f32>;
@group(0) @binding(2)
var<storage, read> sequences: array<u32>;
// [to_state + states, to_slots, batch, hidden]
@group(0) @binding(3)
var<storage, read_write> destination: array<f32>;

#import cell_sequences

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (number < plane() * (params.to_state + params.states)) {
        let state = number / plane();
        let at = number % plane();
        var value = 0.0;
        if (params.has_source != 0u && state >= params.to_state && !begins_anew(at / params.hidden, params.frame)) {
            value = source[((state - params.to_state + params.from_state) * params.from_slots + params.from_slot) * plane() + at];
        }
        destination[(state * params.to_slots + params.to_slot) * plane() + at] = value;
    }
}
