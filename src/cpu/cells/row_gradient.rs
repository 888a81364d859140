//! Twin of `shaders/cell/row_gradient.wgsl`, and of those that run many steps of cells with layer norms.

use super::norms::{Norms, gradient_means, statistics};
use super::sequences::{Sequences, Zoneout};
use super::unit::{Shape, arguments, masks, vectors};
use crate::cpu::Call;
use crate::cpu::parallel::map_all;
use crate::device::program::Program;
use crate::device::shader::CellRowGradientParams;

/// What a sequence gets.
#[derive(Default)]
struct Row {
    /// Gradients of inputs, and of products.
    gates: [Vec<f32>; 2],
    /// Of the states before; none if the sequence does not run.
    states: Vec<f32>,
    /// What is to be added to the sums.
    sums: Vec<f32>,
}

/// What a step reads.
pub(super) struct Read<'a> {
    pub factors: &'a [f32],
    pub units: &'a [f32],
    pub words: &'a [u32],
    pub states: &'a [f32],
    pub dy: &'a [f32],
}

pub(in crate::cpu) fn row_gradient(call: &mut Call<'_>) {
    let Some(program) = call.program() else { return };
    let read = Read { factors: call.read(1), units: call.read(2), words: call.read(3), states: call.read(4), dy: call.read(5) };
    let (gates, carry) = (call.write(6), call.write(7));
    one(program, &call.params(), &read, gates, carry);
}

