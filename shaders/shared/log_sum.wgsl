// log2(sum(2^x)) of a row by one read: a running peak, and the sum relative to it.
// Twin: src/cpu/scores.rs::log_sum.
#import lanes
#import scores

struct LogSum {
    peak: f32,
    sum: f32,
}

// The sum of nothing. Masked symbols count as log 0 each: harmless beside any finite score, and a row
// of nothing else is told by its peak.
fn log_sum_empty() -> LogSum {
    return LogSum(LOG_ZERO, 0.0);
}

fn log_sum_add(s: LogSum, a: Scores, b: Scores, c: Scores, d: Scores) -> LogSum {
    let peak = max(s.peak, largest_of(max(max(a, b), max(c, d))));
    return LogSum(peak, s.sum * exp2(s.peak - peak) + sum_of((exp2(a - peak) + exp2(b - peak)) + (exp2(c - peak) + exp2(d - peak))));
}

fn log_sum_add2(s: LogSum, a: Scores, b: Scores) -> LogSum {
    let peak = max(s.peak, largest_of(max(a, b)));
    return LogSum(peak, s.sum * exp2(s.peak - peak) + sum_of(exp2(a - peak) + exp2(b - peak)));
}

fn log_sum_add1(s: LogSum, a: Scores) -> LogSum {
    let peak = max(s.peak, largest_of(a));
    return LogSum(peak, s.sum * exp2(s.peak - peak) + sum_of(exp2(a - peak)));
}

fn log_sum_merge(a: LogSum, b: LogSum) -> LogSum {
    let peak = max(a.peak, b.peak);
    return LogSum(peak, a.sum * exp2(a.peak - peak) + b.sum * exp2(b.peak - peak));
}

#ifdef SUBGROUPS
// Of the device: rows within a subgroup need no barrier.
override SMALLEST_SUBGROUP: u32 = 4u;
// Named: naga 30 fails where a constant without a name comes before one that another array takes.
override LOG_SUM_PLACES: u32 = WORKGROUP / SMALLEST_SUBGROUP;
var<workgroup> wg_log_sum: array<LogSum, LOG_SUM_PLACES>;

// The sum over the LANES invocations of a row, in each of them. To be called by the whole workgroup.
fn log_sum_reduce(own: LogSum, local: u32, subgroup_lane: u32, subgroup_size: u32) -> LogSum {
    let inside = min(LANES, subgroup_size);
    var s = own;
    for (var mask = 1u; mask < inside; mask *= 2u) {
        s.peak = max(s.peak, subgroupShuffleXor(s.peak, mask));
    }
    s.sum *= exp2(own.peak - s.peak);
    for (var mask = 1u; mask < inside; mask *= 2u) {
        s.sum += subgroupShuffleXor(s.sum, mask);
    }
    if (LANES > SMALLEST_SUBGROUP) {
        // The row before may still be read.
        workgroupBarrier();
        if (subgroup_lane == 0u) {
            wg_log_sum[local / subgroup_size] = s;
        }
        workgroupBarrier();
        if (LANES > subgroup_size) {
            let first = (local - local % LANES) / subgroup_size;
            s = wg_log_sum[first];
            for (var other = 1u; other < LANES / subgroup_size; other++) {
                s = log_sum_merge(s, wg_log_sum[first + other]);
            }
        }
    }
    return s;
}
#else
var<workgroup> wg_log_sum: array<LogSum, WORKGROUP>;

// The sum over the LANES invocations of a row, in each of them. To be called by the whole workgroup.
fn log_sum_reduce(own: LogSum, local: u32) -> LogSum {
    let lane = local % LANES;
    var s = own;
    // The row before may still be read.
    workgroupBarrier();
    wg_log_sum[local] = s;
    for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (lane < reach) {
            s = log_sum_merge(s, wg_log_sum[local + reach]);
            wg_log_sum[local] = s;
        }
    }
    workgroupBarrier();
    return wg_log_sum[local - lane];
}
#endif
