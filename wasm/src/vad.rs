//! Voice activity detection.

use crate::context::WasmContext;
use crate::error::{Result, to_js};
use crate::memory::floats;
use crate::weights::WasmWeights;
use js_sys::{Float32Array, Float64Array, Promise};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use weft::Error;
use weft::speech::{SegmentOptions, Vad, VadStream, segments};

/// Silero VAD with its weights on one context.
#[wasm_bindgen]
pub struct WasmVad(Vad);

/// Audio that comes piece by piece. The stream is elsewhere while a piece is worked on.
#[wasm_bindgen]
pub struct WasmVadStream(Rc<RefCell<Option<VadStream>>>);

#[wasm_bindgen]
impl WasmVad {
    /// Uploads the weights.
    pub fn load(context: &WasmContext, weights: &WasmWeights) -> Result<Self> {
        Vad::load(&context.0, &weights.0).map(Self).map_err(to_js)
    }

    /// A stream at its begin.
    pub fn stream(&self) -> Result<WasmVadStream> {
        let stream = self.0.stream().map_err(to_js)?;
        Ok(WasmVadStream(Rc::new(RefCell::new(Some(stream)))))
    }
}

#[wasm_bindgen]
impl WasmVadStream {
    /// The probabilities that the next samples complete.
    pub fn push(&self, samples: &Float32Array) -> Result<Promise> {
        let samples = floats(samples)?;
        let mut stream = self.take()?;
        let slot = self.0.clone();
        Ok(future_to_promise(async move {
            let found = stream.push(&samples).await;
            slot.replace(Some(stream));
            Ok(Float32Array::from(&*found.map_err(to_js)?).into())
        }))
    }

    /// Back to the begin.
    pub fn reset(&self) -> Result<()> {
        let mut stream = self.take()?;
        let done = stream.reset();
        self.0.replace(Some(stream));
        done.map_err(to_js)
    }

    fn take(&self) -> Result<VadStream> {
        let busy = Error::Value { argument: "stream", value: "busy".to_owned(), help: "wait for the promise of the last push" };
        self.0.take().ok_or_else(|| to_js(busy))
    }
}

/// Samples a second that the network was trained at.
#[wasm_bindgen]
pub fn vad_sample_rate() -> u32 {
    Vad::SAMPLE_RATE
}

/// Samples a probability.
#[wasm_bindgen]
pub fn vad_frame() -> usize {
    Vad::FRAME
}

/// Frames that run as one.
#[wasm_bindgen]
pub fn vad_batch() -> usize {
    Vad::BATCH
}

/// `[start, end, start, end, …]` in seconds. An option that is `undefined` has its default.
#[wasm_bindgen]
pub fn vad_segments(
    probabilities: &Float32Array,
    samples: usize,
    threshold: Option<f32>,
    end_threshold: Option<f32>,
    min_speech_s: Option<f64>,
    min_silence_s: Option<f64>,
    pad_s: Option<f64>,
) -> Result<Float64Array> {
    let usual = SegmentOptions::default();
    let options = SegmentOptions {
        threshold: threshold.unwrap_or(usual.threshold),
        end_threshold: end_threshold.unwrap_or(usual.end_threshold),
        min_speech_s: min_speech_s.unwrap_or(usual.min_speech_s),
        min_silence_s: min_silence_s.unwrap_or(usual.min_silence_s),
        pad_s: pad_s.unwrap_or(usual.pad_s),
    };
    let found = segments(&floats(probabilities)?, samples, &options);
    let times: Vec<f64> = found.iter().flat_map(|segment| [segment.start_s, segment.end_s]).collect();
    Ok(Float64Array::from(&*times))
}
