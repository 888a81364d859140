//! Twins of `shaders/cell/product.wgsl` and `pack_rows.wgsl`.

use super::sequences::Sequences;
use crate::cpu::Call;
use crate::cpu::dense::dot;
use crate::cpu::parallel::map_all;
use crate::device::shader::{CellPackRowsParams, CellProductParams};
use half::f16;

/// Rows that are multiplied together.
const ROWS: usize = 64;

pub(in crate::cpu) fn product(call: &mut Call<'_>) {
    let p: CellProductParams = call.params();
    let weight: &[f32] = call.read(1);
    let words: &[u32] = call.read(2);
    let vectors: &[f32] = call.read(3);
    let products: &mut [f32] = call.write(4);
    let [batch, rows, depth] = [p.batch, p.rows, p.depth].map(|side| side as usize);
    let sequences =
        Sequences { words, has_lengths: p.has_lengths != 0, resets_first: p.resets_first as usize, reset_words: p.reset_words as usize };
    let tiles = rows.div_ceil(ROWS);
    let new = map_all(batch * tiles, |number| {
        let (n, first) = (number / tiles, number % tiles * ROWS);
        let vector = &vectors[p.from_first as usize + n * p.from_pitch as usize..][..depth];
        (first..(first + ROWS).min(rows)).map(|row| dot(&weight[row * depth..][..depth], vector)).collect::<Vec<_>>()
    });
    for (number, new) in new.iter().enumerate() {
        let (n, first) = (number / tiles, number % tiles * ROWS);
        let to = &mut products[p.to_first as usize + n * p.to_pitch as usize + first..][..new.len()];
        match p.accumulates != 0 {
            false => to.copy_from_slice(new),
            true if sequences.begins_anew(n, p.next) => {}
            true => to.iter_mut().zip(new).for_each(|(to, new)| *to += new),
        }
    }
}

/// Twin of `shaders/cell/pack_rows.wgsl`.
pub(in crate::cpu) fn pack_rows(call: &mut Call<'_>) {
    let p: CellPackRowsParams = call.params();
    let weight: &[f16] = call.read(1);
    let out: &mut [f16] = call.write(2);
    let [hidden, rows, lines, unit_lines, columns] = [p.hidden, p.rows, p.lines, p.unit_lines, p.columns].map(|side| side as usize);
    for (number, line) in out.chunks_exact_mut(columns).take(p.groups as usize * lines).enumerate() {
        let unit = number / lines * (lines / unit_lines) + number % lines / unit_lines;
        let row = number % unit_lines;
        line.fill(f16::ZERO);
        if unit < hidden && row < rows {
            line[..hidden].copy_from_slice(&weight[(row * hidden + unit) * hidden..][..hidden]);
        }
    }
}
