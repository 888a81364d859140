//! A layer: one cell with its weights, on a device.

use super::options::{RunOptions, TrainOptions};
use super::plan::{self, ForwardBuffers, Problem, Shape, Zoneout};
use super::sequences::{Checked, Masks};
use super::weights::{LayerWeights, LoadedWeights};
use super::{Cell, Gradients, State, Tape};
use crate::device::program::Program;
use crate::device::recording::{BufferId, Recording};
use crate::device::{Context, RunReport};
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor, declare};
use crate::weights::Weights;
use std::fmt;
use std::sync::Arc;

/// One recurrent layer of one direction. Clones share the weights.
///
/// ```
/// # fn main() -> weft::Result<()> {
/// use weft::recurrent::{Cell, Layer, LayerWeights};
/// use weft::{Context, Tensor};
///
/// let gpu = Context::cpu();
/// let (input_size, hidden_size) = (3, 2);
/// let lstm = Layer::new(&gpu, &Cell::lstm(), &LayerWeights {
///     input_size,
///     hidden_size,
///     weight_ih: &[0.1; 4 * 2 * 3],
///     weight_hh: &[0.2; 4 * 2 * 2],
///     bias: None,
///     parameters: &[],
/// })?;
/// // Five frames of one sequence, then one more with the state carried on.
/// let (y, state) = lstm.forward_blocking(&Tensor::from_slice(&gpu, &[5, 1, 3], &[0.5; 15])?, None, None)?;
/// let (y6, _) = lstm.forward_blocking(&Tensor::from_slice(&gpu, &[1, 1, 3], &[0.5; 3])?, None, Some(&state))?;
/// assert_eq!((y.shape(), y6.shape()), (&[5, 1, 2][..], &[1, 1, 2][..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Layer {
    pub(super) context: Context,
    pub(super) cell: Cell,
    pub(super) shape: Shape,
    pub(super) program: Arc<Program>,
    pub(super) input_size: usize,
    pub(super) hidden_size: usize,
    pub(super) reversed: bool,
    pub(super) zoneout: [f32; 2],
    pub(super) weight_ih: Tensor,
    pub(super) weight_hh: Tensor,
    pub(super) bias_ih: Option<Tensor>,
    /// [R + P + G, H]: bias_hh, the parameters, then the gains of the product's norm, and gain and bias of the state's.
    pub(super) units: Tensor,
    pub(super) norm_ih: NormTensors,
}

/// What the norm of W x has.
#[derive(Clone, Default)]
pub(super) struct NormTensors {
    /// [X H]
    pub gain: Option<Tensor>,
    /// Running mean and variance [X H] of a batch norm.
    pub running: Option<[Tensor; 2]>,
}

