//! Twin of `shaders/cell/scan_gradient.wgsl`.

use super::sequences::{Sequences, Zoneout};
use super::step::UNITS;
use super::unit::{Shape, arguments, masks, vectors};
use crate::cpu::Call;
use crate::cpu::parallel::map_all;
use crate::device::shader::CellScanGradientParams;

pub(in crate::cpu) fn scan_gradient(call: &mut Call<'_>) {
    let p: CellScanGradientParams = call.params();
    let Some(program) = call.program() else { return };
    let Some(derivative) = program.twin("cell_gradient") else { return };
    let shape = Shape::of(program);
    let (batch, hidden) = (p.batch as usize, p.hidden as usize);
    let units: &[f32] = call.read(1);
    let words: &[u32] = call.read(2);
    let states: &[f32] = call.read(3);
    let dy: &[f32] = call.read(4);
    let gates: &mut [f32] = call.write(5);
    let carry: &mut [f32] = call.write(6);
    let sequences =
        Sequences { words, has_lengths: p.has_lengths != 0, resets_first: p.resets_first as usize, reset_words: p.reset_words as usize };
    let zoneout = Zoneout { first: p.zone_first, others: p.zone_others, seed: p.seed, means: false };
    let plane = batch * hidden;
    let row = shape.inputs * hidden;
    let tiles = hidden.div_ceil(UNITS);
    let planes = shape.states + shape.parameters;
    let back = |from: u32, k: usize, length: usize| {
        let from = from as usize;
        if p.reversed != 0 { from + k * length } else { from - k * length }
    };
    let (known, carried): (&[f32], &[f32]) = (gates, carry);
    // Of each tile of units of each sequence: gradients of the inputs, frame by frame from the last; then what is carried.
    let all = map_all(batch * tiles, |number| {
        let (n, first) = (number / tiles, number % tiles * UNITS);
        let range = first..(first + UNITS).min(hidden);
        let count = range.len();
        let at = n * hidden + first;
        let mut sums: Vec<f32> = (0..planes).flat_map(|k| carried[k * plane + at..][..count].iter().copied()).collect();
        let mut dx = Vec::with_capacity(p.frames as usize * shape.inputs * count);
        for k in 0..p.frames as usize {
            let frame = back(p.last, k, 1) as u32;
            if !sequences.runs(n, frame) {
                dx.extend(std::iter::repeat_n(0.0f32, shape.inputs * count));
                continue;
            }
            let (d, parameters) = sums.split_at_mut(shape.states * count);
            d.iter_mut().zip(&dy[back(p.dy_last, k, plane) + at..][..count]).for_each(|(d, dy)| *d += dy);
            let past = zoneout.split(frame, at, d, count);
            let slot = back(p.slot_last, k, 1) * plane;
            let arguments = arguments([
                vectors(known, shape.inputs, back(p.gates_last, k, batch * row) + n * row, hidden, range.clone()),
                [&[]; 4],
                vectors(states, shape.states, slot + n * hidden, p.slots as usize * plane, range.clone()),
                vectors(units, shape.parameters, 0, hidden, range.clone()),
                masks(words, shape.masks, batch + n * hidden, plane, range.clone()),
                vectors(d, shape.states, 0, count, 0..count),
            ]);
            let gradient = shape.gradient(derivative, &arguments, count);
            dx.extend_from_slice(gradient.of(0, shape.inputs));
            let anew = sequences.begins_anew(n, frame);
            for ((d, new), past) in d.iter_mut().zip(gradient.of(2, shape.states)).zip(past) {
                *d = if anew { 0.0 } else { new + past };
            }
            parameters.iter_mut().zip(gradient.of(3, shape.parameters)).for_each(|(sum, d)| *sum += d);
        }
        dx.extend(sums);
        dx
    });
    for (number, values) in all.iter().enumerate() {
        let (n, first) = (number / tiles, number % tiles * UNITS);
        let count = UNITS.min(hidden - first);
        let (dx, sums) = values.split_at(values.len() - planes * count);
        for (place, dx) in dx.chunks_exact(count).enumerate() {
            let (k, gate) = (place / shape.inputs, place % shape.inputs);
            gates[back(p.gates_last, k, batch * row) + n * row + gate * hidden + first..][..count].copy_from_slice(dx);
        }
        for (k, sums) in sums.chunks_exact(count).enumerate() {
            carry[k * plane + n * hidden + first..][..count].copy_from_slice(sums);
        }
    }
}
