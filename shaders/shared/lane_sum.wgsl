// Sums over the LANES invocations that share a hidden unit, for BATCH sequences at once.
// The importing tier declares UNITS, LANES, BATCH, MAX_BATCH, the type Gates and
// `var<private> partial: array<Gates, MAX_BATCH>`; a workgroup is UNITS x LANES invocations.

#ifdef SUBGROUPS

const MIN_SUBGROUP_SIZE = 4u;
const MAX_SEGMENTS = LANES / MIN_SUBGROUP_SIZE;
// [MAX_BATCH, UNITS, segments]: one sum for each subgroup, or part of one, that lies within a unit.
var<workgroup> wg_segments: array<Gates, MAX_BATCH * UNITS * MAX_SEGMENTS>;

// Call by all invocations; then each total can be read with lane_total.
fn sum_lanes(local: u32, subgroup_size: u32) {
    let width = min(subgroup_size, LANES);
    for (var b = 0u; b < BATCH; b++) {
        var sum = partial[b];
        for (var offset = width / 2u; offset > 0u; offset /= 2u) {
            sum += subgroupShuffleXor(sum, offset);
        }
        if (local % width == 0u) {
            wg_segments[(b * UNITS + local / LANES) * MAX_SEGMENTS + (local % LANES) / width] = sum;
        }
    }
    workgroupBarrier();
}

fn lane_total(b: u32, unit: u32, subgroup_size: u32) -> Gates {
    let first = (b * UNITS + unit) * MAX_SEGMENTS;
    var total = wg_segments[first];
    for (var i = 1u; i < LANES / min(subgroup_size, LANES); i++) {
        total += wg_segments[first + i];
    }
    return total;
}

#else

// Sequences a round: all MAX_BATCH at once would not fit 16 KiB.
const ROUND = 2u;
const PARTS = 4u;
const PART_LANES = LANES / PARTS;
var<workgroup> wg_partial: array<Gates, ROUND * UNITS * LANES>;
// [MAX_BATCH, UNITS, PARTS]
var<workgroup> wg_parts: array<Gates, MAX_BATCH * UNITS * PARTS>;

// Call by all invocations; then each total can be read with lane_total.
fn sum_lanes(local: u32, subgroup_size: u32) {
    for (var b0 = 0u; b0 < BATCH; b0 += ROUND) {
        for (var b = 0u; b < min(ROUND, BATCH - b0); b++) {
            wg_partial[b * UNITS * LANES + local] = partial[b0 + b];
        }
        workgroupBarrier();
        if (local < min(ROUND, BATCH - b0) * UNITS * PARTS) {
            let first = local * PART_LANES;
            var sum = wg_partial[first];
            for (var i = 1u; i < PART_LANES; i++) {
                sum += wg_partial[first + i];
            }
            wg_parts[b0 * UNITS * PARTS + local] = sum;
        }
        workgroupBarrier();
    }
}

fn lane_total(b: u32, unit: u32, subgroup_size: u32) -> Gates {
    let first = (b * UNITS + unit) * PARTS;
    var total = wg_parts[first];
    for (var i = 1u; i < PARTS; i++) {
        total += wg_parts[first + i];
    }
    return total;
}

#endif
