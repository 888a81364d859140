// Rows of logits and the frames that they belong to: what the passes over the logits share.
#import lanes
#import ctc_layout

struct Params {
    // The first utterance of the launch; its z counts on.
    first_utterance: u32,
    // Rows of the window: from, below; and the elements before the first.
    first_row: u32,
    end_row: u32,
    shift: u32,
    // Whether utterances and frames lie by strides, in elements; else the rows of a window follow each other.
    strided: u32,
    utterance_stride: u32,
    frame_stride: u32,
    // The first row and chunk that the workspace holds.
    workspace_row: u32,
    workspace_chunk: u32,
    // V.
    vocab: u32,
    blank: u32,
    // Groups of columns a frame.
    groups: u32,
    // N.
    utterances: u32,
    // Elements of one direction in `lattice` and `anchors`.
    lattice_stride: u32,
    anchor_stride: u32,
    // Largest magnitude of a gradient before the scale of its utterance.
    clamp: f32,
}

@group(0) @binding(0)
var<uniform> params: Params;

// Whether the scores are log-probabilities: nothing is normalised.
override PICKED: bool = false;

struct Row {
    // Whether the launch has this row.
    exists: bool,
    // Whether it is a frame of the utterance.
    is_frame: bool,
    t: u32,
    // Its first element in the window.
    start: u32,
    // Its place in the workspace.
    place: u32,
}

// Row `number` of utterance n in the window. One that does not exist has the place of the first.
fn locate(utterance: Utterance, n: u32, number: u32) -> Row {
    let first = max(utterance.first_row, params.first_row);
    let wanted = first + number;
    let exists = wanted < min(utterance.first_row + utterance.rows, params.end_row);
    let row = select(params.first_row, wanted, exists);
    let frame = row - utterance.first_row;
    // Rows before the beginning wrap.
    let t = frame - utterance.begin;
    let is_frame = exists && t < utterance.frames;
    let inside = select(row - params.first_row, frame, params.strided == 1u);
    let start = n * params.utterance_stride + inside * params.frame_stride;
    let place = row - select(0u, utterance.begin, is_frame) - params.workspace_row;
    return Row(exists, is_frame, t, params.shift + select(0u, start, exists), place);
}
