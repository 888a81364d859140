//! Twins of `shaders/joint/additive_row.wgsl` and `additive_gradient.wgsl`.

use super::Call;
use super::lattice::{Utterance, log2_sigmoid};
use super::math::limited;
use super::parallel::{for_each_chunk, map_all};
use super::scores::{LOG_ZERO, LOG2_E, is_log_zero, log_sum};
use super::status::{NON_FINITE, OK};
use crate::device::shader::JointAdditiveRowParams as Params;
use crate::lattice::WILDCARD;
use std::f32::consts::LN_2;

/// A masked score, which nothing that is added to it brings back.
const MASKED: f32 = -1e38;

/// What a joiner without a layer adds up.
#[derive(Clone, Copy)]
pub(super) struct Sums<'a> {
    pub p: Params,
    batch: &'a [u32],
    encoder: &'a [f32],
    predictor: &'a [f32],
    hat: bool,
}

pub(super) fn is_unusable(x: f32) -> bool {
    x.is_nan() || x == f32::INFINITY
}

pub(super) fn clean(x: f32) -> f32 {
    match x {
        f32::NEG_INFINITY => MASKED,
        x if is_unusable(x) => 0.0,
        x => x.clamp(LOG_ZERO, -LOG_ZERO),
    }
}

/// The symbol of a channel; `None` where there is none to read.
pub(super) fn symbol_of(p: &Params, utterance: &Utterance<'_>, u: usize, channel: usize) -> Option<usize> {
    match channel {
        0 => Some(p.blank as usize),
        1 => utterance.label(u).filter(|&label| label != WILDCARD).map(|label| label as usize),
        _ => Some([p.named_0, p.named_1, p.named_2, p.named_3][channel - 2] as usize),
    }
}

impl<'a> Sums<'a> {
    pub fn of(call: &Call<'a>, p: Params) -> Self {
        Self { p, batch: call.read(1), encoder: call.read(2), predictor: call.read(3), hat: call.constant("HAT") != 0.0 }
    }

    pub fn utterance(&self, z: u32) -> Utterance<'a> {
        Utterance::new(self.batch, (self.p.first_utterance + z) as usize)
    }

    fn vocab(&self) -> usize {
        self.p.vocab as usize
    }

    pub fn frame(&self, z: u32, t: usize) -> &'a [f32] {
        &self.encoder[self.p.encoder_first as usize + (z as usize * self.p.frames as usize + t) * self.vocab()..][..self.vocab()]
    }

    pub fn position(&self, z: u32, u: usize) -> &'a [f32] {
        &self.predictor[self.p.predictor_first as usize + (z as usize * self.p.positions as usize + u) * self.vocab()..][..self.vocab()]
    }

    /// The first cell of an utterance.
    pub fn first(&self, utterance: &Utterance<'_>) -> usize {
        utterance.first_row.wrapping_sub(self.p.first_row) as usize
    }

    pub fn symbol(&self, utterance: &Utterance<'_>, u: usize, channel: usize) -> Option<usize> {
        symbol_of(&self.p, utterance, u, channel)
    }

    /// What a cell keeps, and its normaliser.
    fn keep(&self, utterance: &Utterance<'_>, z: u32, [t, u]: [usize; 2], kept: &mut [f32]) -> f32 {
        let (frame, position) = (self.frame(z, t), self.position(z, u));
        let score = |v: usize| (clean(frame[v]) + clean(position[v])) * LOG2_E;
        let blank = self.p.blank as usize;
        let sum = log_sum((0..self.vocab()).filter(|&v| !self.hat || v != blank).map(score));
        let normaliser = sum.unwrap_or(0.0);
        let leave = if self.hat { log2_sigmoid(-score(blank)) } else { 0.0 };
        for (channel, kept) in kept.iter_mut().enumerate() {
            let x = match self.symbol(utterance, u, channel) {
                None => 0.0,
                Some(v) if self.hat && v == blank => {
                    if is_log_zero(score(v)) {
                        LOG_ZERO
                    } else {
                        log2_sigmoid(score(v))
                    }
                }
                Some(v) => sum.map_or(LOG_ZERO, |sum| score(v) - sum + leave),
            };
            *kept = (x * LN_2).max(LOG_ZERO);
        }
        normaliser
    }
}

