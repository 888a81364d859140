// Rows in the order in which lattices of two arcs are kept: a workgroup takes the rows of some quads, position
// after position, so that what it reads and writes of the lattice are whole quads.
#import lattice_rows
#import quads

// Rows that LANES invocations work on, one after the other.
override ROWS: u32 = 1u;
// Rows that a workgroup works on at once, and quads that it takes.
override SLOTS: u32 = WORKGROUP / LANES;
override QUADS: u32 = SLOTS * ROWS / FRAMES;

// Row i of a slot, as a quad of the workgroup and a frame in there: slots that are neighbours have rows that are.
struct QuadRow {
    quad: u32,
    frame: u32,
}

fn quad_row(i: u32, slot: u32) -> QuadRow {
    let number = i * SLOTS + slot;
    return QuadRow(number % QUADS, number / QUADS);
}

// Quad `number` of the launch.
struct QuadPlace {
    // The frame of the tensor where it begins; it may lie before the tensor, and wrap.
    frame: u32,
    position: u32,
}

fn locate_quad(utterance: Utterance, number: u32) -> QuadPlace {
    // Frames that the first quad has before the tensor begins.
    let before = (0u - utterance.begin_frame) % FRAMES;
    var first = 0u;
    if (params.first_row > 0u) {
        first = (params.first_row / utterance.positions + before) / FRAMES;
    }
    let line = number / utterance.positions;
    return QuadPlace((first + line) * FRAMES - before, number - line * utterance.positions);
}

fn tensor_frames(n: u32) -> u32 {
    return batch[n * HEADER + 15u];
}

// A row that does not exist has no place.
fn locate_frame(utterance: Utterance, tensor_frames: u32, quad: QuadPlace, frame: u32) -> Row {
    let f = quad.frame + frame;
    let row = f * utterance.positions + quad.position;
    let exists = f < tensor_frames && row >= params.first_row && row < params.end_row;
    return row_at(utterance, exists, f, quad.position);
}
