// What the symbols of a smoothed loss are pulled by: of each frame all together, over its positions; of each position each channel, over the
// frames. A workgroup takes a frame or a position.
// Twin: src/cpu/smoothing.rs::sums.
#import additive_params

// [cells, channels]
@group(0) @binding(2)
var<storage, read> pulls: array<f32>;
// [N, frames], then [N, positions, channels].
@group(0) @binding(3)
var<storage, read_write> sums: array<f32>;

override OF_POSITIONS: u32 = 0u;
const INVOCATIONS = 64u;
var<workgroup> wg_sums: array<f32, INVOCATIONS>;

// The sum over the workgroup, in its first invocation. To be called by all.
fn total(own: f32, local: u32) -> f32 {
    workgroupBarrier();
    wg_sums[local] = own;
    for (var reach = INVOCATIONS / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (local < reach) {
            wg_sums[local] += wg_sums[local + reach];
        }
    }
    return wg_sums[0];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let n = params.first_utterance + group.z;
    let utterance = utterance(n);
    let item = group.x + group.y * groups.x;
    if (OF_POSITIONS == 0u) {
        let first = cell_at(utterance, item, 0u) * params.channels;
        var own = 0.0;
        for (var i = local; i < select(0u, utterance.positions * params.channels, item < utterance.frames); i += INVOCATIONS) {
            own += pulls[first + i];
        }
        let sum = total(own, local);
        if (local == 0u && item < params.frames) {
            sums[n * params.frames + item] = sum;
        }
    } else {
        for (var channel = 0u; channel < params.channels; channel++) {
            var own = 0.0;
            for (var t = local; t < select(0u, utterance.frames, item <= utterance.labels); t += INVOCATIONS) {
                own += pulls[cell_at(utterance, t, item) * params.channels + channel];
            }
            let sum = total(own, local);
            if (local == 0u && item < params.positions) {
                sums[params.sums_at + (n * params.positions + item) * params.channels + channel] = sum;
            }
        }
    }
}
