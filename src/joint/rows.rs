//! Rows of logits, made tile by tile where the lattices want them, and what follows from their gradients.

use super::batch::Sides;
use super::inputs::{Input, Layer, matrix, product};
use super::tiles::windows;
use crate::dense::{Activation, Form, Gemm, Matrix, record_column_sums_in};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording};
use crate::device::shader::{JointHiddenParams as Params, JointInputGradientParams, Kernel};
use crate::error::{Result, within};
use crate::lattice::{Batch, Problem, Source, Window};
use std::ops::Range;

/// Rows and columns of a workgroup of `shaders/joint/hidden.wgsl`, columns of one of `input_gradient.wgsl`.
const ROWS: u32 = 16;
const COLUMNS: u32 = 64;

/// How numbers of the hidden layer are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Dropout {
    /// Probability.
    pub probability: f32,
    pub seed: u32,
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
    /// The last layer, and the tile of what it is given.
    pub output: Option<(Layer, BufferId)>,
    /// Rows of the tile, and its logits.
    pub tile_rows: u64,
    pub tile: BufferId,
    /// Sums of parts.
    pub scratch: Option<BufferId>,
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

    fn begin(&mut self, _: &Problem, recording: &mut Recording) -> Result<()> {
        for input in &self.inputs {
            input.begin(recording, self.caps)?;
        }
        if let Some((layer, _)) = &self.output {
            layer.begin(recording);
        }
        Ok(())
    }

    fn scores(&mut self, recording: &mut Recording, batch: Batch, window: &Window) -> Result<Binding> {
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

    fn follow(&mut self, recording: &mut Recording, batch: Batch, window: &Window) -> Result<()> {
        let mut tile = matrix(self.tile, self.sides.row);
        if let Some((layer, hidden)) = &self.output {
            let [row, width, count] = [self.sides.row as u32, self.sides.hidden as u32, self.count(window) as u32];
            let hidden = matrix(*hidden, self.sides.hidden);
            let weight = matrix(layer.weight, self.sides.hidden);
            if let Some(d_layer) = &layer.gradients {
                let d_weight = matrix(d_layer.weight, self.sides.hidden);
                let product = product(Form::Tn, [row, width, count], tile, hidden, d_weight, true);
                product.record_in(recording, self.caps, &mut self.scratch)?;
                if let Some(d_bias) = d_layer.bias {
                    let d_bias = matrix(d_bias, self.sides.row);
                    record_column_sums_in(recording, self.caps, tile, [count, row], d_bias, true, &mut self.scratch)?;
                }
            }
            // Over what the layer was given, which nobody needs any more.
            let product = product(Form::Nn, [count, width, row], tile, weight, hidden, false);
            product.record_in(recording, self.caps, &mut self.scratch)?;
            tile = hidden;
        }
        for side in 0..2 {
            self.input_gradient(recording, batch, window, tile, side);
        }
        Ok(())
    }

    fn end(&mut self, recording: &mut Recording, batch: Batch) -> Result<()> {
        if !self.has_gradients {
            return Ok(());
        }
        for side in 0..2 {
            self.inputs[side].end(recording, self.caps, batch, self.tile, &mut self.scratch)?;
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
        let Some((layer, hidden)) = &self.output else {
            self.hidden(recording, batch, window, self.tile);
            return Ok(());
        };
        self.hidden(recording, batch, window, *hidden);
        let [row, width, count] = [self.sides.row as u32, self.sides.hidden as u32, self.count(window) as u32];
        let [a, b, c] =
            [(*hidden, self.sides.hidden), (layer.weight, self.sides.hidden), (self.tile, self.sides.row)].map(|(b, s)| matrix(b, s));
        let bias = layer.bias.map(|bias| recording.whole(bias));
        let product = Gemm { bias, ..product(Form::Nt, [count, row, width], a, b, c, false) };
        product.record_in(recording, self.caps, &mut self.scratch)
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
            stride: sides.hidden as u32,
            drop: (f64::from(probability) * 4_294_967_296.0) as u32,
            scale: 1.0 / (1.0 - probability),
            seed,
            out_first: 0,
        };
        ([batch.words, encoder, predictor], params)
    }

    /// Records `shaders/joint/hidden.wgsl`.
    fn hidden(&self, recording: &mut Recording, batch: Batch, window: &Window, out: BufferId) {
        let ([words, encoder, predictor], params) = self.launch(window, batch);
        let out = Binding { buffer: out, offset: 0, bytes: 4 * self.count(window) * self.sides.hidden as u64 };
        let set = recording.bind(&[words, encoder, predictor, batch.results, out]);
        let constants = [("ACTIVATION", f64::from(self.activation as u32)), ("CHECKS", f64::from(u8::from(self.output.is_some())))];
        let grid = [params.hidden.div_ceil(COLUMNS), self.longest(window).div_ceil(ROWS), window.utterances.len() as u32];
        let work = 16 * self.count(window) * self.sides.hidden as u64;
        recording.dispatch_with(self.caps.shader(Kernel::JointHidden), &constants, set, &params, grid, work);
    }

    /// Records `shaders/joint/input_gradient.wgsl` for the frames (0) or the positions (1).
    fn input_gradient(&self, recording: &mut Recording, batch: Batch, window: &Window, tile: Matrix, side: usize) {
        let Some(d_sum) = self.inputs[side].d_sum else { return };
        let ([words, encoder, predictor], params) = self.launch(window, batch);
        let (sides, length) = (self.sides, [self.sides.frames, self.sides.positions][side]);
        let first = (window.utterances.start * length * sides.hidden) as u64;
        let out = Matrix { first, ..matrix(d_sum, sides.hidden) };
        let (out, out_first) = out.window(self.caps, (window.utterances.len() * length) as u32, sides.hidden as u32);
        let params: JointInputGradientParams = bytemuck::cast(Params { out_first, ..params });
        let rows = Binding { buffer: tile.buffer, offset: 0, bytes: 4 * self.count(window) * sides.hidden as u64 };
        let set = recording.bind(&[words, encoder, predictor, batch.results, rows, out]);
        let constants = [("ACTIVATION", f64::from(self.activation as u32)), ("OF_POSITIONS", side as f64)];
        let grid = [params.hidden.div_ceil(COLUMNS), self.longest(window).min(length as u32), window.utterances.len() as u32];
        let work = 16 * self.count(window) * sides.hidden as u64;
        recording.dispatch_with(self.caps.shader(Kernel::JointInputGradient), &constants, set, &params, grid, work);
    }
}
