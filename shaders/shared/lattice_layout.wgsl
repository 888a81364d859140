// How a batch and its lattices lie in memory. Twin: src/lattice/layout.rs.
//
// A place holds one or several frames of a column, as the kernels say, and places lie on diagonals: place p of
// column u is in line (p + u) mod P of P, so that what a step of a sweep reads lies side by side and no
// place is left empty.
//
// In the variants for bands a lattice has the cells of its band only, as many places a frame as its widest range has positions: frame
// after frame, position u at u mod that. Each has an anchor of its own. One place more stands for all cells outside of the band, which
// have no weights and are never reached.

// Steps of a sweep between two anchors of its variables.
const CHUNK = 8u;
// Words that `batch` holds for each utterance before its labels.
const HEADER = 16u;

struct Utterance {
    // T and U of its lattice.
    frames: u32,
    labels: u32,
    // P.
    lines: u32,
    // Its first place.
    first_place: u32,
    first_anchor: u32,
    // Chunks of steps: ceil((P + U) / CHUNK).
    chunks: u32,
    // Its labels in `batch`.
    labels_at: u32,
    // Its first row in the logits and the way from frame to frame, in units of the layout.
    first_row: u32,
    frame_stride: u32,
    // Positions a frame in the logits, and all rows of the utterance there.
    positions: u32,
    rows: u32,
    // Where in them the lattice begins.
    begin_frame: u32,
    begin_label: u32,
    // Its band in `batch`, two words a frame: first and last allowed u. 0: no band.
    band_at: u32,
    // What its gradient is multiplied by.
    scale: f32,
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
        batch[at + 7u],
        batch[at + 8u],
        batch[at + 9u],
        batch[at + 10u],
        batch[at + 11u],
        batch[at + 12u],
        batch[at + 13u],
        bitcast<f32>(batch[at + 14u]),
    );
}

// The line of place p of column u. Most lattices are longer than wide: no division.
fn line_at(utterance: Utterance, p: u32, u: u32) -> u32 {
    let line = select(p + u, p + u - utterance.lines, p + u >= utterance.lines);
    if (line >= utterance.lines) {
        return line % utterance.lines;
    }
    return line;
}

#ifdef BANDS
fn is_in_band(utterance: Utterance, t: u32, u: u32) -> bool {
    let at = utterance.band_at + 2u * t;
    return u >= batch[at] && u <= batch[at + 1u];
}

// Of a cell of the band.
fn band_place(utterance: Utterance, t: u32, u: u32) -> u32 {
    return utterance.first_place + t * utterance.positions + u % utterance.positions;
}

// The place that stands for cells outside of the band.
fn beside_band(utterance: Utterance) -> u32 {
    return utterance.first_place + utterance.frames * utterance.positions;
}

fn place_at(utterance: Utterance, t: u32, u: u32) -> u32 {
    return select(beside_band(utterance), band_place(utterance, t, u), is_in_band(utterance, t, u));
}

fn forward_anchor(utterance: Utterance, t: u32, u: u32) -> u32 {
    return place_at(utterance, t, u);
}

fn backward_anchor(utterance: Utterance, t: u32, u: u32) -> u32 {
    return place_at(utterance, t, u);
}
#else
fn place_at(utterance: Utterance, p: u32, u: u32) -> u32 {
    return utterance.first_place + line_at(utterance, p, u) * (utterance.labels + 1u) + u;
}

// The anchor of step k of column j, in the coordinates of its direction.
fn anchor_at(utterance: Utterance, k: u32, j: u32) -> u32 {
    return utterance.first_anchor + k / CHUNK * (utterance.labels + 1u) + j;
}

// That of a cell (t, u), where places are frames.
fn forward_anchor(utterance: Utterance, t: u32, u: u32) -> u32 {
    return anchor_at(utterance, t, u);
}

fn backward_anchor(utterance: Utterance, t: u32, u: u32) -> u32 {
    return anchor_at(utterance, utterance.frames - 1u - t, utterance.labels - u);
}
#endif
