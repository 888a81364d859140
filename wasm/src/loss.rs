//! The transducer loss.

use crate::context::WasmContext;
use crate::error::{Result, to_js};
use crate::memory::{floats, sides, words};
use js_sys::{Array, Float32Array, Promise, Uint32Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use weft::lattice::{Blank, Logits, LossBatch, TransducerLoss};
use weft::{Context, Tensor};

/// An RNN-T loss on one context.
#[wasm_bindgen]
pub struct WasmLoss {
    context: Context,
    loss: TransducerLoss,
}

#[wasm_bindgen]
impl WasmLoss {
    /// With any blank, with or without gradients.
    pub fn create(context: &WasmContext, blank: u32, gradients: bool) -> Result<Self> {
        let context = context.0.clone();
        let loss = TransducerLoss::rnnt(Blank(blank)).gradients(gradients).build(&context).map_err(to_js)?;
        Ok(Self { context, loss })
    }

    /// `[costs, status words, gradients or undefined]` of a padded batch.
    pub fn run(
        &self,
        logits: &Float32Array,
        shape: &Uint32Array,
        targets: &Uint32Array,
        frames: &Uint32Array,
        labels: &Uint32Array,
    ) -> Result<Promise> {
        let logits = Tensor::from_slice(&self.context, &sides(shape)?, &floats(logits)?).map_err(to_js)?;
        let (targets, frames, labels) = (words(targets)?, words(frames)?, words(labels)?);
        let loss = self.loss.clone();
        Ok(future_to_promise(async move {
            let batch = LossBatch::new(Logits::padded(&logits), &targets, &frames, &labels);
            let out = loss.run(&batch).await.map_err(to_js)?;
            let gradients = match out.gradients.first() {
                Some(gradients) => Float32Array::from(&*gradients.to_vec().await.map_err(to_js)?).into(),
                None => JsValue::UNDEFINED,
            };
            let status: Vec<u32> = out.status.iter().map(|&status| status as u32).collect();
            let parts = [Float32Array::from(&*out.costs).into(), Uint32Array::from(&*status).into(), gradients];
            Ok(parts.into_iter().collect::<Array>().into())
        }))
    }
}
