//! One-dimensional convolution.

use super::Activation;
use crate::device::recording::{Binding, Recording, fold};
use crate::device::shader::{DenseConv1dParams, Kernel};
use crate::device::{Caps, Context};
use crate::error::{Error, Result, within};
use crate::tensor::{DType, Tensor, declare};

/// Side of the output tile of `shaders/dense/conv1d.wgsl`.
const TILE: u32 = 32;

/// How [`conv1d`] slides and what it applies at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv1dOptions {
    /// Step of the kernel, at least 1.
    pub stride: usize,
    /// Zeros before and after the input.
    pub padding: usize,
    /// Applied to each output.
    pub activation: Activation,
}

impl Default for Conv1dOptions {
    fn default() -> Self {
        Self { stride: 1, padding: 0, activation: Activation::Identity }
    }
}

/// A PyTorch `Conv1d` with a pointwise function behind it, x being zero outside:
///
/// `y[b, n, t] = act(bias[n] + Σ weight[n, c, k] * x[b, c, t * stride + k - padding])`, over c and k.
///
/// x \[batch, channels_in, length], weight \[channels_out, channels_in, kernel], bias \[channels_out] or
/// none; y \[batch, channels_out, (length + 2 padding - kernel) / stride + 1]. Every size must be below
/// 2^30.
///
/// # Errors
/// [`Error::Shape`], [`Error::Value`] for tensors that do not hold f32, a stride of 0 or a kernel longer
/// than the padded input,
/// [`Error::OtherContext`], [`Error::LimitExceeded`] for a tensor that no kernel can see at once.
pub async fn conv1d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &Conv1dOptions) -> Result<Tensor> {
    let context = x.context();
    let (&[batch, channels_in, length], &[channels_out, channels_weight, kernel]) = (sides(x, "x")?, sides(weight, "weight")?);
    if channels_weight != channels_in || channels_in == 0 {
        return Err(Error::Shape {
            argument: "weight",
            expected: format!("[channels_out, {channels_in}, kernel] for x {:?}, with at least one channel", x.shape()),
            got: format!("{:?}", weight.shape()),
        });
    }
    bias.map_or(Ok(()), |bias| bias.expect_f32("bias"))?;
    if let Some(bias) = bias.filter(|bias| bias.shape() != [channels_out]) {
        return Err(Error::Shape { argument: "bias", expected: format!("[{channels_out}]"), got: format!("{:?}", bias.shape()) });
    }
    if options.stride == 0 {
        return Err(Error::Value { argument: "stride", value: "0".to_owned(), help: "the kernel must move: at least 1" });
    }
    if kernel == 0 || kernel > length.saturating_add(options.padding.saturating_mul(2)) {
        return Err(Error::Value {
            argument: "kernel",
            value: kernel.to_string(),
            help: "it must be at least 1 and at most the length of x with its padding",
        });
    }
    for tensor in [Some(x), Some(weight), bias].into_iter().flatten() {
        seen_at_once(context, tensor.bytes())?;
    }
    let layer = Layer {
        channels_in: narrow("channels_in", channels_in)?,
        channels_out: narrow("channels_out", channels_out)?,
        kernel: narrow("kernel", kernel)?,
        stride: narrow("stride", options.stride)?,
        padding: narrow("padding", options.padding)?,
        activation: options.activation,
    };
    let (batch, length) = (narrow("batch", batch)?, narrow("length", length)?);
    let shape = [batch as usize, channels_out, layer.length_out(length) as usize];
    seen_at_once(context, shape.iter().fold(4u64, |n, &side| n.saturating_mul(side as u64)))?;
    let y = Tensor::empty(context, &shape, DType::F32)?;
    if y.is_empty() {
        return Ok(y);
    }

    let (mut recording, mut bound) = (Recording::new(), Vec::new());
    let mut whole = |label, tensor| {
        let buffer = declare(&mut recording, &mut bound, label, tensor);
        recording.whole(buffer)
    };
    let windows = [whole("x", x), whole("weight", weight), whole("y", &y)];
    let bias = bias.map(|bias| whole("bias", bias));
    layer.record(&mut recording, context.caps(), windows, bias, batch, length);
    context.run(&recording, &bound).await?;
    Ok(y)
}

/// [`conv1d`], on the calling thread.
#[cfg(not(target_family = "wasm"))]
pub fn conv1d_blocking(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &Conv1dOptions) -> Result<Tensor> {
    pollster::block_on(conv1d(x, weight, bias, options))
}

/// Three sides of an f32 tensor.
fn sides<'a>(tensor: &'a Tensor, argument: &'static str) -> Result<&'a [usize; 3]> {
    tensor.expect_f32(argument)?;
    tensor.shape().try_into().map_err(|_| Error::Shape {
        argument,
        expected: "three sides".to_owned(),
        got: format!("{:?}", tensor.shape()),
    })
}

/// Shaders count in u32.
fn narrow(argument: &'static str, value: usize) -> Result<u32> {
    // A quarter of the range: a length with padding on both sides must be in range too.
    u32::try_from(value).ok().filter(|&v| v < 1 << 30).ok_or_else(|| Error::Value {
        argument,
        value: value.to_string(),
        help: "it must be below 2^30",
    })
}

fn seen_at_once(context: &Context, need: u64) -> Result<()> {
    within("conv1d: bytes of one tensor", need, context.caps().max_window_bytes(), "split the batch")
}

/// What a convolution is, without its weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub channels_in: u32,
    pub channels_out: u32,
    pub kernel: u32,
    /// At least 1.
    pub stride: u32,
    pub padding: u32,
    pub activation: Activation,
}

impl Layer {
    /// Sides of its weight.
    pub(crate) fn weight_shape(&self) -> [usize; 3] {
        [self.channels_out, self.channels_in, self.kernel].map(|side| side as usize)
    }

    /// Length of the output for an input of `length_in`; 0 where the kernel does not fit in.
    pub(crate) fn length_out(&self, length_in: u32) -> u32 {
        let padded = u64::from(length_in) + 2 * u64::from(self.padding);
        padded.checked_sub(u64::from(self.kernel)).map_or(0, |room| (room / u64::from(self.stride) + 1) as u32)
    }

    /// Records `y = act(conv(x) + bias)`: x [batch, channels_in, length_in], weight [channels_out,
    /// channels_in, kernel], bias [channels_out] or none, y [batch, channels_out, length_out]. Every
    /// buffer must hold fewer than 2^32 numbers.
    pub(crate) fn record(
        &self,
        recording: &mut Recording,
        caps: &Caps,
        [x, weight, y]: [Binding; 3],
        bias: Option<Binding>,
        batch: u32,
        length_in: u32,
    ) {
        let length_out = self.length_out(length_in);
        // A layer without bias binds its weights twice: a binding cannot be left out.
        let set = recording.bind(&[x, weight, bias.unwrap_or(weight), y]);
        let params = DenseConv1dParams {
            batch,
            channels_in: self.channels_in,
            length_in,
            channels_out: self.channels_out,
            length_out,
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
            activation: self.activation as u32,
            has_bias: u32::from(bias.is_some()),
        };
        let rows = u64::from(batch) * u64::from(length_out);
        let tiles = rows.div_ceil(u64::from(TILE)) * u64::from(self.channels_out.div_ceil(TILE));
        let work = rows * u64::from(self.channels_out) * u64::from(self.channels_in) * u64::from(self.kernel);
        recording.dispatch(caps.shader(Kernel::DenseConv1d), set, &params, fold(tiles, caps.max_workgroups), work);
    }
}
