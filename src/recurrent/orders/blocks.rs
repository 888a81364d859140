//! Rows and blocks of rows.

/// [R, C] as [C, R].
pub(super) fn transposed(data: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| data.iter().skip(column).step_by(columns).copied()).collect()
}

/// From their blocks to ours: `order[b]` is where their block b goes.
pub(super) fn to_ours(data: &[f32], order: &[usize]) -> Vec<f32> {
    let mut inverse = vec![0; order.len()];
    for (theirs, &ours) in order.iter().enumerate() {
        inverse[ours] = theirs;
    }
    to_theirs(data, &inverse)
}

/// From our blocks to theirs: their block b is our block `order[b]`.
pub(super) fn to_theirs(data: &[f32], order: &[usize]) -> Vec<f32> {
    let size = data.len() / order.len();
    order.iter().flat_map(|&block| &data[block * size..][..size]).copied().collect()
}
