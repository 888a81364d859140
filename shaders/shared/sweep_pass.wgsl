// What the sweeps of transducer lattices share: the walk through the lines, and how it ends.
// The importing kernel declares its Walk, whose members named here are: utterance, backward, columns (places
// of a line), places (of all lines). And `lattice`, the forward, then the backward variables, as log2 relative
// to an anchor.
#import lattice_layout
#import lattice_status
#import scaled
#import sweep_params

// Exponents that the variables are relative to: forward, backward.
@group(0) @binding(4)
var<storage, read_write> anchors: array<i32>;
// Status words [N], cost bits [N], log2 of the total: exponents [N], rests [N].
@group(0) @binding(5)
var<storage, read_write> results: array<u32>;

// Columns of a block = invocations of the workgroup, a multiple of 32.
override WIDTH: u32 = 128u;

var<workgroup> wg_wide: bool;

// The line of step k, as the place of its column 0. Steps outside of the lattice get some line.
fn line_of(walk: Walk, k: i32) -> u32 {
    let lines = i32(walk.utterance.lines);
    let diagonal = select(k, lines + i32(walk.utterance.labels) - 1 - k, walk.backward);
    return u32((diagonal % lines + lines) % lines) * walk.columns;
}

// The line of the next step.
fn next_line(walk: Walk, line: u32) -> u32 {
    if (walk.backward) {
        return select(line, walk.places, line == 0u) - walk.columns;
    }
    let next = line + walk.columns;
    return select(next, 0u, next == walk.places);
}

// Position of column j; any column's where there is none.
fn position(walk: Walk, j: u32) -> u32 {
    let column = min(j, walk.utterance.labels);
    return select(column, walk.utterance.labels - column, walk.backward);
}

// Whether column j has a pair at step k. Before its first step k - j wraps.
fn is_pair(walk: Walk, k: u32, j: u32) -> bool {
    return k - j < walk.utterance.lines && j <= walk.utterance.labels;
}

// Status and cost of utterance n, and what the gradient pass needs of its total.
fn finish(n: u32, is_empty: bool, total: Scaled) {
    var status = results[n] & STATUS_NON_FINITE;
    // +inf, as bits: no float holds it in WGSL.
    var cost = 0x7f800000u;
    var exponent = 0;
    var rest = 0.0;
    if (is_empty) {
        status = STATUS_EMPTY;
    } else if (status == STATUS_NON_FINITE) {
        cost = 0x7fc00000u;
    } else if (total.m == 0.0) {
        status = STATUS_INFEASIBLE;
    } else {
        exponent = total.e;
        rest = log2(total.m);
        cost = bitcast<u32>(-LN_2 * (f32(exponent) + rest));
    }
    // The other direction may have yet to look whether weights are wide.
    results[n] = status | (results[n] & STATUS_WIDE);
    results[params.utterances + n] = cost;
    results[2u * params.utterances + n] = bitcast<u32>(exponent);
    results[3u * params.utterances + n] = bitcast<u32>(rest);
}
