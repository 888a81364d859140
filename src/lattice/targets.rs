//! What the utterances of a batch say, and how long they are: the part of a batch that knows no scores.

use super::layout::{self, Problem, Stride};
use super::options::Options;
use super::{Band, WILDCARD, arc_table};
use crate::error::{Error, Result, number};
use std::ops::Range;

/// Targets and lengths of the utterances of a batch, and what else is given for each.
#[derive(Clone, Debug)]
pub(crate) struct Targets<'a> {
    /// Labels, row-major [N, most labels].
    pub symbols: &'a [u32],
    pub frames: &'a [u32],
    pub labels: &'a [u32],
    pub weights: Option<&'a [f32]>,
    pub bands: Option<&'a [Band]>,
    pub seed: u64,
}

impl<'a> Targets<'a> {
    pub fn new(symbols: &'a [u32], frames: &'a [u32], labels: &'a [u32]) -> Self {
        Self { symbols, frames, labels, weights: None, bands: None, seed: 0 }
    }

    /// Labels a target, row-major.
    pub fn stride(&self) -> usize {
        self.symbols.len().checked_div(self.frames.len()).unwrap_or(0)
    }

    /// Labels of one utterance.
    fn target(&self, utterance: usize) -> &[u32] {
        &self.symbols[utterance * self.stride()..][..self.labels[utterance] as usize]
    }

    pub fn check_count(&self, argument: &'static str, count: usize, width: usize) -> Result<()> {
        let utterances = self.frames.len();
        if Some(count) != utterances.checked_mul(width) {
            return Err(Error::Shape {
                argument,
                expected: format!("{utterances} x {width} values for {utterances} utterances"),
                got: format!("{count} values"),
            });
        }
        Ok(())
    }

    /// Checks lengths against padded sides [N, T, U1]; `argument` has the first two.
    #[cfg(not(target_family = "wasm"))]
    pub fn check_lengths(&self, argument: &'static str, [utterances, frames, positions]: [usize; 3]) -> Result<()> {
        if self.frames.len() != utterances {
            let expected = format!("{} utterances, as frames has", self.frames.len());
            return Err(Error::Shape { argument, expected, got: format!("{utterances}") });
        }
        self.check_count("labels", self.labels.len(), 1)?;
        if self.stride() * utterances != self.symbols.len() {
            let expected = format!("{utterances} rows of labels, equally long");
            return Err(Error::Shape { argument: "targets", expected, got: format!("{} values", self.symbols.len()) });
        }
        within_length("frames", self.frames, frames)?;
        within_length("labels", self.labels, self.stride().min(positions - 1))
    }

    /// Checks labels, weights and bands, once the lengths are known to be right.
    pub fn check(&self, options: &Options, vocab: usize, gathered: bool) -> Result<()> {
        self.check_labels(options, vocab, gathered)?;
        if let Some(weights) = self.weights {
            self.check_count("weights", weights.len(), 1)?;
            if let Some((utterance, weight)) = weights.iter().enumerate().find(|(_, weight)| !weight.is_finite()) {
                return Err(Error::Value {
                    argument: "weights",
                    value: format!("{} of utterance {utterance}", number(*weight)),
                    help: "weights must be finite",
                });
            }
        }
        if let Some(bands) = self.bands {
            self.check_count("bands", bands.len(), 1)?;
            for (utterance, band) in bands.iter().enumerate() {
                band.check(utterance, self.frames[utterance], self.labels[utterance], &options.kind)?;
            }
        }
        Ok(())
    }

    /// `gathered`: the scores are of the labels themselves, whatever the vocabulary.
    fn check_labels(&self, options: &Options, vocab: usize, gathered: bool) -> Result<()> {
        let blank = options.kind.blank();
        for utterance in 0..self.labels.len() {
            for (position, &label) in self.target(utterance).iter().enumerate() {
                let problem = match label {
                    WILDCARD => continue,
                    _ if label as usize >= vocab && !gathered => "is outside the vocabulary",
                    _ if label == blank.0 => "is the blank",
                    _ if options.kind.reserves(label) => "is a blank of this kind",
                    _ => continue,
                };
                return Err(Error::Label { utterance, position, label, problem, vocab, blank: blank.0 as usize });
            }
        }
        Ok(())
    }

    /// What the gradient of each utterance is multiplied by.
    pub fn scales(&self, options: &Options) -> Vec<f32> {
        options.reduction.scales(self.frames, self.labels, self.weights)
    }

    /// All that kernels read of the batch beside its scores: headers of the utterances, labels, bands, and tables of arcs.
    pub fn words(&self, options: &Options, problem: &Problem, chunks: &[Range<usize>]) -> Vec<u32> {
        let stride = options.stride();
        let mut words = layout::headers(problem, chunks, &self.scales(options), stride);
        let places = self.append(&mut words);
        layout::set_places(&mut words, &places);
        if stride != Stride::Quad {
            let tables = arc_table::append(&mut words, options, problem, self.seed);
            layout::set_tables(&mut words, &tables);
        }
        words
    }

    /// Labels and bands, appended to the headers of the utterances; gives where each lies.
    fn append(&self, words: &mut Vec<u32>) -> Vec<(u32, u32)> {
        let places = (0..self.frames.len()).map(|utterance| {
            let labels_at = words.len() as u32;
            words.extend_from_slice(self.target(utterance));
            let ranges = self.bands.map_or(&[][..], |bands| bands[utterance].ranges());
            let band_at = if ranges.is_empty() { 0 } else { words.len() as u32 };
            words.extend(ranges.iter().flatten());
            (labels_at, band_at)
        });
        let places = places.collect();
        // Kernels may look one label beyond the last.
        words.push(0);
        places
    }

    /// Words of labels and bands.
    pub fn extra_words(&self) -> u64 {
        let labels: u64 = self.labels.iter().map(|&labels| u64::from(labels)).sum();
        let bands: usize = self.bands.map_or(0, |bands| bands.iter().map(|band| 2 * band.ranges().len()).sum());
        labels + bands as u64 + 1
    }
}

pub(crate) fn within_length(argument: &'static str, lengths: &[u32], max: usize) -> Result<()> {
    match lengths.iter().enumerate().find(|&(_, &length)| length as usize > max) {
        Some((utterance, &length)) => Err(Error::Length { argument, utterance, length: length as usize, max }),
        None => Ok(()),
    }
}
