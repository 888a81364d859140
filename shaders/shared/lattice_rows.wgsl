// Rows of scores and the cells that they belong to: what the row pass and the gradient pass share.
#import lanes
#import lattice_layout

struct Params {
    // The first utterance of the launch; its z counts on.
    first_utterance: u32,
    // Rows of each utterance that the launch works on: from, below.
    first_row: u32,
    end_row: u32,
    // The window of the scores: its first row in units of the layout, and the elements before that.
    window_row: u32,
    shift: u32,
    // Elements a unit of the layout, units from position to position.
    unit: u32,
    position_stride: u32,
    // V.
    vocab: u32,
    blank: u32,
    // N, of the whole batch.
    utterances: u32,
    // Places and anchors of one direction.
    places: u32,
    anchors: u32,
    // Symbol with a delay penalty of its own; none: V.
    eos: u32,
    // Per frame, added to the log2 weight of labels, of the symbol `eos` beyond that.
    delay: f32,
    eos_delay: f32,
    // Subtracted from the log2 weight of every symbol: logit under-normalisation.
    sigma: f32,
    // log2 weight of staying after a wildcard.
    wildcard: f32,
    // 1 + lambda of FastEmit.
    label_scale: f32,
    // Largest magnitude of a gradient, before the scale of its utterance.
    clamp: f32,
}

@group(0) @binding(0)
var<uniform> params: Params;

// What the scores are.
override SCORES: u32 = 0u;
const LOGITS = 0u;
const LOG_PROBS = 1u;
// Log-probabilities of the blank and of the next label only.
const GATHERED = 2u;
// Logits; the blank by a sigmoid of its own, the labels by a softmax among themselves (HAT).
const HAT = 3u;

// A label that stands for any symbol.
const WILDCARD = 0xffffffffu;

// Stands for a row that is not to be worked on.
const NO_ROW = 0xffffffffu;

struct Row {
    // Whether the launch has this row.
    exists: bool,
    // Whether it is a cell of the lattice.
    is_cell: bool,
    t: u32,
    u: u32,
    // First element in the window.
    start: u32,
}

// Row `number` of the launch. One that does not exist has the place of the first, to keep addresses in
// bounds.
fn locate(utterance: Utterance, number: u32) -> Row {
    let wanted = params.first_row + number;
    let exists = wanted < min(params.end_row, utterance.rows);
    let row = select(params.first_row, wanted, exists);
    let frame = row / utterance.positions;
    return row_at(utterance, exists, frame, row - frame * utterance.positions);
}

// The row of a frame and a position of the tensor.
fn row_at(utterance: Utterance, exists: bool, frame: u32, position: u32) -> Row {
    // Rows before the beginning wrap.
    let t = frame - utterance.begin_frame;
    var u = position - utterance.begin_label;
#ifdef BANDS
    // Positions of a frame count from where its band begins.
    if (t < utterance.frames) {
        u += batch[utterance.band_at + 2u * t];
    }
#endif
    var is_cell = exists && t < utterance.frames && u <= utterance.labels;
    if (is_cell && utterance.band_at > 0u) {
        let at = utterance.band_at + 2u * t;
        is_cell = u >= batch[at] && u <= batch[at + 1u];
    }
    let first = utterance.first_row + frame * utterance.frame_stride + position * params.position_stride - params.window_row;
    return Row(exists, is_cell, t, u, first * params.unit + params.shift);
}

// Label u of the target; the one before the first is the blank, which is never one.
fn label_at(utterance: Utterance, u: u32) -> u32 {
    return select(params.blank, batch[utterance.labels_at + min(u, utterance.labels)], u < utterance.labels);
}

// Whether staying at position u is staying after a wildcard.
fn after_wildcard(utterance: Utterance, u: u32) -> bool {
    return label_at(utterance, u - 1u) == WILDCARD;
}

// The symbol whose score is that of a label, which is no wildcard.
fn symbol_of(label: u32) -> u32 {
    return select(label, 1u, SCORES == GATHERED);
}
