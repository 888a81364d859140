//! The transducer loss.

use crate::batch::TransducerBatch;
use crate::context::WasmContext;
use crate::error::{Result, to_js};
use crate::kind::kind;
use crate::lattices::WasmLattices;
use crate::numbers::Numbers;
use js_sys::{Array, Float32Array, Float64Array, Promise, Uint32Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use weft::lattice::{Blank, FastEmit, Gradients, LossOutput, Reduction, Status, TransducerLoss};
use weft::{Context, Tensor};

/// A transducer loss on one context.
#[wasm_bindgen]
pub struct WasmLoss {
    context: Context,
    loss: TransducerLoss,
}

#[wasm_bindgen]
impl WasmLoss {
    /// From the options as `js/loss.ts` writes them.
    pub fn create(context: &WasmContext, options: &Float64Array) -> Result<Self> {
        let context = context.0.clone();
        let loss = loss(&context, &mut Numbers::of(options)?).map_err(to_js)?;
        Ok(Self { context, loss })
    }

    /// `[costs, status words, gradients or undefined, reduced loss or undefined]`; the arguments are those of
    /// [`TransducerBatch::new`].
    pub fn run(&self, meaning: u32, parts: &Array, seed: u64) -> Result<Promise> {
        let batch = TransducerBatch::new(&self.context, meaning, parts, seed)?;
        let loss = self.loss.clone();
        Ok(future_to_promise(async move {
            let out = loss.run(&batch.lend()).await.map_err(to_js)?;
            Ok(output(&out).await?.into())
        }))
    }

    /// As [`run`](Self::run), with the kept lattices after the results.
    pub fn lattice(&self, meaning: u32, parts: &Array, seed: u64) -> Result<Promise> {
        let batch = TransducerBatch::new(&self.context, meaning, parts, seed)?;
        let loss = self.loss.clone();
        Ok(future_to_promise(async move {
            let lattices = loss.lattice(&batch.lend()).await.map_err(to_js)?;
            let out = output(lattices.output()).await?;
            out.push(&WasmLattices(lattices).into());
            Ok(out.into())
        }))
    }
}

fn loss(context: &Context, numbers: &mut Numbers) -> weft::Result<TransducerLoss> {
    let (blank, gradients) = (Blank(numbers.word()), gradients(numbers));
    let mut loss = TransducerLoss::of(kind(blank, numbers)?).gradients(gradients);
    let (is_scaled, lambda) = (numbers.flag(), numbers.number());
    loss = loss.fast_emit(if is_scaled { FastEmit::CostScaled(lambda) } else { FastEmit::CostUnchanged(lambda) });
    loss = loss.delay_penalty(numbers.number()).min_latency(numbers.number()).wildcard(numbers.number());
    if let Some((symbol, penalty)) = numbers.optional(|eos| (eos.word(), eos.number())) {
        loss = loss.eos_penalty(symbol, penalty);
    }
    if let Some(limit) = numbers.optional(Numbers::number) {
        loss = loss.clamp(limit);
    }
    if let Some(bytes) = numbers.optional(Numbers::double) {
        loss = loss.workspace_limit(bytes as u64);
    }
    loss.reduction(reduction(numbers)).build(context)
}

pub(crate) fn reduction(numbers: &mut Numbers) -> Reduction {
    match numbers.word() {
        0 => Reduction::None,
        1 => Reduction::Sum,
        2 => Reduction::Mean,
        3 => Reduction::MeanFrames,
        _ => Reduction::MeanLabels,
    }
}

/// Scores are copies of the page's, so that gradients can take their place.
pub(crate) fn gradients(numbers: &mut Numbers) -> Gradients {
    if numbers.flag() { Gradients::InPlace } else { Gradients::None }
}

async fn output(out: &LossOutput) -> Result<Array> {
    results(&out.costs, &out.status, out.gradients.first(), reduced(out.loss)).await
}

pub(crate) fn reduced(loss: Option<f64>) -> JsValue {
    loss.map_or(JsValue::UNDEFINED, JsValue::from_f64)
}

/// `[costs, status words, gradients or undefined, loss]`.
pub(crate) async fn results(costs: &[f32], status: &[Status], gradients: Option<&Tensor>, loss: JsValue) -> Result<Array> {
    let gradients = match gradients {
        Some(gradients) => Float32Array::from(&*gradients.to_vec().await.map_err(to_js)?).into(),
        None => JsValue::UNDEFINED,
    };
    let status: Vec<u32> = status.iter().map(|&status| status as u32).collect();
    Ok([Float32Array::from(costs).into(), Uint32Array::from(&*status).into(), gradients, loss].into_iter().collect())
}
