// The largest magnitude of each line of a matrix that is finite, as bits: of its rows, or of its columns. `out` holds zeros before.
// Lines begin at multiples of four elements and are multiples of four long.
// Twin: src/cpu/gemm.rs::line_most.

struct Params {
    // Of the matrix as it lies in memory.
    lines: u32,
    width: u32,
    // Where it begins in its window, and from line to line, in elements.
    first: u32,
    stride: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> x: array<vec4f>;
@group(0) @binding(2)
var<storage, read_write> out: array<atomic<u32>>;

// 1: of what lies side by side; 0: of columns.
override ALONG: u32 = 1u;

// A workgroup takes 64 fours of 64 lines: an invocation four fours of four lines, or one of 16 lines.
const FOURS = 64u;
const LINES = 64u;
var<workgroup> wg_most: array<atomic<u32>, 4u * FOURS>;

fn magnitudes(line: u32, four: u32) -> vec4u {
    if (line >= params.lines || 4u * four >= params.width) {
        return vec4u();
    }
    let bits = bitcast<vec4u>(x[(params.first + line * params.stride) / 4u + four]) & vec4u(0x7fffffffu);
    return select(bits, vec4u(), bits >= vec4u(0x7f800000u));
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let across = (params.width + 4u * FOURS - 1u) / (4u * FOURS);
    let number = group.x + group.y * groups.x;
    let first_line = number / across * LINES;
    let first_four = number % across * FOURS;
    atomicStore(&wg_most[local], 0u);
    workgroupBarrier();
    if (ALONG == 0u) {
        var most = vec4u();
        for (var i = local / FOURS; i < LINES; i += 4u) {
            most = max(most, magnitudes(first_line + i, first_four + local % FOURS));
        }
        for (var j = 0u; j < 4u; j++) {
            atomicMax(&wg_most[4u * (local % FOURS) + j], most[j]);
        }
    } else {
        for (var i = local / 16u; i < LINES; i += 16u) {
            let four = first_four + local % 16u;
            let two = max(magnitudes(first_line + i, four), magnitudes(first_line + i, four + 16u));
            let most = max(two, max(magnitudes(first_line + i, four + 32u), magnitudes(first_line + i, four + 48u)));
            atomicMax(&wg_most[i], max(max(most.x, most.y), max(most.z, most.w)));
        }
    }
    workgroupBarrier();
    let most = atomicLoad(&wg_most[local]);
    let place = select(4u * first_four + local, first_line + local, ALONG != 0u);
    let is_there = select(place < params.width, local < LINES && place < params.lines, ALONG != 0u);
    if (is_there && most != 0u) {
        atomicMax(&out[place], most);
    }
}
