//! Twin of `shaders/dense/transpose.wgsl`.

use super::Call;
use crate::device::shader::DenseTransposeParams;

pub(super) fn transpose(call: &mut Call<'_>) {
    let p: DenseTransposeParams = call.params();
    let [rows, columns] = [p.rows as usize, p.columns as usize];
    let x: &[f32] = call.read(1);
    let out: &mut [f32] = call.write(2);
    for (column, line) in out.chunks_exact_mut(rows.max(1)).take(columns).enumerate() {
        for (row, out) in line.iter_mut().enumerate() {
            *out = x[row * columns + column];
        }
    }
}
