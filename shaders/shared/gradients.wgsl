// The scores, and their gradients: the same window of a tensor of the same shape, or the same memory.
#import scores

@group(0) @binding(6)
#ifdef IN_PLACE
var<storage, read_write> scores: array<Packed>;
#else
var<storage, read_write> gradients: array<Packed>;
@group(0) @binding(7)
var<storage, read> scores: array<Packed>;
#endif

fn store(at: u32, gradient: Scores) {
#ifdef IN_PLACE
    scores[at] = pack_scores(gradient);
#else
    gradients[at] = pack_scores(gradient);
#endif
}
