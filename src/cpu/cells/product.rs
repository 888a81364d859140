//! Twin of `shaders/cell/product.wgsl`.

use super::sequences::Sequences;
use crate::cpu::Call;
use crate::cpu::dense::dot;
use crate::cpu::parallel::map_all;
use crate::device::shader::CellProductParams;

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
