// log2 of sums: a running peak, and the sum relative to it. The importing kernel says how many INVOCATIONS it has, a power of two.
struct LogSum {
    peak: f32,
    sum: f32,
}

var<workgroup> wg_log_sums: array<LogSum, INVOCATIONS>;

fn log_sum_one(s: LogSum, x: f32) -> LogSum {
    let peak = max(s.peak, x);
    return LogSum(peak, s.sum * exp2(s.peak - peak) + exp2(x - peak));
}

fn log_sum_both(a: LogSum, b: LogSum) -> LogSum {
    let peak = max(a.peak, b.peak);
    return LogSum(peak, a.sum * exp2(a.peak - peak) + b.sum * exp2(b.peak - peak));
}

// Of invocations that are `step` or a multiple of it apart, in the first of them. To be called by the whole workgroup.
fn log_sum_apart(own: LogSum, local: u32, step: u32) -> LogSum {
    wg_log_sums[local] = own;
    for (var reach = INVOCATIONS / 2u; reach >= step; reach /= 2u) {
        workgroupBarrier();
        if (local < reach) {
            wg_log_sums[local] = log_sum_both(wg_log_sums[local], wg_log_sums[local + reach]);
        }
    }
    workgroupBarrier();
    return wg_log_sums[local % step];
}
