//! What kernels know of the sequences of a batch: their lengths, masks, and where they begin anew.

use super::options::{RunOptions, TrainOptions};
use super::plan::Problem;
use crate::error::{Error, Result};

/// Sides and sequences of a call that passed every check.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub frames: usize,
    pub batch: usize,
    /// If some sequence is shorter than the others.
    lengths: Option<Vec<u32>>,
    resets: Vec<(usize, usize)>,
}

impl Checked {
    pub(super) fn of(frames: usize, batch: usize, options: &RunOptions<'_>) -> Result<Self> {
        if let Some(&(frame, sequence)) = options.resets.iter().find(|&&(frame, sequence)| frame >= frames || sequence >= batch) {
            let value = format!("(frame {frame}, sequence {sequence}) of {frames} frames, {batch} sequences");
            return Err(Error::Value { argument: "resets", value, help: "give frames below T and sequences below N" });
        }
        let lengths = options.lengths.map(|lengths| check_lengths(lengths, frames, batch)).transpose()?.flatten();
        Ok(Self { frames, batch, lengths, resets: options.resets.to_vec() })
    }

    /// The problem, of these sequences.
    pub(super) fn apply(&self, problem: Problem) -> Problem {
        Problem { lengths: self.lengths.is_some(), resets: !self.resets.is_empty(), ..problem }
    }

    /// As the kernels take them.
    pub(super) fn words(&self, problem: &Problem, masks: &Masks) -> Vec<u32> {
        let [first, rest] = problem.sequence_words().map(|words| words as usize);
        let mut words = vec![0; first + rest];
        for (n, word) in words.iter_mut().take(self.batch).enumerate() {
            *word = self.lengths.as_ref().map_or(self.frames as u32, |lengths| lengths[n]);
        }
        for (number, word) in words.iter_mut().take(first).skip(self.batch).enumerate() {
            *word = masks.at(number).to_bits();
        }
        for &(frame, n) in &self.resets {
            words[first + frame * problem.reset_words() as usize + n / 32] |= 1 << (n % 32);
        }
        words
    }
}

/// The lengths as the kernels take them; `None` if every sequence has all frames.
fn check_lengths(lengths: &[usize], frames: usize, batch: usize) -> Result<Option<Vec<u32>>> {
    if lengths.len() != batch {
        return Err(Error::Shape {
            argument: "lengths",
            expected: format!("{batch}, one for each sequence of x"),
            got: lengths.len().to_string(),
        });
    }
    if let Some((utterance, &length)) = lengths.iter().enumerate().find(|&(_, &length)| length > frames) {
        return Err(Error::Length { argument: "lengths", utterance, length, max: frames });
    }
    let ragged = lengths.iter().any(|&length| length < frames);
    Ok(ragged.then(|| lengths.iter().map(|&length| u32::try_from(length).unwrap_or(u32::MAX)).collect()))
}

/// Factors of candidates, one for each sequence and unit.
pub(super) enum Masks {
    /// 1 everywhere.
    None,
    Given(Vec<f32>),
}

impl Masks {
    /// `count` numbers for training.
    pub(super) fn drawn(count: usize, options: &TrainOptions<'_>) -> Result<Self> {
        let odds = options.recurrent_dropout;
        if !(0.0..1.0).contains(&odds) {
            let value = crate::error::number(odds);
            return Err(Error::Value { argument: "recurrent_dropout", value, help: "give a probability: at least 0, less than 1" });
        }
        if let Some(mask) = options.mask {
            if mask.len() != count {
                let expected = format!("{count} numbers, [N, H], or none where the cell has no mask");
                return Err(Error::Shape { argument: "mask", expected, got: mask.len().to_string() });
            }
            return Ok(Self::Given(mask.to_vec()));
        }
        if odds == 0.0 || count == 0 {
            return Ok(Self::None);
        }
        let scale = 1.0 / (1.0 - odds);
        let least = (f64::from(odds) * 4_294_967_296.0) as u32;
        // SplitMix64 (Steele et al. 2014), by its upper half.
        let mut state = u64::from(options.seed);
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z >> 32) as u32
        };
        Ok(Self::Given((0..count).map(|_| if next() < least { 0.0 } else { scale }).collect()))
    }

    fn at(&self, number: usize) -> f32 {
        match self {
            Self::None => 1.0,
            Self::Given(factors) => factors.get(number).copied().unwrap_or(1.0),
        }
    }
}
