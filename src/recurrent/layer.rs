//! A layer: one cell with its weights, on a device.

use super::options::{RunOptions, TrainOptions};
use super::plan::{self, ForwardBuffers, Problem, Shape, WeightDrop, Zoneout};
use super::sequences::{Checked, Masks};
use super::weights::{LayerWeights, LoadedWeights};
use super::{Cell, Gradients, Plan, State, Tape, Tier};
use crate::dense::convert;
use crate::device::program::Program;
use crate::device::recording::{BufferId, Recording};
use crate::device::{Caps, Context, RunReport};
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
    pub(super) tier: Option<Tier>,
    pub(super) weight_ih: Tensor,
    pub(super) weight_hh: Tensor,
    /// Units of a head see each other only.
    pub(super) heads: usize,
    /// [P, H]
    pub(super) weight_hr: Option<Tensor>,
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
        Self::with_columns(context, cell, weights, weights.hidden_size)
    }

    /// A layer whose h is projected (Sak et al. 2014; `proj_size` of PyTorch's LSTM): h = W_hr m, where m is what the cell gives.
    /// `weight_hr` is [P, H] with P at most H, and `weight_hh` [R H, P]. y and h have P numbers, the other states H.
    ///
    /// Steps multiply m by W_hh W_hr, which is [R H, H] and made anew in each call: no step waits for h, and every tier runs them. That
    /// is R H H numbers a step in place of R H P + P H, and 2 R H H P operations a call, so calls of few frames and of P far below H
    /// cost more than they would otherwise (those of one frame do without). Frames one at a time give the same as all at once but for
    /// rounding.
    ///
    /// Where the product is normalised (layer-norm LSTMs), and in cells without other states, the state that is carried is m, not h: one
    /// tensor [S, N, H], as of other layers.
    ///
    /// ```
    /// # fn main() -> weft::Result<()> {
    /// use weft::recurrent::{Cell, Layer, LayerWeights};
    /// use weft::{Context, Tensor};
    ///
    /// let gpu = Context::cpu();
    /// let (input_size, hidden_size, outputs) = (3, 4, 2);
    /// let lstm = Layer::projected(&gpu, &Cell::lstm(), &LayerWeights {
    ///     input_size,
    ///     hidden_size,
    ///     weight_ih: &[0.1; 4 * 4 * 3],
    ///     weight_hh: &[0.2; 4 * 4 * 2],
    ///     bias: None,
    ///     parameters: &[],
    /// }, &[0.3; 2 * 4])?;
    /// let (y, state) = lstm.forward_blocking(&Tensor::from_slice(&gpu, &[5, 1, 3], &[0.5; 15])?, None, None)?;
    /// assert_eq!((y.shape(), state.h_blocking()?.len(), state.read_blocking(1)?.len()), (&[5, 1, outputs][..], 2, 4));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Value`] if the cell looks at h itself, as gated averages (GRU, LiGRU) do, or has no product;
    /// [`Error::Shape`] if `weight_hr` is not [P, H] with P from 1 to H.
    pub fn projected(context: &Context, cell: &Cell, weights: &LayerWeights<'_>, weight_hr: &[f32]) -> Result<Self> {
        let hidden = weights.hidden_size;
        let outputs = weight_hr.len() / hidden.max(1);
        if hidden > 0 && (!weight_hr.len().is_multiple_of(hidden) || !(1..=hidden).contains(&outputs)) {
            let expected = format!("[P, {hidden}] with P from 1 to {hidden}");
            return Err(Error::Shape { argument: "weight_hr", expected, got: format!("{} elements", weight_hr.len()) });
        }
        let layer = Self::with_columns(context, cell, weights, outputs)?;
        if !layer.shape.projects || layer.shape.rows == 0 {
            let help = "project h of a cell that uses it in its product only, as LSTMs do";
            return Err(Error::Value { argument: "cell", value: cell.name().to_owned(), help });
        }
        Ok(Self { weight_hr: Some(Tensor::from_slice(context, &[outputs, hidden], weight_hr)?), ..layer })
    }

    /// A layer whose units see those of their own head only: the recurrent weight is block-diagonal (sLSTM's heads, Beck et al. 2024).
    /// Head k has the units from k D on, D = H / heads, and `weight_hh` is [R H, D]: the columns of each row's own head, so blocks
    /// [R, heads, D, D].
    ///
    /// The weight and its gradient are `heads` times smaller, and so is what a step of the stepped tier reads, where D is a multiple of 8
    /// and the cell has one product and no norms. Otherwise steps multiply by the whole matrix, zeros included. Each call spreads the
    /// blocks to that matrix by one launch, and backward computes the gates of all frames and its gradient by products with all of it.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Value`] unless `heads` divides H and the cell has a product.
    pub fn block_diagonal(context: &Context, cell: &Cell, weights: &LayerWeights<'_>, heads: usize) -> Result<Self> {
        let hidden = weights.hidden_size;
        if heads == 0 || !hidden.is_multiple_of(heads) {
            let value = format!("{heads} for hidden_size {hidden}");
            return Err(Error::Value { argument: "heads", value, help: "give a number that divides hidden_size" });
        }
        if cell.recurrent().is_empty() {
            let help = "give a cell with a recurrent product: units of this one do not see each other";
            return Err(Error::Value { argument: "cell", value: cell.name().to_owned(), help });
        }
        Ok(Self { heads, ..Self::with_columns(context, cell, weights, hidden / heads)? })
    }

    /// With so many columns of weight_hh.
    fn with_columns(context: &Context, cell: &Cell, weights: &LayerWeights<'_>, columns: usize) -> Result<Self> {
        weights.check(cell, columns)?;
        let &LayerWeights { input_size, hidden_size, weight_ih, weight_hh, bias, .. } = weights;
        let (shape, program) = super::program::program(cell, false);
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
            tier: None,
            weight_ih: Tensor::from_slice(context, &[rows(shape.inputs), input_size], weight_ih)?,
            weight_hh: Tensor::from_slice(context, &[rows(shape.rows), columns], weight_hh)?,
            heads: 1,
            weight_hr: None,
            bias_ih,
            units: Tensor::from_slice(context, &[units_rows, hidden_size], &units)?,
            norm_ih,
        })
    }

    /// Takes the weights from a file: `PREFIX.weight_ih`, `PREFIX.weight_hh` and, both or neither, `PREFIX.bias_ih` and
    /// `PREFIX.bias_hh`; or all with PyTorch's suffix `_l0`. An empty prefix means the bare names. Parameters and norms go by
    /// the names of [`LayerWeights::parameters`]. Where there is a `weight_hr`, the layer is [`projected`](Self::projected).
    ///
    /// # Errors
    /// [`Error::Weights`] if a tensor is missing or its shape is not that of such a layer; as [`new`](Self::new).
    pub fn load(context: &Context, cell: &Cell, weights: &Weights, prefix: &str) -> Result<Self> {
        LoadedWeights::read(weights, prefix, cell, None, 1)?.layer(context, cell)
    }

    /// [`load`](Self::load) of a [`block_diagonal`](Self::block_diagonal) layer, whose `weight_hh` is [R H, H / heads].
    ///
    /// # Errors
    /// As [`load`](Self::load) and [`block_diagonal`](Self::block_diagonal).
    pub fn load_block_diagonal(context: &Context, cell: &Cell, weights: &Weights, prefix: &str, heads: usize) -> Result<Self> {
        LoadedWeights::read(weights, prefix, cell, None, heads)?.layer(context, cell)
    }

    /// [`load`](Self::load), of the names with this suffix.
    pub(super) fn load_suffixed(context: &Context, cell: &Cell, weights: &Weights, prefix: &str, suffix: &str) -> Result<Self> {
        LoadedWeights::read(weights, prefix, cell, Some(suffix), 1)?.layer(context, cell)
    }

    /// The same layer with the weights of both products in f16, so that they take half the memory, and cards that multiply matrices
    /// of f16 (tensor cores) do. It takes x in f16 and gives y in f16; h becomes the nearest f16 at each step; sums, gates, all other
    /// states, biases and parameters are f32, and so are gradients, as if nothing were rounded. What [`State`]s hold is f32. It runs
    /// on every device.
    ///
    /// In training keep the layer of f32, change its weights, and take the f16 of them for each step. Numbers beyond ±65,504 become
    /// that. A layer that has f16 already is given back; of a layer with batch norm, both move the same running statistics.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub async fn to_f16(&self) -> Result<Self> {
        let [weight_ih, weight_hh] = [convert(&self.weight_ih, DType::F16).await?, convert(&self.weight_hh, DType::F16).await?];
        let (_, program) = super::program::program(&self.cell, true);
        Ok(Self { weight_ih, weight_hh, program, ..self.clone() })
    }

    /// [`to_f16`](Self::to_f16), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn to_f16_blocking(&self) -> Result<Self> {
        pollster::block_on(self.to_f16())
    }

    /// f32, or f16: of x, y and the weights of both products.
    pub fn dtype(&self) -> DType {
        self.weight_ih.dtype()
    }

    fn is_half(&self) -> bool {
        self.dtype() == DType::F16
    }

    /// The same layer, from the last frame to the first: each sequence begins at its own last frame.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { reversed: !self.reversed, ..self }
    }

    /// The same layer with zoneout (Krueger et al. 2017): in training each number of h keeps its value of the frame before with
    /// probability `h`, those of all other states with probability `others`; without training they become the mean of that.
    ///
    /// A projected h has none. Lingvo's `LSTMCellSimple` keeps numbers of what was projected; but the steps here multiply by the product of
    /// both weights, and know what is projected only: a projection within the steps would be a second product that waits for the first.
    ///
    /// # Errors
    /// [`Error::Value`] unless both are at least 0 and less than 1, and that of h 0 where h is projected.
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
        if h > 0.0 && self.weight_hr.is_some() {
            let help = "a projected h has no zoneout: use that of the other states";
            return Err(Error::Value { argument: "zoneout of h", value: crate::error::number(h), help });
        }
        Ok(Self { zoneout: [h, others], ..self })
    }

    /// The same layer, whose steps this tier takes in every call, forward and backward; `None`, as at first: plans choose. A call that
    /// the tier cannot run is an [`Error::Tier`].
    #[must_use]
    pub fn with_tier(self, tier: impl Into<Option<Tier>>) -> Self {
        Self { tier: tier.into(), ..self }
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

    /// Numbers that y has of each frame: H, or P where h is projected.
    pub fn output_size(&self) -> usize {
        self.weight_hr.as_ref().and_then(|weight| weight.shape().first().copied()).unwrap_or(self.hidden_size)
    }

    /// The states of `batch` sequences before their first frame: zeros.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn zero_state(&self, batch: usize) -> Result<State> {
        if !self.has_own_h() {
            return State::zeros(&self.context, &self.cell, batch, self.hidden_size);
        }
        let [h, others] = self.state_shapes(batch);
        State::projected(Tensor::zeros(&self.context, &h[1..], DType::F32)?, Tensor::zeros(&self.context, &others, DType::F32)?)
    }

    /// The context that the weights live in.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What training changes, in the order of [`Gradients`]: weight_ih [X H, I], weight_hh [R H, H] (or as many columns as heads or a
    /// projection leave it), bias_ih [X H] if there is one,
    /// the units [R + P + G, H]: bias_hh, the parameters of the cell, then the gains of the norm of its product, and gain and bias of
    /// the norm of its state; the gain of the norm of W x [X H] and weight_hr [P, H] if there are.
    pub fn trainable(&self) -> Vec<(&'static str, &Tensor)> {
        let mut all = vec![("weight_ih", &self.weight_ih), ("weight_hh", &self.weight_hh), ("units", &self.units)];
        all.extend(self.bias_ih.as_ref().map(|bias| ("bias_ih", bias)));
        all.extend(self.norm_ih.gain.as_ref().map(|gain| ("norm_ih.weight", gain)));
        all.extend(self.weight_hr.as_ref().map(|weight| ("weight_hr", weight)));
        all
    }

    /// Running mean and variance \[X H] of a batch norm of W x. Each call of [`train`](Self::train) moves them, in place: those of all
    /// clones of this layer.
    pub fn running_statistics(&self) -> Option<&[Tensor; 2]> {
        self.norm_ih.running.as_ref()
    }

    /// Runs the layer over x [T, N, I], and gives y [T, N, H] (h of every frame; [T, N, P] where it is projected) and the state after the last frame. T may be 1:
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
    /// [`Error::Tier`] if the tier that was asked for cannot run this,
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
        let draws = (zoneout, WeightDrop::default());
        let (y, state, _, report) = self.record_and_run(x, options.state, &checked, &Masks::None, draws, false).await?;
        Ok((y, state, report))
    }

    /// As [`run`](Self::run), in training: zoneout, the masks of the cell and dropped weights are drawn from the seed, and what
    /// [`backward`](Self::backward) needs is kept: x, and the states of every frame, 4 S N H bytes each (4 N H more where h is projected). A batch norm takes mean and
    /// variance of the frames that the sequences have, and moves the running ones.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`Error::Value`] unless the dropout is at least 0 and less than 1; [`Error::LimitExceeded`] if the
    /// states exceed what a kernel can see at once.
    pub async fn train(&self, x: &Tensor, options: &TrainOptions<'_>) -> Result<(Tensor, State, Tape)> {
        let checked = self.check(x, &options.run)?;
        let masks = Masks::drawn(self.shape.masks as usize * checked.batch * self.hidden_size, options)?;
        let zoneout = self.zoneout_with(options.seed, false);
        let weight_drop = weight_drop(options)?;
        let draws = (zoneout, weight_drop);
        let (y, state, kept, report) = self.record_and_run(x, options.run.state, &checked, &masks, draws, true).await?;
        let Kept { states, sequences, unprojected } = kept;
        let h = options.run.state.and_then(State::projected_h).cloned();
        Ok((y, state, Tape { x: x.clone(), h, states, sequences, unprojected, checked, zoneout, weight_drop, report }))
    }

    /// Gradients of whatever `dy`, of the shape of y, is the gradient of, through a call of [`train`](Self::train). `d_state`: gradients of
    /// the state that it gave, if anything depends on it (truncated back-propagation leaves it out).
    ///
    /// The gates are computed again, so the tape holds no more than the states. What dy holds past the end of a sequence is never
    /// used. Costs as many dispatches a frame as the forward call and, for all frames together, six products of the size of its own. Where
    /// the input is cut, a batch norm projects it thrice and keeps the gradients of all gates, 4 X N H bytes a frame.
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

    /// What [`forward`](Self::forward) would do for `batch` sequences of `frames` frames with a carried state: buffers, launches,
    /// and [which tier takes the steps](Plan::explain). Touches no device; a card that was not asked yet how many workgroups run
    /// together is taken for one that runs none.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] and [`Error::Tier`], as [`forward`](Self::forward).
    pub fn plan(&self, frames: usize, batch: usize) -> Result<Plan> {
        let problem = self.problem([frames, batch], true);
        Ok(Plan::new(plan::forward(self.context.known_caps(), &problem, false)?, &problem, self.cell.name(), "forward"))
    }

    /// As [`plan`](Self::plan), of [`train`](Self::train) and of [`backward`](Self::backward).
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_training(&self, frames: usize, batch: usize) -> Result<[Plan; 2]> {
        let (caps, name) = (self.context.known_caps(), self.cell.name());
        let problem = Problem { training: true, ..self.problem([frames, batch], true) };
        let train = Plan::new(plan::forward(caps, &problem, true)?, &problem, name, "training");
        Ok([train, Plan::new(plan::backward(caps, &problem, true)?, &problem, name, "backward")])
    }

    /// Compiles the kernels that [`forward`](Self::forward) of `batch` sequences of `frames` frames needs, and, if `training`, those of
    /// [`train`](Self::train) and [`backward`](Self::backward). What was compiled stays with the context; so no call of this size waits
    /// for compilers, unless it measures which tier is the fastest. The report tells what was compiled.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub async fn prepare(&self, frames: usize, batch: usize, training: bool) -> Result<RunReport> {
        if frames == 0 || batch == 0 {
            return Ok(RunReport::default());
        }
        let caps = self.context.caps_together().await?;
        let problem = self.problem([frames, batch], true);
        let mut report = self.context.prepare(&plan::forward(caps, &problem, false)?.0).await?;
        if training {
            let problem = Problem { training, ..problem };
            for (recording, _) in [plan::forward(caps, &problem, true)?, plan::backward(caps, &problem, true)?] {
                report.add(&self.context.prepare(&recording).await?);
            }
        }
        Ok(report)
    }

    /// [`prepare`](Self::prepare), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn prepare_blocking(&self, frames: usize, batch: usize, training: bool) -> Result<RunReport> {
        pollster::block_on(self.prepare(frames, batch, training))
    }

    /// Whether [`record`](Self::record) can add it to a larger plan: nothing has to be known of its sequences, h is not projected, and all
    /// numbers are of f32.
    pub(super) fn can_be_recorded(&self) -> bool {
        self.shape.masks == 0 && self.weight_hr.is_none() && !self.is_half()
    }

    /// Adds the layer, whose h is not projected, with a carried state and sequences of full length, to a larger plan. `buffers` are x [T, N, I], the state
    /// [S, N, H], and for the results the new state [S, N, H] and y [T, N, H]; T and N are at least 1. The weights are declared
    /// here and appended to `bound`.
    pub(crate) fn record<'a>(
        &'a self,
        (recording, caps): (&mut Recording, &Caps),
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
            weight_hr: None,
            units: declare("units", &self.units),
            sequences: None,
            h: None,
            state: Some(state),
            new_h: None,
            new_state,
            unprojected: None,
            y,
            states: None,
        };
        plan::record_forward(recording, caps, &self.problem(sides, true), &buffers)?;
        Ok(())
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
            heads: self.heads as u64,
            projection: self.weight_hr.as_ref().map(|_| self.output_size() as u64),
            first_h: state && self.has_own_h(),
            weight_drop: WeightDrop::default(),
            norms: *self.cell.norms(),
            training: false,
            tier: self.tier,
            #[cfg(not(target_family = "wasm"))]
            tunings: self.context.tunings().cloned(),
            #[cfg(not(target_family = "wasm"))]
            trial: None,
            halves: self.is_half(),
        }
    }

    fn zoneout_with(&self, seed: u32, means: bool) -> Zoneout {
        let [first, others] = self.zoneout.map(|odds| (f64::from(odds) * 4_294_967_296.0) as u32);
        Zoneout { first, others, seed, means }
    }

    pub(super) fn check(&self, x: &Tensor, options: &RunOptions<'_>) -> Result<Checked> {
        if x.dtype() != self.dtype() {
            let help = if self.is_half() { "give a layer of f16 a tensor of f16: dense::convert" } else { "give a tensor of f32" };
            return Err(Error::Value { argument: "x", value: format!("{:?}", x.dtype()), help });
        }
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
        let [h, others] = self.state_shapes(batch);
        let got = state.projected_h().map(Tensor::shape);
        let wanted = self.has_own_h().then_some(&h[1..]);
        if state.tensor().shape() == others && got == wanted {
            return Ok(());
        }
        let shapes = |h: Option<&[usize]>, others: &[usize]| match h {
            Some(h) => format!("h {h:?} and {others:?}"),
            None => format!("{others:?}"),
        };
        let expected = shapes(wanted, &others);
        let expected = format!("{expected} for {batch} sequences of this {}", self.cell.name());
        Err(Error::Shape { argument, expected, got: shapes(got, state.tensor().shape()) })
    }

    /// Whether a projected h is a state of its own.
    fn has_own_h(&self) -> bool {
        self.weight_hr.is_some() && self.shape.has_own_h
    }

    /// Shapes [1, N, P] of h, and of the tensor of states: [S, N, H], or without h where that is a state of its own.
    pub(super) fn state_shapes(&self, batch: usize) -> [[usize; 3]; 2] {
        let apart = usize::from(self.has_own_h());
        [[1, batch, self.output_size()], [self.shape.states as usize - apart, batch, self.hidden_size]]
    }

    /// Room for states of so many sequences.
    pub(super) fn empty_state(&self, batch: usize) -> Result<State> {
        let [h, others] = self.state_shapes(batch);
        let others = Tensor::empty(&self.context, &others, DType::F32)?;
        match self.has_own_h() {
            true => State::projected(Tensor::empty(&self.context, &h[1..], DType::F32)?, others),
            false => State::of(others),
        }
    }

    /// y, the new state, what is kept, and the report.
    async fn record_and_run(
        &self,
        x: &Tensor,
        state: Option<&State>,
        checked: &Checked,
        masks: &Masks,
        (zoneout, weight_drop): (Zoneout, WeightDrop),
        keeps: bool,
    ) -> Result<(Tensor, State, Kept, RunReport)> {
        let &Checked { frames, batch, .. } = checked;
        let (states, hidden) = (self.shape.states as usize, self.hidden_size);
        let y = Tensor::empty(&self.context, &[frames, batch, self.output_size()], self.dtype())?;
        if frames == 0 || batch == 0 {
            let unchanged = state.cloned().map_or_else(|| self.zero_state(batch), Ok)?;
            return Ok((y, unchanged, Kept::default(), RunReport::default()));
        }
        let problem = Problem { zoneout, weight_drop, training: keeps, ..self.problem([frames, batch], state.is_some()) };
        let problem = checked.apply(problem);
        let new_state = self.empty_state(batch)?;
        let kept = match keeps {
            true => Some(Tensor::empty(&self.context, &[states, frames + 1, batch, hidden], DType::F32)?),
            false => None,
        };
        let unprojected = match self.weight_hr.as_ref().filter(|_| keeps) {
            Some(_) => Some(Tensor::empty(&self.context, &[frames, batch, hidden], DType::F32)?),
            None => None,
        };
        let sequences = match problem.has_sequences() {
            true => {
                let words = checked.words(&problem, masks);
                Some(Tensor::from_u32(&self.context, &[words.len()], &words)?)
            }
            false => None,
        };
        let caps = self.context.caps_together().await?;
        #[cfg(not(target_family = "wasm"))]
        plan::measure(&self.context, caps, &problem, false).await?;
        let (recording, _) = plan::forward(caps, &problem, keeps)?;
        let mut bound = vec![x, &self.weight_ih];
        bound.extend(&self.bias_ih);
        bound.extend(&self.norm_ih.gain);
        bound.extend(self.norm_ih.running.iter().flatten());
        bound.push(&self.weight_hh);
        bound.extend(&self.weight_hr);
        bound.push(&self.units);
        bound.extend(&sequences);
        bound.extend(state.into_iter().flat_map(State::parts));
        bound.extend(new_state.parts());
        bound.extend(&unprojected);
        bound.push(&y);
        bound.extend(&kept);
        let report = self.context.run(&recording, &bound).await?;
        Ok((y, new_state, Kept { states: kept, sequences, unprojected }, report))
    }
}

/// What training keeps of a call, besides what it was given.
#[derive(Default)]
struct Kept {
    states: Option<Tensor>,
    sequences: Option<Tensor>,
    unprojected: Option<Tensor>,
}

fn weight_drop(options: &TrainOptions<'_>) -> Result<WeightDrop> {
    let odds = options.weight_dropout;
    if !(0.0..1.0).contains(&odds) {
        let value = crate::error::number(odds);
        return Err(Error::Value { argument: "weight_dropout", value, help: "give a probability: at least 0, less than 1" });
    }
    Ok(WeightDrop { odds: (f64::from(odds) * 4_294_967_296.0) as u32, scale: 1.0 / (1.0 - odds), seed: options.seed })
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {} on {}", self.cell.name(), self.input_size, self.hidden_size, self.context.caps().adapter)
    }
}
