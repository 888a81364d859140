//! A joiner: its layers and what stands between them.

use crate::dense::{Activation, Linear};
use crate::device::Context;
use crate::error::{Error, Result};

/// What makes logits of an encoder's and a predictor's output.
///
/// `logits[n, t, u] = output(act(encoder(e[n, t]) + predictor(p[n, u])))`, as in Graves 2012 (arXiv:1211.3711) with tanh, and in NeMo,
/// ESPnet and torchaudio with relu or tanh. Clones share the weights.
#[derive(Clone, Debug)]
pub struct Joiner {
    pub(super) context: Context,
    pub(super) encoder: Option<Linear>,
    pub(super) predictor: Option<Linear>,
    pub(super) output: Option<Linear>,
    pub(super) activation: Activation,
}

impl Joiner {
    /// Projections of the encoder's output \[H, E] and of the predictor's \[H, P], each `None` where that output has H itself, and the last
    /// layer \[V, H], with the channels of durations behind V if the kind has such. The activation is tanh.
    ///
    /// # Errors
    /// [`Error::Shape`] if sides do not agree, [`Error::Value`] for a layer with activations of its own, [`Error::OtherContext`].
    pub fn new(encoder: Option<Linear>, predictor: Option<Linear>, output: Linear) -> Result<Self> {
        for (argument, layer) in [("encoder", &encoder), ("predictor", &predictor)] {
            let Some(layer) = layer else { continue };
            if layer.outputs() != output.inputs() {
                let expected = format!("{} outputs, as the output layer has inputs", output.inputs());
                return Err(Error::Shape { argument, expected, got: format!("{}", layer.outputs()) });
            }
            if !layer.context().same_as(output.context()) {
                return Err(Error::OtherContext { argument });
            }
        }
        for (argument, layer) in [("encoder", encoder.as_ref()), ("predictor", predictor.as_ref()), ("output", Some(&output))] {
            if layer.is_some_and(|layer| layer.activations() != [Activation::Identity; 2]) {
                let help = "give the layer without activations: a joiner's own stands between its layers";
                return Err(Error::Value { argument, value: "a layer with activations".to_owned(), help });
            }
        }
        Ok(Self { context: output.context().clone(), encoder, predictor, output: Some(output), activation: Activation::Tanh })
    }

    /// Without a layer: the logits are the sum of the encoder's output [N, T, V] and the predictor's [N, U1, V].
    ///
    /// As in Hannun's transducer and in the simple losses of k2. -inf masks a symbol. No logits are written, not even of a tile, unless the
    /// kind's arcs read durations, sums of symbols or more than six symbols, or bands leave most rows out.
    pub fn additive(context: &Context) -> Self {
        Self { context: context.clone(), encoder: None, predictor: None, output: None, activation: Activation::Identity }
    }

    /// Another activation.
    ///
    /// # Errors
    /// [`Error::Value`] for a joiner [without a layer](Self::additive), which has none.
    pub fn with_activation(mut self, activation: Activation) -> Result<Self> {
        if self.output.is_none() && activation != Activation::Identity {
            let help = "logits that are a sum have no activation";
            return Err(Error::Value { argument: "activation", value: format!("{activation:?}"), help });
        }
        self.activation = activation;
        Ok(self)
    }

    /// The joiner with its weights in f16. The hidden layer, and the gradients of the logits as products take them, are such numbers then
    /// too; sums, biases, logits and all gradients that are given out stay f32. Products of halves go by cooperative matrices where the
    /// device has them, if H and V are multiples of four. Gradients of logits are scaled by a power of two on the way, so that weights and
    /// reductions of any size do not take their digits; no loss scale is needed.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub async fn to_f16(&self) -> Result<Self> {
        let [mut encoder, mut predictor, mut output] = [&self.encoder, &self.predictor, &self.output].map(Clone::clone);
        for layer in [&mut encoder, &mut predictor, &mut output].into_iter().flatten() {
            *layer = layer.to_f16().await?;
        }
        Ok(Self { encoder, predictor, output, ..self.clone() })
    }

    /// [`to_f16`](Self::to_f16), on the calling thread.
    pub fn to_f16_blocking(&self) -> Result<Self> {
        pollster::block_on(self.to_f16())
    }

    /// The context of its weights.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The projection of the encoder's output.
    pub fn encoder(&self) -> Option<&Linear> {
        self.encoder.as_ref()
    }

    /// The projection of the predictor's output.
    pub fn predictor(&self) -> Option<&Linear> {
        self.predictor.as_ref()
    }

    /// The last layer.
    pub fn output(&self) -> Option<&Linear> {
        self.output.as_ref()
    }
}
