// y[f, j] = x[f * hop + j] for j < window, then the signal mirrored at the window's last sample
// (which is not repeated) up to `width`: a reflection pad on the right, as PyTorch's ReflectionPad1d.
// Twin: src/cpu/audio.rs::frame.

struct Params {
    frames: u32,
    hop: u32,
    window: u32,
    // window <= width < 2 * window: further, a mirror image would run out.
    width: u32,
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
    if (i < params.frames * params.width) {
        let f = i / params.width;
        let j = i % params.width;
        let mirrored = select(j, 2u * (params.window - 1u) - j, j >= params.window);
        y[i] = x[f * params.hop + mirrored];
    }
}
