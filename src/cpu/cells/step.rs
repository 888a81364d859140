//! Twin of `shaders/cell/step.wgsl` and of those that run many steps, with `shaders/shared/cell_call.wgsl`.

use super::sequences::{Sequences, Zoneout};
use super::unit::{Shape, arguments, masks, vectors};
use crate::cpu::Call;
use crate::cpu::dense::dot;
use crate::cpu::parallel::map_all;
use crate::device::program::Program;
use crate::device::shader::CellStepParams;
#[cfg(not(target_family = "wasm"))]
use crate::tensor::nearest_half;
#[cfg(not(target_family = "wasm"))]
use half::f16;
use std::ops::Range;

/// Units that are updated together.
pub(super) const UNITS: usize = 64;

pub(in crate::cpu) fn step(call: &mut Call<'_>) {
    steps(call);
}

/// As many steps as the launch has.
pub(in crate::cpu) fn steps(call: &mut Call<'_>) {
    let p: CellStepParams = call.params();
    let Some(program) = call.program() else { return };
    if program.constant("CELL_NORM") + program.constant("CELL_STATE_NORM") > 0 {
        return super::row::steps(call, program, &p);
    }
    let y: &mut [f32] = call.write(6);
    let weight: &[f32] = call.read(2);
    steps_with(call, &p, program, weight, y);
}

/// The same in f16: of weights as [`pack_rows`](super::pack_rows) leaves them, or, in the local tier, as they are.
#[cfg(not(target_family = "wasm"))]
pub(in crate::cpu) fn steps_in_halves(call: &mut Call<'_>) {
    let p: CellStepParams = call.params();
    let Some(program) = call.program() else { return };
    let shape = Shape::of(program);
    let hidden = p.hidden as usize;
    let given: &[f16] = call.read(2);
    let numbers = shape.rows * hidden * hidden;
    let weight: Vec<f32> = match call.constant("DEPTH") as usize * call.constant("SIDE") as usize {
        0 => given.iter().take(numbers).map(|x| x.to_f32()).collect(),
        columns => {
            let at = |number: usize| {
                let (row, unit, column) = (number / hidden / hidden, number / hidden % hidden, number % hidden);
                (4 * unit + row) * columns + column
            };
            (0..numbers).map(|number| given[at(number)].to_f32()).collect()
        }
    };
    let halves: &mut [f16] = call.write(6);
    let mut y: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
    steps_with(call, &p, program, &weight, &mut y);
    halves.iter_mut().zip(y).for_each(|(half, y)| *half = nearest_half(y));
}

fn steps_with(call: &mut Call<'_>, p: &CellStepParams, program: &Program, weight: &[f32], y: &mut [f32]) {
    let states: &mut [f32] = call.write(5);
    let hidden = p.hidden as usize;
    let rows = Shape::of(program).rows;
    for k in 0..p.frames {
        one(call, program, &nth(program, p, k), states, y, &|_, range, h| products(weight, h, 0..rows, range, hidden));
    }
}

/// Params of one of the steps of a launch.
pub(super) fn nth(program: &Program, p: &CellStepParams, k: u32) -> CellStepParams {
    let frame = p.batch.wrapping_mul(p.hidden);
    let gates = frame.wrapping_mul(program.constant("CELL_INPUTS"));
    // Backwards in memory, if it goes so.
    let ahead = if p.reversed != 0 { k.wrapping_neg() } else { k };
    CellStepParams {
        first: p.first.wrapping_add(ahead),
        gx_first: p.gx_first.wrapping_add(ahead.wrapping_mul(gates)),
        y_first: p.y_first.wrapping_add(ahead.wrapping_mul(frame)),
        steps: p.steps + k,
        ..*p
    }
}

/// All steps of a launch, unless it is there for those that another left: here none leaves any.
#[cfg(not(target_family = "wasm"))]
pub(in crate::cpu) fn local(call: &mut Call<'_>) {
    match (call.constant("FINISHES") == 0.0, call.has_flag("f16")) {
        (false, _) => {}
        (true, false) => steps(call),
        (true, true) => steps_in_halves(call),
    }
}

