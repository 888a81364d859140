// How the lattices of two arcs are kept: a place is four frames of a column, a quad. Each has four variables
// y and one word that says what they are relative to: 2 e, if the value is y * 2^e; or 2 e + 1, if it is
// 2^(y + e), for values that differ by more than f32 holds. Twin: src/cpu/lattice/quads.rs.
//
// Of a direction there are params.places, and of these and the spare ones behind them, for what no cell wants,
// params.anchors. Spare ones are several, because a device takes long where all of its cores write to one.
#import lattice_layout
#import scaled

// Frames of a place.
const FRAMES = 4u;

fn quad_at(utterance: Utterance, t: u32, u: u32) -> u32 {
    return place_at(utterance, t / FRAMES, u);
}

// A variable from the word of its quad.
fn variable(y: f32, relative_to: i32) -> Scaled {
    let e = relative_to >> 1u;
    if ((relative_to & 1) == 1) {
        return scaled_exp2(y, e);
    }
    return scaled_tidy(Scaled(e, y));
}

// Words of the weights 1 and 0.
const CERTAIN = 0x3f800000u;
const IMPOSSIBLE = 0u;

// Whether the sweep may take a weight for the probability that it is, or a little more than one: at most 16,
// so that a step of it stays within f32.
fn is_quick_weight(word: u32) -> bool {
    return word <= 0x41800000u;
}