impl Layer {
    /// Uploads the weights.
    ///
    /// # Errors
    /// [`Error::Shape`] if a slice does not have the size that the cell, `input_size` and `hidden_size` ask for,
    /// [`Error::Value`] if one of those is 0, [`Error::LimitExceeded`] if the device cannot hold the weights in one window of
    /// a buffer.
    pub fn new(context: &Context, cell: &Cell, weights: &LayerWeights<'_>) -> Result<Self> {
        weights.check(cell)?;
        let &LayerWeights { input_size, hidden_size, weight_ih, weight_hh, bias, .. } = weights;
        let (shape, program) = super::program::program(cell);
        plan::check_weights(context.caps(), shape, input_size, hidden_size)?;
        let rows = |count: u64| count as usize * hidden_size;
        let vector = |count: u64, values: &[f32]| Tensor::from_slice(context, &[rows(count)], values);
        let parameter = |name: &str| weights.parameter(name);
        // What a norm adds is a bias like any other.
        let with = |bias: Option<&[f32]>, more: &[f32], count: u64| -> Option<Vec<f32>> {
            let mut sum = match bias {
                Some(bias) => bias.to_vec(),
                None if more.is_empty() => return None,
                None => vec![0.0; rows(count)],
            };
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            Some(sum)
        };
        let bias_ih = with(bias.map(|(bias_ih, _)| bias_ih), parameter("norm_ih.bias"), shape.inputs);
        let bias_ih = bias_ih.map(|bias| vector(shape.inputs, &bias)).transpose()?;
        let bias_hh = with(bias.map(|(_, bias_hh)| bias_hh), parameter("norm_hh.bias"), shape.rows);
        let mut units = bias_hh.unwrap_or_else(|| vec![0.0; rows(shape.rows)]);
        let is_unit = |name: &str| !name.starts_with("norm_ih.") && name != "norm_hh.bias";
        units.extend(weights.parameters.iter().filter(|(name, _)| is_unit(name)).flat_map(|&(_, values)| values.iter().copied()));
        let units_rows = shape.unit_vectors() as usize;
        let given = |name: &str| Some(parameter(name)).filter(|values| !values.is_empty());
        let running = match (given("norm_ih.running_mean"), given("norm_ih.running_var")) {
            (Some(mean), Some(variance)) => Some([vector(shape.inputs, mean)?, vector(shape.inputs, variance)?]),
            _ => None,
        };
        let norm_ih = NormTensors { gain: given("norm_ih.weight").map(|gain| vector(shape.inputs, gain)).transpose()?, running };
        Ok(Self {
            context: context.clone(),
            cell: cell.clone(),
            shape,
            program,
            input_size,
            hidden_size,
            reversed: false,
            zoneout: [0.0; 2],
            weight_ih: Tensor::from_slice(context, &[rows(shape.inputs), input_size], weight_ih)?,
            weight_hh: Tensor::from_slice(context, &[rows(shape.rows), hidden_size], weight_hh)?,
            bias_ih,
            units: Tensor::from_slice(context, &[units_rows, hidden_size], &units)?,
            norm_ih,
        })
    }

    /// Takes the weights from a file: `PREFIX.weight_ih`, `PREFIX.weight_hh` and, both or neither, `PREFIX.bias_ih` and
    /// `PREFIX.bias_hh`; or all with PyTorch's suffix `_l0`. An empty prefix means the bare names. Parameters and norms go by
    /// the names of [`LayerWeights::parameters`].
    ///
    /// # Errors
    /// [`Error::Weights`] if a tensor is missing or its shape is not that of such a layer; as [`new`](Self::new).
    pub fn load(context: &Context, cell: &Cell, weights: &Weights, prefix: &str) -> Result<Self> {
        LoadedWeights::read(weights, prefix, cell, None)?.with(|weights| Self::new(context, cell, weights))
    }

    /// [`load`](Self::load), of the names with this suffix.
    pub(super) fn load_suffixed(context: &Context, cell: &Cell, weights: &Weights, prefix: &str, suffix: &str) -> Result<Self> {
        LoadedWeights::read(weights, prefix, cell, Some(suffix))?.with(|weights| Self::new(context, cell, weights))
    }

