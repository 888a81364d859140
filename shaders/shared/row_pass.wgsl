// What the row passes of transducer lattices share: what they read and write, and single scores.
// The importing kernel declares `arcs`, at binding 3: the weights of the cells' arcs, and the log2 normalisers of their
// rows.
#import lattice_rows
#import lattice_status
#import row_sum

// A window of the scores.
@group(0) @binding(1)
var<storage, read> scores: array<Packed>;
@group(0) @binding(2)
var<storage, read> batch: array<u32>;
// Status words [N], then words that this pass leaves alone.
@group(0) @binding(4)
var<storage, read_write> results: array<atomic<u32>>;

struct Score {
    // As a base-2 logarithm.
    x: f32,
    // NaN or +inf.
    unusable: bool,
}

// Element v of the row that begins at pack `first`.
fn score_at(first: u32, v: u32) -> Score {
    let packed = read_scores(first + v / PACK);
    let wanted = symbols_of(v / PACK) == Bits(v);
    let unusable = has_unusable(select(Bits(0u), bits_of(packed), wanted));
    return Score(max(sum_of(select(Scores(0.0), clean_scores(packed), wanted)) * LOG2_E, LOG_ZERO), unusable);
}

// log2 of the logistic function, for base-2 logits.
fn log2_sigmoid(x: f32) -> f32 {
    return min(x, 0.0) - log2(1.0 + exp2(-abs(x)));
}
