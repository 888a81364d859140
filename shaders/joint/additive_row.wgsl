// Row pass of a joiner without a layer: the normaliser of every cell, and the log-probabilities of its symbols, in nats. A workgroup takes
// 256 cells, a block of frames and positions, and walks V in pieces of workgroup memory: each number that is read is added to many others. An
// invocation has two frames of two positions.
// Twin: src/cpu/additive.rs::row.
#import additive

// First of all status words.
@group(0) @binding(4)
var<storage, read_write> results: array<atomic<u32>>;
// log2.
@group(0) @binding(5)
var<storage, read_write> normalisers: array<f32>;
// [cells, channels]
@group(0) @binding(6)
var<storage, read_write> kept: array<f32>;

// The block: 16 x 16, 32 x 8 or 64 x 4.
override FRAMES: u32 = 16u;
override POSITIONS: u32 = 16u;
override FRAME_PAIRS: u32 = FRAMES / 2u;
override POSITION_PAIRS: u32 = POSITIONS / 2u;
override LINES: u32 = FRAMES + POSITIONS;

const INVOCATIONS = 64u;
// Symbols of a piece, and fours from line to line: one more, so that lines begin in different banks.
const COLUMNS = 32u;
const FOURS = COLUMNS / 4u;
const PITCH = FOURS + 1u;
override PLACES: u32 = LINES * PITCH;
var<workgroup> wg_lines: array<vec4f, PLACES>;

// log2 of a sum: a running peak, and the sum relative to it.
struct LogSum {
    peak: f32,
    sum: f32,
}

fn added(s: LogSum, frame_a: vec4f, frame_b: vec4f, position_a: vec4f, position_b: vec4f) -> LogSum {
    let a = (frame_a + position_a) * LOG2_E;
    let b = (frame_b + position_b) * LOG2_E;
    let most = max(a, b);
    let peak = max(max(s.peak, most.x), max(max(most.y, most.z), most.w));
    let parts = exp2(a - peak) + exp2(b - peak);
    return LogSum(peak, s.sum * exp2(s.peak - peak) + ((parts.x + parts.y) + (parts.z + parts.w)));
}

// Score v of a line of the block, as it is.
fn score_of(utterance: Utterance, z: u32, first_t: u32, first_u: u32, line: u32, v: u32) -> f32 {
    if (v < params.vocab) {
        if (line < FRAMES) {
            if (first_t + line < utterance.frames) {
                return frame_at(z, first_t + line, v);
            }
        } else if (first_u + line - FRAMES <= utterance.labels) {
            return position_at(z, first_u + line - FRAMES, v);
        }
    }
    return MASKED;
}

// What it adds to the sum.
fn part(x: f32, v: u32) -> f32 {
    return select(clean(x), MASKED, v >= params.vocab || (HAT && v == params.blank));
}

fn log2_sigmoid(x: f32) -> f32 {
    return min(x, 0.0) - log2(1.0 + exp2(-abs(x)));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let n = params.first_utterance + group.z;
    let utterance = utterance(n);
    let across = (utterance.labels + POSITIONS) / POSITIONS;
    let number = group.x + group.y * groups.x;
    let first_t = number / across * FRAMES;
    let first_u = number % across * POSITIONS;
    let end = select(0u, params.vocab, first_t < utterance.frames);

    let t = local / POSITION_PAIRS;
    let u = local % POSITION_PAIRS;
    var s00 = LogSum(LOG_ZERO, 0.0);
    var s01 = s00;
    var s10 = s00;
    var s11 = s00;
    var unusable = false;
    for (var first = 0u; first < end; first += COLUMNS) {
        workgroupBarrier();
        for (var i = local; i < LINES * FOURS; i += INVOCATIONS) {
            let line = i / FOURS;
            let v = first + i % FOURS * 4u;
            let x = vec4f(
                score_of(utterance, group.z, first_t, first_u, line, v),
                score_of(utterance, group.z, first_t, first_u, line, v + 1u),
                score_of(utterance, group.z, first_t, first_u, line, v + 2u),
                score_of(utterance, group.z, first_t, first_u, line, v + 3u),
            );
            unusable = unusable || is_unusable(x.x) || is_unusable(x.y) || is_unusable(x.z) || is_unusable(x.w);
            wg_lines[line * PITCH + i % FOURS] = vec4f(part(x.x, v), part(x.y, v + 1u), part(x.z, v + 2u), part(x.w, v + 3u));
        }
        workgroupBarrier();
        for (var four = 0u; four < FOURS; four += 2u) {
            let frame_0a = wg_lines[t * PITCH + four];
            let frame_0b = wg_lines[t * PITCH + four + 1u];
            let frame_1a = wg_lines[(t + FRAME_PAIRS) * PITCH + four];
            let frame_1b = wg_lines[(t + FRAME_PAIRS) * PITCH + four + 1u];
            let position_0a = wg_lines[(FRAMES + u) * PITCH + four];
            let position_0b = wg_lines[(FRAMES + u) * PITCH + four + 1u];
            let position_1a = wg_lines[(FRAMES + u + POSITION_PAIRS) * PITCH + four];
            let position_1b = wg_lines[(FRAMES + u + POSITION_PAIRS) * PITCH + four + 1u];
            s00 = added(s00, frame_0a, frame_0b, position_0a, position_0b);
            s01 = added(s01, frame_0a, frame_0b, position_1a, position_1b);
            s10 = added(s10, frame_1a, frame_1b, position_0a, position_0b);
            s11 = added(s11, frame_1a, frame_1b, position_1a, position_1b);
        }
    }
    if (unusable) {
        atomicOr(&results[n], STATUS_NON_FINITE);
    }
    keep(utterance, group.z, first_t + t, first_u + u, s00);
    keep(utterance, group.z, first_t + t, first_u + u + POSITION_PAIRS, s01);
    keep(utterance, group.z, first_t + t + FRAME_PAIRS, first_u + u, s10);
    keep(utterance, group.z, first_t + t + FRAME_PAIRS, first_u + u + POSITION_PAIRS, s11);
}

// The score of a symbol, base 2.
fn score_at(z: u32, t: u32, u: u32, v: u32) -> f32 {
    return (clean(frame_at(z, t, v)) + clean(position_at(z, u, v))) * LOG2_E;
}

// Stores what a cell keeps.
fn keep(utterance: Utterance, z: u32, t: u32, u: u32, s: LogSum) {
    if (t >= utterance.frames || u > utterance.labels) {
        return;
    }
    let cell = cell_at(utterance, t, u);
    // A row without any symbol has no arcs.
    let is_empty = is_log_zero(s.peak);
    let normaliser = select(s.peak + log2(max(s.sum, 1e-30)), 0.0, is_empty);
    normalisers[cell] = normaliser;
    let blank = score_at(z, t, u, params.blank);
    var leave = 0.0;
    var x = select(blank - normaliser, LOG_ZERO, is_empty);
    if (HAT) {
        leave = log2_sigmoid(-blank);
        x = select(log2_sigmoid(blank), LOG_ZERO, is_log_zero(blank));
    }
    kept[cell * params.channels] = max(x * LN_2, LOG_ZERO);
    for (var channel = 1u; channel < params.channels; channel++) {
        var v = label_at(utterance, u);
        if (channel > 1u) {
            v = named(channel - 2u);
        }
        // Of a wildcard nothing is read.
        x = 0.0;
        if (v != NO_LABEL) {
            x = select(score_at(z, t, u, v) - normaliser + leave, LOG_ZERO, is_empty);
        }
        kept[cell * params.channels + channel] = max(x * LN_2, LOG_ZERO);
    }
}
