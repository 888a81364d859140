//! Twin of `shaders/cell/state_sums.wgsl`.

use super::norms::{Norms, statistics};
use super::sequences::Sequences;
use super::unit::{Shape, arguments, masks, vectors};
use crate::cpu::Call;
use crate::cpu::parallel::for_each_chunk;
use crate::device::shader::CellStateSumsParams;

pub(in crate::cpu) fn state_sums(call: &mut Call<'_>) {
    let p: CellStateSumsParams = call.params();
    let Some(program) = call.program() else { return };
    let (units, words, states): (&[f32], &[u32], &[f32]) = (call.read(1), call.read(2), call.read(3));
    let (gates, known): (&mut [f32], &mut [f32]) = (call.write(4), call.write(5));
    let gates: &[f32] = gates;
    let shape = Shape::of(program);
    let norms = Norms::of(program, shape);
    let (Some(update), Some(derivative), Some(state)) = (program.twin("cell_update"), program.twin("cell_gradient"), norms.state) else {
        return;
    };
    let sequences =
        Sequences { words, has_lengths: p.has_lengths != 0, resets_first: p.resets_first as usize, reset_words: p.reset_words as usize };
    let (batch, hidden) = (p.batch as usize, p.hidden as usize);
    let plane = batch * hidden;
    let [inputs, rows] = [shape.inputs, shape.rows].map(|vectors| vectors * hidden);
    let spans = norms.spans.unwrap_or(0);
    let each = 2 + 4 * spans;
    for_each_chunk(&mut known[..p.lines as usize * each], each, |line, known| {
        let (frame, n) = (line / batch, line % batch);
        if !sequences.runs(n, p.frame + frame as u32) {
            return known.fill(0.0);
        }
        let hat = &gates[p.products_first as usize + line * rows..][..rows];
        let gain = |i: usize| if norms.gain { units[norms.gains_first * hidden + i] } else { 1.0 };
        let r: Vec<f32> = hat.iter().enumerate().map(|(i, hat)| hat * gain(i) + units[i]).collect();
        let seen = [
            vectors(gates, shape.inputs, p.inputs_first as usize + line * inputs, hidden, 0..hidden),
            vectors(&r, shape.rows, 0, hidden, 0..hidden),
            vectors(states, shape.states, (p.slot as usize + frame) * plane + n * hidden, p.slots as usize * plane, 0..hidden),
            vectors(units, shape.parameters, rows, hidden, 0..hidden),
            masks(words, shape.masks, batch + n * hidden, plane, 0..hidden),
        ];
        let mut after = vec![0.0f32; shape.states * hidden];
        update(&arguments(seen), &mut after.chunks_exact_mut(hidden).collect::<Vec<_>>());
        let after = &after[state * hidden..][..hidden];
        let (mean, factor) = statistics(after, norms.state_eps);
        (known[0], known[1]) = (mean, factor);
        let mut one = vec![0.0f32; shape.states * hidden];
        one[state * hidden..][..hidden].fill(factor);
        let [x, r, s, q, m] = seen;
        let gradient = shape.gradient(derivative, &arguments([x, r, s, q, m, vectors(&one, shape.states, 0, hidden, 0..hidden)]), hidden);
        let size = rows.checked_div(spans).unwrap_or(rows);
        for (i, (d, hat)) in gradient.of(1, shape.rows).iter().zip(hat).enumerate().filter(|_| spans > 0) {
            let (d, state_hat) = (d * gain(i), (after[i % hidden] - mean) * factor);
            let sums = &mut known[2 + 4 * (i / size)..][..4];
            if i % size == 0 {
                sums.fill(0.0);
            }
            for (sum, more) in sums.iter_mut().zip([d, d * state_hat, d * hat, d * hat * state_hat]) {
                *sum += more;
            }
        }
    });
}
