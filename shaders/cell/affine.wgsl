// Columns times a scale and plus a shift each, of lines.
// Twin: src/cpu/cells/norms.rs.

struct Params {
    count: u32,
    columns: u32,
    // Where the lines begin.
    from_first: u32,
    to_first: u32,
    // The lines are where the results go.
    in_place: u32,
    // Where scale and shift begin.
    scale_first: u32,
    shift_first: u32,
    has_scale: u32,
    has_shift: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [columns] each
@group(0) @binding(1)
var<storage, read> scale: array<f32>;
@group(0) @binding(2)
var<storage, read> shift: array<f32>;
// [lines, columns]
@group(0) @binding(3)
var<storage, read> lines: array<f32>;
@group(0) @binding(4)
var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (number < params.count) {
        let column = number % params.columns;
        var value = 0.0;
        if (params.in_place != 0u) {
            value = out[params.to_first + number];
        } else {
            value = lines[params.from_first + number];
        }
        if (params.has_scale != 0u) {
            value *= scale[params.scale_first + column];
        }
        if (params.has_shift != 0u) {
            value += shift[params.shift_first + column];
        }
        out[params.to_first + number] = value;
    }
}
