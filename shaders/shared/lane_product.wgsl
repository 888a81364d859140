// Products of rows of weights with the vectors of BATCH sequences, up to 4: UNITS units a workgroup, LANES invocations each, side by
// side along k. All invocations call `multiply`; then any can read the totals with `lane_total` (lane_sum.wgsl).
// The importing kernel declares what lane_sum needs, `params` with `batch`, and
//   fn weights_at(at: u32) -> Rows      the rows of a unit at one k
//   fn carried(at: u32) -> f32          the vectors of all sequences, one after the other
// `weights` is where the rows of the own unit begin, `first` the first sequence, `pitch` the length of a vector, `end` the
// numbers that count.
fn multiply(weights: u32, first: u32, pitch: u32, end: u32, local: u32, subgroup_size: u32) {
    // Where h of each sequence begins. All of these are named, not an array, so that they stay in
    // registers; those beyond BATCH are never used.
    let last = params.batch - 1u;
    let row0 = min(first, last) * pitch;
    let row1 = min(first + 1u, last) * pitch;
    let row2 = min(first + 2u, last) * pitch;
    let row3 = min(first + 3u, last) * pitch;
    var sum0 = Rows();
    var sum1 = Rows();
    var sum2 = Rows();
    var sum3 = Rows();
    var k = local % LANES;
    // Several steps along k together, so that their loads wait at the same time: four where a step
    // loads little, else two. The sums stay in the order of k.
    if (BATCH == 1u) {
        for (; k + 3u * LANES < end; k += 4u * LANES) {
            let w0 = weights_at(weights + k);
            let w1 = weights_at(weights + k + LANES);
            let w2 = weights_at(weights + k + 2u * LANES);
            let w3 = weights_at(weights + k + 3u * LANES);
            let h = vec4f(
                carried(row0 + k),
                carried(row0 + k + LANES),
                carried(row0 + k + 2u * LANES),
                carried(row0 + k + 3u * LANES),
            );
            sum0 += w0 * h.x;
            sum0 += w1 * h.y;
            sum0 += w2 * h.z;
            sum0 += w3 * h.w;
        }
    } else {
        for (; k + LANES < end; k += 2u * LANES) {
            let w0 = weights_at(weights + k);
            let w1 = weights_at(weights + k + LANES);
            sum0 += w0 * carried(row0 + k);
            sum0 += w1 * carried(row0 + k + LANES);
            sum1 += w0 * carried(row1 + k);
            sum1 += w1 * carried(row1 + k + LANES);
            sum2 += w0 * carried(row2 + k);
            sum2 += w1 * carried(row2 + k + LANES);
            sum3 += w0 * carried(row3 + k);
            sum3 += w1 * carried(row3 + k + LANES);
        }
    }
    for (; k < end; k += LANES) {
        let weight = weights_at(weights + k);
        sum0 += weight * carried(row0 + k);
        if (BATCH > 1u) {
            sum1 += weight * carried(row1 + k);
            sum2 += weight * carried(row2 + k);
            sum3 += weight * carried(row3 + k);
        }
    }
    if (BATCH > 1u) {
        sum_four_lanes(0u, sum0, sum1, sum2, sum3, local, subgroup_size);
    } else {
        sum_lanes(0u, sum0, local, subgroup_size);
    }
    workgroupBarrier();
}
