// Sums over the LANES invocations that share a hidden unit, for one sequence or four at a time.
// The importing tier declares UNITS, LANES, BATCH, MAX_BATCH and the type Rows; a workgroup is
// UNITS x LANES invocations. All invocations call sum_lanes or sum_four_lanes; after a barrier, any can read
// the totals with lane_total.

#ifdef SUBGROUPS

const MIN_SUBGROUP_SIZE = 4u;
const MAX_SEGMENTS = LANES / MIN_SUBGROUP_SIZE;
// [MAX_BATCH, UNITS, segments]: one sum for each subgroup, or part of one, that lies within a unit.
var<workgroup> wg_segments: array<Rows, MAX_BATCH * UNITS * MAX_SEGMENTS>;

// Of sequence b.
fn sum_lanes(b: u32, own: Rows, local: u32, subgroup_size: u32) {
    let width = min(subgroup_size, LANES);
    var sum = own;
    for (var offset = width / 2u; offset > 0u; offset /= 2u) {
        sum += subgroupShuffleXor(sum, offset);
    }
    if (local % width == 0u) {
        wg_segments[(b * UNITS + local / LANES) * MAX_SEGMENTS + (local % LANES) / width] = sum;
    }
}

// Each of two invocations goes on with one of two sums.
fn halved(low: Rows, high: Rows, is_upper: bool, offset: u32) -> Rows {
    return select(low, high, is_upper) + subgroupShuffleXor(select(high, low, is_upper), offset);
}

// Of the sequences from b on.
fn sum_four_lanes(b: u32, own0: Rows, own1: Rows, own2: Rows, own3: Rows, local: u32, subgroup_size: u32) {
    let width = min(subgroup_size, LANES);
    let quarter = width / 4u;
    let is_second = (local & (2u * quarter)) != 0u;
    let is_odd = (local & quarter) != 0u;
    let even = halved(own0, own2, is_second, 2u * quarter);
    let odd = halved(own1, own3, is_second, 2u * quarter);
    var sum = halved(even, odd, is_odd, quarter);
    for (var offset = quarter / 2u; offset > 0u; offset /= 2u) {
        sum += subgroupShuffleXor(sum, offset);
    }
    if (local % quarter == 0u) {
        let sequence = b + (local % width) / quarter;
        wg_segments[(sequence * UNITS + local / LANES) * MAX_SEGMENTS + (local % LANES) / width] = sum;
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

// Of sequence b.
fn sum_lanes(b: u32, own: Rows, local: u32, subgroup_size: u32) {
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

// Of the sequences from b on.
fn sum_four_lanes(b: u32, own0: Rows, own1: Rows, own2: Rows, own3: Rows, local: u32, subgroup_size: u32) {
    sum_lanes(b, own0, local, subgroup_size);
    sum_lanes(b + 1u, own1, local, subgroup_size);
    sum_lanes(b + 2u, own2, local, subgroup_size);
    sum_lanes(b + 3u, own3, local, subgroup_size);
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
