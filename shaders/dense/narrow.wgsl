// f32, times a scale, to the nearest f16.
// Twin: src/cpu/convert.rs.
#import cell_half

struct Params {
    count: u32,
    scale: f32,
    // Where x begins in its window.
    x_first: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> x: array<f32>;
// Two in a word; behind an odd number of them, a zero.
@group(0) @binding(2)
var<storage, read_write> out: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (2u * number < params.count) {
        let first = cell_half(x[params.x_first + 2u * number] * params.scale);
        var second = 0.0;
        if (2u * number + 1u < params.count) {
            second = cell_half(x[params.x_first + 2u * number + 1u] * params.scale);
        }
        out[number] = pack2x16float(vec2f(first, second));
    }
}
