//! Twin of `shaders/cell/step_gradient.wgsl`.

use super::sequences::{Sequences, Zoneout};
use super::step::UNITS;
use super::unit::{Shape, arguments, masks, vectors};
use crate::cpu::Call;
use crate::cpu::dense::dot;
use crate::cpu::parallel::map_all;
use crate::device::shader::CellStepGradientParams;

/// What one tile of units of a sequence gets: gradients of inputs and products, of the states before, and of the parameters.
#[derive(Default)]
struct Tile {
    gates: Vec<f32>,
    carry: Vec<f32>,
}

pub(in crate::cpu) fn step_gradient(call: &mut Call<'_>) {
    let p: CellStepGradientParams = call.params();
    let Some(program) = call.program() else { return };
    let Some(derivative) = program.twin("cell_gradient") else { return };
    let shape = Shape::of(program);
    let (batch, hidden) = (p.batch as usize, p.hidden as usize);
    let weight: &[f32] = call.read(1);
    let units: &[f32] = call.read(2);
    let words: &[u32] = call.read(3);
    let states: &[f32] = call.read(4);
    let dy: &[f32] = call.read(5);
    let gates: &mut [f32] = call.write(6);
    let carry: &mut [f32] = call.write(7);
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
        if p.has_frame == 0 || !sequences.runs(n, p.frame) {
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
        let anew = sequences.begins_anew(n, p.frame);
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
