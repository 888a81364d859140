// x times a scale, in place.
// Twin: src/cpu/joint.rs::scale.

struct Params {
    count: u32,
    scale: f32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read_write> x: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (number < params.count) {
        x[number] *= params.scale;
    }
}
