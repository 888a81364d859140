// A joiner without a layer: what stands at frame t and at position u is added up, symbol by symbol, and no sum is ever written.
#import additive_params

// [N, frames, V]
@group(0) @binding(2)
var<storage, read> encoder: array<f32>;
// [N, positions, V]
@group(0) @binding(3)
var<storage, read> predictor: array<f32>;

fn frame_at(z: u32, t: u32, v: u32) -> f32 {
    return encoder[params.encoder_first + (z * params.frames + t) * params.vocab + v];
}

fn position_at(z: u32, u: u32, v: u32) -> f32 {
    return predictor[params.predictor_first + (z * params.positions + u) * params.vocab + v];
}
