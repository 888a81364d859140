//! A layer: one cell kind with its weights, on a device.

use super::cell::Cell;
use super::state::State;
use super::step_plan::{StepBuffers, StepProblem, check_weights, plan, record};
use super::weights::{CellWeights, LoadedWeights};
use crate::device::recording::{BufferId, Recording};
use crate::device::{Context, RunReport};
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor, declare};
use crate::weights::Weights;
use std::fmt;
use std::marker::PhantomData;

/// One unidirectional recurrent layer. Clones share the weights.
///
/// ```
/// # fn main() -> weft::Result<()> {
/// use weft::recurrent::{CellWeights, Lstm};
/// use weft::{Context, Tensor};
///
/// let gpu = Context::cpu();
/// let (input_size, hidden_size) = (3, 2);
/// let lstm = Lstm::new(&gpu, &CellWeights {
///     input_size,
///     hidden_size,
///     weight_ih: &[0.1; 4 * 2 * 3],
///     weight_hh: &[0.2; 4 * 2 * 2],
///     bias: None,
/// })?;
/// // Five frames of one sequence, then one more with the state carried on.
/// let (y, state) = lstm.forward_blocking(&Tensor::from_slice(&gpu, &[5, 1, 3], &[0.5; 15])?, None, None)?;
/// let (y6, _) = lstm.forward_blocking(&Tensor::from_slice(&gpu, &[1, 1, 3], &[0.5; 3])?, None, Some(&state))?;
/// assert_eq!((y.shape(), y6.shape()), (&[5, 1, 2][..], &[1, 1, 2][..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Layer<C> {
    context: Context,
    input_size: usize,
    hidden_size: usize,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Option<[Tensor; 2]>,
    cell: PhantomData<C>,
}

impl<C: Cell> Layer<C> {
    /// Uploads the weights.
    ///
    /// # Errors
    /// [`Error::Shape`] if a slice does not have the size that `input_size` and `hidden_size` ask for,
    /// [`Error::Value`] if one of those is 0, [`Error::LimitExceeded`] if the device cannot hold the
    /// weights in one window of a buffer.
    pub fn new(context: &Context, weights: &CellWeights<'_>) -> Result<Self> {
        weights.check(C::KIND)?;
        let &CellWeights { input_size, hidden_size, weight_ih, weight_hh, bias } = weights;
        check_weights(context.caps(), C::KIND, input_size, hidden_size)?;
        let rows = C::KIND.gates * hidden_size;
        let bias = match bias {
            Some((ih, hh)) => Some([Tensor::from_slice(context, &[rows], ih)?, Tensor::from_slice(context, &[rows], hh)?]),
            None => None,
        };
        Ok(Self {
            context: context.clone(),
            input_size,
            hidden_size,
            weight_ih: Tensor::from_slice(context, &[rows, input_size], weight_ih)?,
            weight_hh: Tensor::from_slice(context, &[rows, hidden_size], weight_hh)?,
            bias,
            cell: PhantomData,
        })
    }

    /// Takes the weights from a file: `PREFIX.weight_ih`, `PREFIX.weight_hh` and, both or neither,
    /// `PREFIX.bias_ih` and `PREFIX.bias_hh`; or all with PyTorch's suffix `_l0`. An empty prefix means
    /// the bare names.
    ///
    /// # Errors
    /// [`Error::Weights`] if a tensor is missing or its shape is not that of such a layer; as
    /// [`new`](Self::new).
    pub fn load(context: &Context, weights: &Weights, prefix: &str) -> Result<Self> {
        let loaded = LoadedWeights::read(weights, prefix, C::KIND)?;
        Self::new(context, &loaded.borrow())
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

    /// Runs the layer over x [T, N, I], and gives y [T, N, H] (h of every frame) and the state after the
    /// last frame. T may be 1: frames one at a time give the same as all at once. Both results stay on
    /// the device.
    ///
    /// Sequence n ends after `lengths[n]` frames (0 is allowed; `None`: all have T). From there on its y
    /// is 0 and its state stays as it is; what x holds there is never used, be it NaN.
    ///
    /// The first state is `state`, or zero. Costs T + 1 dispatches in one pass, and
    /// 4 G N H bytes of workspace a frame, at most about 256 MiB: longer input is cut.
    ///
    /// # Errors
    /// [`Error::Shape`] if x, `lengths` or `state` do not fit the layer or each other,
    /// [`Error::Length`] if a length is beyond T, [`Error::OtherContext`],
    /// [`Error::LimitExceeded`] if one frame of all sequences exceeds what a kernel can see at once,
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub async fn forward(&self, x: &Tensor, lengths: Option<&[usize]>, state: Option<&State<C>>) -> Result<(Tensor, State<C>)> {
        let (y, state, _) = self.forward_reported(x, lengths, state).await?;
        Ok((y, state))
    }

    /// [`forward`](Self::forward), with what the run did and took.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub async fn forward_reported(
        &self,
        x: &Tensor,
        lengths: Option<&[usize]>,
        state: Option<&State<C>>,
    ) -> Result<(Tensor, State<C>, RunReport)> {
        let [frames, batch] = self.check_input(x)?;
        let lengths = lengths.map(|lengths| check_lengths(lengths, frames, batch)).transpose()?.flatten();
        if let Some(state) = state {
            self.check_state(state, batch)?;
        }
        let y = Tensor::empty(&self.context, &[frames, batch, self.hidden_size], DType::F32)?;
        if frames == 0 || batch == 0 {
            let unchanged = state.cloned().map_or_else(|| State::zeros(&self.context, batch, self.hidden_size), Ok)?;
            return Ok((y, unchanged, RunReport::default()));
        }
        let new_state = Tensor::empty(&self.context, &[C::KIND.states, batch, self.hidden_size], DType::F32)?;
        let lengths = lengths.map(|lengths| Tensor::from_u32(&self.context, &[batch], &lengths)).transpose()?;

        let recording = plan(self.context.caps(), C::KIND, &self.problem(frames, batch, lengths.is_some(), state.is_some()))?;
        let mut bound = vec![x, &self.weight_ih, &self.weight_hh];
        bound.extend(self.bias.iter().flatten());
        bound.extend(&lengths);
        bound.extend(state.map(State::tensor));
        bound.extend([&new_state, &y]);
        let report = self.context.run(&recording, &bound).await?;
        Ok((y, State::of(new_state)?, report))
    }

