//! Rows of logits, made tile by tile where the lattices want them, and what follows from their gradients.

use super::batch::Sides;
use super::inputs::{Input, Layer, LayerGradients, matrix, product};
use super::tiles::windows;
use crate::dense::{Activation, Conversion, Form, Gemm, Matrix, Scratch, record_column_sums_in, record_convert, record_split};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{JointHiddenParams as Params, JointInputGradientParams, JointScaleParams, Kernel};
use crate::error::{Result, within};
use crate::lattice::{Batch, Problem, Source, Window};
use crate::tensor::DType;
use std::ops::Range;

/// Rows and columns of a workgroup of `shaders/joint/hidden.wgsl`, columns of one of `input_gradient.wgsl`.
const ROWS: u32 = 64;
const COLUMNS: u32 = 64;

/// How numbers of the hidden layer are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Dropout {
    /// Probability.
    pub probability: f32,
    pub seed: u32,
}

/// The last layer and its tiles.
#[derive(Clone, Copy)]
pub(super) struct Output {
    pub layer: Layer,
    /// Of what it is given, [rows, H], and of the gradient of that; one place for both, if they are of the same type.
    pub hidden: Matrix,
    pub d_hidden: Matrix,
    /// With a weight of f16: gradients of logits as such numbers, and what they are multiplied by.
    pub halves: Option<(Matrix, f32)>,
}

/// The rows of a batch.
pub(super) struct Rows<'a> {
    pub caps: &'a Caps,
    pub sides: Sides,
    pub activation: Activation,
    pub dropout: Dropout,
    pub has_gradients: bool,
    /// The encoder and the predictor.
    pub inputs: [Input; 2],
    /// Rows of each utterance.
    pub rows_of: Vec<u64>,
    pub output: Option<Output>,
    /// Whether there are rows for the cells of bands only.
    pub pruned: bool,
    /// Rows of the tile, and its logits.
    pub tile_rows: u64,
    pub tile: BufferId,
    /// Sums of parts.
    pub scratch: Scratch,
    /// The first row of the window that lies in the tile.
    pub made: Option<u64>,
}

impl Source for Rows<'_> {
    fn windows(&mut self, problem: &Problem, chunk: Range<usize>, caps: &Caps) -> Result<Vec<Window>> {
        let lines = [self.sides.frames, self.sides.positions].map(|length| 4 * (length * self.sides.hidden) as u64);
        let longest = lines[0].max(lines[1]).max(1);
        let most_bytes = caps.max_shifted_window_bytes();
        within("encoder's or predictor's output of one utterance: bytes", longest, most_bytes, "cut the utterance into shorter ones")?;
        let most = (most_bytes / longest).min(u64::from(caps.max_workgroups)) as usize;
        Ok(windows(problem, chunk, self.tile_rows, most))
    }

    fn has_gradients(&self) -> bool {
        self.has_gradients
    }

    /// All of it is declared before.
    fn declare(&mut self, _: &Problem, _: &[Range<usize>], _: &mut Recording) {}

    fn begin(&mut self, _: &Problem, recording: &mut Recording, _: Batch, _: bool) -> Result<()> {
        for input in &self.inputs {
            input.begin(recording, self.caps)?;
        }
        if let Some(output) = &self.output {
            output.layer.begin(recording);
        }
        Ok(())
    }

    fn scores(&mut self, _: &Problem, recording: &mut Recording, batch: Batch, window: &Window) -> Result<Binding> {
        self.make(recording, batch, window)?;
        Ok(window.binding(self.tile))
    }

    fn gradients(&mut self, recording: &mut Recording, batch: Batch, window: &Window) -> Result<(Binding, Option<Binding>)> {
        // The last window of the row pass may still be there.
        if self.made != Some(window.first_unit) {
            self.make(recording, batch, window)?;
        }
        self.made = None;
        Ok((window.binding(self.tile), None))
    }

    fn follow(&mut self, _: &Problem, recording: &mut Recording, batch: Batch, window: &Window) -> Result<()> {
        let mut tile = matrix(self.tile, self.sides.row);
        if let Some(Output { layer, hidden, d_hidden, halves }) = self.output {
            let [row, width, count] = [self.sides.row as u32, self.sides.hidden as u32, self.count(window) as u32];
            if let Some(LayerGradients { bias: Some(d_bias), .. }) = layer.gradients {
                let d_bias = matrix(d_bias, self.sides.row);
                record_column_sums_in(recording, self.caps, tile, [count, row], d_bias, true, &mut self.scratch.parts)?;
            }
            if let Some((halves, scale)) = halves {
                let numbers = u64::from(count) * u64::from(row);
                record_convert(recording, self.caps, [tile.buffer, halves.buffer], numbers, Conversion::Narrow(scale));
                tile = halves;
            }
            if let Some(d_layer) = &layer.gradients {
                let product = product(Form::Tn, [row, width, count], tile, hidden, matrix(d_layer.weight, self.sides.hidden), true);
                record_split(&product, false, recording, self.caps, &mut self.scratch)?;
            }
            // In f32 over what the layer was given, which nobody needs any more.
            let product = product(Form::Nn, [count, width, row], tile, layer.weight(self.sides.hidden), d_hidden, false);
            record_split(&product, true, recording, self.caps, &mut self.scratch)?;
            tile = d_hidden;
        }
        for side in 0..2 {
            self.input_gradient(recording, batch, window, tile, side);
        }
        Ok(())
    }

    fn end(&mut self, _: &Problem, recording: &mut Recording, batch: Batch) -> Result<()> {
        if !self.has_gradients {
            return Ok(());
        }
        self.unscale(recording);
        for side in 0..2 {
            self.inputs[side].end(recording, self.caps, batch, self.tile, &mut self.scratch.parts)?;
        }
        Ok(())
    }
}

