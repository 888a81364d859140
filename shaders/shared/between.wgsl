// Between two layers. The importing kernel declares its buffers.
#import random_words

struct Params {
    rows: u32,
    hidden: u32,
    // ONE, CONCAT or SUM.
    kind: u32,
    // Where the rows begin in each buffer, in elements.
    forward_first: u32,
    reverse_first: u32,
    out_first: u32,
    // Rows before these in the tensor, so that every part of it draws its own numbers.
    rows_before: u32,
    // Of 2^32, how often a number is dropped; 0: never. What the others are multiplied by.
    drop: u32,
    scale: f32,
    seed: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;

const ONE = 0u;
const CONCAT = 1u;
const SUM = 2u;

fn out_width() -> u32 {
    return select(params.hidden, 2u * params.hidden, params.kind == CONCAT);
}

// Of number `at` of the rows.
fn factor(at: u32) -> f32 {
    if (params.drop == 0u) {
        return 1.0;
    }
    let row = params.rows_before + at / out_width();
    return select(params.scale, 0.0, random_words(vec4u(params.seed, row, at % out_width(), 1u)).x < params.drop);
}
