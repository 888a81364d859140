// The weights of a recurrent product of f16 as matrices take them: in each of `groups` parts, `lines` rows of `columns` numbers. A unit's
// rows lie one behind the other, `unit_lines` with those of zeros that fill up; what is past the edges is zero.
// Twin: src/cpu/cells/product.rs.

struct Params {
    hidden: u32,
    rows: u32,
    groups: u32,
    lines: u32,
    unit_lines: u32,
    columns: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [rows, hidden, hidden], two in a word
@group(0) @binding(1)
var<storage, read> weight: array<u32>;
// [groups, lines, columns]
@group(0) @binding(2)
var<storage, read_write> out: array<u32>;

fn half_at(line: u32, column: u32) -> u32 {
    let unit = line / params.lines * (params.lines / params.unit_lines) + line % params.lines / params.unit_lines;
    let row = line % params.unit_lines;
    if (unit >= params.hidden || row >= params.rows || column >= params.hidden) {
        return 0u;
    }
    let at = (row * params.hidden + unit) * params.hidden + column;
    return extractBits(weight[at / 2u], 16u * (at % 2u), 16u);
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    let words = params.columns / 2u;
    if (number < params.groups * params.lines * words) {
        let line = number / words;
        let column = number % words * 2u;
        out[number] = half_at(line, column) | (half_at(line, column + 1u) << 16u);
    }
}
