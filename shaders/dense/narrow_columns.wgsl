// f32 as f16, every column times a power of two of its own, of what `line_most.wgsl` found. Lines begin at multiples of four
// elements, and are multiples of four long.
// Twin: src/cpu/convert.rs.
#import half_scale

struct Params {
    lines: u32,
    width: u32,
    // Where x begins in its window, and from line to line.
    x_first: u32,
    x_stride: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> x: array<vec4f>;
// [width]: bits of the largest magnitude.
@group(0) @binding(2)
var<storage, read> largest: array<vec4u>;
// [lines, width], two in a word
@group(0) @binding(3)
var<storage, read_write> out: array<vec2u>;
// [width]: what undoes the powers.
@group(0) @binding(4)
var<storage, read_write> factors: array<vec4f>;

fn exponents(four: u32) -> vec4u {
    let bits = largest[four];
    return vec4u(scale_exponent(bits.x), scale_exponent(bits.y), scale_exponent(bits.z), scale_exponent(bits.w));
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let fours = params.width / 4u;
    let number = (group.x + group.y * groups.x) * 256u + local;
    let line = number / fours;
    let four = number % fours;
    if (line < params.lines) {
        let e = exponents(four);
        let scales = bitcast<vec4f>(e << vec4u(23u));
        let v = x[(params.x_first + line * params.x_stride) / 4u + four];
        out[number] = vec2u(scaled_halves(v.x, v.y, scales.xy), scaled_halves(v.z, v.w, scales.zw));
        if (line == 0u) {
            factors[four] = bitcast<vec4f>((vec4u(254u) - e) << vec4u(23u));
        }
    }
}
