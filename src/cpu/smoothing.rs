//! Twins of `shaders/joint/smooth_*.wgsl`.

use super::Call;
use super::additive::{Sums, clean, is_unusable};
use super::lattice::Utterance;
use super::parallel::map_all;
use super::scores::{LOG_ZERO, LOG2_E, log_sum};
use super::status::{NON_FINITE, OK};
use crate::device::shader::JointAdditiveRowParams as Params;
use std::f32::consts::LN_2;

/// The normaliser of a row that is left out.
const LEFT_OUT: f32 = 1e38;

/// What the launches of one side know.
struct Side<'a> {
    p: Params,
    batch: &'a [u32],
    of_positions: bool,
    x: &'a [f32],
}

impl<'a> Side<'a> {
    fn of(call: &Call<'a>, p: Params, of_positions: bool) -> Self {
        Self { p, batch: call.read(1), of_positions, x: call.read(2) }
    }

    /// Items of an utterance that are there, and in the tensor.
    fn items(&self, utterance: &Utterance<'_>) -> [usize; 2] {
        let columns = if utterance.frames > 0 { utterance.columns() } else { 0 };
        if self.of_positions { [columns, self.p.positions as usize] } else { [utterance.frames, self.p.frames as usize] }
    }

    /// The scores of an item of utterance z of the launch.
    fn line(&self, z: usize, padded: usize, item: usize) -> &'a [f32] {
        let (vocab, first) = (self.p.vocab as usize, if self.of_positions { self.p.predictor_first } else { self.p.encoder_first });
        &self.x[first as usize + (z * padded + item) * vocab..][..vocab]
    }
}

/// The shaders' params, which are all the same.
fn params<P: bytemuck::Pod>(call: &Call<'_>) -> Params {
    bytemuck::cast(call.params::<P>())
}

pub(super) fn row(call: &mut Call<'_>) {
    let side = Side::of(call, params::<crate::device::shader::JointSmoothRowParams>(call), call.constant("OF_POSITIONS") != 0.0);
    let p = side.p;
    let normalisers: &mut [f32] = call.write(3);
    let prior = normalisers[p.prior_at as usize..][..p.vocab as usize].to_vec();
    for z in 0..call.groups()[2] as usize {
        let n = p.first_utterance as usize + z;
        let [items, padded] = side.items(&Utterance::new(side.batch, n));
        let normaliser = |item: usize| {
            let line = side.line(z, padded, item);
            let score = |v: usize| clean(line[v]) * LOG2_E + if side.of_positions { 0.0 } else { prior[v] };
            let sum = if line.iter().any(|&x| is_unusable(x)) { None } else { log_sum((0..line.len()).map(score)) };
            sum.unwrap_or(LEFT_OUT)
        };
        let all = map_all(items, normaliser);
        let at = if side.of_positions { p.positions_at } else { p.frames_at } as usize + n * padded;
        normalisers[at..at + padded].fill(LEFT_OUT);
        normalisers[at..at + items].copy_from_slice(&all);
    }
}

pub(super) fn prior(call: &mut Call<'_>) {
    let side = Side::of(call, params::<crate::device::shader::JointSmoothPriorParams>(call), true);
    let p = side.p;
    let normalisers: &mut [f32] = call.write(3);
    let rows: Vec<(f32, &[f32])> = (0..p.utterances as usize)
        .flat_map(|n| {
            let [items, padded] = side.items(&Utterance::new(side.batch, n));
            (0..items).map(move |u| (p.positions_at as usize + n * padded + u, n, padded, u))
        })
        .map(|(at, n, padded, u)| (normalisers[at], side.line(n, padded, u)))
        .filter(|&(normaliser, _)| normaliser < LEFT_OUT)
        .collect();
    let all = (rows.len().max(1) as f32).log2();
    let mean = |v: usize| log_sum(rows.iter().map(|(normaliser, line)| clean(line[v]) * LOG2_E - normaliser));
    let priors = map_all(p.vocab as usize, |v| mean(v).map_or(LOG_ZERO, |sum| sum - all));
    let own = &mut normalisers[p.prior_at as usize..][..p.vocab as usize + 1];
    own[..priors.len()].copy_from_slice(&priors);
    own[priors.len()] = all;
}

pub(super) fn cells(call: &mut Call<'_>) {
    let sums = Sums::of(call, params::<crate::device::shader::JointSmoothCellsParams>(call));
    let p = sums.p;
    let normalisers: &[f32] = call.read(4);
    let kept: &mut [f32] = call.write(5);
    let channels = p.channels as usize;
    let weighed = |scale: f32, x: f32| if scale > 0.0 { scale * x.max(LOG_ZERO) } else { 0.0 };
    for z in 0..call.groups()[2] {
        let (n, utterance) = ((p.first_utterance + z) as usize, sums.utterance(z));
        let first = sums.first(&utterance) * channels;
        for (row, kept) in kept[first..][..utterance.rows * channels].chunks_exact_mut(channels).enumerate() {
            let (t, u) = (row / utterance.positions, row % utterance.positions);
            let frame = normalisers[p.frames_at as usize + n * p.frames as usize + t];
            let position = normalisers[p.positions_at as usize + n * p.positions as usize + u];
            for (channel, kept) in kept.iter_mut().enumerate() {
                let Some(v) = sums.symbol(&utterance, u, channel) else { continue };
                let by_frame = clean(sums.frame(z, t)[v]) * LOG2_E + normalisers[p.prior_at as usize + v] - frame;
                let by_position = clean(sums.position(z, u)[v]) * LOG2_E - position;
                let x = weighed(p.together, *kept) + weighed(p.frames_alone, by_frame * LN_2);
                *kept = (x + weighed(p.positions_alone, by_position * LN_2)).max(LOG_ZERO);
            }
        }
    }
}

