// Rows of logits [N, T, U1, V] and the cells of the planes that they belong to: what the row pass and
// the gradient pass share. Params twin: src/lattice/plan.rs::RowParams.
//
// A plane is diagonal-major: cell (t, u) lies at (t + u) * U1 + u, so that what a step of the sweep
// reads lies side by side. D = T + U1 - 1 diagonals.

struct Params {
    // Rows in this window.
    rows: u32,
    // The first of them, counted from the first utterance of the chunk.
    first_row: u32,
    // Elements in the logits window before the first row: windows begin at aligned offsets.
    shift: u32,
    // T, of the tensor.
    frames: u32,
    // U1 = most labels + 1, of the tensor.
    positions: u32,
    // V.
    vocab: u32,
    blank: u32,
    // N, of the whole batch.
    utterances: u32,
    // The first utterance of the chunk: the planes hold one chunk.
    first_utterance: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;

struct Row {
    // Whether the window has this row.
    exists: bool,
    // In the whole batch.
    utterance: u32,
    t: u32,
    u: u32,
    // In a plane of its utterance.
    cell: u32,
    // Cells of a plane.
    plane: u32,
    // First plane of its utterance, as a count of utterances.
    slot: u32,
}

// A row beyond the window is given the coordinates of the last one, to keep addresses in bounds.
fn locate(row: u32) -> Row {
    let flat = params.first_row + min(row, params.rows - 1u);
    let u = flat % params.positions;
    let t = (flat / params.positions) % params.frames;
    let slot = flat / params.positions / params.frames;
    let plane = (params.frames + params.positions - 1u) * params.positions;
    return Row(row < params.rows, params.first_utterance + slot, t, u, (t + u) * params.positions + u, plane, slot);
}
