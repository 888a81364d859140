//! Twin of `shaders/cell/step_gradient.wgsl`, and of those that run many steps.

use super::sequences::{Sequences, Zoneout};
use super::step::UNITS;
use super::unit::{Shape, arguments, masks, vectors};
#[cfg(not(target_family = "wasm"))]
use super::{norms::Norms, row_gradient};
use crate::cpu::Call;
use crate::cpu::dense::dot;
use crate::cpu::parallel::map_all;
use crate::device::program::Program;
#[cfg(not(target_family = "wasm"))]
use crate::device::shader::CellLocalGradientParams;
use crate::device::shader::CellStepGradientParams;

/// What one tile of units of a sequence gets: gradients of inputs and products, of the states before, and of the parameters.
#[derive(Default)]
struct Tile {
    gates: Vec<f32>,
    carry: Vec<f32>,
}

/// What a step reads.
struct Read<'a> {
    weight_transposed: &'a [f32],
    units: &'a [f32],
    words: &'a [u32],
    states: &'a [f32],
    dy: &'a [f32],
}

pub(in crate::cpu) fn step_gradient(call: &mut Call<'_>) {
    let Some(program) = call.program() else { return };
    let read = Read { weight_transposed: call.read(1), units: call.read(2), words: call.read(3), states: call.read(4), dy: call.read(5) };
    let (gates, carry) = (call.write(6), call.write(7));
    one(program, &call.params(), &read, gates, carry);
}

/// All steps of a launch, unless it is there for those that another left: here none leaves any.
#[cfg(not(target_family = "wasm"))]
pub(in crate::cpu) fn local_gradient(call: &mut Call<'_>) {
    if call.constant("FINISHES") == 0.0 {
        steps_gradient(call);
    }
}

/// As many steps as the launch has, and the product that is left after the first.
#[cfg(not(target_family = "wasm"))]
pub(in crate::cpu) fn steps_gradient(call: &mut Call<'_>) {
    let p: CellLocalGradientParams = call.params();
    let Some(program) = call.program() else { return };
    let (gates, carry) = (call.write(6), call.write(7));
    let shape = Shape::of(program);
    let (rows, hidden) = (shape.rows * p.hidden as usize, p.hidden as usize);
    let weight: &[f32] = call.read(1);
    let mut transposed = vec![0.0f32; rows * hidden];
    for (unit, column) in transposed.chunks_exact_mut(rows.max(1)).enumerate() {
        column.iter_mut().enumerate().for_each(|(row, to)| *to = weight[row * hidden + unit]);
    }
    let read = Read { weight_transposed: &transposed, units: call.read(2), words: call.read(3), states: call.read(4), dy: call.read(5) };
    let frame_size = p.batch.wrapping_mul(p.hidden);
    let is_normed = program.constant("CELL_NORM") > 0 || program.constant("CELL_STATE_NORM") > 0;
    // Of the norms of all frames of the launch.
    let factors = if is_normed { carry[factors_first(program, shape, frame_size as usize)..].to_vec() } else { Vec::new() };
    let earliest = if p.reversed != 0 { p.first } else { (p.first + 1).wrapping_sub(p.frames) };
    for k in 0..=p.frames {
        // Frames from the first, which may be negative.
        let ahead = |k: u32| if p.reversed != 0 { k } else { k.wrapping_neg() };
        let at = |first: u32, k: u32, count: usize| first.wrapping_add(ahead(k).wrapping_mul(frame_size).wrapping_mul(count as u32));
        let (next_first, next_count) = if shape.summed { (p.inputs_first, shape.inputs) } else { (p.products_first, shape.rows) };
        let step = CellStepGradientParams {
            batch: p.batch,
            hidden: p.hidden,
            frame: p.first.wrapping_add(ahead(k)),
            next: p.first.wrapping_add(ahead(k.wrapping_sub(1))),
            has_next: u32::from(k > 0),
            has_frame: u32::from(k < p.frames),
            inputs_first: at(p.inputs_first, k, shape.inputs),
            products_first: at(p.products_first, k, shape.rows),
            next_first: at(next_first, k.wrapping_sub(1), next_count),
            dy_first: at(p.dy_first, k, 1),
            slot: p.slot.wrapping_add(ahead(k)),
            slots: p.slots,
            has_lengths: p.has_lengths,
            resets_first: p.resets_first,
            reset_words: p.reset_words,
            zone_first: p.zone_first,
            zone_others: p.zone_others,
            seed: p.seed,
            first_line: p.first.wrapping_add(ahead(k)).wrapping_sub(earliest).wrapping_mul(p.batch),
        };
        if is_normed {
            row(program, &step, &read, &factors, gates, carry);
        } else {
            one(program, &step, &read, gates, carry);
        }
    }
}

/// Where factors of norms begin in `carry`.
#[cfg(not(target_family = "wasm"))]
fn factors_first(program: &Program, shape: Shape, plane: usize) -> usize {
    let norms = Norms::of(program, shape);
    let of_product = norms.spans.map_or(0, |_| 2 + usize::from(norms.gain)) * shape.rows;
    let of_state = usize::from(norms.state_gain) + usize::from(norms.state_bias);
    let planes = shape.states + shape.parameters + of_product + of_state + 1;
    (planes * plane).next_multiple_of(64)
}

