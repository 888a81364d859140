//! Recurrent layers. wasm-bindgen has no generics: a macro stands in.

use crate::context::WasmContext;
use crate::error::{Result, to_js};
use crate::memory::{floats, sides};
use crate::weights::WasmWeights;
use js_sys::{Array, Float32Array, Promise, Uint32Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use weft::Tensor;
use weft::recurrent::{Cell, Layer, LayerWeights, State};

fn create(
    context: &WasmContext,
    cell: &Cell,
    sizes: [usize; 2],
    parts: [&Float32Array; 2],
    biases: [Option<Float32Array>; 2],
) -> Result<Layer> {
    let [input_size, hidden_size] = sizes;
    let (weight_ih, weight_hh) = (floats(parts[0])?, floats(parts[1])?);
    let [bias_ih, bias_hh] = biases.map(|bias| bias.map(|values| floats(&values)).transpose());
    let (bias_ih, bias_hh) = (bias_ih?, bias_hh?);
    let bias = bias_ih.as_deref().zip(bias_hh.as_deref());
    let weights = LayerWeights { input_size, hidden_size, weight_ih: &weight_ih, weight_hh: &weight_hh, bias, parameters: &[] };
    Layer::new(&context.0, cell, &weights).map_err(to_js)
}

/// `[y, state]`, the state as the handle that `wrap` makes.
fn forward(
    layer: &Layer,
    x: &Float32Array,
    shape: &Uint32Array,
    lengths: Option<Uint32Array>,
    state: Option<State>,
    wrap: fn(State) -> JsValue,
) -> Result<Promise> {
    let x = Tensor::from_slice(layer.context(), &sides(shape)?, &floats(x)?).map_err(to_js)?;
    let lengths = lengths.map(|lengths| sides(&lengths)).transpose()?;
    let layer = layer.clone();
    Ok(future_to_promise(async move {
        let (y, state) = layer.forward(&x, lengths.as_deref(), state.as_ref()).await.map_err(to_js)?;
        let y = y.to_vec().await.map_err(to_js)?;
        Ok([Float32Array::from(&*y).into(), wrap(state)].into_iter().collect::<Array>().into())
    }))
}

fn read(tensor: Tensor) -> Promise {
    future_to_promise(async move {
        let values = tensor.to_vec().await.map_err(to_js)?;
        Ok(Float32Array::from(&*values).into())
    })
}

macro_rules! layer {
    ($layer:ident, $cell:expr, $state:ident) => {
        /// A layer with its weights on one context.
        #[wasm_bindgen]
        pub struct $layer(Layer);

        /// What the layer carries from call to call; it stays on the device.
        #[wasm_bindgen]
        pub struct $state(State);

        #[wasm_bindgen]
        impl $layer {
            /// From arrays; both biases or neither.
            pub fn create(
                context: &WasmContext,
                input_size: usize,
                hidden_size: usize,
                weight_ih: &Float32Array,
                weight_hh: &Float32Array,
                bias_ih: Option<Float32Array>,
                bias_hh: Option<Float32Array>,
            ) -> Result<Self> {
                create(context, &$cell, [input_size, hidden_size], [weight_ih, weight_hh], [bias_ih, bias_hh]).map(Self)
            }

            /// From a file's tensors of that prefix.
            pub fn load(context: &WasmContext, weights: &WasmWeights, prefix: &str) -> Result<Self> {
                Layer::load(&context.0, &$cell, &weights.0, prefix).map(Self).map_err(to_js)
            }

            /// I.
            pub fn input_size(&self) -> usize {
                self.0.input_size()
            }

            /// H.
            pub fn hidden_size(&self) -> usize {
                self.0.hidden_size()
            }

            /// `[y, state]` of x [T, N, I], from the zero state.
            pub fn forward(&self, x: &Float32Array, shape: &Uint32Array, lengths: Option<Uint32Array>) -> Result<Promise> {
                forward(&self.0, x, shape, lengths, None, |state| $state(state).into())
            }

            /// `[y, state]` of x [T, N, I], from a state of an earlier call.
            pub fn forward_from(
                &self,
                x: &Float32Array,
                shape: &Uint32Array,
                lengths: Option<Uint32Array>,
                state: &$state,
            ) -> Result<Promise> {
                forward(&self.0, x, shape, lengths, Some(state.0.clone()), |state| $state(state).into())
            }
        }

        #[wasm_bindgen]
        impl $state {
            /// The vectors, [S, N, H]: h, and c if there is one.
            pub fn read(&self) -> Promise {
                read(self.0.tensor().clone())
            }

            /// N.
            pub fn batch(&self) -> usize {
                self.0.batch()
            }
        }
    };
}

layer!(WasmLstm, Cell::lstm(), WasmLstmState);
layer!(WasmGru, Cell::gru(), WasmGruState);
