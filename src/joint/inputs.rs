//! What a joiner adds up: an encoder's or a predictor's output, projected or as it is.

use crate::dense::{Activation, Conversion, Form, Gemm, Matrix, record_column_sums_in, record_convert};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{JointValidRowsParams, Kernel};
use crate::error::{Result, within};
use crate::lattice::Batch;
use crate::tensor::DType;

/// The buffers of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    pub weight: BufferId,
    /// Of the weight.
    pub dtype: DType,
    pub bias: Option<BufferId>,
    /// Those of their gradients.
    pub gradients: Option<LayerGradients>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LayerGradients {
    pub weight: BufferId,
    pub bias: Option<BufferId>,
}

impl Layer {
    /// Its weight, of so many inputs.
    pub fn weight(&self, inputs: usize) -> Matrix {
        Matrix { dtype: self.dtype, ..matrix(self.weight, inputs) }
    }

    /// Gradients are added up.
    pub fn begin(&self, recording: &mut Recording) {
        let LayerGradients { weight, bias } = match self.gradients {
            Some(gradients) => gradients,
            None => return,
        };
        recording.clear(weight);
        bias.into_iter().for_each(|bias| recording.clear(bias));
    }
}

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    /// [N, length, width] as it was given.
    pub x: BufferId,
    pub dtype: DType,
    pub layer: Option<Layer>,
    /// [N, length, H] of f32, which is x where there is no layer; and its gradient.
    pub sum: BufferId,
    pub d_sum: Option<BufferId>,
    pub d_x: Option<BufferId>,
    /// N x length, length, width and H.
    pub rows: u64,
    pub length: usize,
    pub width: usize,
    pub hidden: usize,
    /// Whether these are positions.
    pub of_positions: bool,
}

impl Input {
    /// Rows and width of what was given, as kernels count.
    fn sides(&self) -> [u32; 2] {
        [self.rows as u32, self.width as u32]
    }

    fn x(&self) -> Matrix {
        Matrix { dtype: self.dtype, ..matrix(self.x, self.width) }
    }

    /// The projection, or x in f32.
    pub fn begin(&self, recording: &mut Recording, caps: &Caps) -> Result<()> {
        if let Some(d_sum) = self.d_sum {
            recording.clear(d_sum);
        }
        let Some(layer) = &self.layer else {
            if self.sum != self.x {
                record_convert(recording, caps, [self.x, self.sum], self.rows * self.width as u64, Conversion::Widen);
            }
            return Ok(());
        };
        layer.begin(recording);
        if let Some(d_x) = self.d_x {
            recording.clear(d_x);
        }
        let [rows, width] = self.sides();
        let bias = layer.bias.map(|bias| recording.whole(bias));
        let sum = matrix(self.sum, self.hidden);
        let product = Gemm { bias, ..product(Form::Nt, [rows, self.hidden as u32, width], self.x(), layer.weight(self.width), sum, false) };
        product.record(recording, caps)
    }

    /// What follows from the gradients of what was added up. `tile` is free.
    pub fn end(&self, recording: &mut Recording, caps: &Caps, batch: Batch, tile: BufferId, scratch: &mut Option<BufferId>) -> Result<()> {
        let (Some(layer), Some(d_sum)) = (&self.layer, self.d_sum) else { return Ok(()) };
        let ([rows, width], hidden) = (self.sides(), self.hidden as u32);
        let d_sum = matrix(d_sum, self.hidden);
        if let Some(d_x) = self.d_x {
            let weight = layer.weight(self.width);
            product(Form::Nn, [rows, width, hidden], d_sum, weight, matrix(d_x, self.width), false).record_in(recording, caps, scratch)?;
        }
        let Some(gradients) = layer.gradients else { return Ok(()) };
        if let Some(bias) = gradients.bias {
            record_column_sums_in(recording, caps, d_sum, [rows, hidden], matrix(bias, self.hidden), true, scratch)?;
        }
        let x = self.copied(tile);
        let most = recording.whole(tile).bytes / (x.dtype.bytes() * u64::from(x.stride));
        let mut first = 0;
        while first < self.rows {
            let count = most.min(self.rows - first) as u32;
            self.copy(recording, caps, batch, x, [first as u32, count])?;
            let some = d_sum.after_lines(first as u32);
            let d_weight = matrix(gradients.weight, self.width);
            product(Form::Tn, [hidden, width, count], some, x, d_weight, true).record_in(recording, caps, scratch)?;
            first += u64::from(count);
        }
        Ok(())
    }

    /// Rows of x in the tile. Those of halves begin at whole words.
    fn copied(&self, tile: BufferId) -> Matrix {
        let stride = if self.dtype == DType::F16 { self.width.next_multiple_of(2) } else { self.width };
        Matrix { dtype: self.dtype, ..matrix(tile, stride) }
    }

    /// Copies rows to the tile, zeros for those that no utterance has: what is there may be no number.
    fn copy(&self, recording: &mut Recording, caps: &Caps, batch: Batch, to: Matrix, [first, count]: [u32; 2]) -> Result<()> {
        let (x, x_first) = self.x().after_lines(first).window(caps, count, self.width as u32);
        within("encoder's or predictor's output: bytes of a tile", x.bytes, caps.max_window_bytes(), "lower the workspace limit")?;
        let columns = self.width as u32;
        let params = JointValidRowsParams { rows: count, first, padded: self.length as u32, columns, x_first, stride: to.stride };
        let is_half = self.dtype == DType::F16;
        let words = u64::from(count) * u64::from(to.stride) / if is_half { 2 } else { 1 };
        let set = recording.bind(&[batch.words, batch.results, x, Binding { buffer: to.buffer, offset: 0, bytes: 4 * words }]);
        let constants = [("OF_POSITIONS", f64::from(u8::from(self.of_positions)))];
        let grid = fold(words.div_ceil(256), caps.max_workgroups);
        let shader = caps.shader_with(Kernel::JointValidRows, if is_half { &["f16"] } else { &[] });
        recording.dispatch_with(shader, &constants, set, &params, grid, words);
        Ok(())
    }
}

/// f32 from the start of a buffer on.
pub(super) fn matrix(buffer: BufferId, stride: usize) -> Matrix {
    Matrix { buffer, first: 0, stride: stride as u32, dtype: DType::F32 }
}

pub(super) fn product(form: Form, sides: [u32; 3], a: Matrix, b: Matrix, c: Matrix, accumulates: bool) -> Gemm {
    Gemm { form, sides, a, b, c, bias: None, accumulates, activations: [Activation::Identity; 2] }
}
