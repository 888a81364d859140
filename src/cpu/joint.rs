//! Twins of the kernels of `shaders/joint`.

use super::Call;
use super::lattice::Utterance;
use super::math::{activate, random_words, sigmoid};
use super::parallel::for_each_chunk;
use super::status::{NON_FINITE, OK};
use crate::dense::Activation;
use crate::device::shader::{JointHiddenParams, JointInputGradientParams as Params, JointScaleParams, JointValidRowsParams};
use crate::tensor::nearest_half;
use half::f16;

/// What a joiner adds up, and what it does with the sum.
#[derive(Clone, Copy)]
struct Rows<'a> {
    p: Params,
    batch: &'a [u32],
    encoder: &'a [f32],
    predictor: &'a [f32],
    activation: u32,
}

impl<'a> Rows<'a> {
    fn of(call: &Call<'a>, p: Params) -> Self {
        Self { p, batch: call.read(1), encoder: call.read(2), predictor: call.read(3), activation: call.constant("ACTIVATION") as u32 }
    }

    fn utterance(&self, z: u32) -> Utterance<'a> {
        Utterance::new(self.batch, (self.p.first_utterance + z) as usize)
    }

    /// Rows of an utterance that the window has.
    fn range(&self, utterance: &Utterance<'_>) -> std::ops::Range<usize> {
        self.p.first_row as usize..(self.p.end_row as usize).min(utterance.rows)
    }

    /// Where a row begins in the tile.
    fn line(&self, utterance: &Utterance<'_>, row: usize) -> usize {
        let place = utterance.first_row.wrapping_add(row as u32);
        place.wrapping_sub(self.p.window_row) as usize * self.p.stride as usize
    }

    /// The position of a row.
    fn position(&self, utterance: &Utterance<'_>, row: usize) -> usize {
        let (t, place) = (row / utterance.positions, row % utterance.positions);
        if self.p.pruned == 0 {
            return place;
        }
        (self.batch[utterance.band_at + 2 * t] as usize + place).min(utterance.labels)
    }

    fn sum(&self, z: u32, [t, u, column]: [usize; 3]) -> f32 {
        let (p, z) = (&self.p, z as usize);
        let frame = self.encoder[p.encoder_first as usize + (z * p.frames as usize + t) * p.hidden as usize + column];
        frame + self.predictor[p.predictor_first as usize + (z * p.positions as usize + u) * p.hidden as usize + column]
    }

    fn factor(&self, utterance: &Utterance<'_>, row: usize, column: usize) -> f32 {
        if self.p.drop == 0 {
            return 1.0;
        }
        let place = utterance.first_row.wrapping_add(row as u32);
        if random_words([self.p.seed, place, column as u32, 3])[0] < self.p.drop { 0.0 } else { self.p.scale }
    }

    /// Of the activation, by its argument.
    fn derivative(&self, sum: f32) -> f32 {
        let y = activate(self.activation, sum);
        match self.activation {
            code if code == Activation::Relu as u32 => f32::from(u8::from(sum > 0.0)),
            code if code == Activation::Sigmoid as u32 => sigmoid(sum) * (1.0 - sigmoid(sum)),
            code if code == Activation::Tanh as u32 => 1.0 - y * y,
            _ => 1.0,
        }
    }
}

pub(super) fn hidden(call: &mut Call<'_>) {
    let p: JointHiddenParams = call.params();
    let rows = Rows::of(call, bytemuck::cast(p));
    let checks = call.constant("CHECKS") != 0.0;
    let half = call.has_flag("f16");
    let [_, _, utterances] = call.groups();
    let results: &mut [u32] = call.write(4);
    let out: &mut [u32] = call.write(5);
    let words = if half { p.stride as usize / 2 } else { p.stride as usize };
    for z in 0..utterances {
        let utterance = rows.utterance(z);
        let range = rows.range(&utterance);
        if range.is_empty() {
            continue;
        }
        let value = |row: usize, column: usize| {
            let sum = rows.sum(z, [row / utterance.positions, rows.position(&utterance, row), column]);
            if checks && !sum.is_finite() {
                return None;
            }
            Some(activate(rows.activation, sum) * rows.factor(&utterance, row, column))
        };
        let first = rows.line(&utterance, range.start) / p.stride as usize * words;
        let lines = &mut out[first..][..range.len() * words];
        for_each_chunk(lines, words, |place, line| {
            let row = range.start + place;
            let columns = (0..p.hidden as usize).map(|column| value(row, column).unwrap_or(0.0));
            if half {
                let line: &mut [f16] = bytemuck::cast_slice_mut(line);
                line.fill(f16::ZERO);
                line.iter_mut().zip(columns).for_each(|(out, value)| *out = nearest_half(value));
            } else {
                line.iter_mut().zip(columns).for_each(|(out, value)| *out = value.to_bits());
            }
        });
        let mut all = range.flat_map(|row| (0..p.hidden as usize).map(move |column| (row, column)));
        if checks && all.any(|(row, column)| value(row, column).is_none()) {
            results[(p.first_utterance + z) as usize] |= NON_FINITE;
        }
    }
}

