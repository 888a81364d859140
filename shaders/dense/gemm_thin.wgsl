// The product of `gemm.wgsl` for few rows, of factors that both run along k: an invocation owns a column of four rows, and reads its
// line of B as it lies. A cell is summed in the order of k, as there, and has the same bits.
// Twin: src/cpu/gemm.rs::product.
#import gemm_operands

const COLUMNS = 32u;
// Of k: what is there of A at a time, and what an invocation reads ahead of B.
const CHUNK = 128u;
const AHEAD = 32u;
// Four rows of A for each k; at the end, of the sums for each column.
var<workgroup> wg_rows: array<vec4f, CHUNK>;

// What of a line of B is read together.
struct Stretch {
    first: Lines,
    second: Lines,
}

fn stretch(n: u32, k: u32, end: u32) -> Stretch {
    let all = params.columns;
    return Stretch(
        Lines(b_line(n, k, all, end), b_line(n, k + 4u, all, end), b_line(n, k + 8u, all, end), b_line(n, k + 12u, all, end)),
        Lines(b_line(n, k + 16u, all, end), b_line(n, k + 20u, all, end), b_line(n, k + 24u, all, end), b_line(n, k + 28u, all, end)),
    );
}

fn plus_four(sums: vec4f, at: u32, four: Four) -> vec4f {
    let b = b_values(four);
    var sum = fma(wg_rows[at], vec4f(b.x), sums);
    sum = fma(wg_rows[at + 1u], vec4f(b.y), sum);
    sum = fma(wg_rows[at + 2u], vec4f(b.z), sum);
    return fma(wg_rows[at + 3u], vec4f(b.w), sum);
}

fn plus_lines(sums: vec4f, at: u32, lines: Lines) -> vec4f {
    var sum = plus_four(sums, at, lines.first);
    sum = plus_four(sum, at + 4u, lines.second);
    sum = plus_four(sum, at + 8u, lines.third);
    return plus_four(sum, at + 12u, lines.fourth);
}

@compute @workgroup_size(32)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let across = (params.columns + COLUMNS - 1u) / COLUMNS;
    let number = group.x + group.y * groups.x;
    // Groups beyond the last row read and write nothing.
    let first_row = number / across * 4u;
    let first_column = number % across * COLUMNS;
    let n = first_column + local;
    let end = select(0u, params.depth, first_row < params.rows);

    var sums = vec4f();
    var rows = load_a(first_row, 4u * local, end);
    var next = stretch(n, 0u, end);
    for (var begin = 0u; begin < end; begin += CHUNK) {
        let block = a_block(rows);
        wg_rows[4u * local] = block[0];
        wg_rows[4u * local + 1u] = block[1];
        wg_rows[4u * local + 2u] = block[2];
        wg_rows[4u * local + 3u] = block[3];
        workgroupBarrier();
        rows = load_a(first_row, begin + CHUNK + 4u * local, end);
        for (var k = 0u; k < CHUNK; k += AHEAD) {
            let now = next;
            next = stretch(n, begin + k + AHEAD, end);
            sums = plus_lines(sums, k, now.first);
            sums = plus_lines(sums, k + 16u, now.second);
        }
        workgroupBarrier();
    }

    wg_rows[local] = sums;
    workgroupBarrier();
    let row = local / 8u;
    let four = local % 8u * 4u;
    let cells = vec4f(wg_rows[four][row], wg_rows[four + 1u][row], wg_rows[four + 2u][row], wg_rows[four + 3u][row]);
    store_four(0u, first_row + row, first_column + four, cells);
}
