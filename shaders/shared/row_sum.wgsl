// The log-sum of a row of packed scores, shared by LANES invocations.
#import log_sum

// Packs that an invocation reads at once, so that their loads overlap: 1, 2 or 4, what a row has for it.
override DEPTH: u32 = 4u;

struct RowSum {
    // Base 2; to be reduced over the lanes.
    sum: LogSum,
    // NaN or +inf was seen.
    unusable: bool,
}

// Scores of one pack as base-2 logarithms, without the symbol `without`; log 0 for a pack beyond the row.
fn row_pack(x: Scores, pack: u32, packs: u32, without: u32) -> Scores {
    let left_out = symbols_of(pack) == Bits(without);
    let scaled = select(x * LOG2_E, Scores(LOG_ZERO), left_out);
    return select(Scores(LOG_ZERO), scaled, pack < packs);
}

// Pack `at` of the window.
fn read_scores(at: u32) -> Packed {
#ifdef UNALIGNED
    return (scores[at / 2u] >> (16u * (at % 2u))) & 0xffffu;
#else
    return scores[at];
#endif
}

// The share of one lane in the `packs` packs from `first` on. A row with scores that are not finite, or
// huge, is read again with care; the others do without.
fn row_sum(first: u32, packs: u32, lane: u32, without: u32) -> RowSum {
    var sum = log_sum_empty();
    var largest = 0u;
    for (var i = lane; i < packs; i += DEPTH * LANES) {
        let a = read_scores(first + i);
        largest = max(largest, magnitude(a));
        if (DEPTH > 1u) {
            let b = read_scores(first + min(i + LANES, packs - 1u));
            largest = max(largest, magnitude(b));
            if (DEPTH > 2u) {
                let c = read_scores(first + min(i + 2u * LANES, packs - 1u));
                let d = read_scores(first + min(i + 3u * LANES, packs - 1u));
                largest = max(largest, max(magnitude(c), magnitude(d)));
                sum = log_sum_add(
                    sum,
                    row_pack(unpack_scores(a), i, packs, without),
                    row_pack(unpack_scores(b), i + LANES, packs, without),
                    row_pack(unpack_scores(c), i + 2u * LANES, packs, without),
                    row_pack(unpack_scores(d), i + 3u * LANES, packs, without),
                );
            } else {
                sum = log_sum_add2(sum, row_pack(unpack_scores(a), i, packs, without), row_pack(unpack_scores(b), i + LANES, packs, without));
            }
        } else {
            sum = log_sum_add1(sum, row_pack(unpack_scores(a), i, packs, without));
        }
    }
    var unusable = false;
    if (largest > LARGEST) {
        sum = log_sum_empty();
        let none = Scores(LOG_ZERO);
        for (var i = lane; i < packs; i += LANES) {
            let packed = read_scores(first + i);
            unusable = unusable || has_unusable(bits_of(packed));
            sum = log_sum_add(sum, row_pack(clean_scores(packed), i, packs, without), none, none, none);
        }
    }
    return RowSum(sum, unusable);
}
