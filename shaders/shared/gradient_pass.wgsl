// What the gradient passes of transducer lattices share: what they read, and the probability of an arc.
#import lattice_rows
#import lattice_status
#import gradients

@group(0) @binding(1)
var<storage, read> batch: array<u32>;
// What the row pass wrote: weights and log2 normalisers.
@group(0) @binding(2)
var<storage, read> arcs: array<u32>;
// Forward, then backward variables: log2, relative to an anchor.
@group(0) @binding(3)
var<storage, read> lattice: array<f32>;
// Exponents that the variables are relative to: forward, backward.
@group(0) @binding(4)
var<storage, read> anchors: array<i32>;
// Status words [N], cost bits [N], log2 of the total: exponents [N], rests [N].
@group(0) @binding(5)
var<storage, read> results: array<u32>;

// log2 of the total of an utterance.
struct Total {
    is_ok: bool,
    e: i32,
    x: f32,
}

fn total_of(n: u32) -> Total {
    return Total(
        (results[n] & STATUS_MASK) == STATUS_OK,
        bitcast<i32>(results[2u * params.utterances + n]),
        bitcast<f32>(results[3u * params.utterances + n]),
    );
}

// log2 of a backward variable, exponent and rest.
struct After {
    e: i32,
    x: f32,
}

// Probability that a path takes an arc of log2 weight w: from a cell whose forward variable, relative to the
// total, is 2^(e + x).
fn arc_probability(e: i32, x: f32, w: f32, to: After) -> f32 {
    // Exponents are added as integers first: large ones cancel without rounding.
    return exp2(clamp(f32(e + to.e) + (x + (w + to.x)), -1e4, 1.0));
}
