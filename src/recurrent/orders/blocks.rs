//! Rows and blocks of rows.

/// [R, C] as [C, R].
pub(super) fn transposed(data: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| data.iter().skip(column).step_by(columns).copied()).collect()
}

/// A block of theirs that we do not have.
pub(super) const NONE: usize = usize::MAX;

/// From their blocks to ours: `order[b]` is where their block b goes.
pub(super) fn to_ours(data: &[f32], order: &[usize]) -> Vec<f32> {
    let size = data.len() / order.len();
    let kept = order.iter().filter(|&&ours| ours != NONE).count();
    let mut result = vec![0.0; kept * size];
    for (block, &ours) in data.chunks_exact(size.max(1)).zip(order) {
        if ours != NONE {
            result[ours * size..][..size].copy_from_slice(block);
        }
    }
    result
}

/// From our blocks to theirs: their block b is our block `order[b]`, or zeros.
pub(super) fn to_theirs(data: &[f32], order: &[usize]) -> Vec<f32> {
    let size = data.len() / order.iter().filter(|&&ours| ours != NONE).count();
    let block = |&ours: &usize| if ours == NONE { vec![0.0; size] } else { data[ours * size..][..size].to_vec() };
    order.iter().flat_map(block).collect()
}
