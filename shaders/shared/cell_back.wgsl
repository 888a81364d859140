// What kernels that run many steps of cells backward share: their buffers, and what a unit reads and writes at one frame. Gates were
// computed again for all frames; their gradients take their place.
// In the slot: the cell.
#slot cell

struct Params {
    batch: u32,
    hidden: u32,
    // Frames of this launch: `first`, whose step is the last of them, and as many as there are before it, or after it if the
    // layer is `reversed`.
    first: u32,
    frames: u32,
    reversed: u32,
    // Where frame `first` begins in `gates`: inputs, and products. Where it begins in dy.
    inputs_first: u32,
    products_first: u32,
    dy_first: u32,
    // The slot of the states before `first`, and slots: those of all frames, in their order.
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
// [CELL_ROWS, hidden, hidden]
@group(0) @binding(1)
var<storage, read> weight_hh: array<f32>;
// [CELL_ROWS + CELL_PARAMETERS, hidden]
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
// [UNDONE + 1, batch, hidden]: gradients of the states after this launch, then before it; sums of those of the parameters, and where
// there are norms of their gains and biases; as bits, how many steps of the persistent tier are left undone, which is 0
// between launches. Behind them, in whole windows, [lines of the stretch, spans]: what products were multiplied with to be
// normalised, which they are in `gates`, but for gain and bias. And what cell/state_sums.wgsl gives.
@group(0) @binding(7)
var<storage, read_write> carry: array<f32>;

#import cell_sequences
#import cell_units
#import zoneout
#import cell_gates
#import cell_carry

const GAIN_SUMS = CELL_STATES + CELL_PARAMETERS;
const STATE_SUMS = GAIN_SUMS + min(CELL_NORM, 1u) * CELL_NORM_GAIN * CELL_ROWS;
const BIAS_SUMS = STATE_SUMS + CELL_STATE_GAIN + CELL_STATE_BIAS;
const UNDONE = BIAS_SUMS + min(CELL_NORM, 1u) * 2u * CELL_ROWS;

// The frame of step k of this launch, counted from the last, and frames from `first` to it in memory, which may be negative.
fn frame_of(k: u32) -> u32 {
    return select(params.first - k, params.first + k, params.reversed != 0u);
}

fn frame_at(first: u32, frame: u32, length: u32) -> u32 {
    return first + (frame - params.first) * length;
}

// Steps of a unit that are left undone.
fn undone_at(at: u32) -> u32 {
    return bitcast<u32>(carry[UNDONE * plane() + at]);
}

fn set_undone(at: u32, steps: u32) {
    carry[UNDONE * plane() + at] = bitcast<f32>(steps);
}

// What a unit takes at a frame.
struct Before {
    x: vec4f,
    r: vec4f,
    s: vec4f,
    dy: f32,
}

fn inputs_at(frame: u32, n: u32, unit: u32) -> u32 {
    return frame_at(params.inputs_first, frame, plane() * CELL_INPUTS) + n * CELL_INPUTS * params.hidden + unit;
}

fn products_at(frame: u32, n: u32, unit: u32) -> u32 {
    return frame_at(params.products_first, frame, plane() * CELL_ROWS) + n * CELL_ROWS * params.hidden + unit;
}

fn before_at(frame: u32, n: u32, unit: u32) -> Before {
    var before = Before();
    before.x = gates_at(inputs_at(frame, n, unit), CELL_INPUTS);
    if (CELL_SUMMED == 0u) {
        before.r = gates_at(products_at(frame, n, unit), CELL_ROWS);
    }
    let at = n * params.hidden + unit;
    before.s = states_at(frame_at(params.slot, frame, 1u), at);
    before.dy = dy[frame_at(params.dy_first, frame, plane()) + at];
    return before;
}

// One unit at one frame of a sequence that runs; d: the gradient of its new states, y included.
fn unit_gradient(frame: u32, at: u32, before: Before, p: vec4f, m: vec4f, d: vec4f) -> CellGradient {
    let keeps = kept_states(frame, at);
    var g = cell_gradient(before.x, before.r, before.s, p, m, select(d, vec4f(), keeps));
    g.s += select(vec4f(), d, keeps);
    return g;
}

// Its gradients take the place of what they are of.
fn set_gradients(frame: u32, n: u32, unit: u32, g: CellGradient) {
    set_gates(inputs_at(frame, n, unit), CELL_INPUTS, g.x);
    if (CELL_SUMMED == 0u) {
        set_gates(products_at(frame, n, unit), CELL_ROWS, g.r);
    }
}
