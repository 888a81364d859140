// f16 to f32, which is exact.
// Twin: src/cpu/convert.rs.

struct Params {
    count: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// Two in a word.
@group(0) @binding(1)
var<storage, read> x: array<u32>;
@group(0) @binding(2)
var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (2u * number < params.count) {
        let pair = unpack2x16float(x[number]);
        out[2u * number] = pair.x;
        if (2u * number + 1u < params.count) {
            out[2u * number + 1u] = pair.y;
        }
    }
}