pub(super) fn scale(call: &mut Call<'_>) {
    let p: JointScaleParams = call.params();
    let x: &mut [f32] = call.write(1);
    x.iter_mut().take(p.count as usize).for_each(|x| *x *= p.scale);
}

pub(super) fn input_gradient(call: &mut Call<'_>) {
    let p: Params = call.params();
    let rows = Rows::of(call, p);
    let of_positions = call.constant("OF_POSITIONS") != 0.0;
    let [_, _, utterances] = call.groups();
    let results: &[u32] = call.read(4);
    let tile: &[f32] = call.read(5);
    let out: &mut [f32] = call.write(6);
    let hidden = p.hidden as usize;
    for z in 0..utterances {
        let utterance = rows.utterance(z);
        let range = rows.range(&utterance);
        if range.is_empty() || results[(p.first_utterance + z) as usize] & NON_FINITE != OK {
            continue;
        }
        let padded = if of_positions { p.positions } else { p.frames } as usize;
        let own = &mut out[p.out_first as usize + z as usize * padded * hidden..][..padded * hidden];
        for_each_chunk(own, hidden, |item, own| {
            let positions = utterance.positions;
            let frames = if of_positions { range.start / positions..range.end.div_ceil(positions) } else { item..item + 1 };
            let own_rows = frames.flat_map(|t| t * positions..(t + 1) * positions).filter(|row| range.contains(row));
            // A row past the end of a narrower band has no gradient.
            for row in own_rows.filter(|&row| !of_positions || rows.position(&utterance, row) == item) {
                let line = rows.line(&utterance, row);
                for (column, own) in own.iter_mut().enumerate() {
                    let factor = rows.factor(&utterance, row, column);
                    if factor != 0.0 {
                        let sum = rows.sum(z, [row / positions, rows.position(&utterance, row), column]);
                        *own += tile[line + column] * factor * rows.derivative(sum) * p.unscale;
                    }
                }
            }
        });
    }
}

pub(super) fn valid_rows(call: &mut Call<'_>) {
    let p: JointValidRowsParams = call.params();
    let of_positions = call.constant("OF_POSITIONS") != 0.0;
    let batch: &[u32] = call.read(1);
    let results: &[u32] = call.read(2);
    let is_there = |row: usize| {
        let number = p.first as usize + row;
        let (n, place) = (number / p.padded as usize, number % p.padded as usize);
        let utterance = Utterance::new(batch, n);
        place < if of_positions { utterance.labels + 1 } else { utterance.frames } && results[n] & NON_FINITE == OK
    };
    let [columns, stride, x_first] = [p.columns, p.stride, p.x_first].map(|count| count as usize);
    if call.has_flag("f16") {
        let x: &[f16] = call.read(3);
        let out: &mut [f16] = call.write(4);
        copy(&x[x_first..], &mut out[..p.rows as usize * stride], [columns, stride], is_there);
    } else {
        let x: &[f32] = call.read(3);
        let out: &mut [f32] = call.write(4);
        copy(&x[x_first..], &mut out[..p.rows as usize * stride], [columns, stride], is_there);
    }
}

fn copy<T: Copy + Default>(x: &[T], out: &mut [T], [columns, stride]: [usize; 2], is_there: impl Fn(usize) -> bool) {
    for (row, line) in out.chunks_exact_mut(stride).enumerate() {
        line.fill(T::default());
        if is_there(row) {
            line[..columns].copy_from_slice(&x[row * columns..][..columns]);
        }
    }
}
