// Products of a matrix with the vectors of all sequences, where nothing else can be done in the same dispatch: of cells whose
// products are normalised, forward and backward. A workgroup owns UNITS rows of the matrix, and BATCH sequences.
// Twin: src/cpu/cells/product.rs.

struct Params {
    batch: u32,
    hidden: u32,
    rows: u32,
    depth: u32,
    // Where the vectors and the results begin, and from sequence to sequence.
    from_first: u32,
    from_pitch: u32,
    to_first: u32,
    to_pitch: u32,
    // Adds to the results, but for sequences that begin anew at frame `next`.
    accumulates: u32,
    next: u32,
    has_lengths: u32,
    resets_first: u32,
    reset_words: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [rows, depth]
@group(0) @binding(1)
var<storage, read> weight: array<f32>;
@group(0) @binding(2)
var<storage, read> sequences: array<u32>;
@group(0) @binding(3)
var<storage, read> vectors: array<f32>;
@group(0) @binding(4)
var<storage, read_write> products: array<f32>;

#import cell_sequences

const UNITS = 4u;
const LANES = 64u;
const MAX_BATCH = 8u;
override BATCH: u32 = 4u;
const PIECES = 2u;
alias Rows = f32;
#import lane_sum

fn weights_at(at: u32) -> Rows {
    return weight[at];
}

fn carried(at: u32) -> f32 {
    return vectors[params.from_first + at];
}
#import lane_products

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
    let first = (group.y + group.z * groups.y) * BATCH;
    let own_row = group.x * UNITS + local % UNITS;
    let own = local / UNITS;
    let n = first + own;
    let at = params.to_first + n * params.to_pitch + own_row;
    let finishes = own < BATCH && own_row < params.rows && n < params.batch;
    var before = 0.0;
    if (finishes && params.accumulates != 0u) {
        before = products[at];
    }

    let row = min(group.x * UNITS + local / LANES, params.rows - 1u);
    multiply_any(row * params.depth, first, params.from_pitch, params.depth, local, subgroup_size);

    if (finishes) {
        var product = lane_total(own, local % UNITS, subgroup_size);
        if (params.accumulates != 0u) {
            product = before + select(product, 0.0, begins_anew(n, params.next));
        }
        products[at] = product;
    }
}
