// The largest magnitude of each line of a matrix that is finite, as bits: of its rows, or of its columns. `out` holds zeros before.
// Twin: src/cpu/gemm.rs::line_most.

struct Params {
    // Of the matrix as it lies in memory.
    lines: u32,
    width: u32,
    // Where it begins in its window, and from line to line, in elements.
    first: u32,
    stride: u32,
    // Where the first goes.
    out_first: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> x: array<f32>;
@group(0) @binding(2)
var<storage, read_write> out: array<atomic<u32>>;

// 1: of what lies side by side; 0: of columns.
override ALONG: u32 = 1u;

// A workgroup takes 256 columns of 64 lines: an invocation one column of all, or four lines of every 16th column.
const COLUMNS = 256u;
const LINES = 64u;

fn magnitude(line: u32, column: u32) -> u32 {
    if (line >= params.lines || column >= params.width) {
        return 0u;
    }
    let bits = bitcast<u32>(x[params.first + line * params.stride + column]) & 0x7fffffffu;
    return select(bits, 0u, bits >= 0x7f800000u);
}

var<workgroup> wg_most: array<atomic<u32>, LINES>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let across = (params.width + COLUMNS - 1u) / COLUMNS;
    let number = group.x + group.y * groups.x;
    let first_line = number / across * LINES;
    let first_column = number % across * COLUMNS;
    if (local < LINES) {
        atomicStore(&wg_most[local], 0u);
    }
    workgroupBarrier();
    if (ALONG == 0u) {
        let column = first_column + local;
        var most = 0u;
        for (var i = first_line; i < first_line + LINES; i += 4u) {
            let two = max(vec2u(magnitude(i, column), magnitude(i + 1u, column)), vec2u(magnitude(i + 2u, column), magnitude(i + 3u, column)));
            most = max(most, max(two.x, two.y));
        }
        if (most != 0u) {
            atomicMax(&out[params.out_first + column], most);
        }
    } else {
        for (var i = local / 16u; i < LINES; i += 16u) {
            var most = 0u;
            for (var j = first_column + local % 16u; j < first_column + COLUMNS; j += 32u) {
                most = max(most, max(magnitude(first_line + i, j), magnitude(first_line + i, j + 16u)));
            }
            if (most != 0u) {
                atomicMax(&wg_most[i], most);
            }
        }
    }
    workgroupBarrier();
    if (ALONG != 0u && local < LINES && first_line + local < params.lines) {
        atomicMax(&out[params.out_first + first_line + local], atomicLoad(&wg_most[local]));
    }
}
