// What the prior of a smoothed loss pulls at the positions that it is the mean of; added to their gradients. A workgroup takes a position.
// Those of an utterance that is not ok stay what they are.
// Twin: src/cpu/smoothing.rs::positions.
#import additive_params

// [N, positions, V]
@group(0) @binding(2)
var<storage, read> predictor: array<f32>;
@group(0) @binding(3)
var<storage, read> normalisers: array<f32>;
// First of all status words.
@group(0) @binding(4)
var<storage, read> results: array<u32>;
// Gradients by the logarithms of the prior, [V].
@group(0) @binding(5)
var<storage, read> pulls: array<f32>;
@group(0) @binding(6)
var<storage, read_write> out: array<f32>;

const INVOCATIONS = 64u;
var<workgroup> wg_sums: array<f32, INVOCATIONS>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let n = params.first_utterance + group.z;
    let utterance = utterance(n);
    let item = group.x + group.y * groups.x;
    let place = group.z * params.positions + item;
    let is_there = item <= utterance.labels && utterance.frames > 0u && (results[n] & STATUS_MASK) == STATUS_OK;
    let end = select(0u, params.vocab, is_there);
    let normaliser = normalisers[params.positions_at + n * params.positions + min(item, params.positions - 1u)];
    let all = normalisers[params.prior_at + params.vocab];
    var own = 0.0;
    for (var v = local; v < end; v += INVOCATIONS) {
        let x = clean(predictor[params.predictor_first + place * params.vocab + v]) * LOG2_E - normaliser;
        // The share of this position in the symbol's prior.
        own += pulls[v] * exp2(min(x - normalisers[params.prior_at + v] - all, 0.0));
    }
    wg_sums[local] = own;
    for (var reach = INVOCATIONS / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (local < reach) {
            wg_sums[local] += wg_sums[local + reach];
        }
    }
    workgroupBarrier();
    let sum = wg_sums[0];
    if (!is_left_out(normaliser)) {
        for (var v = local; v < end; v += INVOCATIONS) {
            let x = clean(predictor[params.predictor_first + place * params.vocab + v]) * LOG2_E - normaliser;
            let share = exp2(min(x - normalisers[params.prior_at + v] - all, 0.0));
            out[params.out_first + place * params.vocab + v] += pulls[v] * share - sum * exp2(x);
        }
    }
}