    /// The same layer, from the last frame to the first: each sequence begins at its own last frame.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { reversed: !self.reversed, ..self }
    }

    /// The same layer with zoneout (Krueger et al. 2017): in training each number of h keeps its value of the frame before with
    /// probability `h`, those of all other states with probability `others`; without training they become the mean of that.
    ///
    /// # Errors
    /// [`Error::Value`] unless both are at least 0 and less than 1.
    pub fn with_zoneout(self, h: f32, others: f32) -> Result<Self> {
        for (argument, odds) in [("zoneout of h", h), ("zoneout of other states", others)] {
            if !(0.0..1.0).contains(&odds) {
                return Err(Error::Value {
                    argument,
                    value: crate::error::number(odds),
                    help: "give a probability: at least 0, less than 1",
                });
            }
        }
        Ok(Self { zoneout: [h, others], ..self })
    }

    /// The cell.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// I.
    pub fn input_size(&self) -> usize {
        self.input_size
    }

    /// H.
    pub fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    /// The context that the weights live in.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What training changes, in the order of [`Gradients`]: weight_ih [X H, I], weight_hh [R H, H], bias_ih [X H] if there is one,
    /// the units [R + P + G, H]: bias_hh, the parameters of the cell, then the gains of the norm of its product, and gain and bias of
    /// the norm of its state; and the gain of the norm of W x [X H] if there is one.
    pub fn trainable(&self) -> Vec<(&'static str, &Tensor)> {
        let mut all = vec![("weight_ih", &self.weight_ih), ("weight_hh", &self.weight_hh), ("units", &self.units)];
        all.extend(self.bias_ih.as_ref().map(|bias| ("bias_ih", bias)));
        all.extend(self.norm_ih.gain.as_ref().map(|gain| ("norm_ih.weight", gain)));
        all
    }

    /// Running mean and variance \[X H] of a batch norm of W x. Each call of [`train`](Self::train) moves them, in place: those of all
    /// clones of this layer.
    pub fn running_statistics(&self) -> Option<&[Tensor; 2]> {
        self.norm_ih.running.as_ref()
    }

    /// Runs the layer over x [T, N, I], and gives y [T, N, H] (h of every frame) and the state after the last frame. T may be 1:
    /// frames one at a time give the same as all at once. Both results stay on the device.
    ///
    /// Sequence n ends after `lengths[n]` frames (0 is allowed; `None`: all have T). From there on its y is 0 and its state stays
    /// as it is; what x holds there is never used, be it NaN.
    ///
    /// The first state is `state`, or zero. Costs T + 3 dispatches in one pass, twice as many in cells with a second product or
    /// norms, and a handful in cells without a product; and 4 X N H bytes of workspace a frame, at most about 256 MiB: longer input is
    /// cut. Cards that run many workgroups together (they are asked at the first call, some milliseconds) take few launches where the
    /// weights fit their registers: all steps of 256 MiB of gates are one.
    ///
    /// # Errors
    /// [`Error::Shape`] if x, `lengths` or `state` do not fit the layer or each other, [`Error::Length`] if a length is beyond T,
    /// [`Error::OtherContext`], [`Error::LimitExceeded`] if one frame of all sequences exceeds what a kernel can see at once,
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub async fn forward(&self, x: &Tensor, lengths: Option<&[usize]>, state: Option<&State>) -> Result<(Tensor, State)> {
        let (y, state, _) = self.run(x, &RunOptions { lengths, state, ..RunOptions::default() }).await?;
        Ok((y, state))
    }

    /// [`forward`](Self::forward) with all options, and what the run did and took.
    ///
    /// # Errors
    /// As [`forward`](Self::forward); [`Error::Value`] if a reset is beyond the frames or sequences.
    pub async fn run(&self, x: &Tensor, options: &RunOptions<'_>) -> Result<(Tensor, State, RunReport)> {
        let checked = self.check(x, options)?;
        let zoneout = self.zoneout_with(0, true);
        let (y, state, _, report) = self.record_and_run(x, options.state, &checked, &Masks::None, zoneout, false).await?;
        Ok((y, state, report))
    }

    /// As [`run`](Self::run), in training: zoneout and the masks of the cell are drawn from the seed, and what
    /// [`backward`](Self::backward) needs is kept: x, and the states of every frame, 4 S N H bytes each. A batch norm takes mean and
    /// variance of the frames that the sequences have, and moves the running ones.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`Error::Value`] unless the dropout is at least 0 and less than 1; [`Error::LimitExceeded`] if the
    /// states exceed what a kernel can see at once.
    pub async fn train(&self, x: &Tensor, options: &TrainOptions<'_>) -> Result<(Tensor, State, Tape)> {
        let checked = self.check(x, &options.run)?;
        let masks = Masks::drawn(self.shape.masks as usize * checked.batch * self.hidden_size, options)?;
        let zoneout = self.zoneout_with(options.seed, false);
        let (y, state, kept, report) = self.record_and_run(x, options.run.state, &checked, &masks, zoneout, true).await?;
        let (states, sequences) = kept;
        Ok((y, state, Tape { x: x.clone(), states, sequences, checked, zoneout, report }))
    }

    /// Gradients of whatever `dy` [T, N, H] is the gradient of, through a call of [`train`](Self::train). `d_state`: gradients of
    /// the state that it gave, if anything depends on it (truncated back-propagation leaves it out).
    ///
    /// The gates are computed again, so the tape holds no more than the states. What dy holds past the end of a sequence is never
    /// used. Costs as many dispatches a frame as the forward call and, for all frames together, six products of the size of its own. After
    /// a batch norm the gates of all frames must fit into one window of a buffer.
    ///
    /// # Errors
    /// [`Error::Shape`] if dy or `d_state` do not fit the tape; as [`train`](Self::train).
    pub async fn backward(&self, tape: &Tape, dy: &Tensor, d_state: Option<&State>) -> Result<Gradients> {
        tape.backward(self, dy, d_state, true).await
    }

    /// [`backward`](Self::backward) without the gradient of x, which the first layer does not need.
    ///
    /// # Errors
    /// As [`backward`](Self::backward).
    pub async fn backward_weights(&self, tape: &Tape, dy: &Tensor, d_state: Option<&State>) -> Result<Gradients> {
        tape.backward(self, dy, d_state, false).await
    }

    /// [`forward`](Self::forward), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn forward_blocking(&self, x: &Tensor, lengths: Option<&[usize]>, state: Option<&State>) -> Result<(Tensor, State)> {
        pollster::block_on(self.forward(x, lengths, state))
    }

    /// [`run`](Self::run), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn run_blocking(&self, x: &Tensor, options: &RunOptions<'_>) -> Result<(Tensor, State, RunReport)> {
        pollster::block_on(self.run(x, options))
    }

    /// [`train`](Self::train), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn train_blocking(&self, x: &Tensor, options: &TrainOptions<'_>) -> Result<(Tensor, State, Tape)> {
        pollster::block_on(self.train(x, options))
    }

    /// [`backward`](Self::backward), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn backward_blocking(&self, tape: &Tape, dy: &Tensor, d_state: Option<&State>) -> Result<Gradients> {
        pollster::block_on(self.backward(tape, dy, d_state))
    }

    /// [`backward_weights`](Self::backward_weights), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn backward_weights_blocking(&self, tape: &Tape, dy: &Tensor, d_state: Option<&State>) -> Result<Gradients> {
        pollster::block_on(self.backward_weights(tape, dy, d_state))
    }

    /// What [`forward`](Self::forward) would do for `batch` sequences of `frames` frames with a carried state, to be printed:
    /// buffers, launches, workspace. Touches no device.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`], as [`forward`](Self::forward).
    pub fn plan(&self, frames: usize, batch: usize) -> Result<impl fmt::Display + use<>> {
        plan::forward(self.context.known_caps(), &self.problem([frames, batch], true), false)
    }

    /// Adds the layer, with a carried state and sequences of full length, to a larger plan. `buffers` are x [T, N, I], the state
    /// [S, N, H], and for the results the new state [S, N, H] and y [T, N, H]; T and N are at least 1. The weights are declared
    /// here and appended to `bound`.
    pub(crate) fn record<'a>(
        &'a self,
        recording: &mut Recording,
        bound: &mut Vec<&'a Tensor>,
        sides: [usize; 2],
        [x, state, new_state, y]: [BufferId; 4],
    ) -> Result<()> {
        let mut declare = |label, tensor| declare(recording, bound, label, tensor);
        let buffers = ForwardBuffers {
            x,
            weight_ih: declare("weight_ih", &self.weight_ih),
            bias_ih: self.bias_ih.as_ref().map(|bias| declare("bias_ih", bias)),
            norm_gain: self.norm_ih.gain.as_ref().map(|gain| declare("norm_gain", gain)),
            running: self
                .norm_ih
                .running
                .as_ref()
                .map(|[mean, variance]| [declare("running_mean", mean), declare("running_var", variance)]),
            weight_hh: declare("weight_hh", &self.weight_hh),
            units: declare("units", &self.units),
            sequences: None,
            state: Some(state),
            new_state,
            y,
            states: None,
        };
        plan::record_forward(recording, self.context.caps(), &self.problem(sides, true), &buffers)
    }

    /// Of sequences of full length.
    pub(super) fn problem(&self, [frames, batch]: [usize; 2], state: bool) -> Problem {
        Problem {
            shape: self.shape,
            program: self.program.clone(),
            frames: frames as u64,
            batch: batch as u64,
            input_size: self.input_size as u64,
            hidden: self.hidden_size as u64,
            reversed: self.reversed,
            bias: self.bias_ih.is_some(),
            lengths: false,
            resets: false,
            state,
            zoneout: self.zoneout_with(0, true),
            norms: *self.cell.norms(),
            training: false,
        }
    }

    fn zoneout_with(&self, seed: u32, means: bool) -> Zoneout {
        let [first, others] = self.zoneout.map(|odds| (f64::from(odds) * 4_294_967_296.0) as u32);
        Zoneout { first, others, seed, means }
    }

    fn check(&self, x: &Tensor, options: &RunOptions<'_>) -> Result<Checked> {
        x.expect_f32("x")?;
        let [frames, batch] = match *x.shape() {
            [frames, batch, inputs] if inputs == self.input_size => [frames, batch],
            ref other => {
                let expected = format!("[T, N, {}], time first", self.input_size);
                return Err(Error::Shape { argument: "x", expected, got: format!("{other:?}") });
            }
        };
        if let Some(state) = options.state {
            self.check_state("state", state, batch)?;
        }
        Checked::of(frames, batch, options)
    }

    pub(super) fn check_state(&self, argument: &'static str, state: &State, batch: usize) -> Result<()> {
        let expected = [self.shape.states as usize, batch, self.hidden_size];
        if state.tensor().shape() != expected {
            let expected = format!("{expected:?} for {batch} sequences of this {}", self.cell.name());
            return Err(Error::Shape { argument, expected, got: format!("{:?}", state.tensor().shape()) });
        }
        Ok(())
    }

    /// y, the new state, what is kept (states, words of the sequences), and the report.
    async fn record_and_run(
        &self,
        x: &Tensor,
        state: Option<&State>,
        checked: &Checked,
        masks: &Masks,
        zoneout: Zoneout,
        keeps: bool,
    ) -> Result<(Tensor, State, (Option<Tensor>, Option<Tensor>), RunReport)> {
        let &Checked { frames, batch, .. } = checked;
        let (states, hidden) = (self.shape.states as usize, self.hidden_size);
        let y = Tensor::empty(&self.context, &[frames, batch, hidden], DType::F32)?;
        if frames == 0 || batch == 0 {
            let unchanged = state.cloned().map_or_else(|| State::zeros(&self.context, &self.cell, batch, hidden), Ok)?;
            return Ok((y, unchanged, (None, None), RunReport::default()));
        }
        let problem = checked.apply(Problem { zoneout, training: keeps, ..self.problem([frames, batch], state.is_some()) });
        let new_state = Tensor::empty(&self.context, &[states, batch, hidden], DType::F32)?;
        let kept = match keeps {
            true => Some(Tensor::empty(&self.context, &[states, frames + 1, batch, hidden], DType::F32)?),
            false => None,
        };
        let sequences = match problem.has_sequences() {
            true => {
                let words = checked.words(&problem, masks);
                Some(Tensor::from_u32(&self.context, &[words.len()], &words)?)
            }
            false => None,
        };
        let recording = plan::forward(self.context.caps_together().await?, &problem, keeps)?;
        let mut bound = vec![x, &self.weight_ih];
        bound.extend(&self.bias_ih);
        bound.extend(&self.norm_ih.gain);
        bound.extend(self.norm_ih.running.iter().flatten());
        bound.extend([&self.weight_hh, &self.units]);
        bound.extend(&sequences);
        bound.extend(state.map(State::tensor));
        bound.extend([&new_state, &y]);
        bound.extend(&kept);
        let report = self.context.run(&recording, &bound).await?;
        Ok((y, State::of(new_state)?, (kept, sequences), report))
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {} on {}", self.cell.name(), self.input_size, self.hidden_size, self.context.caps().adapter)
    }
}
