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
}

impl Batch {
    /// From `[scores, shape, targets, frames, labels, weights or undefined]`.
    pub fn new(context: &Context, parts: &Array) -> Result<Self> {
        let part = |index| parts.get(index);
        let words_of = |index| words(&part(index).unchecked_into());
        let shape: Uint32Array = part(1).unchecked_into();
        Ok(Self {
            scores: Tensor::from_slice(context, &sides(&shape)?, &floats(&part(0).unchecked_into())?).map_err(to_js)?,
            targets: words_of(2)?,
            frames: words_of(3)?,
            labels: words_of(4)?,
            weights: given::<Float32Array>(&part(5)).map(|weights| floats(&weights)).transpose()?,
        })
    }

    pub fn ctc(&self) -> CtcBatch<'_> {
        let batch = CtcBatch::new(&self.scores, &self.targets, &self.frames, &self.labels);
        match &self.weights {
            Some(weights) => batch.weights(weights),
            None => batch,
        }
    }
}

/// A batch of a transducer loss.
pub(crate) struct TransducerBatch {
    batch: Batch,
    meaning: u32,
    bands: Option<Vec<Band>>,
    /// First frames, then first positions.
    begin: Option<[Vec<u32>; 2]>,
    seed: u64,
}

impl TransducerBatch {
    /// `parts` are those of [`Batch::new`]; then bands (for each utterance the number of its ranges, and their ends), first frames and
    /// first positions, or `undefined`. `meaning`: 0 logits, 1 log-probabilities, 2 those of the blank and the next label.
    pub fn new(context: &Context, meaning: u32, parts: &Array, seed: u64) -> Result<Self> {
        let optional = |index| given::<Uint32Array>(&parts.get(index)).map(|values| words(&values)).transpose();
        let begin = optional(7)?.zip(optional(8)?).map(|(frames, positions)| [frames, positions]);
        Ok(Self { batch: Batch::new(context, parts)?, meaning, bands: optional(6)?.as_deref().map(bands), begin, seed })
    }

    pub fn lend(&self) -> LossBatch<'_> {
        let Batch { scores, targets, frames, labels, weights } = &self.batch;
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
        match &self.begin {
            Some([frames, positions]) => batch.begin(frames, positions),
            None => batch,
        }
    }
}

/// A typed array that is not `undefined`.
fn given<T: JsCast>(value: &JsValue) -> Option<T> {
    (!value.is_undefined()).then(|| value.clone().unchecked_into())
}

fn bands(words: &[u32]) -> Vec<Band> {
    let mut words = words.iter().copied();
    let mut bands = Vec::new();
    while let Some(count) = words.next() {
        let ranges = (0..count).filter_map(|_| Some([words.next()?, words.next()?]));
        bands.push(Band::new(ranges.collect()));
    }
    bands
}
