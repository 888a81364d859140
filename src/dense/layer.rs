//! A linear layer, on a device.

use super::{Activation, Form, Gemm, Matrix};
use crate::device::Context;
use crate::device::recording::{Binding, Recording};
use crate::error::{Error, Result, within};
use crate::tensor::{DType, Tensor, declare};
use crate::weights::Weights;

/// `y = activation_out(activation_in(x) · weightᵀ + bias)`, as PyTorch's `Linear` with a pointwise
/// function before and after. Clones share the weights.
#[derive(Clone, Debug)]
pub struct Linear {
    context: Context,
    weight: Tensor,
    bias: Option<Tensor>,
    activations: [Activation; 2],
}

impl Linear {
    /// Uploads weight \[outputs, inputs], row-major, and bias \[outputs] or none.
    ///
    /// # Errors
    /// [`Error::Value`] if a side is 0, [`Error::Shape`] if a slice does not have its size,
    /// [`Error::LimitExceeded`] if the device cannot hold the weights in one window of a buffer.
    pub fn new(context: &Context, [outputs, inputs]: [usize; 2], weight: &[f32], bias: Option<&[f32]>) -> Result<Self> {
        for (argument, side) in [("outputs", outputs), ("inputs", inputs)] {
            if side == 0 {
                return Err(Error::Value { argument, value: "0".to_owned(), help: "a layer needs at least 1" });
            }
        }
        if weight.len() != outputs.saturating_mul(inputs) {
            return Err(Error::Shape {
                argument: "weight",
                expected: format!("[{outputs}, {inputs}] (outputs, inputs)"),
                got: format!("{} elements", weight.len()),
            });
        }
        if let Some(bias) = bias.filter(|bias| bias.len() != outputs) {
            return Err(Error::Shape { argument: "bias", expected: format!("[{outputs}]"), got: format!("{} elements", bias.len()) });
        }
        within("weight, bytes", 4 * weight.len() as u64, context.caps().max_window_bytes(), "split the layer")?;
        Ok(Self {
            context: context.clone(),
            weight: Tensor::from_slice(context, &[outputs, inputs], weight)?,
            bias: bias.map(|bias| Tensor::from_slice(context, &[outputs], bias)).transpose()?,
            activations: [Activation::Identity; 2],
        })
    }

    /// Takes `PREFIX.weight` and, if it is there, `PREFIX.bias` from a file.
    ///
    /// # Errors
    /// [`Error::Weights`] if the weight is missing or a shape does not fit; as [`new`](Self::new).
    pub fn load(context: &Context, weights: &Weights, prefix: &str) -> Result<Self> {
        let [weight, bias] = [format!("{prefix}.weight"), format!("{prefix}.bias")];
        let data = weights.get(&weight)?;
        let shape = match weights.shape(&weight) {
            Some(&[outputs, inputs]) if outputs > 0 && inputs > 0 => [outputs, inputs],
            other => {
                let problem = format!("has shape {:?}, expected [outputs, inputs], each at least 1", other.unwrap_or_default());
                return Err(weights.fault(&weight, problem));
            }
        };
        let bias = weights.shape(&bias).is_some().then(|| weights.get_shaped(&bias, &shape[..1])).transpose()?;
        Self::new(context, shape, &data, bias.as_deref())
    }

