// What kernels that run cells backward share: their buffers but for the first, which each declares.
// In the slot: the cell.
#slot cell

struct Params {
    batch: u32,
    hidden: u32,
    // This frame, and that of the step after.
    frame: u32,
    next: u32,
    // 0: there is no step after this one.
    has_next: u32,
    // 0: this is before the first step: what is left is to multiply.
    has_frame: u32,
    // Where this frame begins in `gates`: inputs, and products. Where the products of the step after begin.
    inputs_first: u32,
    products_first: u32,
    next_first: u32,
    // Where this frame begins in dy.
    dy_first: u32,
    // The slot of the states before this frame, and slots.
    slot: u32,
    slots: u32,
    // Lines, a frame of a sequence each, before this frame in the stretch.
    first_line: u32,
    has_lengths: u32,
    resets_first: u32,
    reset_words: u32,
    zone_first: u32,
    zone_others: u32,
    seed: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(2)
var<storage, read> units: array<f32>;
@group(0) @binding(3)
var<storage, read> sequences: array<u32>;
// [CELL_STATES, slots, batch, hidden]
@group(0) @binding(4)
var<storage, read> states: array<f32>;
// [frames, batch, hidden]
@group(0) @binding(5)
var<storage, read> dy: array<f32>;
// Of each frame [batch, CELL_INPUTS, hidden], and, unless they were added to those, [batch, CELL_ROWS, hidden] with bias.
@group(0) @binding(6)
var<storage, read_write> gates: array<f32>;
// [CELL_STATES + CELL_PARAMETERS, batch, hidden]: gradients of the states after this step, but for what comes by the
// weights; sums of those of the parameters.
@group(0) @binding(7)
var<storage, read_write> carry: array<f32>;

#import cell_sequences
#import cell_units
#import cell_gates
#import cell_carry
#import zoneout