/// One step, but for the product.
pub(super) fn one(program: &Program, p: &CellRowGradientParams, read: &Read<'_>, gates: &mut [f32], carry: &mut [f32]) {
    let (Some(update), Some(derivative)) = (program.twin("cell_update"), program.twin("cell_gradient")) else { return };
    let shape = Shape::of(program);
    let norms = Norms::of(program, shape);
    let (batch, hidden) = (p.batch as usize, p.hidden as usize);
    let &Read { factors, units, words, states, dy } = read;
    let sequences =
        Sequences { words, has_lengths: p.has_lengths != 0, resets_first: p.resets_first as usize, reset_words: p.reset_words as usize };
    let zoneout = Zoneout { first: p.zone_first, others: p.zone_others, seed: p.seed, means: false };
    let plane = batch * hidden;
    let [inputs, rows] = [shape.inputs, shape.rows].map(|vectors| vectors * hidden);
    let (known, carried): (&[f32], &[f32]) = (gates, carry);
    let new = map_all(batch, |n| {
        if !sequences.runs(n, p.frame) {
            return Row { gates: [vec![0.0; inputs], vec![0.0; rows]], ..Row::default() };
        }
        let at = n * hidden;
        let mut d: Vec<f32> = (0..shape.states).flat_map(|k| carried[k * plane + at..][..hidden].iter().copied()).collect();
        d.iter_mut().zip(&dy[p.dy_first as usize + at..][..hidden]).for_each(|(d, dy)| *d += dy);
        let past = zoneout.split(p.frame, at, &mut d, hidden);
        let hat = &known[p.products_first as usize + n * rows..][..rows];
        let gain = |i: usize| if norms.gain { units[norms.gains_first * hidden + i] } else { 1.0 };
        let r: Vec<f32> = hat.iter().enumerate().map(|(i, hat)| hat * gain(i) + units[i]).collect();
        let [x, r, s, q, m] = [
            vectors(known, shape.inputs, p.inputs_first as usize + n * inputs, hidden, 0..hidden),
            vectors(&r, shape.rows, 0, hidden, 0..hidden),
            vectors(states, shape.states, p.slot as usize * plane + at, p.slots as usize * plane, 0..hidden),
            vectors(units, shape.parameters, rows, hidden, 0..hidden),
            masks(words, shape.masks, batch + at, plane, 0..hidden),
        ];
        // Of the normalised state: sums for its gain and bias; and what goes by way of the output.
        let mut state_sums = Vec::new();
        let mut of_output = None;
        if let (Some(state), Some(output)) = (norms.state, program.twin("cell_output_gradient")) {
            let mut after = vec![0.0f32; shape.states * hidden];
            update(&arguments([x, r, s, q, m]), &mut after.chunks_exact_mut(hidden).collect::<Vec<_>>());
            let mut hat = after[state * hidden..][..hidden].to_vec();
            let (mean, factor) = statistics(&hat, norms.state_eps);
            hat.iter_mut().for_each(|c| *c = (*c - mean) * factor);
            let own = |unit: usize| norms.of_state(units, hidden, unit);
            let normed: Vec<f32> = hat.iter().enumerate().map(|(unit, hat)| hat * own(unit).0 + own(unit).1).collect();
            let after = vectors(&after, shape.states, 0, hidden, 0..hidden);
            let given = arguments([x, r, after, q, m, [&normed, &[], &[], &[]], [&d[..hidden], &[], &[], &[]]]);
            let gradient = shape.gradient(output, &given, hidden);
            let d_normed = gradient.of(4, 1);
            let gained: Vec<f32> = d_normed.iter().enumerate().map(|(unit, d)| d * own(unit).0).collect();
            let (mean, mean_hat) = gradient_means(&gained, &hat);
            d[..hidden].fill(0.0);
            d.iter_mut().zip(gradient.of(2, shape.states)).for_each(|(d, more)| *d += more);
            for ((d, gained), hat) in d[state * hidden..].iter_mut().zip(gained).zip(&hat) {
                *d += factor * (gained - mean - hat * mean_hat);
            }
            if norms.state_gain {
                state_sums.extend(d_normed.iter().zip(&hat).map(|(d, hat)| d * hat));
            }
            if norms.state_bias {
                state_sums.extend_from_slice(d_normed);
            }
            of_output = Some(gradient);
        }
        let gradient = shape.gradient(derivative, &arguments([x, r, s, q, m, vectors(&d, shape.states, 0, hidden, 0..hidden)]), hidden);
        let sum = |kind: usize, many: usize| -> Vec<f32> {
            let mut values = gradient.of(kind, many).to_vec();
            if let Some(more) = &of_output {
                values.iter_mut().zip(more.of(kind, many)).for_each(|(value, more)| *value += more);
            }
            values
        };
        let anew = sequences.begins_anew(n, p.frame);
        let states = gradient.of(2, shape.states).iter().zip(&past).map(|(d, past)| if anew { 0.0 } else { d + past }).collect();
        let mut sums = sum(3, shape.parameters);
        let mut d_r = sum(1, shape.rows);
        if norms.gain {
            sums.extend(d_r.iter().zip(hat).map(|(d, hat)| d * hat));
        }
        sums.extend(state_sums);
        if let Some(spans) = norms.spans {
            sums.extend_from_slice(&d_r);
            d_r.iter_mut().enumerate().for_each(|(i, d)| *d *= gain(i));
            let size = rows / spans;
            for (span, (d, hat)) in d_r.chunks_exact_mut(size).zip(hat.chunks_exact(size)).enumerate() {
                let (mean, mean_hat) = gradient_means(d, hat);
                let factor = factors[(p.first_line as usize + n) * spans + span];
                d.iter_mut().zip(hat).for_each(|(d, hat)| *d = factor * (*d - mean - hat * mean_hat));
            }
        }
        Row { gates: [sum(0, shape.inputs), d_r], states, sums }
    });
    for (n, Row { gates: [d_x, d_r], states, sums }) in new.iter().enumerate() {
        gates[p.inputs_first as usize + n * inputs..][..inputs].copy_from_slice(d_x);
        gates[p.products_first as usize + n * rows..][..rows].copy_from_slice(d_r);
        for (k, states) in states.chunks_exact(hidden).enumerate() {
            carry[k * plane + n * hidden..][..hidden].copy_from_slice(states);
        }
        for (k, sums) in sums.chunks_exact(hidden).enumerate() {
            let to = &mut carry[(shape.states + k) * plane + n * hidden..][..hidden];
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
        }
    }
}
