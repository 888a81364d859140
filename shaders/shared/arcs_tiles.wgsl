// Which rows a workgroup of a pass over the rows of a lattice of any arcs takes.
//
// What lies side by side in a line of the lattice are cells of one diagonal, which are FRAMES rows in as many
// frames. So a workgroup takes a tile of FRAMES frames and some diagonals, row after row down a diagonal: what it
// reads of the lattice it reads in whole lines, and so it writes. With one frame a tile it takes rows as
// they come.

// Frames of a tile.
override FRAMES: u32 = 1u;
// Rows that LANES invocations work on, one after the other; and those of a workgroup, at once and in all.
override ROWS: u32 = 1u;
override SLOTS: u32 = WORKGROUP / LANES;
override TILE_ROWS: u32 = SLOTS * ROWS;

// Diagonals of a tile; tiles beside each other.
fn tile_diagonals() -> u32 {
    return TILE_ROWS / FRAMES;
}

fn tiles_wide(utterance: Utterance) -> u32 {
    return (utterance.positions + FRAMES - 1u + tile_diagonals() - 1u) / tile_diagonals();
}

// Number of row `slot` of a tile in the launch; that of no row if there is none.
fn tile_row(utterance: Utterance, tile: u32, slot: u32) -> u32 {
    if (FRAMES == 1u) {
        return tile * TILE_ROWS + slot;
    }
    let wide = tiles_wide(utterance);
    let band = tile / wide;
    let down = slot % FRAMES;
    let frame = params.first_row / utterance.positions + band * FRAMES + down;
    let position = (tile - band * wide) * tile_diagonals() + slot / FRAMES - down;
    let row = frame * utterance.positions + position;
    let is_there = position < utterance.positions && row >= params.first_row;
    return select(NO_ROW, row, is_there) - params.first_row;
}

// Row i of LANES invocations, `lanes` of their kind before them: neighbours have rows that lie side by side in memory.
fn shared_row(i: u32, lanes: u32) -> u32 {
    let number = i * SLOTS + lanes;
    let down = number / tile_diagonals();
    return (number - down * tile_diagonals()) * FRAMES + down;
}
