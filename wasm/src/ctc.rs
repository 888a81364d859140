//! The CTC loss.

use crate::batch::Batch;
use crate::context::WasmContext;
use crate::error::{Result, to_js};
use crate::loss::{gradients, reduced, reduction, results};
use crate::numbers::Numbers;
use js_sys::{Array, Float32Array, Float64Array, Promise, Uint32Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use weft::Context;
use weft::lattice::{Blank, CtcAlignment, CtcLoss};

/// A CTC loss on one context.
#[wasm_bindgen]
pub struct WasmCtc {
    context: Context,
    loss: CtcLoss,
}

#[wasm_bindgen]
impl WasmCtc {
    /// From the options as `js/ctc.ts` writes them.
    pub fn create(context: &WasmContext, options: &Float64Array) -> Result<Self> {
        let context = context.0.clone();
        let mut numbers = Numbers::of(options)?;
        let mut loss = CtcLoss::new(Blank(numbers.word())).gradients(gradients(&mut numbers)).alignments(numbers.flag());
        if let Some(limit) = numbers.optional(Numbers::number) {
            loss = loss.clamp(limit);
        }
        if let Some(bytes) = numbers.optional(Numbers::double) {
            loss = loss.workspace_limit(bytes as u64);
        }
        loss = loss.reduction(reduction(&mut numbers));
        Ok(Self { loss: loss.build(&context).map_err(to_js)?, context })
    }

    /// `[costs, status words, gradients or undefined, reduced loss or undefined, alignments or undefined]`, with `[states, posteriors, label, first, last,
    /// posterior, label, …]` or `undefined` for each utterance. `parts` are those of [`Batch::new`].
    pub fn run(&self, parts: &Array) -> Result<Promise> {
        let batch = Batch::new(&self.context, parts)?;
        let loss = self.loss.clone();
        Ok(future_to_promise(async move {
            let out = loss.run(&batch.ctc()).await.map_err(to_js)?;
            let alignments = out.alignments.map(|all| all.iter().map(alignment).collect::<Array>());
            let alignments = alignments.map_or(JsValue::UNDEFINED, JsValue::from);
            let results = results(&out.costs, &out.status, out.gradients.as_ref(), reduced(out.loss)).await?;
            results.push(&alignments);
            Ok(results.into())
        }))
    }
}

fn alignment(alignment: &Option<CtcAlignment>) -> JsValue {
    let Some(CtcAlignment { states, posteriors, labels }) = alignment else { return JsValue::UNDEFINED };
    let spans: Vec<f64> =
        labels.iter().flat_map(|span| [span.label.into(), span.first.into(), span.last.into(), span.posterior.into()]).collect();
    let parts: [JsValue; 3] =
        [Uint32Array::from(&**states).into(), Float32Array::from(&**posteriors).into(), Float64Array::from(&*spans).into()];
    parts.into_iter().collect::<Array>().into()
}
