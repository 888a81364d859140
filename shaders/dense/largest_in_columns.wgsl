// The largest finite magnitude of each column, as bits: max is the same in any order. Lines begin at multiples of four elements, and are
// multiples of four long.
// Twin: src/cpu/convert.rs.
#import half_scale

struct Params {
    lines: u32,
    width: u32,
    // Lines of a workgroup.
    part_lines: u32,
    // Where x begins in its window, and from line to line.
    x_first: u32,
    x_stride: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> x: array<vec4f>;
// [width], cleared to 0 beforehand.
@group(0) @binding(2)
var<storage, read_write> largest: array<atomic<u32>>;

// 256 invocations take 32 fours of columns, eight lines at a time.
const FOURS = 32u;
const LANES = 8u;
var<workgroup> wg_largest: array<vec4u, FOURS * LANES>;

fn bits_at(line: u32, four: u32, end: u32) -> vec4u {
    if (line < end && four < params.width / 4u) {
        let v = x[(params.x_first + line * params.x_stride) / 4u + four];
        return vec4u(finite_bits(v.x), finite_bits(v.y), finite_bits(v.z), finite_bits(v.w));
    }
    return vec4u();
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let across = (params.width / 4u + FOURS - 1u) / FOURS;
    let number = group.x + group.y * groups.x;
    let four = number % across * FOURS + local % FOURS;
    let begin = min(number / across * params.part_lines, params.lines);
    let end = min(begin + params.part_lines, params.lines);
    var most = vec4u();
    // Four reads are under way.
    for (var line = begin + local / FOURS; line < end; line += 4u * LANES) {
        let upper = max(bits_at(line, four, end), bits_at(line + LANES, four, end));
        most = max(most, max(upper, max(bits_at(line + 2u * LANES, four, end), bits_at(line + 3u * LANES, four, end))));
    }
    wg_largest[local] = most;
    workgroupBarrier();
    if (local < FOURS && four < params.width / 4u) {
        for (var lane = 1u; lane < LANES; lane++) {
            most = max(most, wg_largest[lane * FOURS + local]);
        }
        atomicMax(&largest[4u * four], most.x);
        atomicMax(&largest[4u * four + 1u], most.y);
        atomicMax(&largest[4u * four + 2u], most.z);
        atomicMax(&largest[4u * four + 3u], most.w);
    }
}
