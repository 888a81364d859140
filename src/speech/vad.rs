//! Silero VAD v6 on a device, and its streams.

use super::plan::{CONTEXT, ENCODER, EncoderWeights, STFT, UNITS, record_encoder};
use super::{FRAME, SAMPLE_RATE};
use crate::dense::{Activation, record_linear};
use crate::device::Context;
use crate::device::recording::Recording;
use crate::error::{Error, Result, number};
use crate::recurrent::{Cell, Layer, LayerWeights, State, Tier};
use crate::tensor::{DType, Tensor, declare};
use crate::weights::Weights;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Silero VAD v6 (16 kHz): one probability of speech for every 512 samples. Clones share the weights.
///
/// The network looks at a frame of 512 samples and the 64 before it: short-time Fourier transform,
/// magnitudes, four convolutions, an LSTM that carries what was heard so far, and one output.
///
/// ```no_run
/// # fn main() -> weft::Result<()> {
/// use weft::speech::{SegmentOptions, Vad, VadOptions, segments};
/// use weft::{Context, Weights};
///
/// let vad = Vad::load(&Context::cpu(), &Weights::read("silero-vad.safetensors")?)?;
/// let samples = vec![0.0f32; 16_000];
/// let probabilities = vad.probabilities_blocking(&samples, VadOptions::default())?;
/// for segment in segments(&probabilities, samples.len(), &SegmentOptions::default()) {
///     println!("{:.2} s to {:.2} s", segment.start_s, segment.end_s);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Vad(Arc<Network>);

struct Network {
    context: Context,
    stft: Tensor,
    /// Weight and bias of each convolution.
    encoder: Vec<[Tensor; 2]>,
    lstm: Layer,
    output: [Tensor; 2],
}

/// How [`Vad::probabilities`] runs.
#[derive(Default)]
pub struct VadOptions<'a> {
    /// Called after every [`Vad::BATCH`] frames with the frames done and the frames in all;
    /// `ControlFlow::Break` ends the call with [`Error::Cancelled`].
    #[allow(clippy::type_complexity, reason = "a name for it would only be a place more to look at")]
    pub progress: Option<&'a mut dyn FnMut(usize, usize) -> ControlFlow<()>>,
}

impl Vad {
    /// Sample rate that the network was trained at, Hz. Other audio must be resampled.
    pub const SAMPLE_RATE: u32 = SAMPLE_RATE;
    /// Samples a probability: 32 ms.
    pub const FRAME: usize = FRAME;
    /// Frames that run as one recording: about ten seconds.
    pub const BATCH: usize = 320;

    /// Uploads the weights. The tensors, f32 and row-major: `stft.weight` \[258, 1, 256] (real parts, then
    /// imaginary); `conv1.weight` \[128, 129, 3], `conv2.weight` \[64, 128, 3], `conv3.weight` \[64, 64, 3],
    /// `conv4.weight` \[128, 64, 3], each with a `bias`; `lstm.weight_ih`, `lstm.weight_hh` \[512, 128],
    /// `lstm.bias_ih`, `lstm.bias_hh` \[512], gates in the order i, f, g, o; `output.weight` \[1, 128, 1],
    /// `output.bias` \[1].
    ///
    /// # Errors
    /// [`Error::Weights`] if a tensor is missing, has another shape, or holds a value that is not finite;
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn load(context: &Context, weights: &Weights) -> Result<Self> {
        let read = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
            let values = weights.get_shaped(name, shape)?;
            match values.iter().position(|v| !v.is_finite()) {
                None => Ok(values),
                Some(at) => Err(weights.fault(name, format!("holds {} at index {at}", number(values[at])))),
            }
        };
        let upload = |name: &str, shape: &[usize]| Tensor::from_slice(context, shape, &read(name, shape)?);
        let stft = upload("stft.weight", &STFT.weight_shape())?;
        let mut encoder = Vec::with_capacity(ENCODER.len());
        for (place, layer) in ENCODER.iter().enumerate() {
            let name = |part| format!("conv{}.{part}", place + 1);
            let shape = layer.weight_shape();
            encoder.push([upload(&name("weight"), &shape)?, upload(&name("bias"), &shape[..1])?]);
        }
        let units = UNITS as usize;
        let lstm = Layer::new(
            context,
            &Cell::lstm(),
            &LayerWeights {
                input_size: units,
                hidden_size: units,
                weight_ih: &read("lstm.weight_ih", &[4 * units, units])?,
                weight_hh: &read("lstm.weight_hh", &[4 * units, units])?,
                bias: Some((&read("lstm.bias_ih", &[4 * units])?, &read("lstm.bias_hh", &[4 * units])?)),
                parameters: &[],
            },
        )?;
        let output = [upload("output.weight", &[1, units, 1])?, upload("output.bias", &[1])?];
        // Always the same tier, however long a piece is: so the probabilities do not depend on where it was cut.
        let lstm = lstm.with_tier(Tier::Stepped);
        Ok(Self(Arc::new(Network { context: context.clone(), stft, encoder, lstm, output })))
    }

    /// The same network, of the same weights on the device, whose LSTM another tier runs than the [stepped](Tier::Stepped) one. What the tier
    /// cannot run is an [`Error::Tier`].
    #[must_use]
    pub fn with_tier(&self, tier: Tier) -> Self {
        let Network { context, stft, encoder, lstm, output } = &*self.0;
        let lstm = lstm.clone().with_tier(tier);
        Self(Arc::new(Network { context: context.clone(), stft: stft.clone(), encoder: encoder.clone(), lstm, output: output.clone() }))
    }

    /// The context that the weights live in.
    pub fn context(&self) -> &Context {
        &self.0.context
    }

    /// A stream at its begin: silence came before, nothing was heard.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn stream(&self) -> Result<VadStream> {
        Ok(VadStream { state: self.silence()?, tail: vec![0.0; CONTEXT], vad: self.clone() })
    }

    /// Probabilities of speech of a whole recording, mono at 16 kHz, full scale ±1: one per 512 samples;
    /// what is left at the end and fills no frame gives none.
    ///
    /// # Errors
    /// [`Error::Value`] naming the first sample that is not finite, [`Error::Cancelled`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub async fn probabilities(&self, samples: &[f32], options: VadOptions<'_>) -> Result<Vec<f32>> {
        self.stream()?.run(samples, options).await
    }

    /// [`probabilities`](Self::probabilities), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn probabilities_blocking(&self, samples: &[f32], options: VadOptions<'_>) -> Result<Vec<f32>> {
        pollster::block_on(self.probabilities(samples, options))
    }

    fn silence(&self) -> Result<State> {
        State::zeros(&self.0.context, self.0.lstm.cell(), 1, UNITS as usize)
    }
}

