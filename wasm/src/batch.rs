//! Batches of transducer losses and of CTC: arrays of the page, copied in.

use crate::error::{Result, to_js};
use crate::memory::{floats, sides, words};
use js_sys::{Array, Float32Array, Uint32Array};
use wasm_bindgen::prelude::*;
use weft::lattice::{Band, CtcBatch, LogProbs, Logits, LossBatch, Scores};
use weft::{Context, Tensor};

/// What any batch has.
pub(crate) struct Batch {
    pub scores: Tensor,
    targets: Vec<u32>,
    frames: Vec<u32>,
    labels: Vec<u32>,
    weights: Option<Vec<f32>>,
    /// First frames.
    begin: Option<Vec<u32>>,
    /// First positions of a transducer's utterances; strides of CTC's logits.
    more: Option<Vec<u32>>,
}

impl Batch {
    /// From `[scores, shape, targets, frames, labels, weights, first frames, first positions or strides]`, the last three if they are there.
    pub fn new(context: &Context, parts: &Array) -> Result<Self> {
        let part = |index| parts.get(index);
        let words_of = |index| words(&part(index).unchecked_into());
        let optional = |index| given::<Uint32Array>(&part(index)).map(|values| words(&values)).transpose();
        let shape: Uint32Array = part(1).unchecked_into();
        Ok(Self {
            scores: Tensor::from_slice(context, &sides(&shape)?, &floats(&part(0).unchecked_into())?).map_err(to_js)?,
            targets: words_of(2)?,
            frames: words_of(3)?,
            labels: words_of(4)?,
            weights: given::<Float32Array>(&part(5)).map(|weights| floats(&weights)).transpose()?,
            begin: optional(6)?,
            more: optional(7)?,
        })
    }

    pub fn ctc(&self) -> CtcBatch<'_> {
        let mut batch = CtcBatch::new(&self.scores, &self.targets, &self.frames, &self.labels);
        if let Some(weights) = &self.weights {
            batch = batch.weights(weights);
        }
        if let Some(frames) = &self.begin {
            batch = batch.begin(frames);
        }
        match (self.more.as_deref(), self.scores.shape()) {
            (Some(&[utterance, frame]), &[n, t, v]) => batch.strided([n, t, v], [utterance as usize, frame as usize]),
            _ => batch,
        }
    }
}

/// A batch of a transducer loss.
pub(crate) struct TransducerBatch {
    batch: Batch,
    meaning: u32,
    bands: Option<Vec<Band>>,
    seed: u64,
}

impl TransducerBatch {
    /// `parts` are those of [`Batch::new`]; then bands, if they are there: for each utterance the number of its ranges, and their ends.
    /// `meaning`: 0 logits, 1 log-probabilities, 2 those of the blank and the next label.
    pub fn new(context: &Context, meaning: u32, parts: &Array, seed: u64) -> Result<Self> {
        let bands = given::<Uint32Array>(&parts.get(8)).map(|values| words(&values).map(bands)).transpose()?;
        Ok(Self { batch: Batch::new(context, parts)?, meaning, bands, seed })
    }

    pub fn lend(&self) -> LossBatch<'_> {
        let Batch { scores, targets, frames, labels, weights, begin, more } = &self.batch;
        let is_packed = scores.shape().len() == 2;
        let scores: Scores<'_> = match (self.meaning, is_packed) {
            (0, false) => Logits::padded(scores).into(),
            (0, true) => Logits::packed(scores).into(),
            (1, false) => LogProbs::padded(scores).into(),
            (1, true) => LogProbs::packed(scores).into(),
            (_, false) => LogProbs::gathered(scores).into(),
            (_, true) => LogProbs::gathered_packed(scores).into(),
        };
        let mut batch = LossBatch::new(scores, targets, frames, labels).seed(self.seed);
        if let Some(weights) = weights {
            batch = batch.weights(weights);
        }
        if let Some(bands) = &self.bands {
            batch = batch.bands(bands);
        }
        match (begin, more) {
            (Some(frames), Some(positions)) => batch.begin(frames, positions),
            _ => batch,
        }
    }
}

/// A typed array that is not `undefined`.
fn given<T: JsCast>(value: &JsValue) -> Option<T> {
    (!value.is_undefined()).then(|| value.clone().unchecked_into())
}

fn bands(words: Vec<u32>) -> Vec<Band> {
    let mut words = words.into_iter();
    let mut bands = Vec::new();
    while let Some(count) = words.next() {
        let ranges = (0..count).filter_map(|_| Some([words.next()?, words.next()?]));
        bands.push(Band::new(ranges.collect()));
    }
    bands
}
