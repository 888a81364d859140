// Sweep: forward and backward variables of every cell, diagonal by diagonal, and the cost.
// Twin: src/cpu/lattice.rs::sweep. Params twin: src/lattice/plan.rs::SweepParams.
//
// One workgroup walks one utterance in one direction. The backward walk is the forward walk in
// mirrored coordinates: step k is diagonal k or last - k, column j is position j or labels - j.
// With f = 1 forward, 0 backward, a step is
//   x[k, j] = log_add(x[k-1, j] + blank[k-f, j], x[k-1, j-1] + label[k-f, j-f]).
// Lattices wider than the workgroup are cut into blocks of columns, walked one after the other; a block
// reads the last column of the block before it back from the lattice.
#import log_math
#import lattice_status

struct Params {
    // T, of the tensor.
    frames: u32,
    // U1 = most labels + 1, of the tensor.
    positions: u32,
    // N, of the whole batch.
    utterances: u32,
    // The chunk: the planes hold only these utterances.
    first_utterance: u32,
    chunk: u32,
    // 1: forward only. 2: both.
    directions: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// Frames [N], labels [N], targets [N, U1 - 1].
@group(0) @binding(1)
var<storage, read> batch: array<u32>;
// [chunk, 3, D, U1]: blank, label, normaliser.
@group(0) @binding(2)
var<storage, read> arcs: array<f32>;
// [chunk, directions, D, U1]: forward, backward variables.
@group(0) @binding(3)
var<storage, read_write> lattice: array<f32>;
// Status words [N], cost bits [N].
@group(0) @binding(4)
var<storage, read_write> results: array<u32>;

// Columns of a block = invocations of the workgroup: 32, 64, 128 or 256.
override WIDTH: u32 = 256u;

// What one workgroup walks.
struct Walk {
    backward: bool,
    // Of this utterance. No frames: nothing to walk.
    frames: u32,
    labels: u32,
    // First elements of its planes.
    arcs: u32,
    lattice: u32,
    // Cells of a plane.
    plane: u32,
}

fn cell(walk: Walk, k: u32, j: u32) -> u32 {
    let diagonal = select(k, walk.frames + walk.labels - 1u - k, walk.backward);
    return diagonal * params.positions + select(j, walk.labels - j, walk.backward);
}

// Whether step k of column j is a cell. Steps before the first one wrap to huge numbers.
fn is_cell(walk: Walk, k: u32, j: u32) -> bool {
    return k - j < walk.frames && j <= walk.labels;
}

// Weight of the arc that stays in the column. Where no arc enters, x[k-1, j] is log 0 and any finite
// weight will do; memory there may hold anything. The very first cell is entered with weight 1.
fn blank_into(walk: Walk, k: u32, j: u32) -> f32 {
    let back = select(1u, 0u, walk.backward);
    let known = is_cell(walk, k, j) && (walk.backward || k > j);
    return select(0.0, arcs[select(0u, walk.arcs + cell(walk, k - back, j), known)], known);
}

// Weight of the arc that comes from the column before.
fn label_into(walk: Walk, k: u32, j: u32) -> f32 {
    let back = select(1u, 0u, walk.backward);
    let known = is_cell(walk, k, j) && (walk.backward || j > 0u);
    return select(0.0, arcs[select(0u, walk.arcs + walk.plane + cell(walk, k - back, j - back), known)], known);
}

// x[k-1, first-1]: what the block before left at the edge of the block that begins at column first.
fn edge_into(walk: Walk, k: u32, first: u32) -> f32 {
    let known = first > 0u && k - first < walk.frames;
    return select(LOG_ZERO, lattice[select(0u, walk.lattice + cell(walk, k - 1u, first - 1u), known)], known);
}

// Four steps' weights at once: their loads overlap.
fn blanks_into(walk: Walk, k: u32, j: u32) -> vec4f {
    return vec4f(blank_into(walk, k, j), blank_into(walk, k + 1u, j), blank_into(walk, k + 2u, j), blank_into(walk, k + 3u, j));
}

fn labels_into(walk: Walk, k: u32, j: u32) -> vec4f {
    return vec4f(label_into(walk, k, j), label_into(walk, k + 1u, j), label_into(walk, k + 2u, j), label_into(walk, k + 3u, j));
}

fn edges_into(walk: Walk, k: u32, first: u32) -> vec4f {
    return vec4f(edge_into(walk, k, first), edge_into(walk, k + 1u, first), edge_into(walk, k + 2u, first), edge_into(walk, k + 3u, first));
}

// One cell: its value is stored and returned, log 0 where there is none.
fn enter(walk: Walk, k: u32, j: u32, stay: f32, come: f32) -> f32 {
    if (!is_cell(walk, k, j)) {
        return LOG_ZERO;
    }
    let x = log_add(stay, come);
    lattice[walk.lattice + cell(walk, k, j)] = x;
    return x;
}

#ifdef SUBGROUPS
const MIN_SUBGROUP_SIZE = 4u;
// Steps between two barriers, a multiple of 4.
const CHUNK = 16u;
// What the last column of each subgroup held before each step of a chunk, twice: one half is read
// while the other is written.
var<workgroup> wg_edges: array<vec4f, 2u * 256u / MIN_SUBGROUP_SIZE * (CHUNK / 4u)>;

fn edges_at(half: u32, subgroup: u32, part: u32) -> u32 {
    return (half * (256u / MIN_SUBGROUP_SIZE) + subgroup) * (CHUNK / 4u) + part;
}

// Neighbours exchange by shuffles. Subgroup s lags s chunks behind subgroup 0, so that the edge which
// it needs is complete: one barrier a chunk.
fn walk_block(walk: Walk, first: u32, local: u32, lane: u32, size: u32) {
    let j = first + local;
    let subgroup = local / size;
    let columns = min(WIDTH, walk.labels + 1u - first);
    let chunks = (walk.frames + columns - 1u + CHUNK - 1u) / CHUNK;
    let rounds = chunks + (columns + size - 1u) / size - 1u;
    var x = select(LOG_ZERO, 0.0, j == 0u);
    for (var round = 0u; round < rounds; round++) {
        for (var part = 0u; part < CHUNK / 4u; part++) {
            // Before a subgroup's first chunk k wraps or lies before its columns: no cell.
            let k = first + (round - subgroup) * CHUNK + 4u * part;
            let blank = blanks_into(walk, k, j);
            let label = labels_into(walk, k, j);
            var edge = wg_edges[edges_at((round + 1u) % 2u, max(subgroup, 1u) - 1u, part)];
            if (subgroup == 0u) {
                edge = edges_into(walk, k, first);
            }
            var before = vec4f(x);
            var left = subgroupShuffleUp(x, 1u);
            x = enter(walk, k, j, x + blank.x, select(left, edge.x, lane == 0u) + label.x);
            before.y = x;
            left = subgroupShuffleUp(x, 1u);
            x = enter(walk, k + 1u, j, x + blank.y, select(left, edge.y, lane == 0u) + label.y);
            before.z = x;
            left = subgroupShuffleUp(x, 1u);
            x = enter(walk, k + 2u, j, x + blank.z, select(left, edge.z, lane == 0u) + label.z);
            before.w = x;
            left = subgroupShuffleUp(x, 1u);
            x = enter(walk, k + 3u, j, x + blank.w, select(left, edge.w, lane == 0u) + label.w);
            if (lane == size - 1u) {
                wg_edges[edges_at(round % 2u, subgroup, part)] = before;
            }
        }
        workgroupBarrier();
    }
}
#else
// The columns after the even and after the odd steps: one is read while the other is written.
var<workgroup> wg_columns: array<f32, 512>;

fn step(walk: Walk, k: u32, j: u32, local: u32, x: f32, blank: f32, label: f32, edge: f32) -> f32 {
    let left = wg_columns[((k + 1u) % 2u) * 256u + max(local, 1u) - 1u];
    let next = enter(walk, k, j, x + blank, select(left, edge, local == 0u) + label);
    wg_columns[(k % 2u) * 256u + local] = next;
    workgroupBarrier();
    return next;
}

// Neighbours exchange through workgroup memory: one barrier a step.
fn walk_block(walk: Walk, first: u32, local: u32) {
    let j = first + local;
    let columns = min(WIDTH, walk.labels + 1u - first);
    let end = first + walk.frames + columns - 1u;
    var x = select(LOG_ZERO, 0.0, j == 0u);
    wg_columns[((first + 1u) % 2u) * 256u + local] = x;
    workgroupBarrier();
    for (var k = first; k < end; k += 4u) {
        let blank = blanks_into(walk, k, j);
        let label = labels_into(walk, k, j);
        let edge = edges_into(walk, k, first);
        x = step(walk, k, j, local, x, blank.x, label.x, edge.x);
        x = step(walk, k + 1u, j, local, x, blank.y, label.y, edge.y);
        x = step(walk, k + 2u, j, local, x, blank.z, label.z, edge.z);
        x = step(walk, k + 3u, j, local, x, blank.w, label.w, edge.w);
    }
}
#endif

@compute @workgroup_size(WIDTH)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
#ifdef SUBGROUPS
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
    let number = group.x + group.y * groups.x;
    let slot = min(number / params.directions, params.chunk - 1u);
    let exists = number < params.chunk * params.directions;
    let direction = number % params.directions;
    let utterance = params.first_utterance + slot;
    let plane = (params.frames + params.positions - 1u) * params.positions;
    let walk = Walk(
        direction == 1u,
        select(0u, batch[utterance], exists),
        batch[params.utterances + utterance],
        3u * slot * plane,
        (params.directions * slot + direction) * plane,
        plane,
    );
    let blocks = select(walk.labels / WIDTH + 1u, 0u, walk.frames == 0u);
    for (var block = 0u; block < blocks; block++) {
#ifdef SUBGROUPS
        walk_block(walk, block * WIDTH, local, subgroup_lane, subgroup_size);
#else
        walk_block(walk, block * WIDTH, local);
#endif
        // The next block, and the last lines, read what other invocations stored.
        storageBarrier();
    }

    if (local == 0u && exists && !walk.backward) {
        var status = results[utterance];
        // +inf, as bits: no float holds it in WGSL.
        var cost = 0x7f800000u;
        if (walk.frames == 0u) {
            status = STATUS_EMPTY;
        } else {
            let last = cell(walk, walk.frames + walk.labels - 1u, walk.labels);
            let total = lattice[walk.lattice + last] + arcs[walk.arcs + last];
            if (status == STATUS_NON_FINITE) {
                cost = 0x7fc00000u;
            } else if (is_log_zero(total)) {
                status = STATUS_INFEASIBLE;
            } else {
                cost = bitcast<u32>(-total);
            }
        }
        results[utterance] = status;
        results[params.utterances + utterance] = cost;
    }
}
