// Sums over the LANES invocations that share a hidden unit, for two sequences at a time.
// The importing tier declares UNITS, LANES, BATCH, MAX_BATCH and the type Rows; a workgroup is
// UNITS x LANES invocations. All invocations call sum_lanes for each pair; after a barrier, any can read
// the totals with lane_total.

#ifdef SUBGROUPS

const MIN_SUBGROUP_SIZE = 4u;
const MAX_SEGMENTS = LANES / MIN_SUBGROUP_SIZE;
// [MAX_BATCH, UNITS, segments]: one sum for each subgroup, or part of one, that lies within a unit.
var<workgroup> wg_segments: array<Rows, MAX_BATCH * UNITS * MAX_SEGMENTS>;

// Sums of the sequences b and b + 1.
fn sum_lanes(b: u32, first: Rows, second: Rows, local: u32, subgroup_size: u32) {
    let width = min(subgroup_size, LANES);
    var sum0 = first;
    var sum1 = second;
    for (var offset = width / 2u; offset > 0u; offset /= 2u) {
        sum0 += subgroupShuffleXor(sum0, offset);
        if (BATCH > 1u) {
            sum1 += subgroupShuffleXor(sum1, offset);
        }
    }
    if (local % width == 0u) {
        let at = (b * UNITS + local / LANES) * MAX_SEGMENTS + (local % LANES) / width;
        wg_segments[at] = sum0;
        if (BATCH > 1u) {
            wg_segments[at + UNITS * MAX_SEGMENTS] = sum1;
        }
    }
}

fn lane_total(b: u32, unit: u32, subgroup_size: u32) -> Rows {
    let first = (b * UNITS + unit) * MAX_SEGMENTS;
    var total = wg_segments[first];
    for (var i = 1u; i < LANES / min(subgroup_size, LANES); i++) {
        total += wg_segments[first + i];
    }
    return total;
}

#else

const PARTS = 4u;
const PART_LANES = LANES / PARTS;
var<workgroup> wg_partial: array<Rows, UNITS * LANES>;
// [MAX_BATCH, UNITS, PARTS]
var<workgroup> wg_parts: array<Rows, MAX_BATCH * UNITS * PARTS>;

fn sum_sequence(b: u32, own: Rows, local: u32) {
    // The sequence before this one may still be read.
    workgroupBarrier();
    wg_partial[local] = own;
    workgroupBarrier();
    if (local < UNITS * PARTS) {
        let start = local * PART_LANES;
        var sum = wg_partial[start];
        for (var i = 1u; i < PART_LANES; i++) {
            sum += wg_partial[start + i];
        }
        wg_parts[b * UNITS * PARTS + local] = sum;
    }
}

// Sums of the sequences b and b + 1.
fn sum_lanes(b: u32, first: Rows, second: Rows, local: u32, subgroup_size: u32) {
    sum_sequence(b, first, local);
    if (BATCH > 1u) {
        sum_sequence(b + 1u, second, local);
    }
}

fn lane_total(b: u32, unit: u32, subgroup_size: u32) -> Rows {
    let first = (b * UNITS + unit) * PARTS;
    var total = wg_parts[first];
    for (var i = 1u; i < PARTS; i++) {
        total += wg_parts[first + i];
    }
    return total;
}

#endif
