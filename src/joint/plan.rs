//! The plan of a fused loss: lattices, a tile of rows, and what the joiner adds up, within a budget.

use super::Joiner;
use super::batch::Sides;
use super::inputs::{Input, Layer, LayerGradients};
use super::rows::{Dropout, Output, Rows};
use super::sums::{Kept, Sums};
use super::tiles::{MOST_ROWS, windows};
use crate::dense::{Linear, Matrix, Scratch};
use crate::device::Caps;
use crate::device::recording::{BufferId, Recording};
use crate::error::{Error, Result, within};
use crate::lattice::{Gradients, Options, Problem, Source, TransducerPlan};
use crate::tensor::DType;
use std::fmt;

/// Bytes of logits of a tile, where the caller sets no budget: one long utterance, so that products have rows enough. A budget may have room
/// for more.
const TILE_BYTES: u64 = 72 << 20;
/// Tiles that are tried between one that the budget has room for and the next larger, and what of that they may leave unused.
const TRIES: u32 = 4;
const SLACK: u64 = 16;
/// Fewer rows make a product slow, whatever they take.
const ENOUGH_ROWS: u64 = 1024;

/// What a fused loss of one batch will do on one device. Pure: made without the device, from its facts.
///
/// `Display` lists every buffer and every kernel launch.
#[derive(Clone)]
pub struct JointPlan {
    /// 0: no logits are written.
    tile_rows: u64,
    rows: u64,
    lattices: TransducerPlan,
}

/// What a plan is made from.
pub(super) struct Call<'a> {
    pub joiner: &'a Joiner,
    pub options: &'a Options,
    pub sides: Sides,
    pub problem: &'a Problem,
    /// What cells keep of a sum; `None` where logits are made.
    pub kept: Option<&'a Kept>,
    /// Words of labels and bands.
    pub extra_words: u64,
    pub dropout: Dropout,
    /// Largest magnitude that the gradient of a logit may have.
    pub steepest: f32,
    pub caps: &'a Caps,
}

impl JointPlan {
    /// The largest tile, and the most lattices at once, that the limit leaves room for.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`], which names the least that works.
    pub(super) fn new(call: &Call<'_>) -> Result<Self> {
        let budget = call.options.workspace_limit;
        let rows = call.rows_of_batch();
        let largest = call.largest_tile(budget.is_some())?;
        let mut least = u64::MAX;
        let (mut limit, mut is_least) = (None, false);
        'limits: loop {
            let mut tile_rows = largest;
            let mut too_many = None;
            let lattice_bytes = loop {
                let lattices = match (call.record(tile_rows, limit), limit) {
                    (Ok(lattices), _) => lattices,
                    // Not even the longest utterance fits the limit that was tried, but what it takes.
                    (Err(Error::LimitExceeded { need, .. }), Some(tried)) if need > tried && !is_least => {
                        (limit, is_least) = (Some(need), true);
                        continue 'limits;
                    }
                    (Err(Error::LimitExceeded { .. }), Some(_)) => return Err(too_little(least, budget)),
                    (Err(error), _) => return Err(error),
                };
                let bytes = lattices.allocated_bytes();
                if budget.is_none_or(|budget| bytes <= budget) {
                    let fits = Self { tile_rows: call.filled(tile_rows), rows, lattices };
                    return Ok(match too_many {
                        Some(above) if call.kept.is_none() => fits.enlarged(call, limit, above),
                        _ => fits,
                    });
                }
                too_many = Some(tile_rows);
                least = least.min(bytes);
                if tile_rows == 1 {
                    break lattices.lattice_bytes();
                }
                tile_rows = tile_rows.div_ceil(2);
            };
            if lattice_bytes == 0 {
                return Err(too_little(least, budget));
            }
            limit = Some(lattice_bytes / 2);
        }
    }

    /// The plan with the largest tile that the budget has room for, of fewer rows than `above`.
    fn enlarged(mut self, call: &Call<'_>, limit: Option<u64>, mut above: u64) -> Self {
        let budget = call.options.workspace_limit.unwrap_or(u64::MAX);
        let mut rows = self.tile_rows;
        for _ in 0..TRIES {
            if above - rows <= above / SLACK {
                break;
            }
            let tile_rows = rows + (above - rows) / 2;
            match call.record(tile_rows, limit) {
                Ok(lattices) if lattices.allocated_bytes() <= budget => {
                    self = Self { tile_rows: call.filled(tile_rows), lattices, ..self };
                    rows = tile_rows;
                }
                _ => above = tile_rows,
            }
        }
        self
    }

    /// Rows of logits that exist at a time. None, where the joiner is [a sum](Joiner::additive) and the kind's arcs read few symbols, no
    /// durations and no sums of symbols: a cell keeps the log-probabilities of the arcs' symbols, and gradients are added up in registers.
    pub fn tile_rows(&self) -> u64 {
        self.tile_rows
    }

    /// Tiles; groups of utterances, where there are none.
    pub fn tiles(&self) -> usize {
        self.lattices.windows()
    }

    /// Rows of logits that are made for the costs, or added up: sum of T (U + 1), less where bands leave cells out.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Kernel launches.
    pub fn dispatches(&self) -> usize {
        self.lattices.dispatches()
    }

    /// Bytes of the buffers that a run works in beyond what it is given and what it gives, as large as the context makes them: no more, and
    /// less only by the params of its launches, 256 B each, where a device takes them with the launch.
    pub fn workspace_bytes(&self) -> u64 {
        self.lattices.allocated_bytes()
    }

    pub(super) fn lattices(&self) -> &TransducerPlan {
        &self.lattices
    }
}

