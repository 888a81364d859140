// The product of `gemm.wgsl` in f32.
#import gemm_operands

// 256 invocations, 16 x 16, own a tile: ROWS_EACH (1, 4, 8) x COLUMNS_EACH (4, 8) cells each. A cell is summed in the order
// of k whatever the tile, so that a row has the same bits in any batch. Twin: src/dense/gemm.rs.
override ROWS_EACH: u32 = 4u;
override COLUMNS_EACH: u32 = 4u;
// Of k, at a time: 16 or 32.
override DEPTH: u32 = 16u;
// In fours: the sides of the tile, and the depth.
override ROW_FOURS: u32 = 4u * ROWS_EACH;
override COLUMN_FOURS: u32 = 4u * COLUMNS_EACH;
override DEPTH_FOURS: u32 = DEPTH / 4u;
// Blocks of 4 x 4 that make up the tiles of A and B: at most two for each invocation.
override A_BLOCKS: u32 = ROW_FOURS * DEPTH_FOURS;
override BLOCKS: u32 = A_BLOCKS + COLUMN_FOURS * DEPTH_FOURS;
// The fours of A, and all.
override A_FOURS: u32 = ROW_FOURS * DEPTH;
override FOURS: u32 = A_FOURS + COLUMN_FOURS * DEPTH;
const WORKGROUP = 256u;

// A line for each k: rows of A in fours; then, for B, its columns.
var<workgroup> wg_tile: array<vec4f, FOURS>;

// The sums of an invocation: block of rows, block of columns.
var<private> sum00: mat4x4f;
var<private> sum01: mat4x4f;
var<private> sum10: mat4x4f;
var<private> sum11: mat4x4f;

// Where a four stands in its line: lines that are written together have other orders, and so fall into other banks.
fn shuffled(four: u32, depth_four: u32, fours: u32) -> u32 {
    return four ^ ((depth_four * (32u / DEPTH)) & (min(fours, 8u) - 1u));
}

// A block's four along the side and its four of k: neighbours in number lie side by side in memory.
fn place(number: u32, fours: u32, deep: bool) -> vec2u {
    if (deep) {
        return vec2u(number / DEPTH_FOURS, number % DEPTH_FOURS);
    }
    return vec2u(number % fours, number / fours);
}

// Whether the block of an invocation is one of A, and whether there is one: known for most before it runs.
fn is_of_a(slot: u32, number: u32) -> bool {
    return A_BLOCKS >= (slot + 1u) * WORKGROUP || (A_BLOCKS > slot * WORKGROUP && number < A_BLOCKS);
}

fn is_there(slot: u32, number: u32) -> bool {
    return BLOCKS >= (slot + 1u) * WORKGROUP || number < BLOCKS;
}

fn load(slot: u32, local: u32, first_row: u32, first_column: u32, k: u32, end: u32) -> Lines {
    let number = slot * WORKGROUP + local;
    if (is_of_a(slot, number)) {
        let at = 4u * place(number, ROW_FOURS, A_DEEP);
        return load_a(first_row + at.x, k + at.y, end);
    }
    if (is_there(slot, number)) {
        let at = 4u * place(number - A_BLOCKS, COLUMN_FOURS, B_DEEP);
        return load_b(first_column + at.x, k + at.y, end);
    }
    return Lines();
}

fn keep(slot: u32, local: u32, lines: Lines) {
    let number = slot * WORKGROUP + local;
    if (is_of_a(slot, number)) {
        let at = place(number, ROW_FOURS, A_DEEP);
        write_block(4u * at.y * ROW_FOURS + shuffled(at.x, at.y, ROW_FOURS), ROW_FOURS, a_block(lines));
    } else if (is_there(slot, number)) {
        let at = place(number - A_BLOCKS, COLUMN_FOURS, B_DEEP);
        write_block(A_FOURS + 4u * at.y * COLUMN_FOURS + shuffled(at.x, at.y, COLUMN_FOURS), COLUMN_FOURS, b_block(lines));
    }
}

fn write_block(at: u32, pitch: u32, block: mat4x4f) {
    wg_tile[at] = block[0];
    wg_tile[at + pitch] = block[1];
    wg_tile[at + 2u * pitch] = block[2];
    wg_tile[at + 3u * pitch] = block[3];
}

