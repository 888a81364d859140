//! Twins of `shaders/cell/second_gradient.wgsl` and `mid_gradient.wgsl`.

use super::sequences::{Sequences, Zoneout};
use super::step::UNITS;
use super::unit::{Shape, arguments, masks, vectors};
use crate::cpu::Call;
use crate::cpu::dense::dot;
use crate::cpu::parallel::map_all;
use crate::device::shader::CellStepGradientParams;

/// What one tile of units of a sequence gets.
#[derive(Default)]
struct Tile {
    /// Gradients of inputs and products; or of the second product only.
    gates: Vec<f32>,
    carry: Vec<f32>,
}

pub(in crate::cpu) fn second_gradient(call: &mut Call<'_>) {
    run(call, false);
}

pub(in crate::cpu) fn mid_gradient(call: &mut Call<'_>) {
    run(call, true);
}

/// One of the two dispatches of a step.
fn run(call: &mut Call<'_>, is_last: bool) {
    let p: CellStepGradientParams = call.params();
    let Some(program) = call.program() else { return };
    let (Some(derivative), Some(of_mid)) = (program.twin("cell_gradient"), program.twin("cell_mid_gradient")) else { return };
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
    let second = shape.second * hidden;
    let scratch = (shape.states + shape.parameters) * plane;
    let tiles = hidden.div_ceil(UNITS);
    let [inputs, products] = [p.inputs_first as usize, p.products_first as usize];
    let (known, carried): (&[f32], &[f32]) = (gates, carry);
    let new = map_all(batch * tiles, |number| {
        let (n, first) = (number / tiles, number % tiles * UNITS);
        let range = first..(first + UNITS).min(hidden);
        let count = range.len();
        let at = n * hidden + first;
        let runs = p.has_frame != 0 && sequences.runs(n, p.frame);
        let mut d: Vec<f32> = (0..shape.states).flat_map(|k| carried[k * plane + at..][..count].iter().copied()).collect();
        // What the transposed rows of some part give, times a vector of their gradients.
        let product = |from: usize, vector: &[f32]| -> Vec<f32> {
            range.clone().map(|unit| dot(&weight[unit * rows + from..][..vector.len()], vector)).collect()
        };
        if !is_last && p.has_next != 0 && !sequences.begins_anew(n, p.next) {
            let of_h = product(0, &known[p.next_first as usize + n * rows..][..rows - second]);
            d.iter_mut().zip(of_h).for_each(|(d, more)| *d += more);
        }
        let carry = d.clone();
        if !runs {
            let kinds = if is_last { shape.inputs + shape.rows } else { shape.second };
            return Tile { gates: vec![0.0; kinds * count], carry };
        }
        d.iter_mut().zip(&dy[p.dy_first as usize + at..][..count]).for_each(|(d, dy)| *d += dy);
        let past = zoneout.split(p.frame, at, &mut d, count);
        let all = [
            vectors(known, shape.inputs, inputs + n * shape.inputs * hidden, hidden, range.clone()),
            vectors(known, shape.rows, products + n * rows, hidden, range.clone()),
            vectors(states, shape.states, p.slot as usize * plane + n * hidden, p.slots as usize * plane, range.clone()),
            vectors(units, shape.parameters, rows, hidden, range.clone()),
            masks(words, shape.masks, batch + n * hidden, plane, range.clone()),
        ];
        let [x, r, s, q, m] = all;
        let gradient = shape.gradient(derivative, &arguments([x, r, s, q, m, vectors(&d, shape.states, 0, count, 0..count)]), count);
        if !is_last {
            return Tile { gates: gradient.of(1, shape.rows)[(shape.rows - shape.second) * count..].to_vec(), carry };
        }
        let d_mid = product(rows - second, &carried[scratch + n * second..][..second]);
        let mid = shape.gradient(of_mid, &arguments([x, r, s, q, m, [&d_mid, &[], &[], &[]]]), count);
        let sum =
            |kind: usize, many: usize| gradient.of(kind, many).iter().zip(mid.of(kind, many)).map(|(a, b)| a + b).collect::<Vec<f32>>();
        let anew = sequences.begins_anew(n, p.frame);
        let mut carry = sum(2, shape.states);
        carry.iter_mut().zip(past).for_each(|(d, past)| *d = if anew { 0.0 } else { *d + past });
        carry.extend(sum(3, shape.parameters));
        Tile { gates: [sum(0, shape.inputs), sum(1, shape.rows)].concat(), carry }
    });
    for (number, tile) in new.iter().enumerate() {
        let (n, first) = (number / tiles, number % tiles * UNITS);
        let count = UNITS.min(hidden - first);
        for (k, d) in tile.carry.chunks_exact(count).enumerate() {
            let to = &mut carry[k * plane + n * hidden + first..][..count];
            match k < shape.states {
                true => to.copy_from_slice(d),
                false => to.iter_mut().zip(d).for_each(|(sum, d)| *sum += d),
            }
        }
        let mut lanes = tile.gates.chunks_exact(count);
        if is_last {
            for (begin, kinds) in [(inputs, shape.inputs), (products, shape.rows)] {
                for (k, d) in lanes.by_ref().take(kinds).enumerate() {
                    gates[begin + (n * kinds + k) * hidden + first..][..count].copy_from_slice(d);
                }
            }
        } else {
            for (k, d) in lanes.enumerate() {
                carry[scratch + (n * shape.second + k) * hidden + first..][..count].copy_from_slice(d);
            }
        }
    }
}