pub(super) fn sums(call: &mut Call<'_>) {
    let of_positions = call.constant("OF_POSITIONS") != 0.0;
    let side = Side::of(call, params::<crate::device::shader::JointSmoothSumsParams>(call), of_positions);
    let (p, pulls) = (side.p, side.x);
    let out: &mut [f32] = call.write(3);
    let channels = p.channels as usize;
    for n in p.first_utterance as usize..(p.first_utterance + call.groups()[2]) as usize {
        let utterance = Utterance::new(side.batch, n);
        let first = utterance.first_row.wrapping_sub(p.first_row) as usize * channels;
        let frame = utterance.positions * channels;
        if !of_positions {
            let own = &mut out[n * p.frames as usize..][..utterance.frames];
            own.iter_mut().enumerate().for_each(|(t, own)| *own = pulls[first + t * frame..][..frame].iter().sum());
            continue;
        }
        let own = &mut out[p.sums_at as usize + n * p.positions as usize * channels..][..frame];
        for (place, own) in own.iter_mut().enumerate() {
            *own = (0..utterance.frames).map(|t| pulls[first + t * frame + place]).sum();
        }
    }
}

pub(super) fn prior_gradient(call: &mut Call<'_>) {
    let side = Side::of(call, params::<crate::device::shader::JointSmoothPriorGradientParams>(call), false);
    let p = side.p;
    let normalisers: &[f32] = call.read(3);
    let sums: &[f32] = call.read(4);
    let out: &mut [f32] = call.write(5);
    let prior = &normalisers[p.prior_at as usize..][..p.vocab as usize];
    let channels = p.channels as usize;
    let mut all = vec![0.0f32; p.vocab as usize];
    for z in 0..p.utterances as usize {
        let n = p.first_utterance as usize + z;
        let utterance = Utterance::new(side.batch, n);
        let [frames, padded] = side.items(&utterance);
        for t in 0..frames {
            let (pull, normaliser) = (sums[n * padded + t], normalisers[p.frames_at as usize + n * padded + t]);
            let line = side.line(z, padded, t);
            if pull != 0.0 {
                let parts = line.iter().zip(prior).map(|(&x, prior)| pull * (clean(x) * LOG2_E + prior - normaliser).exp2());
                all.iter_mut().zip(parts).for_each(|(all, part)| *all -= part);
            }
        }
        for u in 0..if frames > 0 { utterance.columns() } else { 0 } {
            let own = &sums[p.sums_at as usize + (n * p.positions as usize + u) * channels..][..channels];
            for (channel, own) in own.iter().enumerate() {
                if let Some(v) = super::additive::symbol_of(&p, &utterance, u, channel) {
                    all[v] += own;
                }
            }
        }
    }
    out.iter_mut().zip(all).for_each(|(out, sum)| *out += p.frames_alone * sum);
}

pub(super) fn positions(call: &mut Call<'_>) {
    let side = Side::of(call, params::<crate::device::shader::JointSmoothPositionsParams>(call), true);
    let p = side.p;
    let normalisers: &[f32] = call.read(3);
    let results: &[u32] = call.read(4);
    let pulls: &[f32] = call.read(5);
    let out: &mut [f32] = call.write(6);
    let vocab = p.vocab as usize;
    let (prior, all) = (&normalisers[p.prior_at as usize..][..vocab], normalisers[p.prior_at as usize + vocab]);
    for z in 0..call.groups()[2] as usize {
        let n = p.first_utterance as usize + z;
        let [items, padded] = side.items(&Utterance::new(side.batch, n));
        if results[n] & NON_FINITE != OK {
            continue;
        }
        for u in 0..items {
            let normaliser = normalisers[p.positions_at as usize + n * padded + u];
            if normaliser >= LEFT_OUT {
                continue;
            }
            let line = side.line(z, padded, u);
            let score = |v: usize| clean(line[v]) * LOG2_E - normaliser;
            let pull = |v: usize| pulls[v] * (score(v) - prior[v] - all).min(0.0).exp2();
            let sum: f32 = (0..vocab).map(pull).sum();
            let own = &mut out[p.out_first as usize + (z * padded + u) * vocab..][..vocab];
            own.iter_mut().enumerate().for_each(|(v, own)| *own += pull(v) - sum * score(v).exp2());
        }
    }
}
