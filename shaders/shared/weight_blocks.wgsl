// A recurrent weight as it is kept, and as the product takes it: blocks of heads, and numbers that are dropped. The importing kernel
// declares its buffers.
// Twin: src/cpu/cells/weights.rs.
#import random_words

struct Params {
    rows: u32,
    // Columns that are kept, and those of the product.
    columns: u32,
    all_columns: u32,
    // Units of a gate, and of a head.
    units: u32,
    head_units: u32,
    // Of 2^32, how often a number is dropped; 0: never. What the others are multiplied by.
    drop: u32,
    scale: f32,
    seed: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;

// The column of the product where the block of a row begins.
fn block_of(row: u32) -> u32 {
    return row % params.units / params.head_units * params.columns;
}

// What a number that is kept is multiplied by.
fn factor(row: u32, column: u32) -> f32 {
    if (params.drop == 0u) {
        return 1.0;
    }
    return select(params.scale, 0.0, random_words(vec4u(params.seed, row, column, 2u)).x < params.drop);
}
