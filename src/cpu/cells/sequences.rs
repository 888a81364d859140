//! Twin of `shaders/shared/cell_sequences.wgsl` and `zoneout.wgsl`.

use crate::cpu::math::random_words;

/// What is known of the sequences of a batch.
#[derive(Clone, Copy)]
pub(super) struct Sequences<'a> {
    pub words: &'a [u32],
    pub has_lengths: bool,
    pub resets_first: usize,
    pub reset_words: usize,
}

impl Sequences<'_> {
    pub(super) fn runs(&self, n: usize, frame: u32) -> bool {
        !self.has_lengths || frame < self.words[n]
    }

    pub(super) fn begins_anew(&self, n: usize, frame: u32) -> bool {
        if self.resets_first == 0 || !self.runs(n, frame) {
            return false;
        }
        let word = self.words[self.resets_first + frame as usize * self.reset_words + n / 32];
        (word >> (n % 32)) & 1 == 1
    }
}

/// Which states keep their values.
#[derive(Clone, Copy)]
pub(super) struct Zoneout {
    pub first: u32,
    pub others: u32,
    pub seed: u32,
    pub means: bool,
}

impl Zoneout {
    /// Of a unit at a frame; `at` is n * hidden + unit.
    pub(super) fn kept(&self, frame: u32, at: usize) -> [bool; 4] {
        if self.first == 0 && self.others == 0 {
            return [false; 4];
        }
        let draws = random_words([self.seed, frame, at as u32, 0]);
        std::array::from_fn(|k| draws[k] < self.odds(k))
    }

    /// Takes out of gradients of new states, lanes of `count` units from `at` on, what is kept; and gives that, which goes past the
    /// cell.
    pub(super) fn split(&self, frame: u32, at: usize, d: &mut [f32], count: usize) -> Vec<f32> {
        let mut past = vec![0.0f32; d.len()];
        for place in 0..count {
            let kept = self.kept(frame, at + place);
            for k in (0..d.len() / count).filter(|&k| kept[k]) {
                std::mem::swap(&mut past[k * count + place], &mut d[k * count + place]);
            }
        }
        past
    }

    fn odds(&self, state: usize) -> u32 {
        if state == 0 { self.first } else { self.others }
    }

    /// What becomes of a state.
    pub(super) fn of(&self, frame: u32, at: usize, state: usize, before: f32, after: f32) -> f32 {
        match self.odds(state) {
            0 => after,
            odds if self.means => after + (before - after) * (odds as f32 * 2.328_306_4e-10),
            _ if self.kept(frame, at)[state] => before,
            _ => after,
        }
    }
}
