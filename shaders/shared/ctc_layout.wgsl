// How a CTC batch and its lattices lie in memory. Twin: src/lattice/ctc/layout.rs.
//
// Column u of a frame holds two states: the blank before label u, and label u. Columns lie in groups of
// four; every frame of a batch has `groups` of them, enough for the longest target. Column U has a blank
// only.

// Frames of a sweep between two anchors of its variables.
const CHUNK = 8u;
// Words that `batch` holds for each utterance before its labels.
const HEADER = 9u;

struct Utterance {
    // T and U.
    frames: u32,
    labels: u32,
    // Its first row in the logits, and its rows there.
    first_row: u32,
    rows: u32,
    // Its first chunk in the workspace.
    first_chunk: u32,
    // Its labels in `batch`.
    labels_at: u32,
    // Its distinct labels in `batch`: see ctc_gradient.wgsl.
    distinct_at: u32,
    // What its gradient is multiplied by.
    scale: f32,
    // Its first frame among its rows in the logits; in the workspace it begins with the first row.
    begin: u32,
}

fn utterance(n: u32) -> Utterance {
    let at = n * HEADER;
    return Utterance(
        batch[at],
        batch[at + 1u],
        batch[at + 2u],
        batch[at + 3u],
        batch[at + 4u],
        batch[at + 5u],
        batch[at + 6u],
        bitcast<f32>(batch[at + 7u]),
        batch[at + 8u],
    );
}

// Groups that hold columns of the lattice.
fn groups_of(utterance: Utterance) -> u32 {
    return utterance.labels / 4u + 1u;
}

// Words of `results` for each utterance, [5, N]: what the row pass saw; status; cost, nats; and the
// probability of the target as an exponent and the log2 of a mantissa.
const SEEN = 0u;
const STATUS = 1u;
const COST = 2u;
const EXPONENT = 3u;
const MANTISSA = 4u;