impl Network {
    /// One recording: `audio` holds the context of the first frame, then the frames. Gives their
    /// probabilities and the state after them.
    async fn run(&self, audio: &[f32], frames: usize, state: &State) -> Result<(Vec<f32>, State)> {
        let audio = Tensor::from_slice(&self.context, &[audio.len()], audio)?;
        let probabilities = Tensor::empty(&self.context, &[frames], DType::F32)?;
        let after = Tensor::empty(&self.context, state.tensor().shape(), DType::F32)?;

        let caps = self.context.caps_together().await?;
        let mut recording = Recording::new();
        let mut bound = Vec::new();
        let audio = declare(&mut recording, &mut bound, "audio", &audio);
        let stft = declare(&mut recording, &mut bound, "stft", &self.stft);
        let layers = self.encoder.iter().map(|layer| layer.each_ref().map(|tensor| declare(&mut recording, &mut bound, "conv", tensor)));
        let layers: Vec<_> = layers.collect();
        let weights = EncoderWeights {
            stft: recording.whole(stft),
            layers: layers.into_iter().map(|layer| layer.map(|buffer| recording.whole(buffer))).collect(),
        };
        let audio = recording.whole(audio);
        let features = record_encoder(&mut recording, caps, audio, &weights, frames as u32);

        let before = declare(&mut recording, &mut bound, "state", state.tensor());
        let new_state = declare(&mut recording, &mut bound, "new_state", &after);
        let hidden = recording.workspace("hidden", 4 * frames as u64 * u64::from(UNITS));
        self.lstm.record((&mut recording, caps), &mut bound, [frames, 1], [features, before, new_state, hidden])?;

        let [weight, bias] = self.output.each_ref().map(|t| declare(&mut recording, &mut bound, "output", t));
        let y = declare(&mut recording, &mut bound, "probabilities", &probabilities);
        let [hidden, weight, bias, y] = [hidden, weight, bias, y].map(|b| recording.whole(b));
        let activations = [Activation::Relu, Activation::Sigmoid];
        record_linear(&mut recording, caps, [hidden, weight, y], Some(bias), [frames as u32, UNITS, 1], activations)?;

        self.context.run(&recording, &bound).await?;
        Ok((probabilities.to_vec().await?, State::of(after)?))
    }
}

impl fmt::Debug for Vad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Silero VAD v6 on {}", self.0.context.caps().adapter)
    }
}

/// Audio that comes piece by piece. The probabilities do not depend on where it is cut: each comes from
/// the same operations in the same order as if the whole came at once.
pub struct VadStream {
    vad: Vad,
    /// The last samples of what was answered for, then what fills no frame yet.
    tail: Vec<f32>,
    state: State,
}

impl VadStream {
    /// Takes the next samples, as many as there are, and gives one probability for every 512 that are
    /// complete with them. An error leaves the stream as it was.
    ///
    /// # Errors
    /// [`Error::Value`] naming the first sample that is not finite, [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`].
    pub async fn push(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        self.run(samples, VadOptions::default()).await
    }

    /// [`push`](Self::push), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn push_blocking(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        pollster::block_on(self.push(samples))
    }

    /// Back to the begin: silence came before, nothing was heard.
    ///
    /// # Errors
    /// As [`Vad::stream`].
    pub fn reset(&mut self) -> Result<()> {
        *self = self.vad.stream()?;
        Ok(())
    }

    async fn run(&mut self, samples: &[f32], mut options: VadOptions<'_>) -> Result<Vec<f32>> {
        if let Some(at) = samples.iter().position(|s| !s.is_finite()) {
            return Err(Error::Value {
                argument: "samples",
                value: format!("{} at index {at}", number(samples[at])),
                help: "samples must be finite, full scale is 1",
            });
        }
        let mut audio = self.tail.clone();
        audio.extend_from_slice(samples);
        let frames = (audio.len() - CONTEXT) / FRAME;
        let mut state = self.state.clone();
        let mut probabilities = Vec::with_capacity(frames);
        while probabilities.len() < frames {
            let first = probabilities.len();
            let count = (frames - first).min(Vad::BATCH);
            let chunk = &audio[first * FRAME..][..CONTEXT + count * FRAME];
            let (next, after) = self.vad.0.run(chunk, count, &state).await?;
            probabilities.extend(next);
            state = after;
            if let Some(progress) = &mut options.progress
                && progress(probabilities.len(), frames).is_break()
            {
                return Err(Error::Cancelled);
            }
        }
        audio.drain(..frames * FRAME);
        (self.tail, self.state) = (audio, state);
        Ok(probabilities)
    }
}

impl fmt::Debug for VadStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream of {:?}, {} samples waiting", self.vad, self.tail.len() - CONTEXT)
    }
}
