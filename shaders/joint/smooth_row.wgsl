// Normalisers of frames or positions alone, for smoothed losses: log2 of the sum over the symbols, those of frames weighed by the prior. A
// workgroup takes a row. One with a number that is none, or without symbols, is left out by a normaliser beyond all scores.
// Twin: src/cpu/smoothing.rs::row.
#import additive_params
#import column_log_sum

// [N, length, V]: of frames or positions.
@group(0) @binding(2)
var<storage, read> x: array<f32>;
@group(0) @binding(3)
var<storage, read_write> normalisers: array<f32>;

override OF_POSITIONS: u32 = 0u;
const INVOCATIONS = 64u;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let n = params.first_utterance + group.z;
    let utterance = utterance(n);
    let item = group.x + group.y * groups.x;
    let length = select(params.frames, params.positions, OF_POSITIONS != 0u);
    let items = select(utterance.frames, select(0u, utterance.labels + 1u, utterance.frames > 0u), OF_POSITIONS != 0u);
    let first = select(params.encoder_first, params.predictor_first, OF_POSITIONS != 0u) + (group.z * length + item) * params.vocab;
    var own = LogSum(LOG_ZERO, 0.0);
    for (var v = local; v < select(0u, params.vocab, item < items); v += INVOCATIONS) {
        let score = x[first + v];
        var weighed = clean(score) * LOG2_E;
        if (OF_POSITIONS == 0u) {
            weighed += normalisers[params.prior_at + v];
        }
        // Above everything, and told from the rest by that.
        own = log_sum_one(own, select(weighed, LEFT_OUT, is_unusable(score)));
    }
    let sum = log_sum_apart(own, local, 1u);
    if (local == 0u && item < length) {
        let at = select(params.frames_at, params.positions_at, OF_POSITIONS != 0u) + n * length + item;
        normalisers[at] = select(sum.peak + log2(max(sum.sum, 1e-30)), LEFT_OUT, is_log_zero(sum.peak) || is_left_out(sum.peak));
    }
}
