//! Twins of `shaders/cell/moments.wgsl`, `batch_norm.wgsl` and `batch_norm_gradient.wgsl`.

use super::sequences::Sequences;
use crate::cpu::Call;
use crate::cpu::parallel::map_all;
use crate::device::shader::{CellBatchNormGradientParams, CellBatchNormParams, CellMomentsParams};

pub(in crate::cpu) fn moments(call: &mut Call<'_>) {
    let p: CellMomentsParams = call.params();
    let words: &[u32] = call.read(1);
    let values: &[f32] = call.read(2);
    let normalised: &[f32] = call.read(3);
    let moments: &mut [f32] = call.write(4);
    let sequences = Sequences { words, has_lengths: p.has_lengths != 0, resets_first: 0, reset_words: 0 };
    let [batch, lines, columns, part_lines] = [p.batch, p.lines, p.columns, p.part_lines].map(|side| side as usize);
    let values = &values[p.values_first as usize..];
    let all = map_all(p.parts as usize, |part| {
        let first = (part * part_lines).min(lines);
        let counts = |&line: &usize| sequences.runs(line % batch, p.frame + (line / batch) as u32);
        let valid: Vec<usize> = (first..(first + part_lines).min(lines)).filter(counts).collect();
        let mut out = vec![0.0f64; 2 * columns];
        let (sums, others) = out.split_at_mut(columns);
        for &line in &valid {
            for ((column, sum), other) in sums.iter_mut().enumerate().zip(&mut *others) {
                let value = f64::from(values[line * columns + column]);
                *sum += value;
                if p.backward != 0 {
                    *other += value * f64::from(normalised[line * columns + column]);
                }
            }
        }
        if p.backward == 0 {
            sums.iter_mut().for_each(|sum| *sum /= (valid.len() as f64).max(1.0));
            for &line in &valid {
                for ((column, mean), other) in sums.iter().enumerate().zip(&mut *others) {
                    *other += (f64::from(values[line * columns + column]) - mean).powi(2);
                }
            }
        }
        (valid.len() as f32, out)
    });
    let plane = p.all_parts as usize * columns;
    for (part, (count, out)) in all.iter().enumerate() {
        let at = (p.first_part as usize + part) * columns;
        moments[at..][..columns].fill(*count);
        for (k, values) in out.chunks_exact(columns).enumerate() {
            moments[(k + 1) * plane + at..][..columns].iter_mut().zip(values).for_each(|(to, value)| *to = *value as f32);
        }
    }
}

pub(in crate::cpu) fn batch_norm(call: &mut Call<'_>) {
    let p: CellBatchNormParams = call.params();
    let moments: &[f32] = call.read(1);
    let gain: &[f32] = call.read(2);
    let bias: &[f32] = call.read(3);
    let running_mean: &mut [f32] = call.write(4);
    let running_var: &mut [f32] = call.write(5);
    let statistics: &mut [f32] = call.write(6);
    let [columns, parts] = [p.columns, p.parts].map(|side| side as usize);
    for column in 0..columns {
        let (mut count, mut mean, mut squares) = (0.0f64, 0.0f64, 0.0f64);
        let variance = if p.by_moments != 0 {
            for part in 0..parts {
                let [own, own_mean, own_squares] = [0, 1, 2].map(|k| f64::from(moments[(k * parts + part) * columns + column]));
                if own > 0.0 {
                    let delta = own_mean - mean;
                    let all = count + own;
                    mean += delta * own / all;
                    squares += own_squares + delta * delta * count * own / all;
                    count = all;
                }
            }
            if p.moves != 0 && count > 0.0 {
                let momentum = f64::from(p.momentum);
                let moved = |old: f32, new: f64| ((1.0 - momentum) * f64::from(old) + momentum * new) as f32;
                running_mean[column] = moved(running_mean[column], mean);
                running_var[column] = moved(running_var[column], squares / (count - 1.0).max(1.0));
            }
            squares / count.max(1.0)
        } else {
            mean = f64::from(running_mean[column]);
            f64::from(running_var[column])
        };
        let factor = 1.0 / (variance + f64::from(p.eps)).sqrt();
        let scale = if p.has_gain != 0 { factor * f64::from(gain[column]) } else { factor };
        let shift = if p.has_bias != 0 { f64::from(bias[column]) } else { 0.0 } - mean * scale;
        for (k, value) in [factor, -mean * factor, scale, shift, count].into_iter().enumerate() {
            statistics[k * columns + column] = value as f32;
        }
    }
}

pub(in crate::cpu) fn batch_norm_gradient(call: &mut Call<'_>) {
    let p: CellBatchNormGradientParams = call.params();
    let words: &[u32] = call.read(1);
    let statistics: &[f32] = call.read(2);
    let sums: &[f32] = call.read(3);
    let normalised_sums: &[f32] = call.read(4);
    let normalised: &[f32] = call.read(5);
    let gradients: &mut [f32] = call.write(6);
    let sequences = Sequences { words, has_lengths: p.has_lengths != 0, resets_first: 0, reset_words: 0 };
    let [batch, columns] = [p.batch, p.columns].map(|side| side as usize);
    let gradients = &mut gradients[p.gradients_first as usize..][..p.count as usize];
    for (line, (d, hat)) in gradients.chunks_exact_mut(columns).zip(normalised.chunks_exact(columns)).enumerate() {
        if !sequences.runs(line % batch, p.frame + (line / batch) as u32) {
            d.fill(0.0);
            continue;
        }
        for (column, (d, hat)) in d.iter_mut().zip(hat).enumerate() {
            let common = (sums[column] + hat * normalised_sums[column]) / statistics[4 * columns + column];
            *d = statistics[2 * columns + column] * (*d - common);
        }
    }
}
