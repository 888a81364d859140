// What all kernels of joiners without a layer are told. A cell keeps of its row the log-probabilities of the symbols that arcs read: channel 0
// the blank, 1 the next label, then the symbols that arcs name beside the blank. Twin: src/cpu/additive.rs.
#import lattice_layout
#import lattice_status

struct Params {
    // The first utterance of the launch; its z counts on.
    first_utterance: u32,
    // Rows of the batch before those that are kept.
    first_row: u32,
    // Frames and positions of an utterance in `encoder` and `predictor`, and where the first utterance of the launch begins there.
    frames: u32,
    positions: u32,
    encoder_first: u32,
    predictor_first: u32,
    // Where its gradients begin in `out`.
    out_first: u32,
    // V.
    vocab: u32,
    blank: u32,
    // What a cell keeps, and the symbols of channels 2, 3, …
    channels: u32,
    named_0: u32,
    named_1: u32,
    named_2: u32,
    named_3: u32,
    // Largest magnitude of a logit's gradient, before the scale of its utterance.
    clamp: f32,
    // Utterances of the launch.
    utterances: u32,
    // Of a smoothed loss, what log-probabilities weigh: those of sums, of frames alone, of positions alone.
    together: f32,
    frames_alone: f32,
    positions_alone: f32,
    // Where the normalisers of frames alone [N, frames] begin among all, those of positions [N, positions], and the log2 of each symbol's mean
    // probability [V], behind which is that of the positions that it is the mean of.
    frames_at: u32,
    positions_at: u32,
    prior_at: u32,
    // Where sums over frames begin behind those over positions.
    sums_at: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> batch: array<u32>;
// The blank by a sigmoid of its own, the labels by a softmax among themselves.
override HAT: bool = false;

const LOG2_E: f32 = 1.4426950408889634;
const LN_2: f32 = 0.6931471805599453;
// Stands for log 0; and for a masked score, which nothing that is added to it brings back.
const LOG_ZERO: f32 = -1e30;
const MASKED: f32 = -1e38;
// A label that stands for any symbol, or that is not there: no symbol.
const NO_LABEL = 0xffffffffu;

// The normaliser of a frame or a position alone that smoothing leaves out.
const LEFT_OUT: f32 = 1e38;

fn is_left_out(normaliser: f32) -> bool {
    return normaliser >= 0.5 * LEFT_OUT;
}

fn is_log_zero(x: f32) -> bool {
    return x <= 0.5 * LOG_ZERO;
}

// NaN or +inf.
fn is_unusable(x: f32) -> bool {
    let bits = bitcast<u32>(x);
    return (bits & 0x7fffffffu) > 0x7f800000u || bits == 0x7f800000u;
}

// A score that arithmetic may touch.
fn clean(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    return select(clamp(bitcast<f32>(select(bits, 0u, is_unusable(x) || bits == 0xff800000u)), LOG_ZERO, -LOG_ZERO), MASKED, bits == 0xff800000u);
}

// Label u of the target.
fn label_at(utterance: Utterance, u: u32) -> u32 {
    return select(NO_LABEL, batch[utterance.labels_at + min(u, max(utterance.labels, 1u) - 1u)], u < utterance.labels);
}

// The symbol of a channel that arcs name.
fn named(i: u32) -> u32 {
    return select(select(params.named_0, params.named_1, i == 1u), select(params.named_2, params.named_3, i == 3u), i >= 2u);
}

// A cell among those that are kept.
fn cell_at(utterance: Utterance, t: u32, u: u32) -> u32 {
    return utterance.first_row - params.first_row + t * utterance.positions + u;
}
