// What the sweeps of CTC share: params, the walk through frames and units, and how it ends.
// The importing kernel declares UNITS, the units of a group of four columns.
#import ctc_layout
#import lattice_status
#import scaled

struct Params {
    // The first utterance of the launch, and how many.
    first_utterance: u32,
    count: u32,
    // N.
    utterances: u32,
    // 1: forward only. 2: both.
    directions: u32,
    // 1: every frame's variables are kept. 0: those of the last chunk.
    kept: u32,
    // The first row and chunk that the workspace holds.
    workspace_row: u32,
    workspace_chunk: u32,
    // Groups of columns a frame.
    groups: u32,
    // Elements of one direction in `lattice` and `anchors`; what no state wants is stored beyond them.
    lattice_stride: u32,
    anchor_stride: u32,
    lattice_dump: u32,
    anchor_dump: u32,
    // Where the edges of blocks begin in `anchors`, and elements of one.
    edges_at: u32,
    edge_stride: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> batch: array<u32>;
// Of each frame: weight of the blank, bits of the log2 normaliser.
@group(0) @binding(3)
var<storage, read> frames: array<vec2u>;
@group(0) @binding(6)
var<storage, read_write> results: array<u32>;

// Invocations of the workgroup, a multiple of 32.
override WIDTH: u32 = 256u;

// The anchor of column 0 in the first chunk of an utterance and direction that the sweep in floats leaves to the
// other one: no exponent comes near.
const LEFT = 0x7fffffff;

// What one workgroup walks.
struct Walk {
    utterance: Utterance,
    // Its number within the launch.
    slot: u32,
    backward: bool,
    // Units, steps; nothing to walk: 0.
    units: u32,
    steps: u32,
}

// Walk `number` of the launch, with so many steps more than there are frames.
fn walk_of(number: u32, more: u32) -> Walk {
    let exists = number < params.count * params.directions;
    let slot = select(0u, number / params.directions, exists);
    let n = params.first_utterance + slot;
    let utterance = utterance(n);
    let none = !exists || utterance.frames == 0u;
    return Walk(
        utterance,
        slot,
        number % params.directions == 1u,
        select(UNITS * groups_of(utterance), 0u, none),
        select(utterance.frames + more, 0u, none),
    );
}

// The unit that invocation j of the whole width holds.
fn unit_of(walk: Walk, j: u32) -> u32 {
    let unit = min(j, max(walk.units, 1u) - 1u);
    return select(unit, walk.units - 1u - unit, walk.backward);
}

// The row of step k in the workspace; the last one's after it.
fn row_at(walk: Walk, k: u32) -> u32 {
    let step = min(k, max(walk.utterance.frames, 1u) - 1u);
    let t = select(step, walk.utterance.frames - 1u - step, walk.backward);
    return walk.utterance.first_row + t - params.workspace_row;
}

// Where the blanks of a unit at step k are stored (the labels UNITS later), and their anchors.
fn lattice_at(walk: Walk, k: u32, unit: u32) -> u32 {
    let row = select(walk.slot * CHUNK + k % CHUNK, row_at(walk, k), params.kept == 1u);
    let group = 2u * (row * params.groups + unit / UNITS);
    return (select(0u, params.lattice_stride, walk.backward) + group) * UNITS + unit % UNITS;
}

fn anchor_at(walk: Walk, k: u32, unit: u32) -> u32 {
    let chunk = select(walk.slot, walk.utterance.first_chunk + k / CHUNK - params.workspace_chunk, params.kept == 1u);
    return (select(0u, params.anchor_stride, walk.backward) + chunk * params.groups) * UNITS + unit;
}

fn blank_at(walk: Walk, k: u32) -> u32 {
    return frames[row_at(walk, k)].x;
}

// Whether label u may follow the one before without a blank between them; of none it is no matter.
fn skips(walk: Walk, u: u32) -> u32 {
    var skip = true;
    if (u > 0u && u < walk.utterance.labels) {
        skip = batch[walk.utterance.labels_at + u] != batch[walk.utterance.labels_at + u - 1u];
    }
    return select(0u, 1u, skip);
}

// What all paths bring, from the last frame's forward variables, which the importing kernel's `variable` reads.
fn total_of(walk: Walk) -> Scaled {
    let labels = walk.utterance.labels;
    var total = scaled_zero();
    if (walk.steps > 0u) {
        let last = walk.steps - 1u;
        total = variable(walk, last, labels, 0u);
        if (labels > 0u) {
            total = scaled_add(total, variable(walk, last, labels - 1u, 1u));
        }
    } else if (labels == 0u) {
        // Nothing in no time.
        total = scaled_one();
    }
    return scaled_tidy(total);
}

// Cost and status from what all paths bring.
fn finish(walk: Walk, total: Scaled) {
    let n = params.first_utterance + walk.slot;
    var status = STATUS_OK;
    var cost = bitcast<u32>((f32(-total.e) - log2(max(total.m, 1.0))) * LN_2);
    if ((results[SEEN * params.utterances + n] & STATUS_NON_FINITE) == STATUS_NON_FINITE) {
        status = STATUS_NON_FINITE;
        cost = 0x7fc00000u;
    } else if (total.m == 0.0) {
        status = STATUS_INFEASIBLE;
        cost = 0x7f800000u;
    }
    results[STATUS * params.utterances + n] = status;
    results[COST * params.utterances + n] = cost;
    results[EXPONENT * params.utterances + n] = bitcast<u32>(total.e);
    results[MANTISSA * params.utterances + n] = bitcast<u32>(log2(max(total.m, 1.0)));
}
