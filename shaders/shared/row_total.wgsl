// Sums over the 256 invocations of a workgroup, in a fixed order: all of them call row_total, and get the sum. The importing kernel
// declares the type Total.

#ifdef SUBGROUPS

// One for each subgroup, of four invocations at least.
var<workgroup> wg_row: array<Total, 64>;

fn row_total(own: Total, local: u32, subgroup_size: u32) -> Total {
    var sum = own;
    for (var offset = subgroup_size / 2u; offset > 0u; offset /= 2u) {
        sum += subgroupShuffleXor(sum, offset);
    }
    // The sums before these may still be read.
    workgroupBarrier();
    if (local % subgroup_size == 0u) {
        wg_row[local / subgroup_size] = sum;
    }
    workgroupBarrier();
    var total = wg_row[0];
    for (var i = 1u; i < 256u / subgroup_size; i++) {
        total += wg_row[i];
    }
    return total;
}

#else

var<workgroup> wg_row: array<Total, 256>;
var<workgroup> wg_row_parts: array<Total, 16>;

fn row_total(own: Total, local: u32, subgroup_size: u32) -> Total {
    wg_row[local] = own;
    workgroupBarrier();
    if (local < 16u) {
        var part = wg_row[local * 16u];
        for (var i = 1u; i < 16u; i++) {
            part += wg_row[local * 16u + i];
        }
        wg_row_parts[local] = part;
    }
    workgroupBarrier();
    var total = wg_row_parts[0];
    for (var i = 1u; i < 16u; i++) {
        total += wg_row_parts[i];
    }
    // The next sums are not written before these are read.
    workgroupBarrier();
    return total;
}

#endif