    /// The layer with its weight in f16; the bias, inputs and outputs stay f32. Half of the memory, and products by cooperative matrices
    /// where inputs are halves too.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub async fn to_f16(&self) -> Result<Self> {
        Ok(Self { weight: super::convert(&self.weight, DType::F16).await?, ..self.clone() })
    }

    /// [`to_f16`](Self::to_f16), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn to_f16_blocking(&self) -> Result<Self> {
        pollster::block_on(self.to_f16())
    }

    /// Applies a function to every input and one to every output.
    pub fn with_activations(mut self, input: Activation, output: Activation) -> Self {
        self.activations = [input, output];
        self
    }

    /// Its context.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Weight \[outputs, inputs]. What is written there, the next call uses.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Bias \[outputs].
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// What is applied to every input, and to every output.
    pub fn activations(&self) -> [Activation; 2] {
        self.activations
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.weight.shape()[1]
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.weight.shape()[0]
    }

    /// x [..., inputs] to y [..., outputs]. The same row gives the same bits in any batch.
    ///
    /// # Errors
    /// [`Error::Shape`] if x has other inputs, [`Error::Value`] if it does not hold f32,
    /// [`Error::OtherContext`], [`Error::LimitExceeded`], [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`].
    pub async fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.expect_f32("x")?;
        let mut shape = match x.shape() {
            [rest @ .., inputs] if *inputs == self.inputs() => rest.to_vec(),
            other => {
                return Err(Error::Shape { argument: "x", expected: format!("[..., {}]", self.inputs()), got: format!("{other:?}") });
            }
        };
        let rows: usize = shape.iter().product();
        shape.push(self.outputs());
        let y = Tensor::empty(&self.context, &shape, DType::F32)?;
        if rows > 0 {
            let (recording, bound) = self.plan(rows as u64, x, &y)?;
            self.context.run(&recording, &bound).await?;
        }
        Ok(y)
    }

    /// [`forward`](Self::forward), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn forward_blocking(&self, x: &Tensor) -> Result<Tensor> {
        pollster::block_on(self.forward(x))
    }

    /// The plan for so many rows, cut where a window of x or y would exceed the device's limit.
    fn plan<'a>(&'a self, rows: u64, x: &'a Tensor, y: &'a Tensor) -> Result<(Recording, Vec<&'a Tensor>)> {
        let caps = self.context.caps();
        let (inputs, outputs) = (self.inputs() as u64, self.outputs() as u64);
        let (mut recording, mut bound) = (Recording::new(), Vec::new());
        let mut declare = |label, tensor| declare(&mut recording, &mut bound, label, tensor);
        let [x, weight, y] = [declare("x", x), declare("weight", &self.weight), declare("y", y)];
        let bias = self.bias.as_ref().map(|bias| declare("bias", bias));
        let weight = Matrix { buffer: weight, first: 0, stride: inputs as u32, dtype: self.weight.dtype() };
        let bias = bias.map(|bias| recording.whole(bias));
        let (need, have) = (inputs.max(outputs) * 4, caps.max_shifted_window_bytes());
        within("one row, bytes", need, have, "split the layer")?;
        let most = have / need;
        let mut first = 0;
        while first < rows {
            let count = most.min(rows - first);
            let window = |buffer, width: u64| Binding { buffer, offset: first * width * 4, bytes: count * width * 4 };
            let (a, c) = (Matrix::new(window(x, inputs), inputs as u32), Matrix::new(window(y, outputs), outputs as u32));
            let sides = [count as u32, outputs as u32, inputs as u32];
            let activations = self.activations;
            let product = Gemm { form: Form::Nt, sides, a, b: weight, c, bias, accumulates: false, activations };
            product.record(&mut recording, caps)?;
            first += count;
        }
        Ok((recording, bound))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::device::ContextOptions;

    #[test]
    fn long_input_is_cut_into_windows_that_fit_and_cover_it() {
        let limit = 6_000;
        let context = Context::cpu_with(&ContextOptions::default().with_max_binding_bytes(limit));
        for [rows, inputs, outputs] in [[300, 7, 33], [150, 45, 9], [7, 1_400, 1]] {
            let layer = Linear::new(&context, [outputs, inputs], &vec![0.0; inputs * outputs], None).unwrap();
            let tensor = |side| Tensor::zeros(&context, &[rows, side], DType::F32).unwrap();
            let (x, y) = (tensor(inputs), tensor(outputs));
            let (recording, bound) = layer.plan(rows as u64, &x, &y).unwrap();
            assert_eq!(bound.len(), 3);
            assert!(recording.sets.len() > 1, "{rows} x {inputs} -> {outputs}");
            for (place, bytes) in [(0, x.bytes()), (3, y.bytes())] {
                let mut end = 0;
                for set in &recording.sets {
                    let window = set[place];
                    assert!(window.bytes <= limit && window.offset % 256 == 0 && window.offset <= end);
                    end = window.offset + window.bytes;
                }
                assert_eq!(end, bytes);
            }
        }
    }
}
