// CTC alignment: the best path, walked back through the choices of the sweep, and the posterior of each
// of its states. Twin: src/cpu/ctc/trace.rs.
//
// One workgroup an utterance. A path moves by at most a column a frame: the choices that ROUND frames
// can need are loaded together, and one invocation follows them.
#import ctc_layout
#import ctc_occupancy
#import lattice_status

struct Params {
    // The first utterance of the launch.
    first_utterance: u32,
    count: u32,
    // N.
    utterances: u32,
    // The first row and chunk that the workspace holds.
    workspace_row: u32,
    workspace_chunk: u32,
    // Groups of columns a frame.
    groups: u32,
    // Elements of one direction in `lattice` and `anchors`.
    lattice_stride: u32,
    anchor_stride: u32,
    // Rows of the whole batch.
    rows: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> batch: array<u32>;
// Of each group of a chunk, a word a column: four bits a frame. Bit 0: whether the blank is entered from the
// label before; bits 1 and 2: whether the label is entered from its blank, or from the label before.
@group(0) @binding(2)
var<storage, read> choices: array<vec4u>;
@group(0) @binding(3)
var<storage, read> lattice: array<vec4f>;
@group(0) @binding(4)
var<storage, read> anchors: array<vec4i>;
@group(0) @binding(5)
var<storage, read> results: array<u32>;
// Of each row of the batch the state, twice the column and 1 for a label; then the bits of the
// posteriors.
@group(0) @binding(6)
var<storage, read_write> path: array<u32>;

const WORKGROUP = 64u;
// Chunks and frames that are walked together.
const ROUND_CHUNKS = 4u;
const ROUND = ROUND_CHUNKS * CHUNK;
// Groups that a path can visit in them.
const REACH = ROUND / 4u + 1u;
const NO_STATE = 0xffffffffu;

var<workgroup> wg_choices: array<vec4u, ROUND_CHUNKS * REACH>;
// The states of the round's frames; the last is that which the next round begins with.
var<workgroup> wg_states: array<u32, ROUND + 1u>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group.x + group.y * groups.x;
    let n = params.first_utterance + min(number, params.count - 1u);
    let utterance = utterance(n);
    let ok = results[STATUS * params.utterances + n] == STATUS_OK;
    // One choice more than frames: that of the last state.
    let steps = select(0u, utterance.frames + 1u, number < params.count && utterance.frames > 0u);
    let rounds = (steps + ROUND - 1u) / ROUND;
    let first_chunk = utterance.first_chunk - params.workspace_chunk;
    if (local == 0u) {
        wg_states[0] = 2u * utterance.labels;
    }
    for (var left = rounds; left > 0u; left--) {
        workgroupBarrier();
        let chunk = (left - 1u) * ROUND_CHUNKS;
        let begin = chunk * CHUNK;
        let state = wg_states[0];
        let top = state / 8u;
        for (var i = local; i < ROUND_CHUNKS * REACH; i += WORKGROUP) {
            let c = min(chunk + i / REACH, (steps - 1u) / CHUNK);
            let g = top - min(i % REACH, top);
            wg_choices[i] = choices[(first_chunk + c) * params.groups + g];
        }
        workgroupBarrier();
        if (local == 0u) {
            // wg_states[i] is the state of frame begin - 1 + i.
            var s = state;
            let last = min(ROUND, steps - begin);
            for (var i = last; i > 0u; i--) {
                let k = begin + i - 1u;
                let column = s / 2u;
                let words = wg_choices[(i - 1u) / CHUNK * REACH + top - column / 4u];
                let bits = words[column % 4u] >> (4u * (k % CHUNK));
                // Down by as many states as were skipped in coming here.
                s -= select(bits & 1u, (bits >> 1u) & 3u, s % 2u == 1u);
                wg_states[i - 1u] = s;
            }
        }
        workgroupBarrier();
        for (var i = local; i < ROUND; i += WORKGROUP) {
            // Step k chose the state of frame k - 1.
            let t = begin + i - 1u;
            if (begin + i > 0u && begin + i < steps) {
                let s = wg_states[i];
                let row = utterance.first_row + t;
                let at = frame_place(utterance, n, t, row - params.workspace_row);
                path[row] = select(NO_STATE, s, ok);
                path[params.rows + row] = select(0u, bitcast<u32>(min(occupancy(at, s / 2u, s % 2u), 1.0)), ok);
            }
        }
    }
}