/// Some rows of a product, of some units: the rows of weights [R, H, H] times a vector.
pub(super) fn products(weight: &[f32], vector: &[f32], rows: Range<usize>, units: Range<usize>, hidden: usize) -> Vec<f32> {
    let row = |row: usize| units.clone().map(move |unit| dot(&weight[(row * hidden + unit) * hidden..][..hidden], vector));
    rows.flat_map(row).collect()
}

/// Where the slot of the states before a step begins.
pub(super) fn slot_at(p: &CellStepParams, step: u32) -> usize {
    let slot = if p.reversed != 0 { p.all_steps - step } else { step } as usize % p.slots as usize;
    slot * p.batch as usize * p.hidden as usize
}

/// Recurrent products, without bias, of some units of a sequence whose h is given.
pub(super) type Products<'a> = dyn Fn(usize, Range<usize>, &[f32]) -> Vec<f32> + Sync + 'a;

/// One step.
pub(super) fn one(call: &Call<'_>, program: &Program, p: &CellStepParams, states: &mut [f32], y: &mut [f32], products: &Products<'_>) {
    let Some(update) = program.twin("cell_update") else { return };
    let shape = Shape::of(program);
    let (batch, hidden) = (p.batch as usize, p.hidden as usize);
    let gx: &[f32] = call.read(1);
    let units: &[f32] = call.read(3);
    let words: &[u32] = call.read(4);
    let sequences =
        Sequences { words, has_lengths: p.has_lengths != 0, resets_first: p.resets_first as usize, reset_words: p.reset_words as usize };
    let zoneout = Zoneout { first: p.zone_first, others: p.zone_others, seed: p.seed, means: p.zone_means != 0 };

    let plane = batch * hidden;
    let slots = p.slots as usize;
    let (before, after) = (slot_at(p, p.steps), slot_at(p, p.steps + 1));
    let tiles = hidden.div_ceil(UNITS);
    let old: &[f32] = states;
    // Of each tile of units of each sequence: its new states.
    let new = map_all(batch * tiles, |number| {
        let (n, first) = (number / tiles, number % tiles * UNITS);
        let range = first..(first + UNITS).min(hidden);
        let count = range.len();
        let s = vectors(old, shape.states, before + n * hidden, slots * plane, range.clone());
        let mut out = vec![0.0f32; shape.states * count];
        if !sequences.runs(n, p.first) {
            out.chunks_exact_mut(count).zip(s).for_each(|(out, s)| out.copy_from_slice(s));
            return out;
        }
        let h = &old[before + n * hidden..][..hidden];
        let mut r = products(n, range.clone(), h);
        for (row, r) in r.chunks_exact_mut(count).enumerate() {
            r.iter_mut().zip(&units[row * hidden + first..]).for_each(|(r, bias)| *r += bias);
        }
        let inputs = p.gx_first as usize + n * shape.inputs * hidden;
        let arguments = arguments([
            vectors(gx, shape.inputs, inputs, hidden, range.clone()),
            vectors(&r, shape.rows, 0, count, 0..count),
            s,
            vectors(units, shape.parameters, shape.rows * hidden, hidden, range.clone()),
            masks(words, shape.masks, batch + n * hidden, plane, range.clone()),
        ]);
        update(&arguments, &mut out.chunks_exact_mut(count).collect::<Vec<_>>());
        for (k, (out, s)) in out.chunks_exact_mut(count).zip(s).enumerate() {
            for (place, (out, s)) in out.iter_mut().zip(s).enumerate() {
                *out = zoneout.of(p.first, n * hidden + first + place, k, *s, *out);
            }
        }
        out
    });
    let next = if p.reversed != 0 { p.first.wrapping_sub(1) } else { p.first.wrapping_add(1) };
    for (number, new) in new.iter().enumerate() {
        let (n, first) = (number / tiles, number % tiles * UNITS);
        let count = new.len() / shape.states;
        let at = n * hidden + first;
        let is_new = p.steps + 1 < p.all_steps && sequences.begins_anew(n, next);
        for (k, new) in new.chunks_exact(count).enumerate() {
            let to = &mut states[k * slots * plane + after + at..][..count];
            if is_new { to.fill(0.0) } else { to.copy_from_slice(new) }
        }
        let y = &mut y[p.y_first as usize + at..][..count];
        if sequences.runs(n, p.first) { y.copy_from_slice(&new[..count]) } else { y.fill(0.0) }
    }
}
