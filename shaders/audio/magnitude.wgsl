// y[b, c, t] = |x[b, c, t] + i x[b, bins + c, t]|: x holds `bins` rows of real parts, then as many of
// imaginary parts.
// Twin: src/cpu/audio.rs::magnitude.

struct Params {
    batch: u32,
    // Numbers in one y[b]: bins times columns.
    plane: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> x: array<f32>;
@group(0) @binding(2)
var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.x + group.y * groups.x) * 256u + local;
    if (i < params.batch * params.plane) {
        let re = i + i / params.plane * params.plane;
        let z = vec2f(x[re], x[re + params.plane]);
        y[i] = sqrt(dot(z, z));
    }
}
