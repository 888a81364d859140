// The prior of smoothed losses: log2 of each symbol's mean probability over the positions of all utterances, by positions alone. A workgroup
// takes 16 symbols, 16 positions at a time.
// Twin: src/cpu/smoothing.rs::prior.
#import additive_params
#import column_log_sum

// [N, positions, V]
@group(0) @binding(2)
var<storage, read> predictor: array<f32>;
@group(0) @binding(3)
var<storage, read_write> normalisers: array<f32>;

const COLUMNS = 16u;
const LANES = 16u;
const INVOCATIONS = 256u;
var<workgroup> wg_counts: array<u32, LANES>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let v = (group.x + group.y * groups.x) * COLUMNS + local % COLUMNS;
    let lane = local / COLUMNS;
    var own = LogSum(LOG_ZERO, 0.0);
    var count = 0u;
    for (var n = 0u; n < params.utterances; n++) {
        let utterance = utterance(n);
        for (var u = lane; u < select(0u, utterance.labels + 1u, utterance.frames > 0u); u += LANES) {
            let row = n * params.positions + u;
            let normaliser = normalisers[params.positions_at + row];
            if (!is_left_out(normaliser)) {
                count += 1u;
                if (v < params.vocab) {
                    own = log_sum_one(own, clean(predictor[params.predictor_first + row * params.vocab + v]) * LOG2_E - normaliser);
                }
            }
        }
    }
    if (local % COLUMNS == 0u) {
        wg_counts[lane] = count;
    }
    let sum = log_sum_apart(own, local, COLUMNS);
    count = 0u;
    for (var i = 0u; i < LANES; i++) {
        count += wg_counts[i];
    }
    let all = log2(f32(max(count, 1u)));
    if (lane == 0u && v < params.vocab) {
        normalisers[params.prior_at + v] = select(sum.peak + log2(max(sum.sum, 1e-30)) - all, LOG_ZERO, is_log_zero(sum.peak));
        if (v == 0u) {
            normalisers[params.prior_at + params.vocab] = all;
        }
    }
}
