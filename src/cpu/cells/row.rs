//! Twins of `shaders/cell/row.wgsl` and `normed_step.wgsl`, and of those that run many steps of cells with norms.

use super::norms::{Norms, statistics};
use super::sequences::{Sequences, Zoneout};
use super::step::{nth, products, slot_at};
use super::unit::{Shape, arguments, masks, vectors};
use crate::cpu::Call;
use crate::cpu::parallel::map_all;
use crate::device::program::Program;
use crate::device::shader::{CellNormedStepParams, CellRowParams};

pub(in crate::cpu) fn row(call: &mut Call<'_>) {
    let p: CellRowParams = call.params();
    let states: &mut [f32] = call.write(5);
    let y: &mut [f32] = call.write(6);
    let products: &[f32] = call.write(7);
    finish(call, &p, states, y, products);
}

/// Finishes the step before, if there is one, and multiplies. It takes means and variances of the products themselves, so it leaves
/// no moments.
pub(in crate::cpu) fn normed_step(call: &mut Call<'_>) {
    let p: CellNormedStepParams = call.params();
    let Some(program) = call.program() else { return };
    let weight: &[f32] = call.read(2);
    let states: &mut [f32] = call.write(5);
    let y: &mut [f32] = call.write(6);
    let halves: &mut [f32] = call.write(7);
    let [batch, hidden] = [p.batch, p.hidden].map(|side| side as usize);
    let rows = Shape::of(program).rows;
    let half = (batch * (rows * hidden + 8 * hidden.div_ceil(8))).next_multiple_of(64);
    let finishes = call.constant("FINISHES") != 0.0;
    let step = p.steps + u32::from(finishes);
    if finishes {
        finish(call, &p, states, y, &halves[p.steps as usize % 2 * half..][..batch * rows * hidden]);
    }
    let h = slot_at(&p, step);
    let known: &[f32] = states;
    let new = map_all(batch, |n| products(weight, &known[h + n * hidden..][..hidden], 0..rows, 0..hidden, hidden));
    let to = &mut halves[step as usize % 2 * half..];
    to.chunks_exact_mut(rows * hidden).zip(new).for_each(|(to, new)| to.copy_from_slice(&new));
}

/// As many steps as a launch has.
pub(super) fn steps(call: &mut Call<'_>, program: &Program, p: &CellRowParams) {
    let weight: &[f32] = call.read(2);
    let states: &mut [f32] = call.write(5);
    let y: &mut [f32] = call.write(6);
    let [batch, hidden] = [p.batch, p.hidden].map(|side| side as usize);
    let rows = Shape::of(program).rows;
    for k in 0..p.frames {
        let step = nth(program, p, k);
        let h = slot_at(&step, step.steps);
        let known: &[f32] = states;
        let new = map_all(batch, |n| products(weight, &known[h + n * hidden..][..hidden], 0..rows, 0..hidden, hidden));
        finish(call, &step, states, y, &new.concat());
    }
}

/// The norms and the update of one step, of its products.
fn finish(call: &Call<'_>, p: &CellRowParams, states: &mut [f32], y: &mut [f32], products: &[f32]) {
    let Some(program) = call.program() else { return };
    let Some(update) = program.twin("cell_update") else { return };
    let shape = Shape::of(program);
    let norms = Norms::of(program, shape);
    let (batch, hidden) = (p.batch as usize, p.hidden as usize);
    let gx: &[f32] = call.read(1);
    let units: &[f32] = call.read(3);
    let words: &[u32] = call.read(4);
    let sequences =
        Sequences { words, has_lengths: p.has_lengths != 0, resets_first: p.resets_first as usize, reset_words: p.reset_words as usize };
    let zoneout = Zoneout { first: p.zone_first, others: p.zone_others, seed: p.seed, means: p.zone_means != 0 };
    let plane = batch * hidden;
    let pitch = p.slots as usize * plane;
    let (before, after) = (slot_at(p, p.steps), slot_at(p, p.steps + 1));
    let old: &[f32] = states;
    let new = map_all(batch, |n| {
        let s = vectors(old, shape.states, before + n * hidden, pitch, 0..hidden);
        let mut out = vec![0.0f32; shape.states * hidden];
        if !sequences.runs(n, p.first) {
            out.chunks_exact_mut(hidden).zip(s).for_each(|(out, s)| out.copy_from_slice(s));
            return out;
        }
        let mut r = products.get(n * shape.rows * hidden..(n + 1) * shape.rows * hidden).unwrap_or_default().to_vec();
        if let Some(spans) = norms.spans {
            for span in r.chunks_exact_mut(shape.rows * hidden / spans) {
                let (mean, factor) = statistics(span, norms.eps);
                span.iter_mut().for_each(|r| *r = (*r - mean) * factor);
            }
        }
        for (i, r) in r.iter_mut().enumerate() {
            let gain = if norms.gain { units[norms.gains_first * hidden + i] } else { 1.0 };
            *r = *r * gain + units[i];
        }
        let given = [
            vectors(gx, shape.inputs, p.gx_first as usize + n * shape.inputs * hidden, hidden, 0..hidden),
            vectors(&r, shape.rows, 0, hidden, 0..hidden),
            s,
            vectors(units, shape.parameters, shape.rows * hidden, hidden, 0..hidden),
            masks(words, shape.masks, batch + n * hidden, plane, 0..hidden),
        ];
        update(&arguments(given), &mut out.chunks_exact_mut(hidden).collect::<Vec<_>>());
        if let (Some(state), Some(output)) = (norms.state, program.twin("cell_output")) {
            let mut normed = out[state * hidden..][..hidden].to_vec();
            let (mean, factor) = statistics(&normed, norms.state_eps);
            for (unit, c) in normed.iter_mut().enumerate() {
                let (gain, bias) = norms.of_state(units, hidden, unit);
                *c = (*c - mean) * factor * gain + bias;
            }
            let [x, r, _, q, m] = given;
            let mut h = vec![0.0f32; hidden];
            output(&arguments([x, r, vectors(&out, shape.states, 0, hidden, 0..hidden), q, m, [&normed, &[], &[], &[]]]), &mut [&mut h]);
            out[..hidden].copy_from_slice(&h);
        }
        for (k, (out, s)) in out.chunks_exact_mut(hidden).zip(s).enumerate() {
            for (unit, (out, s)) in out.iter_mut().zip(s).enumerate() {
                *out = zoneout.of(p.first, n * hidden + unit, k, *s, *out);
            }
        }
        out
    });
    let next = if p.reversed != 0 { p.first.wrapping_sub(1) } else { p.first.wrapping_add(1) };
    for (n, new) in new.iter().enumerate() {
        let is_new = p.steps + 1 < p.all_steps && sequences.begins_anew(n, next);
        for (k, new) in new.chunks_exact(hidden).enumerate() {
            let to = &mut states[k * pitch + after + n * hidden..][..hidden];
            if is_new { to.fill(0.0) } else { to.copy_from_slice(new) }
        }
        let y = &mut y[p.y_first as usize + n * hidden..][..hidden];
        if sequences.runs(n, p.first) { y.copy_from_slice(&new[..hidden]) } else { y.fill(0.0) }
    }
}
