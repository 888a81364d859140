// Smooths what cells keep: of each symbol's log-probability, and of those by frames alone, times the prior, and by positions alone, the
// weighted sum. In nats. An invocation takes a cell.
// Twin: src/cpu/smoothing.rs::cells.
#import additive

@group(0) @binding(4)
var<storage, read> normalisers: array<f32>;
// [cells, channels]
@group(0) @binding(5)
var<storage, read_write> kept: array<f32>;

const INVOCATIONS = 64u;

// What a log-probability adds, if it weighs anything.
fn weighed(scale: f32, x: f32) -> f32 {
    return select(0.0, scale * max(x, LOG_ZERO), scale > 0.0);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let n = params.first_utterance + group.z;
    let utterance = utterance(n);
    let row = (group.x + group.y * groups.x) * INVOCATIONS + local;
    if (row < utterance.rows) {
        let t = row / utterance.positions;
        let u = row % utterance.positions;
        let frame = normalisers[params.frames_at + n * params.frames + t];
        let position = normalisers[params.positions_at + n * params.positions + u];
        for (var channel = 0u; channel < params.channels; channel++) {
            var v = select(params.blank, label_at(utterance, u), channel == 1u);
            if (channel > 1u) {
                v = named(channel - 2u);
            }
            if (v != NO_LABEL) {
                let at = cell_at(utterance, t, u) * params.channels + channel;
                let by_frame = clean(frame_at(group.z, t, v)) * LOG2_E + normalisers[params.prior_at + v] - frame;
                let by_position = clean(position_at(group.z, u, v)) * LOG2_E - position;
                let x = weighed(params.together, kept[at]) + weighed(params.frames_alone, by_frame * LN_2);
                kept[at] = max(x + weighed(params.positions_alone, by_position * LN_2), LOG_ZERO);
            }
        }
    }
}
