// f32 as f16, every line times a power of two of its own. A workgroup takes a line. Lines begin at multiples of four elements, and are
// multiples of four long.
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
// [lines, width], two in a word
@group(0) @binding(2)
var<storage, read_write> out: array<vec2u>;
// [lines]: what undoes the power.
@group(0) @binding(3)
var<storage, read_write> factors: array<f32>;

const LANES = 256u;
var<workgroup> wg_largest: atomic<u32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let line = group.x + group.y * groups.x;
    let fours = select(0u, params.width / 4u, line < params.lines);
    let first = (params.x_first + line * params.x_stride) / 4u;
    if (local == 0u) {
        atomicStore(&wg_largest, 0u);
    }
    workgroupBarrier();
    var largest = 0u;
    for (var four = local; four < fours; four += LANES) {
        largest = max(largest, finite_bits_of_four(x[first + four]));
    }
    if (largest > 0u) {
        atomicMax(&wg_largest, largest);
    }
    workgroupBarrier();
    let exponent = scale_exponent(atomicLoad(&wg_largest));
    let scale = vec2f(power_of_two(exponent));
    for (var four = local; four < fours; four += LANES) {
        let v = x[first + four];
        out[line * (params.width / 4u) + four] = vec2u(scaled_halves(v.x, v.y, scale), scaled_halves(v.z, v.w, scale));
    }
    if (local == 0u && line < params.lines) {
        factors[line] = power_of_two(254u - exponent);
    }
}