pub(super) fn row(call: &mut Call<'_>) {
    let sums = Sums::of(call, call.params());
    let channels = sums.p.channels as usize;
    let [_, _, utterances] = call.groups();
    let results: &mut [u32] = call.write(4);
    let normalisers: &mut [f32] = call.write(5);
    let kept: &mut [f32] = call.write(6);
    for z in 0..utterances {
        let utterance = sums.utterance(z);
        let (first, positions) = (sums.first(&utterance), utterance.positions);
        let kept = &mut kept[first * channels..][..utterance.rows * channels];
        let normalisers = &mut normalisers[first..][..utterance.rows];
        for_each_chunk(kept, positions * channels, |t, kept| {
            for (u, kept) in kept.chunks_exact_mut(channels).enumerate() {
                sums.keep(&utterance, z, [t, u], kept);
            }
        });
        for_each_chunk(normalisers, positions, |t, normalisers| {
            for (u, normaliser) in normalisers.iter_mut().enumerate() {
                *normaliser = sums.keep(&utterance, z, [t, u], &mut []);
            }
        });
        let frames = (0..utterance.frames).map(|t| sums.frame(z, t));
        let lines = frames.chain((0..utterance.columns()).map(|u| sums.position(z, u)));
        if utterance.frames > 0 && lines.flatten().any(|&x| is_unusable(x)) {
            results[(sums.p.first_utterance + z) as usize] |= NON_FINITE;
        }
    }
}

pub(super) fn gradient(call: &mut Call<'_>) {
    let p: crate::device::shader::JointAdditiveGradientParams = call.params();
    let sums = Sums::of(call, bytemuck::cast(p));
    let of_positions = call.constant("OF_POSITIONS") != 0.0;
    let clamps = call.constant("CLAMPS") != 0.0;
    let smoothed = call.constant("SMOOTHED") != 0.0;
    let alone = if of_positions { p.positions_alone } else { p.frames_alone };
    let [own_scale, all_scale] = if smoothed { [p.together + alone, p.together] } else { [1.0; 2] };
    let [_, _, utterances] = call.groups();
    let results: &[u32] = call.read(4);
    let normalisers: &[f32] = call.read(5);
    let pulls: &[f32] = call.read(6);
    let out: &mut [f32] = call.write(7);
    let (vocab, channels) = (sums.vocab(), p.channels as usize);
    for z in 0..utterances {
        let utterance = sums.utterance(z);
        if results[(p.first_utterance + z) as usize] & NON_FINITE != OK {
            continue;
        }
        let limit = if clamps { p.clamp * utterance.scale.abs() } else { f32::INFINITY };
        let first = sums.first(&utterance);
        let lengths = [utterance.frames, utterance.columns()];
        let [items, others] = if of_positions { [lengths[1], lengths[0]] } else { lengths };
        let padded = if of_positions { p.positions } else { p.frames } as usize;
        let own = &mut out[p.out_first as usize + z as usize * padded * vocab..][..items * vocab];
        let lines = map_all(items, |item| {
            let mut line = vec![0.0f32; vocab];
            let mut together = 0.0;
            for other in 0..others {
                let [t, u] = if of_positions { [other, item] } else { [item, other] };
                let cell = first + t * utterance.positions + u;
                let pulls = &pulls[cell * channels..][..channels];
                if pulls.iter().all(|&pull| pull == 0.0) {
                    continue;
                }
                let (frame, position) = (sums.frame(z, t), sums.position(z, u));
                let all: f32 = pulls[usize::from(sums.hat)..].iter().sum();
                together += all;
                for (v, line) in line.iter_mut().enumerate() {
                    let x = (clean(frame[v]) + clean(position[v])) * LOG2_E;
                    let channel = (0..channels).find(|&channel| sums.symbol(&utterance, u, channel) == Some(v));
                    let own = channel.map_or(0.0, |channel| pulls[channel]);
                    let g = if sums.hat && channel == Some(0) {
                        own - (all + own) / (1.0 + (-x.max(-126.0)).exp2())
                    } else {
                        own_scale * own - all_scale * all * (x - normalisers[cell]).exp2()
                    };
                    *line += limited(g, limit);
                }
            }
            if smoothed {
                let at = if of_positions { p.positions_at } else { p.frames_at } as usize;
                let normaliser = normalisers[at + (p.first_utterance + z) as usize * padded + item];
                let scores = if of_positions { sums.position(z, item) } else { sums.frame(z, item) };
                for (v, line) in line.iter_mut().enumerate() {
                    let prior = if of_positions { 0.0 } else { normalisers[p.prior_at as usize + v] };
                    *line -= alone * together * (clean(scores[v]) * LOG2_E + prior - normaliser).exp2();
                }
            }
            line
        });
        own.chunks_exact_mut(vocab).zip(lines).for_each(|(own, line)| own.copy_from_slice(&line));
    }
}