fn plus_outer(sum: mat4x4f, x: vec4f, y: vec4f) -> mat4x4f {
    return mat4x4f(
        fma(vec4f(x.x), y, sum[0]),
        fma(vec4f(x.y), y, sum[1]),
        fma(vec4f(x.z), y, sum[2]),
        fma(vec4f(x.w), y, sum[3]),
    );
}

// One k: the fours of A and B that the invocation's first blocks need.
fn multiply_one(x_at: u32, y_at: u32, row: u32) {
    let y0 = wg_tile[y_at];
    if (ROWS_EACH == 1u) {
        sum00[0] = fma(vec4f(wg_tile[x_at][row % 4u]), y0, sum00[0]);
    } else {
        let x0 = wg_tile[x_at];
        sum00 = plus_outer(sum00, x0, y0);
        if (COLUMNS_EACH == 8u) {
            let y1 = wg_tile[y_at + 16u];
            sum01 = plus_outer(sum01, x0, y1);
            if (ROWS_EACH == 8u) {
                sum11 = plus_outer(sum11, wg_tile[x_at + 16u], y1);
            }
        }
        if (ROWS_EACH == 8u) {
            sum10 = plus_outer(sum10, wg_tile[x_at + 16u], y0);
        }
    }
}

fn multiply(row: u32, column: u32) {
    let row_four = select(row, row / 4u, ROWS_EACH == 1u);
    for (var four = 0u; four < DEPTH_FOURS; four++) {
        let x = 4u * four * ROW_FOURS + shuffled(row_four, four, ROW_FOURS);
        let y = A_FOURS + 4u * four * COLUMN_FOURS + shuffled(column, four, COLUMN_FOURS);
        multiply_one(x, y, row);
        multiply_one(x + ROW_FOURS, y + COLUMN_FOURS, row);
        multiply_one(x + 2u * ROW_FOURS, y + 2u * COLUMN_FOURS, row);
        multiply_one(x + 3u * ROW_FOURS, y + 3u * COLUMN_FOURS, row);
    }
}

fn store_block(part: u32, m: u32, n: u32, sum: mat4x4f) {
    store_four(part, m, n, sum[0]);
    if (ROWS_EACH > 1u) {
        store_four(part, m + 1u, n, sum[1]);
        store_four(part, m + 2u, n, sum[2]);
        store_four(part, m + 3u, n, sum[3]);
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let across = (params.columns + 4u * COLUMN_FOURS - 1u) / (4u * COLUMN_FOURS);
    let down = (params.rows + 4u * ROW_FOURS - 1u) / (4u * ROW_FOURS);
    let number = group.x + group.y * groups.x;
    let part = number / (across * down);
    let tile = number % (across * down);
    let first_row = tile / across * 4u * ROW_FOURS;
    let first_column = tile % across * 4u * COLUMN_FOURS;
    // Those beyond the last part have nothing to sum.
    let begin = min(part * params.part_depth, params.depth);
    let end = min(begin + params.part_depth, params.depth);

    // 4 x 8 neighbours, which a large subgroup holds, read few fours.
    let column = (local & 7u) | ((local >> 2u) & 8u);
    let row = ((local >> 3u) & 3u) | ((local >> 4u) & 12u);
    var lines0 = load(0u, local, first_row, first_column, begin, end);
    var lines1 = load(1u, local, first_row, first_column, begin, end);
    for (var k = begin; k < end; k += DEPTH) {
        keep(0u, local, lines0);
        keep(1u, local, lines1);
        workgroupBarrier();
        // They come while the tile is multiplied.
        lines0 = load(0u, local, first_row, first_column, k + DEPTH, end);
        lines1 = load(1u, local, first_row, first_column, k + DEPTH, end);
        multiply(row, column);
        workgroupBarrier();
    }
    if (part < params.parts) {
        let m = first_row + min(ROWS_EACH, 4u) * row;
        let n = first_column + 4u * column;
        store_block(part, m, n, sum00);
        if (COLUMNS_EACH == 8u) {
            store_block(part, m, n + 64u, sum01);
        }
        if (ROWS_EACH == 8u) {
            store_block(part, m + 64u, n, sum10);
            if (COLUMNS_EACH == 8u) {
                store_block(part, m + 64u, n + 64u, sum11);
            }
        }
    }
}
