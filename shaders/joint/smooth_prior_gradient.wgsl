// The gradient of a smoothed loss by the logarithms of the prior, of the utterances of a launch; added to what is there. A workgroup takes 16
// symbols, 16 frames or positions at a time.
// Twin: src/cpu/smoothing.rs::prior_gradient.
#import additive_params

// [N, frames, V]
@group(0) @binding(2)
var<storage, read> encoder: array<f32>;
@group(0) @binding(3)
var<storage, read> normalisers: array<f32>;
// [N, frames], then [N, positions, channels].
@group(0) @binding(4)
var<storage, read> sums: array<f32>;
@group(0) @binding(5)
var<storage, read_write> out: array<f32>;

const COLUMNS = 16u;
const LANES = 16u;
const INVOCATIONS = 256u;
var<workgroup> wg_sums: array<f32, INVOCATIONS>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let v = (group.x + group.y * groups.x) * COLUMNS + local % COLUMNS;
    let lane = local / COLUMNS;
    var own = 0.0;
    if (v < params.vocab) {
        let prior = normalisers[params.prior_at + v];
        for (var z = 0u; z < params.utterances; z++) {
            let n = params.first_utterance + z;
            let utterance = utterance(n);
            for (var t = lane; t < utterance.frames; t += LANES) {
                // Without a branch, so that reads overlap. A frame that is left out has no share.
                let row = n * params.frames + t;
                let x = clean(encoder[params.encoder_first + (z * params.frames + t) * params.vocab + v]) * LOG2_E + prior;
                own -= sums[row] * exp2(x - normalisers[params.frames_at + row]);
            }
            for (var u = lane; u < select(0u, utterance.labels + 1u, utterance.frames > 0u); u += LANES) {
                let first = params.sums_at + (n * params.positions + u) * params.channels;
                if (v == params.blank) {
                    own += sums[first];
                }
                if (v == label_at(utterance, u)) {
                    own += sums[first + 1u];
                }
                for (var channel = 2u; channel < params.channels; channel++) {
                    if (v == named(channel - 2u)) {
                        own += sums[first + channel];
                    }
                }
            }
        }
    }
    wg_sums[local] = own;
    for (var reach = INVOCATIONS / 2u; reach >= COLUMNS; reach /= 2u) {
        workgroupBarrier();
        if (local < reach) {
            wg_sums[local] += wg_sums[local + reach];
        }
    }
    if (lane == 0u && v < params.vocab) {
        out[v] += params.frames_alone * wg_sums[local];
    }
}
