//! Sums of products.

/// Dot product in eight strands, which the compiler turns into vector code.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut strands = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a8.zip(b8) {
        for i in 0..8 {
            strands[i] += a[i] * b[i];
        }
    }
    strands.iter().sum::<f32>() + rest
}
