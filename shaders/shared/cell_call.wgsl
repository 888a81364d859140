// What kernels that run cells forward share: their buffers, but for y, and what a unit reads and writes at one frame.
// In the slot: the cell.
#slot cell

struct Params {
    batch: u32,
    hidden: u32,
    // Frames that this launch runs: `first`, and as many as there are after it, or before it if `reversed`.
    first: u32,
    frames: u32,
    reversed: u32,
    // Where frame `first` begins in gx and in y, in elements.
    gx_first: u32,
    y_first: u32,
    // Steps that came before this launch.
    steps: u32,
    // Steps of the call.
    all_steps: u32,
    // States are kept for so many steps in turn, at least two.
    slots: u32,
    has_lengths: u32,
    // Words before the bits of the frames that begin anew in `sequences`, 0 if there are none; words a frame.
    resets_first: u32,
    reset_words: u32,
    // Zoneout: of 2^32 how often a state keeps its value; of h, and of all others.
    zone_first: u32,
    zone_others: u32,
    seed: u32,
    // 1: it does not, but becomes the mean of what would be.
    zone_means: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [frames, batch, CELL_INPUTS, hidden]: the input projection, bias_ih included.
@group(0) @binding(1)
var<storage, read> gx: array<f32>;
// [CELL_ROWS, hidden, hidden]; COOP: as cell/pack_rows.wgsl leaves them; F16: two in a word
@group(0) @binding(2)
#ifdef COOP
var<storage, read> weight_hh: array<vec4<f16>>;
#else
#ifdef F16
var<storage, read> weight_hh: array<u32>;
#else
#ifdef PACK4
var<storage, read> weight_hh: array<vec4f>;
#else
var<storage, read> weight_hh: array<f32>;
#endif
#endif
#endif
// [CELL_ROWS + CELL_PARAMETERS, hidden]: bias_hh, then the parameters.
@group(0) @binding(3)
var<storage, read> units: array<f32>;
// [batch] lengths; [CELL_MASKS, batch, hidden] masks, as bits; frames that begin anew, a bit a sequence.
@group(0) @binding(4)
var<storage, read> sequences: array<u32>;
// [CELL_STATES, slots, batch, hidden]: the states before each step, in the order of the frames.
@group(0) @binding(5)
var<storage, read_write> states: array<f32>;

#import cell_sequences

// Where the h of all sequences begins before a step, in `states`.
fn slot_at(step: u32) -> u32 {
    return select(step, params.all_steps - step, params.reversed != 0u) % params.slots * plane();
}

// The states of a unit before a step. `at` is n * hidden + unit.
fn states_at(step: u32, at: u32) -> vec4f {
    var s = vec4f();
    let first = slot_at(step) + at;
    let pitch = params.slots * plane();
    s.x = states[first];
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

// What they are before a step that takes `frame`; after the last one no frame begins anew.
fn states_before(step: u32, frame: u32, n: u32, after: vec4f) -> vec4f {
    return select(after, vec4f(), step < params.all_steps && begins_anew(n, frame));
}

// Sets them before a step.
fn set_states(step: u32, at: u32, s: vec4f) {
    let first = slot_at(step) + at;
    let pitch = params.slots * plane();
    states[first] = s.x;
    if (CELL_STATES > 1u) {
        states[pitch + first] = s.y;
    }
    if (CELL_STATES > 2u) {
        states[2u * pitch + first] = s.z;
    }
    if (CELL_STATES > 3u) {
        states[3u * pitch + first] = s.w;
    }
}

// The frame of step k of this launch, and frames before it in memory, which may be negative.
fn frame_of(k: u32) -> u32 {
    return select(params.first + k, params.first - k, params.reversed != 0u);
}

fn frame_at(first: u32, frame: u32, length: u32) -> u32 {
    return first + (frame - params.first) * length;
}

// The gates of the input projection of a unit at a frame.
fn inputs_at(frame: u32, n: u32, unit: u32) -> vec4f {
    let row = CELL_INPUTS * params.hidden;
    let at = frame_at(params.gx_first, frame, params.batch * row) + n * row + unit;
    var x = vec4f(gx[at], 0.0, 0.0, 0.0);
    if (CELL_INPUTS > 1u) {
        x.y = gx[at + params.hidden];
    }
    if (CELL_INPUTS > 2u) {
        x.z = gx[at + 2u * params.hidden];
    }
    if (CELL_INPUTS > 3u) {
        x.w = gx[at + 3u * params.hidden];
    }
    return x;
}

#import cell_units
#import zoneout

// One unit at one frame: the new states of a sequence that runs.
fn unit_step(frame: u32, at: u32, unit: u32, x: vec4f, r: vec4f, s: vec4f) -> vec4f {
    let after = cell_update(x, r + bias_at(unit), s, parameters_at(unit), masks_at(at));
    return zoned_out(frame, at, after, s);
}

// The new states, with zoneout.
fn zoned_out(frame: u32, at: u32, after: vec4f, s: vec4f) -> vec4f {
    if (params.zone_means != 0u) {
        return mix(after, s, vec4f(f32(params.zone_first), vec3f(f32(params.zone_others))) * 2.3283064e-10);
    }
    return select(after, s, kept_states(frame, at));
}
