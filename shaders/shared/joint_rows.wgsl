// Rows of a joiner: the frame and the position that each is of, and what stands there before the activation.
// Twin: src/cpu/joint.rs.
#import activation
#import lattice_layout
#import lattice_status
#import random_words

struct Params {
    // The first utterance of the window; the launch's z counts on.
    first_utterance: u32,
    // Rows of each utterance that the window has: from, below.
    first_row: u32,
    end_row: u32,
    // Rows of the batch before the window.
    window_row: u32,
    // H.
    hidden: u32,
    // Frames and positions of an utterance in `encoder` and `predictor`, and where the first utterance of the window begins there.
    frames: u32,
    positions: u32,
    encoder_first: u32,
    predictor_first: u32,
    // From row to row of the tile, in elements.
    stride: u32,
    // Of 2^32, how often a number is dropped; 0: never. What the others are multiplied by.
    drop: u32,
    scale: f32,
    seed: u32,
    // Where the gradients of the first utterance begin in `out`, and what those of the tile are multiplied by.
    out_first: u32,
    unscale: f32,
    // 1: positions of a frame count from where its band begins.
    pruned: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> batch: array<u32>;
// [N, frames, H]
@group(0) @binding(2)
var<storage, read> encoder: array<f32>;
// [N, positions, H]
@group(0) @binding(3)
var<storage, read> predictor: array<f32>;

override ACTIVATION: u32 = 0u;

// The position of row `place` of frame t.
fn position_in(utterance: Utterance, t: u32, place: u32) -> u32 {
    if (params.pruned != 0u) {
        // Where a frame's band is narrower than the widest, rows past its end are no cells.
        return min(batch[utterance.band_at + 2u * t] + place, utterance.labels);
    }
    return place;
}

// Of utterance z of the launch.
fn frame_at(z: u32, t: u32, column: u32) -> f32 {
    return encoder[params.encoder_first + (z * params.frames + t) * params.hidden + column];
}

fn predictor_at(z: u32, u: u32, column: u32) -> f32 {
    return predictor[params.predictor_first + (z * params.positions + u) * params.hidden + column];
}

// Of a row of the batch.
fn factor_at(row: u32, column: u32) -> f32 {
    if (params.drop == 0u) {
        return 1.0;
    }
    return select(params.scale, 0.0, random_words(vec4u(params.seed, row, column, 3u)).x < params.drop);
}
