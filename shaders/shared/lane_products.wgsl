// Products as in lane_product.wgsl, by the way that suits the number of sequences. The importing kernel declares PIECES, the sequences
// from which on their vectors are brought in pieces, 2 or 5, and what lane_product needs.
#import lane_product
#import lane_pieces

fn multiply_any(weights: u32, first: u32, pitch: u32, end: u32, local: u32, subgroup_size: u32) {
    if (BATCH >= PIECES) {
        multiply_pieces(weights, first, pitch, end, local, subgroup_size);
    } else {
        multiply(weights, first, pitch, end, local, subgroup_size);
    }
}
