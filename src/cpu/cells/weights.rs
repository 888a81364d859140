//! Twins of `shaders/cell/weight.wgsl` and `weight_gradient.wgsl`.

use crate::cpu::Call;
use crate::cpu::math::random_words;
use crate::device::shader::CellWeightParams as Params;

/// The column of the product where the block of a row begins.
fn block_of(p: &Params, row: usize) -> usize {
    row % p.units as usize / p.head_units as usize * p.columns as usize
}

/// What a number that is kept is multiplied by.
fn factor(p: &Params, row: usize, column: usize) -> f32 {
    if p.drop == 0 {
        return 1.0;
    }
    if random_words([p.seed, row as u32, column as u32, 2])[0] < p.drop { 0.0 } else { p.scale }
}

pub(in crate::cpu) fn weight(call: &mut Call<'_>) {
    let p: Params = call.params();
    let kept: &[f32] = call.read(1);
    let matrix: &mut [f32] = call.write(2);
    let [columns, all_columns] = [p.columns, p.all_columns].map(|side| side as usize);
    let rows = matrix.chunks_exact_mut(all_columns).zip(kept.chunks_exact(columns)).take(p.rows as usize);
    for (row, (to, from)) in rows.enumerate() {
        to.fill(0.0);
        for (column, (to, from)) in to[block_of(&p, row)..].iter_mut().zip(from).enumerate() {
            *to = from * factor(&p, row, column);
        }
    }
}

pub(in crate::cpu) fn weight_gradient(call: &mut Call<'_>) {
    let p: Params = call.params();
    let matrix: &[f32] = call.read(1);
    let kept: &mut [f32] = call.write(2);
    let [columns, all_columns] = [p.columns, p.all_columns].map(|side| side as usize);
    let rows = kept.chunks_exact_mut(columns).zip(matrix.chunks_exact(all_columns)).take(p.rows as usize);
    for (row, (to, from)) in rows.enumerate() {
        for (column, (to, from)) in to.iter_mut().zip(&from[block_of(&p, row)..]).enumerate() {
            *to = from * factor(&p, row, column);
        }
    }
}
