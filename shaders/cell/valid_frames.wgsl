// Copies the frames that sequences have, and puts zeros for those past their ends, whatever is there.
// F16: two numbers in a word.
// Twin: src/cpu/cells/states.rs.

struct Params {
    batch: u32,
    columns: u32,
    // Frames, the number of the first of them, and where it begins in x, in elements.
    frames: u32,
    first: u32,
    x_first: u32,
}

#ifdef F16
alias Word = u32;
#else
alias Word = f32;
#endif

@group(0) @binding(0)
var<uniform> params: Params;
// [frames, batch, columns]
@group(0) @binding(1)
var<storage, read> x: array<Word>;
// [batch] lengths
@group(0) @binding(2)
var<storage, read> sequences: array<u32>;
// [frames, batch, columns]
@group(0) @binding(3)
var<storage, read_write> out: array<Word>;

fn is_there(number: u32) -> bool {
    let row = number / params.columns;
    return row < params.frames * params.batch && params.first + row / params.batch < sequences[row % params.batch];
}

#ifdef F16
fn half_at(number: u32) -> u32 {
    if (!is_there(number)) {
        return 0u;
    }
    let at = params.x_first + number;
    return extractBits(x[at / 2u], 16u * (at % 2u), 16u);
}
#endif

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    let count = params.frames * params.batch * params.columns;
#ifdef F16
    if (2u * number < count) {
        out[number] = half_at(2u * number) | (half_at(2u * number + 1u) << 16u);
    }
#else
    if (number < count) {
        var value = 0.0;
        if (is_there(number)) {
            value = x[params.x_first + number];
        }
        out[number] = value;
    }
#endif
}