impl Rows<'_> {
    /// Rows of a window.
    fn count(&self, window: &Window) -> u64 {
        window.bytes / (4 * self.sides.row as u64)
    }

    /// Most rows of an utterance of a window.
    fn longest(&self, window: &Window) -> u32 {
        let rows = self.rows_of[window.utterances.clone()].iter().map(|&rows| rows.min(window.rows.end) - window.rows.start);
        rows.max().unwrap_or(0) as u32
    }

    /// Makes the logits of a window.
    fn make(&mut self, recording: &mut Recording, batch: Batch, window: &Window) -> Result<()> {
        self.made = Some(window.first_unit);
        let tile = matrix(self.tile, self.sides.row);
        let Some(Output { layer, hidden, .. }) = self.output else {
            self.hidden(recording, batch, window, tile);
            return Ok(());
        };
        self.hidden(recording, batch, window, hidden);
        let sides = [self.count(window) as u32, self.sides.row as u32, self.sides.hidden as u32];
        let bias = layer.bias.map(|bias| recording.whole(bias));
        let product = Gemm { bias, ..product(Form::Nt, sides, hidden, layer.weight(self.sides.hidden), tile, false) };
        record_split(&product, true, recording, self.caps, &mut self.scratch)
    }

    /// Records `shaders/joint/scale.wgsl`: the gradient of the last weight is that of scaled gradients of logits.
    fn unscale(&self, recording: &mut Recording) {
        let Some(Output { layer: Layer { gradients: Some(gradients), .. }, halves: Some((_, scale)), .. }) = self.output else { return };
        let all = (self.sides.row * self.sides.hidden) as u64;
        let most = (self.caps.max_window_bytes() / 4) & !63;
        for first in (0..all).step_by(most as usize) {
            let count = most.min(all - first);
            let set = recording.bind(&[Binding { buffer: gradients.weight, offset: 4 * first, bytes: 4 * count }]);
            let params = JointScaleParams { count: count as u32, scale: 1.0 / scale };
            let grid = fold(count.div_ceil(256), self.caps.max_workgroups);
            recording.dispatch(self.caps.shader(Kernel::JointScale), set, &params, grid, count);
        }
    }

    /// Windows of what the joiner adds up, and the params of a launch.
    fn launch(&self, window: &Window, batch: Batch) -> ([Binding; 3], Params) {
        let (sides, utterances) = (self.sides, &window.utterances);
        let [(encoder, encoder_first), (predictor, predictor_first)] = [(0, sides.frames), (1, sides.positions)].map(|(side, length)| {
            let first = (utterances.start * length * sides.hidden) as u64;
            let matrix = Matrix { first, ..matrix(self.inputs[side].sum, sides.hidden) };
            matrix.window(self.caps, (utterances.len() * length) as u32, sides.hidden as u32)
        });
        let Dropout { probability, seed } = self.dropout;
        let params = Params {
            first_utterance: utterances.start as u32,
            first_row: window.rows.start as u32,
            end_row: window.rows.end.min(u64::from(u32::MAX)) as u32,
            window_row: window.first_unit as u32,
            hidden: sides.hidden as u32,
            frames: sides.frames as u32,
            positions: sides.positions as u32,
            encoder_first,
            predictor_first,
            stride: 0,
            drop: (f64::from(probability) * 4_294_967_296.0) as u32,
            scale: 1.0 / (1.0 - probability),
            seed,
            out_first: 0,
            unscale: 1.0,
            pruned: u32::from(self.pruned),
        };
        ([batch.words, encoder, predictor], params)
    }

    /// Records `shaders/joint/hidden.wgsl`.
    fn hidden(&self, recording: &mut Recording, batch: Batch, window: &Window, to: Matrix) {
        let ([words, encoder, predictor], params) = self.launch(window, batch);
        let params = Params { stride: to.stride, ..params };
        let is_half = to.dtype == DType::F16;
        let bytes = to.dtype.bytes() * self.count(window) * u64::from(to.stride);
        let set = recording.bind(&[words, encoder, predictor, batch.results, Binding { buffer: to.buffer, offset: 0, bytes }]);
        let constants = [("ACTIVATION", f64::from(self.activation as u32)), ("CHECKS", f64::from(u8::from(self.output.is_some())))];
        let row_words = if is_half { to.stride / 2 } else { to.stride };
        let grid = [row_words.div_ceil(COLUMNS), self.longest(window).div_ceil(ROWS), window.utterances.len() as u32];
        let work = 16 * self.count(window) * self.sides.hidden as u64;
        let shader = self.caps.shader_with(Kernel::JointHidden, if is_half { &["f16"] } else { &[] });
        recording.dispatch_with(shader, &constants, set, &params, grid, work);
    }

    /// Records `shaders/joint/input_gradient.wgsl` for the frames (0) or the positions (1).
    fn input_gradient(&self, recording: &mut Recording, batch: Batch, window: &Window, tile: Matrix, side: usize) {
        let Some(d_sum) = self.inputs[side].d_sum else { return };
        let ([words, encoder, predictor], params) = self.launch(window, batch);
        let (sides, length) = (self.sides, [self.sides.frames, self.sides.positions][side]);
        let first = (window.utterances.start * length * sides.hidden) as u64;
        let out = Matrix { first, ..matrix(d_sum, sides.hidden) };
        let (out, out_first) = out.window(self.caps, (window.utterances.len() * length) as u32, sides.hidden as u32);
        let scale = self.output.and_then(|output| output.halves).map_or(1.0, |(_, scale)| scale);
        let params = Params { stride: tile.stride, out_first, unscale: 1.0 / scale, ..params };
        let params: JointInputGradientParams = bytemuck::cast(params);
        let rows = Binding { buffer: tile.buffer, offset: 0, bytes: 4 * self.count(window) * sides.hidden as u64 };
        let set = recording.bind(&[words, encoder, predictor, batch.results, rows, out]);
        let constants = [("ACTIVATION", f64::from(self.activation as u32)), ("OF_POSITIONS", side as f64)];
        // A tile of bands may have any position.
        let items = if self.pruned && side == 1 { u32::MAX } else { self.longest(window) };
        let grid = [params.hidden.div_ceil(COLUMNS), items.min(length as u32), window.utterances.len() as u32];
        let work = 16 * self.count(window) * sides.hidden as u64;
        recording.dispatch_with(self.caps.shader(Kernel::JointInputGradient), &constants, set, &params, grid, work);
    }
}
