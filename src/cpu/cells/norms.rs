//! Twins of `shaders/shared/cell_norms.wgsl`, and of `normalise.wgsl`, `normalise_gradient.wgsl` and `affine.wgsl` in `shaders/cell`.

use super::unit::Shape;
use crate::cpu::Call;
use crate::cpu::parallel::{for_each_chunk, map_all};
use crate::device::program::Program;
use crate::device::shader::{CellAffineParams, CellNormaliseGradientParams, CellNormaliseParams};

/// The layer norms of a cell.
#[derive(Clone, Copy)]
pub(super) struct Norms {
    /// Spans of the product, if it is normalised.
    pub spans: Option<usize>,
    pub gain: bool,
    pub eps: f32,
    /// The normalised state, and what it has.
    pub state: Option<usize>,
    pub state_gain: bool,
    pub state_bias: bool,
    pub state_eps: f32,
    /// Vectors of units before the gains, and before those of the state.
    pub gains_first: usize,
    pub state_first: usize,
}

impl Norms {
    pub(super) fn of(program: &Program, shape: Shape) -> Self {
        let number = |name| program.constant(name);
        let is = |name| number(name) != 0;
        let spans = match number("CELL_NORM") {
            0 => None,
            1 => Some(1),
            _ => Some(shape.rows),
        };
        let gain = spans.is_some() && is("CELL_NORM_GAIN");
        let gains_first = shape.rows + shape.parameters;
        Self {
            spans,
            gain,
            eps: f32::from_bits(number("CELL_NORM_EPS")),
            state: is("CELL_STATE_NORM").then(|| number("CELL_STATE_NORM") as usize),
            state_gain: is("CELL_STATE_GAIN"),
            state_bias: is("CELL_STATE_BIAS"),
            state_eps: f32::from_bits(number("CELL_STATE_EPS")),
            gains_first,
            state_first: gains_first + if gain { shape.rows } else { 0 },
        }
    }

    /// Gain and bias of the normalised state at a unit.
    pub(super) fn of_state(&self, units: &[f32], hidden: usize, unit: usize) -> (f32, f32) {
        let at = |vector: usize| units[vector * hidden + unit];
        let gain = if self.state_gain { at(self.state_first) } else { 1.0 };
        let bias = if self.state_bias { at(self.state_first + usize::from(self.state_gain)) } else { 0.0 };
        (gain, bias)
    }
}

/// Mean, and 1 / sqrt(variance + eps).
pub(super) fn statistics(values: &[f32], eps: f32) -> (f32, f32) {
    let count = values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, (1.0 / (variance + f64::from(eps)).sqrt()) as f32)
}

/// Means of gradients of normalised numbers, and of those times the numbers.
pub(super) fn gradient_means(d: &[f32], hat: &[f32]) -> (f32, f32) {
    let count = d.len() as f64;
    let sum = d.iter().map(|&d| f64::from(d)).sum::<f64>();
    let sum_hat = d.iter().zip(hat).map(|(&d, &hat)| f64::from(d) * f64::from(hat)).sum::<f64>();
    ((sum / count) as f32, (sum_hat / count) as f32)
}

pub(in crate::cpu) fn normalise(call: &mut Call<'_>) {
    let p: CellNormaliseParams = call.params();
    let gain: &[f32] = call.read(1);
    let bias: &[f32] = call.read(2);
    let values: &mut [f32] = call.write(3);
    let factors: &mut [f32] = call.write(4);
    let [lines, spans, size] = [p.lines, p.spans, p.size].map(|side| side as usize);
    let values = &mut values[p.first as usize..][..lines * spans * size];
    let known: &[f32] = values;
    let all = map_all(lines * spans, |number| statistics(&known[number * size..][..size], p.eps));
    factors.iter_mut().zip(&all).for_each(|(to, &(_, factor))| *to = factor);
    for_each_chunk(values, size, |number, values| {
        let (mean, factor) = all[number];
        let first = number % spans * size;
        for (i, value) in values.iter_mut().enumerate() {
            *value = (*value - mean) * factor;
            if p.has_gain != 0 {
                *value *= gain[first + i];
            }
            if p.has_bias != 0 {
                *value += bias[first + i];
            }
        }
    });
}

/// Twin of `shaders/cell/affine.wgsl`.
pub(in crate::cpu) fn affine(call: &mut Call<'_>) {
    let p: CellAffineParams = call.params();
    let scale: &[f32] = call.read(1);
    let shift: &[f32] = call.read(2);
    let lines: &[f32] = call.read(3);
    let out: &mut [f32] = call.write(4);
    let columns = p.columns as usize;
    for (number, out) in out[p.to_first as usize..][..p.count as usize].iter_mut().enumerate() {
        let mut value = if p.in_place != 0 { *out } else { lines[p.from_first as usize + number] };
        if p.has_scale != 0 {
            value *= scale[p.scale_first as usize + number % columns];
        }
        if p.has_shift != 0 {
            value += shift[p.shift_first as usize + number % columns];
        }
        *out = value;
    }
}

pub(in crate::cpu) fn normalise_gradient(call: &mut Call<'_>) {
    let p: CellNormaliseGradientParams = call.params();
    let gain: &[f32] = call.read(1);
    let factors: &[f32] = call.read(2);
    let gradients: &mut [f32] = call.write(3);
    let normalised: &mut [f32] = call.write(4);
    let [lines, spans, size] = [p.lines, p.spans, p.size].map(|side| side as usize);
    let gradients = &mut gradients[p.first as usize..][..lines * spans * size];
    for (number, (d, hat)) in gradients.chunks_exact_mut(size).zip(normalised.chunks_exact_mut(size)).enumerate() {
        let first = number % spans * size;
        let gained: Vec<f32> = d.iter().enumerate().map(|(i, &d)| if p.has_gain != 0 { d * gain[first + i] } else { d }).collect();
        let (mean, mean_hat) = gradient_means(&gained, hat);
        for ((d, hat), gained) in d.iter_mut().zip(hat).zip(gained) {
            let own = *d;
            *d = factors[number] * (gained - mean - *hat * mean_hat);
            *hat *= own;
        }
    }
}
