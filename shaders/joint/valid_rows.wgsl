// Copies the rows of an encoder's or a predictor's output that utterances have, and puts zeros for those past their ends, and for all of an
// utterance that is not ok, whatever is there.
// F16: halves, two in a word.
// Twin: src/cpu/joint.rs::valid_rows.
#import lattice_layout
#import lattice_status

struct Params {
    // Rows to copy, the number of the first of them, and rows of an utterance in x.
    rows: u32,
    first: u32,
    padded: u32,
    columns: u32,
    // Where the first row begins in x, in elements; from row to row of out.
    x_first: u32,
    stride: u32,
}

#ifdef F16
alias Word = u32;
#else
alias Word = f32;
#endif

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> batch: array<u32>;
// First of all status words.
@group(0) @binding(2)
var<storage, read> results: array<u32>;
@group(0) @binding(3)
var<storage, read> x: array<Word>;
@group(0) @binding(4)
var<storage, read_write> out: array<Word>;

// 1: rows are positions, 0: frames.
override OF_POSITIONS: u32 = 0u;

fn is_there(row: u32) -> bool {
    let number = params.first + row;
    let n = number / params.padded;
    let utterance = utterance(n);
    let length = select(utterance.frames, utterance.labels + 1u, OF_POSITIONS != 0u);
    return number - n * params.padded < length && (results[n] & STATUS_MASK) == STATUS_OK;
}

#ifdef F16
fn half_at(row: u32, column: u32) -> u32 {
    if (column >= params.columns) {
        return 0u;
    }
    let at = params.x_first + row * params.columns + column;
    return extractBits(x[at / 2u], 16u * (at % 2u), 16u);
}
#endif

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
#ifdef F16
    let words = params.stride / 2u;
    let row = number / words;
    let word = number % words;
    if (row < params.rows) {
        var both = 0u;
        if (is_there(row)) {
            both = half_at(row, 2u * word) | (half_at(row, 2u * word + 1u) << 16u);
        }
        out[number] = both;
    }
#else
    let row = number / params.columns;
    let column = number % params.columns;
    if (row < params.rows) {
        var value = 0.0;
        if (is_there(row)) {
            value = x[params.x_first + number];
        }
        out[row * params.stride + column] = value;
    }
#endif
}
