// Copies the frames that sequences have, and puts zeros for those past their ends, whatever is there.
// Twin: src/cpu/cells/states.rs.

struct Params {
    batch: u32,
    columns: u32,
    // Frames, the number of the first of them, and where it begins in x, in elements.
    frames: u32,
    first: u32,
    x_first: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [frames, batch, columns]
@group(0) @binding(1)
var<storage, read> x: array<f32>;
// [batch] lengths
@group(0) @binding(2)
var<storage, read> sequences: array<u32>;
// [frames, batch, columns]
@group(0) @binding(3)
var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (number < params.frames * params.batch * params.columns) {
        let row = number / params.columns;
        let is_there = params.first + row / params.batch < sequences[row % params.batch];
        var value = 0.0;
        if (is_there) {
            value = x[params.x_first + number];
        }
        out[number] = value;
    }
}