    /// [`forward`](Self::forward), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn forward_blocking(&self, x: &Tensor, lengths: Option<&[usize]>, state: Option<&State<C>>) -> Result<(Tensor, State<C>)> {
        pollster::block_on(self.forward(x, lengths, state))
    }

    /// [`forward_reported`](Self::forward_reported), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn forward_reported_blocking(
        &self,
        x: &Tensor,
        lengths: Option<&[usize]>,
        state: Option<&State<C>>,
    ) -> Result<(Tensor, State<C>, RunReport)> {
        pollster::block_on(self.forward_reported(x, lengths, state))
    }

    /// What [`forward`](Self::forward) would do for `batch` sequences of `frames` frames with a carried
    /// state, to be printed: buffers, launches, workspace. Touches no device.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`], as [`forward`](Self::forward).
    pub fn plan(&self, frames: usize, batch: usize) -> Result<impl fmt::Display + use<C>> {
        plan(self.context.caps(), C::KIND, &self.problem(frames, batch, false, true))
    }

    /// Adds the layer, with a carried state and sequences of full length, to a larger plan. `buffers` are
    /// x [T, N, I], the state [S, N, H], and for the results the new state [S, N, H] and y [T, N, H]; T and
    /// N are at least 1. The weights are declared here and appended to `bound`.
    pub(crate) fn record<'a>(
        &'a self,
        recording: &mut Recording,
        bound: &mut Vec<&'a Tensor>,
        [frames, batch]: [usize; 2],
        [x, state, new_state, y]: [BufferId; 4],
    ) -> Result<()> {
        let mut declare = |label, tensor| declare(recording, bound, label, tensor);
        let buffers = StepBuffers {
            x,
            weight_ih: declare("weight_ih", &self.weight_ih),
            weight_hh: declare("weight_hh", &self.weight_hh),
            bias: self.bias.as_ref().map(|[ih, hh]| [declare("bias_ih", ih), declare("bias_hh", hh)]),
            lengths: None,
            state: Some(state),
            new_state,
            y,
        };
        record(recording, self.context.caps(), C::KIND, &self.problem(frames, batch, false, true), &buffers)
    }

    fn problem(&self, frames: usize, batch: usize, lengths: bool, state: bool) -> StepProblem {
        StepProblem {
            frames: frames as u64,
            batch: batch as u64,
            inputs: self.input_size as u64,
            hidden: self.hidden_size as u64,
            bias: self.bias.is_some(),
            lengths,
            state,
        }
    }

    /// T and N of x.
    fn check_input(&self, x: &Tensor) -> Result<[usize; 2]> {
        x.expect_f32("x")?;
        match *x.shape() {
            [frames, batch, inputs] if inputs == self.input_size => Ok([frames, batch]),
            ref other => {
                Err(Error::Shape { argument: "x", expected: format!("[T, N, {}], time first", self.input_size), got: format!("{other:?}") })
            }
        }
    }

    fn check_state(&self, state: &State<C>, batch: usize) -> Result<()> {
        let expected = [C::KIND.states, batch, self.hidden_size];
        if state.tensor().shape() != expected {
            return Err(Error::Shape {
                argument: "state",
                expected: format!("{expected:?} for {batch} sequences"),
                got: format!("{:?}", state.tensor().shape()),
            });
        }
        Ok(())
    }
}

/// The lengths as the kernels take them; `None` if every sequence has all frames.
fn check_lengths(lengths: &[usize], frames: usize, batch: usize) -> Result<Option<Vec<u32>>> {
    if lengths.len() != batch {
        return Err(Error::Shape {
            argument: "lengths",
            expected: format!("{batch}, one for each sequence of x"),
            got: lengths.len().to_string(),
        });
    }
    if let Some((utterance, &length)) = lengths.iter().enumerate().find(|&(_, &length)| length > frames) {
        return Err(Error::Length { argument: "lengths", utterance, length, max: frames });
    }
    let ragged = lengths.iter().any(|&length| length < frames);
    Ok(ragged.then(|| lengths.iter().map(|&length| u32::try_from(length).unwrap_or(u32::MAX)).collect()))
}

impl<C: Cell> fmt::Debug for Layer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {} on {}", C::KIND.name, self.input_size, self.hidden_size, self.context.caps().adapter)
    }
}