/// One step of a cell with layer norms: what the rows of the step after leave, then the step.
#[cfg(not(target_family = "wasm"))]
fn row(program: &Program, p: &CellStepGradientParams, read: &Read<'_>, factors: &[f32], gates: &mut [f32], carry: &mut [f32]) {
    let (hidden, rows) = (p.hidden as usize, Shape::of(program).rows * p.hidden as usize);
    let &Read { weight_transposed: weight, units, words, states, dy } = read;
    let sequences =
        Sequences { words, has_lengths: p.has_lengths != 0, resets_first: p.resets_first as usize, reset_words: p.reset_words as usize };
    if p.has_next != 0 {
        let known: &[f32] = gates;
        let products = map_all(p.batch as usize, |n| {
            let vector = &known[p.next_first as usize + n * rows..][..rows];
            (0..hidden).map(|unit| dot(&weight[unit * rows..][..rows], vector)).collect::<Vec<_>>()
        });
        for (n, products) in products.iter().enumerate().filter(|&(n, _)| !sequences.begins_anew(n, p.next)) {
            carry[n * hidden..][..hidden].iter_mut().zip(products).for_each(|(to, product)| *to += product);
        }
    }
    if p.has_frame != 0 {
        row_gradient::one(program, p, &row_gradient::Read { factors, units, words, states, dy }, gates, carry);
    }
}

fn one(program: &Program, p: &CellStepGradientParams, read: &Read<'_>, gates: &mut [f32], carry: &mut [f32]) {
    let Some(derivative) = program.twin("cell_gradient") else { return };
    let shape = Shape::of(program);
    let (batch, hidden) = (p.batch as usize, p.hidden as usize);
    let &Read { weight_transposed: weight, units, words, states, dy } = read;
    let sequences =
        Sequences { words, has_lengths: p.has_lengths != 0, resets_first: p.resets_first as usize, reset_words: p.reset_words as usize };
    let zoneout = Zoneout { first: p.zone_first, others: p.zone_others, seed: p.seed, means: false };

    let plane = batch * hidden;
    let rows = shape.rows * hidden;
    let tiles = hidden.div_ceil(UNITS);
    // Inputs, then products, unless the cell has them summed.
    let kinds = [(p.inputs_first as usize, shape.inputs), (p.products_first as usize, if shape.summed { 0 } else { shape.rows })];
    let (known, carried): (&[f32], &[f32]) = (gates, carry);
    let new = map_all(batch * tiles, |number| {
        let (n, first) = (number / tiles, number % tiles * UNITS);
        let range = first..(first + UNITS).min(hidden);
        let count = range.len();
        let at = n * hidden + first;
        let mut d: Vec<f32> = (0..shape.states).flat_map(|k| carried[k * plane + at..][..count].iter().copied()).collect();
        if p.has_next != 0 && !sequences.begins_anew(n, p.next) {
            let vector = &known[p.next_first as usize + n * rows..][..rows];
            for (unit, d) in range.clone().zip(&mut d) {
                *d += dot(&weight[unit * rows..][..rows], vector);
            }
        }
        let anew = p.has_frame != 0 && sequences.begins_anew(n, p.frame);
        if p.has_frame == 0 || !sequences.runs(n, p.frame) {
            if anew {
                d.fill(0.0);
            }
            return Tile { gates: vec![0.0; (kinds[0].1 + kinds[1].1) * count], carry: d };
        }
        for (d, dy) in d.iter_mut().zip(&dy[p.dy_first as usize + at..][..count]) {
            *d += dy;
        }
        let past = zoneout.split(p.frame, at, &mut d, count);
        let [x, products] = kinds.map(|(first, kinds)| vectors(known, kinds, first + n * kinds * hidden, hidden, range.clone()));
        let zeros = vec![0.0f32; count];
        let r = if shape.summed { std::array::from_fn(|k| if k < shape.rows { &zeros[..] } else { &[] }) } else { products };
        let arguments = arguments([
            x,
            r,
            vectors(states, shape.states, p.slot as usize * plane + n * hidden, p.slots as usize * plane, range.clone()),
            vectors(units, shape.parameters, rows, hidden, range.clone()),
            masks(words, shape.masks, batch + n * hidden, plane, range.clone()),
            vectors(&d, shape.states, 0, count, 0..count),
        ]);
        let gradient = shape.gradient(derivative, &arguments, count);
        let kind = |kind: usize, many: usize| gradient.of(kind, many).iter().copied();
        let before = kind(2, shape.states).zip(&past).map(|(d, past)| if anew { 0.0 } else { d + past });
        Tile { gates: kind(0, kinds[0].1).chain(kind(1, kinds[1].1)).collect(), carry: before.chain(kind(3, shape.parameters)).collect() }
    });
    for (number, Tile { gates: new_gates, carry: new_carry }) in new.iter().enumerate() {
        let (n, first) = (number / tiles, number % tiles * UNITS);
        let count = UNITS.min(hidden - first);
        for (k, d) in new_carry.chunks_exact(count).enumerate() {
            let to = &mut carry[k * plane + n * hidden + first..][..count];
            match k < shape.states {
                true => to.copy_from_slice(d),
                false => to.iter_mut().zip(d).for_each(|(sum, d)| *sum += d),
            }
        }
        if p.has_frame == 0 {
            continue;
        }
        let mut new_gates = new_gates.chunks_exact(count);
        for (begin, kinds) in kinds {
            for (k, d) in new_gates.by_ref().take(kinds).enumerate() {
                gates[begin + (n * kinds + k) * hidden + first..][..count].copy_from_slice(d);
            }
        }
    }
}
