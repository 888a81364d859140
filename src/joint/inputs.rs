//! What a joiner adds up: an encoder's or a predictor's output, projected or as it is.

use crate::dense::{Activation, Form, Gemm, Matrix, record_column_sums_in};
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
    pub layer: Option<Layer>,
    /// [N, length, H], which is x where there is no layer; and its gradient.
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

    fn matrices(&self) -> [Matrix; 2] {
        [matrix(self.x, self.width), matrix(self.sum, self.hidden)]
    }

    /// The projection.
    pub fn begin(&self, recording: &mut Recording, caps: &Caps) -> Result<()> {
        if let Some(d_sum) = self.d_sum {
            recording.clear(d_sum);
        }
        let Some(layer) = &self.layer else { return Ok(()) };
        layer.begin(recording);
        if let Some(d_x) = self.d_x {
            recording.clear(d_x);
        }
        let [rows, width] = self.sides();
        let bias = layer.bias.map(|bias| recording.whole(bias));
        let [x, sum] = self.matrices();
        let weight = matrix(layer.weight, self.width);
        let product = Gemm { bias, ..product(Form::Nt, [rows, self.hidden as u32, width], x, weight, sum, false) };
        product.record(recording, caps)
    }

    /// What follows from the gradients of what was added up. `tile` is free.
    pub fn end(&self, recording: &mut Recording, caps: &Caps, batch: Batch, tile: BufferId, scratch: &mut Option<BufferId>) -> Result<()> {
        let (Some(layer), Some(d_sum)) = (&self.layer, self.d_sum) else { return Ok(()) };
        let ([rows, width], hidden) = (self.sides(), self.hidden as u32);
        let d_sum = matrix(d_sum, self.hidden);
        if let Some(d_x) = self.d_x {
            let weight = matrix(layer.weight, self.width);
            product(Form::Nn, [rows, width, hidden], d_sum, weight, matrix(d_x, self.width), false).record_in(recording, caps, scratch)?;
        }
        let Some(gradients) = layer.gradients else { return Ok(()) };
        if let Some(bias) = gradients.bias {
            record_column_sums_in(recording, caps, d_sum, [rows, hidden], matrix(bias, self.hidden), true, scratch)?;
        }
        let most = recording.whole(tile).bytes / (4 * u64::from(width));
        let mut first = 0;
        while first < self.rows {
            let count = most.min(self.rows - first) as u32;
            self.copy(recording, caps, batch, tile, [first as u32, count])?;
            let (some, x) = (d_sum.after_lines(first as u32), matrix(tile, self.width));
            let d_weight = matrix(gradients.weight, self.width);
            product(Form::Tn, [hidden, width, count], some, x, d_weight, true).record_in(recording, caps, scratch)?;
            first += u64::from(count);
        }
        Ok(())
    }

    /// Copies rows to the tile, zeros for those that no utterance has: what is there may be no number.
    fn copy(&self, recording: &mut Recording, caps: &Caps, batch: Batch, tile: BufferId, [first, count]: [u32; 2]) -> Result<()> {
        let x = matrix(self.x, self.width).after_lines(first);
        let (x, x_first) = x.window(caps, count, self.width as u32);
        within("encoder's or predictor's output: bytes of a tile", x.bytes, caps.max_window_bytes(), "lower the workspace limit")?;
        let columns = self.width as u32;
        let params = JointValidRowsParams { rows: count, first, padded: self.length as u32, columns, x_first, stride: columns };
        let numbers = u64::from(count) * u64::from(columns);
        let set = recording.bind(&[batch.words, batch.results, x, Binding { buffer: tile, offset: 0, bytes: 4 * numbers }]);
        let constants = [("OF_POSITIONS", f64::from(u8::from(self.of_positions)))];
        let grid = fold(numbers.div_ceil(256), caps.max_workgroups);
        recording.dispatch_with(caps.shader(Kernel::JointValidRows), &constants, set, &params, grid, numbers);
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
