// Copies the rows of sequences without frames: what went in is what comes out.
// Twin: src/cpu/cells/first.rs.

struct Params {
    batch: u32,
    columns: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [batch] lengths
@group(0) @binding(1)
var<storage, read> sequences: array<u32>;
// [batch, columns] each
@group(0) @binding(2)
var<storage, read> source: array<f32>;
@group(0) @binding(3)
var<storage, read_write> destination: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (number < params.batch * params.columns && sequences[number / params.columns] == 0u) {
        destination[number] = source[number];
    }
}