impl fmt::Display for JointPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tile_rows {
            0 => writeln!(f, "a sum of frames and positions, {} rows of which none is written", self.rows)?,
            most => writeln!(f, "fused joiner, {} rows in {} tiles of at most {most}", self.rows, self.tiles())?,
        }
        write!(f, "{}", self.lattices)
    }
}

impl Call<'_> {
    fn rows_of_batch(&self) -> u64 {
        self.problem.utterances.iter().map(|u| u.rows).sum()
    }

    /// Rows of a tile at most; with a budget, as many as that may have room for.
    fn largest_tile(&self, has_budget: bool) -> Result<u64> {
        if self.kept.is_some() {
            return Ok(1);
        }
        let Sides { hidden, row, inputs, .. } = self.sides;
        let widest = 4 * hidden.max(row).max(inputs[0]).max(inputs[1]) as u64;
        within("one row of the joiner: bytes", widest, self.caps.max_window_bytes(), "use a smaller vocabulary, or Context::cpu()")?;
        let row_bytes = 4 * (row as u64).max(1);
        let wanted = if has_budget { MOST_ROWS } else { (TILE_BYTES / row_bytes).max(ENOUGH_ROWS) };
        Ok(wanted.min(self.caps.max_window_bytes() / row_bytes).min(MOST_ROWS).min(self.rows_of_batch()).max(1))
    }

    /// Rows that a tile of at most so many has where it has most; none without tiles.
    fn filled(&self, tile_rows: u64) -> u64 {
        if self.kept.is_some() {
            return 0;
        }
        let all = windows(self.problem, 0..self.problem.utterances.len(), tile_rows, usize::MAX);
        all.iter().map(|window| window.bytes / (4 * self.problem.row as u64).max(4)).max().unwrap_or(1).max(1)
    }

    /// Plans that keep the lattices, a chunk each; the limit is of lattices alone.
    pub(super) fn kept(&self) -> Result<Vec<TransducerPlan>> {
        let options = Options { gradients: Gradients::None, keep_lattice: true, ..self.options.clone() };
        let tile_rows = self.filled(self.largest_tile(false)?);
        let make = |recording: &mut Recording| self.source(recording, tile_rows, false);
        TransducerPlan::by_chunks_of(self.problem, self.extra_words, &options, self.caps, &make)
    }

    /// With tiles of so many rows, and so many bytes for lattices.
    fn record(&self, tile_rows: u64, lattice_limit: Option<u64>) -> Result<TransducerPlan> {
        let gradients = self.options.gradients != Gradients::None;
        let options = Options {
            gradients: if gradients { Gradients::InPlace } else { Gradients::None },
            workspace_limit: lattice_limit,
            ..self.options.clone()
        };
        let mut recording = Recording::new();
        let source = self.source(&mut recording, self.filled(tile_rows), gradients)?;
        TransducerPlan::of_source(self.problem, self.extra_words, &options, self.caps, source, recording)
    }

    fn output(&self, recording: &mut Recording, layer: Layer, tile_rows: u64, has_gradients: bool) -> Output {
        let (width, row) = (self.sides.hidden, self.sides.row);
        let is_half = layer.dtype == DType::F16;
        // Rows of halves begin at whole words.
        let stride = if is_half { width.next_multiple_of(2) } else { width };
        let mut tile = |label, stride: usize, dtype: DType| {
            let bytes = (tile_rows * stride as u64 * dtype.bytes()).next_multiple_of(4);
            Matrix { buffer: recording.workspace(label, bytes), first: 0, stride: stride as u32, dtype }
        };
        let hidden = tile("tile of the hidden layer", stride, layer.dtype);
        let has_more = is_half && has_gradients;
        let d_hidden = if has_more { tile("gradients of the hidden layer", width, DType::F32) } else { hidden };
        let halves = has_more.then(|| (tile("gradients of logits, as f16", row, DType::F16), half_scale(self.steepest)));
        Output { layer, hidden, d_hidden, halves }
    }

    fn source(&self, recording: &mut Recording, tile_rows: u64, has_gradients: bool) -> Result<Box<dyn Source + '_>> {
        let (inputs, output) = self.inputs(recording, has_gradients)?;
        Ok(match self.kept {
            Some(kept) => Box::new(Sums::new(self.caps, self.sides, kept.clone(), has_gradients, inputs)),
            None => Box::new(self.rows(recording, tile_rows, has_gradients, (inputs, output))),
        })
    }

    /// Declares what the caller gives, in the order of [`JointLoss::run`](super::JointLoss::run), and what is projected; gives what is added
    /// up, and the last layer.
    fn inputs(&self, recording: &mut Recording, has_gradients: bool) -> Result<([Input; 2], Option<Layer>)> {
        let sides = self.sides;
        let layers = [self.joiner.encoder.as_ref(), self.joiner.predictor.as_ref(), self.joiner.output.as_ref()];
        let lengths = [sides.frames, sides.positions];
        let numbers = |side: usize, width: usize| (sides.utterances * lengths[side]) as u64 * width as u64;
        let bytes = |side: usize, width: usize| 4 * numbers(side, width);
        let mut bound = |label, bytes: u64| {
            within(label, bytes, self.caps.max_buffer_bytes, "split the batch")?;
            Ok::<BufferId, Error>(recording.bound(label, bytes.max(4)))
        };
        let given_bytes = |side: usize| (sides.dtypes[side].bytes() * numbers(side, sides.inputs[side])).next_multiple_of(4);
        let x = [bound("encoder", given_bytes(0))?, bound("predictor", given_bytes(1))?];
        let mut given: [Option<(BufferId, Option<BufferId>)>; 3] = [None; 3];
        for (given, layer) in given.iter_mut().zip(layers) {
            *given = layer.map(|layer| declare(&mut bound, layer, layer.weight().window_bytes())).transpose()?;
        }
        let mut d_x = [None; 2];
        let mut d_layers: [Option<(BufferId, Option<BufferId>)>; 3] = [None; 3];
        if has_gradients {
            d_x = [
                Some(bound("encoder's gradient", bytes(0, sides.inputs[0]))?),
                Some(bound("predictor's gradient", bytes(1, sides.inputs[1]))?),
            ];
            for (d_layer, layer) in d_layers.iter_mut().zip(layers) {
                *d_layer = layer.map(|layer| declare(&mut bound, layer, 4 * layer.weight().len() as u64)).transpose()?;
            }
        }
        let layer = |place: usize| -> Option<Layer> {
            let (weight, bias) = given[place]?;
            let gradients = d_layers[place].map(|(weight, bias)| LayerGradients { weight, bias });
            Some(Layer { weight, dtype: layers[place]?.weight().dtype(), bias, gradients })
        };
        let mut input = |side: usize| {
            let layer = layer(side);
            let mut own = |label, wanted: bool| wanted.then(|| recording.workspace(label, bytes(side, sides.hidden).max(4)));
            let [label, d_label] = [["frames of H", "gradients of frames of H"], ["positions of H", "gradients of positions of H"]][side];
            Input {
                x: x[side],
                dtype: sides.dtypes[side],
                layer,
                sum: own(label, layer.is_some() || sides.dtypes[side] == DType::F16).unwrap_or(x[side]),
                d_sum: own(d_label, has_gradients && layer.is_some()).or(d_x[side]),
                d_x: d_x[side],
                rows: (sides.utterances * lengths[side]) as u64,
                length: lengths[side],
                width: sides.inputs[side],
                hidden: sides.hidden,
                of_positions: side == 1,
            }
        };
        Ok(([input(0), input(1)], layer(2)))
    }

    /// Declares tiles.
    fn rows(
        &self,
        recording: &mut Recording,
        tile_rows: u64,
        has_gradients: bool,
        (inputs, output): ([Input; 2], Option<Layer>),
    ) -> Rows<'_> {
        let sides = self.sides;
        // Rows of what is projected are copied there in the end.
        let widest = sides.row.max(if has_gradients { sides.inputs[0].max(sides.inputs[1]) } else { 0 });
        let tile = recording.workspace("tile of logits", 4 * (tile_rows * sides.row as u64).max(widest as u64));
        let output = output.map(|layer| self.output(recording, layer, tile_rows, has_gradients));
        Rows {
            caps: self.caps,
            sides,
            activation: self.joiner.activation,
            dropout: self.dropout,
            has_gradients,
            inputs,
            rows_of: self.problem.utterances.iter().map(|u| u.rows).collect(),
            output,
            pruned: self.options.pruned,
            tile_rows,
            tile,
            scratch: Scratch::default(),
            made: None,
        }
    }
}

/// What gradients of so much are multiplied by before they become f16: so much that the largest stay below its end, and the smallest,
/// 2^-39 of them, above its beginning.
fn half_scale(steepest: f32) -> f32 {
    let exponent = if steepest > 0.0 { (32_768.0 / f64::from(steepest)).log2().floor().clamp(-60.0, 60.0) } else { 0.0 };
    exponent.exp2() as f32
}

fn too_little(least: u64, budget: Option<u64>) -> Error {
    Error::LimitExceeded {
        what: "workspace of the fused loss: bytes",
        need: least,
        have: budget.unwrap_or(u64::MAX),
        help: "raise the workspace limit to that, or split the batch",
    }
}

/// Weight, of so many bytes, and bias of a layer, or their gradients.
fn declare(
    bound: &mut impl FnMut(&'static str, u64) -> Result<BufferId>,
    layer: &Linear,
    weight_bytes: u64,
) -> Result<(BufferId, Option<BufferId>)> {
    let weight = bound("weight", weight_bytes)?;
    let bias = layer.bias().map(|bias| bound("bias", bias.window_bytes())).transpose()?;
    Ok((weight, bias))
}
