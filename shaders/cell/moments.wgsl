// Moments of columns over the frames that sequences have, in parts of lines: their number, mean, and sum of squares around it; or,
// backward, sums of gradients, and of those times what was normalised.
// Twin: src/cpu/cells/batch_norm.rs.

struct Params {
    batch: u32,
    hidden: u32,
    lines: u32,
    columns: u32,
    // Lines of a part; parts of this launch, those before it, and all.
    part_lines: u32,
    parts: u32,
    first_part: u32,
    all_parts: u32,
    // The frame of the first line, and where that begins.
    frame: u32,
    values_first: u32,
    // 1: sums of gradients.
    backward: u32,
    has_lengths: u32,
    resets_first: u32,
    reset_words: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> sequences: array<u32>;
// [lines, columns]
@group(0) @binding(2)
var<storage, read> values: array<f32>;
@group(0) @binding(3)
var<storage, read> normalised: array<f32>;
// [3, all_parts, columns]
@group(0) @binding(4)
var<storage, read_write> moments: array<f32>;

#import cell_sequences

// 256 invocations take 64 columns, four lines at a time.
const COLUMNS = 64u;
const LANES = 4u;
var<workgroup> wg_sums: array<vec4f, COLUMNS * LANES>;

// The sums of the four invocations of a column.
fn column_total(own: vec4f, local: u32) -> vec4f {
    workgroupBarrier();
    wg_sums[local] = own;
    workgroupBarrier();
    let column = local % COLUMNS;
    return (wg_sums[column] + wg_sums[column + COLUMNS]) + (wg_sums[column + 2u * COLUMNS] + wg_sums[column + 3u * COLUMNS]);
}

fn counts(line: u32) -> bool {
    return runs(line % params.batch, params.frame + line / params.batch);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let across = (params.columns + COLUMNS - 1u) / COLUMNS;
    let number = group.x + group.y * groups.x;
    let part = number / across;
    let column = number % across * COLUMNS + local % COLUMNS;
    let begin = min(part * params.part_lines, params.lines);
    let end = select(begin, min(begin + params.part_lines, params.lines), column < params.columns);
    var sums = vec4f();
    for (var line = begin + local / COLUMNS; line < end; line += LANES) {
        if (counts(line)) {
            let value = values[params.values_first + line * params.columns + column];
            var other = 0.0;
            if (params.backward != 0u) {
                other = value * normalised[line * params.columns + column];
            }
            sums += vec4f(1.0, value, other, 0.0);
        }
    }
    var total = column_total(sums, local);
    if (params.backward == 0u) {
        total.y /= max(total.x, 1.0);
        sums = vec4f();
        for (var line = begin + local / COLUMNS; line < end; line += LANES) {
            if (counts(line)) {
                let centred = values[params.values_first + line * params.columns + column] - total.y;
                sums.x += centred * centred;
            }
        }
        total.z = column_total(sums, local).x;
    }
    if (local < COLUMNS && column < params.columns && part < params.parts) {
        let at = (params.first_part + part) * params.columns + column;
        let plane_size = params.all_parts * params.columns;
        moments[at] = total.x;
        moments[at + plane_size] = total.y;
        moments[at + 2u * plane_size] = total.z;
    }
}
