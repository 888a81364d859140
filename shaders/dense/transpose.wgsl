// out[c, r] = x[r, c], by square tiles, so that reads and writes run along lines.
// Twin: src/cpu/transpose.rs.

struct Params {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> x: array<f32>;
@group(0) @binding(2)
var<storage, read_write> out: array<f32>;

const SIDE = 32u;
const LINES = 8u;
// One more a line: banks of memory.
var<workgroup> wg_tile: array<f32, SIDE * (SIDE + 1u)>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let across = (params.columns + SIDE - 1u) / SIDE;
    let number = group.x + group.y * groups.x;
    let first_row = number / across * SIDE;
    let first_column = number % across * SIDE;
    for (var line = local / SIDE; line < SIDE; line += LINES) {
        let row = first_row + line;
        let column = first_column + local % SIDE;
        if (row < params.rows && column < params.columns) {
            wg_tile[line * (SIDE + 1u) + local % SIDE] = x[row * params.columns + column];
        }
    }
    workgroupBarrier();
    for (var line = local / SIDE; line < SIDE; line += LINES) {
        let row = first_row + local % SIDE;
        let column = first_column + line;
        if (row < params.rows && column < params.columns) {
            out[column * params.rows + row] = wg_tile[local % SIDE * (SIDE + 1u) + line];
        }
    }
}
