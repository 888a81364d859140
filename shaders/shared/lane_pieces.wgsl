// Products as in lane_product.wgsl, of up to MAX_BATCH sequences: the vectors are brought to workgroup memory once, piece by piece,
// instead of by each invocation for itself. That pays where there are many sequences, or the vectors are long.
// The importing kernel imports lane_product before.

// Numbers of all pieces together, and of one of them.
const STAGED = 4u * MAX_BATCH * LANES;
override CHUNK: u32 = STAGED / BATCH;
var<workgroup> wg_vectors: array<f32, STAGED>;
// Numbers that an invocation brings.
const BROUGHT = STAGED / (UNITS * LANES);

// The weights of four k, LANES apart; past the end those of the last one, where the vectors are 0.
struct Four {
    w0: Rows,
    w1: Rows,
    w2: Rows,
    w3: Rows,
}

fn four_at(weights: u32, k: u32, last: u32) -> Four {
    return Four(
        weights_at(weights + min(k, last)),
        weights_at(weights + min(k + LANES, last)),
        weights_at(weights + min(k + 2u * LANES, last)),
        weights_at(weights + min(k + 3u * LANES, last)),
    );
}

// Number i of the piece from `begin` on of all vectors.
fn number_at(i: u32, begin: u32, first: u32, pitch: u32, end: u32) -> f32 {
    let at = begin + i % CHUNK;
    if (at < end) {
        return carried(min(first + i / CHUNK, params.batch - 1u) * pitch + at);
    }
    return 0.0;
}

// Four products with vector b of the piece.
fn weighted(sum: Rows, w: Four, b: u32, k: u32) -> Rows {
    let at = b * CHUNK + k;
    return (((sum + w.w0 * wg_vectors[at]) + w.w1 * wg_vectors[at + LANES]) + w.w2 * wg_vectors[at + 2u * LANES]) + w.w3 * wg_vectors[at + 3u * LANES];
}

// Those that an invocation brings.
fn bring(begin: u32, first: u32, pitch: u32, end: u32, local: u32) -> array<f32, BROUGHT> {
    var numbers: array<f32, BROUGHT>;
    for (var i = 0u; i < BROUGHT; i++) {
        numbers[i] = number_at(i * UNITS * LANES + local, begin, first, pitch, end);
    }
    return numbers;
}

// `weights` is where the rows of the own unit begin, `first` the first sequence, `pitch` the length of a vector, `end` the numbers
// that count.
fn multiply_pieces(weights: u32, first: u32, pitch: u32, end: u32, local: u32, subgroup_size: u32) {
    // All of these are named, not an array, so that they stay in registers; those beyond BATCH are never used.
    var sum0 = Rows();
    var sum1 = Rows();
    var sum2 = Rows();
    var sum3 = Rows();
    var sum4 = Rows();
    var sum5 = Rows();
    var sum6 = Rows();
    var sum7 = Rows();
    let lane = local % LANES;
    // What the next piece needs, and the weights of the next four, are on their way while this one is worked on.
    let last = max(end, 1u) - 1u;
    var brought = bring(0u, first, pitch, end, local);
    var next = four_at(weights, lane, last);
    for (var begin = 0u; begin < end; begin += CHUNK) {
        // The piece before may still be read.
        workgroupBarrier();
        for (var i = 0u; i < BROUGHT; i++) {
            wg_vectors[i * UNITS * LANES + local] = brought[i];
        }
        workgroupBarrier();
        brought = bring(begin + CHUNK, first, pitch, end, local);
        let stop = min(CHUNK, end - begin);
        for (var k = 0u; k < stop; k += 4u * LANES) {
            let w = next;
            next = four_at(weights, begin + k + 4u * LANES + lane, last);
            let at = k + lane;
            sum0 = weighted(sum0, w, 0u, at);
            if (BATCH > 1u) {
                sum1 = weighted(sum1, w, 1u, at);
                sum2 = weighted(sum2, w, 2u, at);
                sum3 = weighted(sum3, w, 3u, at);
            }
            if (BATCH > 4u) {
                sum4 = weighted(sum4, w, 4u, at);
                sum5 = weighted(sum5, w, 5u, at);
                sum6 = weighted(sum6, w, 6u, at);
                sum7 = weighted(sum7, w, 7u, at);
            }
        }
    }
    if (BATCH > 1u) {
        sum_four_lanes(0u, sum0, sum1, sum2, sum3, local, subgroup_size);
    } else {
        sum_lanes(0u, sum0, local, subgroup_size);
    }
    if (BATCH > 4u) {
        sum_four_lanes(4u, sum4, sum5, sum6, sum7, local, subgroup_size);
    }
    workgroupBarrier();
}
