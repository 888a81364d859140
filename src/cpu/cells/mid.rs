//! Twins of `shaders/cell/mid.wgsl`, `mid_step.wgsl` and `mids.wgsl`.

use super::sequences::Sequences;
use super::step::{UNITS, one, products, slot_at};
use super::unit::{Shape, arguments, masks, vectors};
use crate::cpu::Call;
use crate::cpu::parallel::map_all;
use crate::device::shader::{CellMidsParams, CellStepParams};

/// What the second product multiplies, and the products with h, for one step.
pub(in crate::cpu) fn mid(call: &mut Call<'_>) {
    let p: CellStepParams = call.params();
    let Some(program) = call.program() else { return };
    let Some(cell_mid) = program.twin("cell_mid") else { return };
    let shape = Shape::of(program);
    let (batch, hidden) = (p.batch as usize, p.hidden as usize);
    let gx: &[f32] = call.read(1);
    let weight: &[f32] = call.read(2);
    let units: &[f32] = call.read(3);
    let words: &[u32] = call.read(4);
    let states: &[f32] = call.write(5);
    let mids: &mut [f32] = call.write(6);
    let sequences =
        Sequences { words, has_lengths: p.has_lengths != 0, resets_first: p.resets_first as usize, reset_words: p.reset_words as usize };
    let plane = batch * hidden;
    let before = slot_at(&p, p.steps);
    let first_rows = shape.rows - shape.second;
    let tiles = hidden.div_ceil(UNITS);
    let all = map_all(batch * tiles, |number| {
        let (n, first) = (number / tiles, number % tiles * UNITS);
        let range = first..(first + UNITS).min(hidden);
        let count = range.len();
        let h = &states[before + n * hidden..][..hidden];
        let r = products(weight, h, 0..first_rows, range.clone(), hidden);
        let mut biased = vec![0.0f32; shape.rows * count];
        for (row, biased) in biased.chunks_exact_mut(count).enumerate() {
            biased.copy_from_slice(&units[row * hidden + first..][..count]);
        }
        biased.iter_mut().zip(&r).for_each(|(biased, r)| *biased += r);
        let arguments = arguments([
            vectors(gx, shape.inputs, p.gx_first as usize + n * shape.inputs * hidden, hidden, range.clone()),
            vectors(&biased, shape.rows, 0, count, 0..count),
            vectors(states, shape.states, before + n * hidden, p.slots as usize * plane, range.clone()),
            vectors(units, shape.parameters, shape.rows * hidden, hidden, range.clone()),
            masks(words, shape.masks, batch + n * hidden, plane, range.clone()),
        ]);
        let mut out = vec![0.0f32; count];
        if sequences.runs(n, p.first) {
            cell_mid(&arguments, &mut [&mut out]);
        }
        out.extend(r);
        out
    });
    for (number, values) in all.iter().enumerate() {
        let at = number / tiles * hidden + number % tiles * UNITS;
        let count = values.len() / (1 + first_rows);
        for (k, values) in values.chunks_exact(count).enumerate() {
            mids[k * plane + at..][..count].copy_from_slice(values);
        }
    }
}

/// The products with what [`mid`] left, and the update.
pub(in crate::cpu) fn mid_step(call: &mut Call<'_>) {
    let p: CellStepParams = call.params();
    let Some(program) = call.program() else { return };
    let shape = Shape::of(program);
    let hidden = p.hidden as usize;
    let plane = p.batch as usize * hidden;
    let weight: &[f32] = call.read(2);
    let states: &mut [f32] = call.write(5);
    let y: &mut [f32] = call.write(6);
    let mids: &[f32] = call.write(7);
    let first_rows = shape.rows - shape.second;
    one(call, program, &p, states, y, &|n, range, _| {
        let kept = (1..=first_rows).flat_map(|k| &mids[k * plane + n * hidden..][range.clone()]);
        let second = products(weight, &mids[n * hidden..][..hidden], first_rows..shape.rows, range.clone(), hidden);
        kept.copied().chain(second).collect()
    });
}

/// What the second product multiplies, for all frames of a stretch.
pub(in crate::cpu) fn mids(call: &mut Call<'_>) {
    let p: CellMidsParams = call.params();
    let Some(program) = call.program() else { return };
    let Some(cell_mid) = program.twin("cell_mid") else { return };
    let shape = Shape::of(program);
    let (batch, hidden) = (p.batch as usize, p.hidden as usize);
    let units: &[f32] = call.read(1);
    let words: &[u32] = call.read(2);
    let states: &[f32] = call.read(3);
    let gates: &[f32] = call.write(4);
    let mids: &mut [f32] = call.write(5);
    let sequences =
        Sequences { words, has_lengths: p.has_lengths != 0, resets_first: p.resets_first as usize, reset_words: p.reset_words as usize };
    let plane = batch * hidden;
    let rows = map_all(p.frames as usize * batch, |line| {
        let (frame, n) = (line / batch, line % batch);
        let mut out = vec![0.0f32; hidden];
        if sequences.runs(n, p.first + frame as u32) {
            let at = (p.slot_first as usize + frame) * plane + n * hidden;
            let arguments = arguments([
                vectors(gates, shape.inputs, p.inputs_first as usize + line * shape.inputs * hidden, hidden, 0..hidden),
                vectors(gates, shape.rows, p.products_first as usize + line * shape.rows * hidden, hidden, 0..hidden),
                vectors(states, shape.states, at, p.slots as usize * plane, 0..hidden),
                vectors(units, shape.parameters, shape.rows * hidden, hidden, 0..hidden),
                masks(words, shape.masks, batch + n * hidden, plane, 0..hidden),
            ]);
            cell_mid(&arguments, &mut [&mut out]);
        }
        out
    });
    mids.chunks_exact_mut(hidden).zip(rows).for_each(|(to, row)| to.copy_from_slice(&row));
}
