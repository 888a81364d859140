//! The CTC loss as callers see it.

use super::batch::CtcProblem;
use super::layout::batch_words;
use super::plan::Options;
use super::{CtcAlignment, CtcBatch, CtcPlan, CtcShape};
use crate::device::{Caps, Context, RunReport};
use crate::error::{Error, Result, number};
use crate::lattice::layout::UtteranceShape;
use crate::lattice::{Blank, Gradients, Reduction, Status};
use crate::tensor::{DType, Tensor};

/// Words of the results of an utterance.
const RESULTS: usize = 5;
/// A frame without a state.
const NO_STATE: u32 = u32::MAX;

/// The CTC loss of Graves et al. 2006 from raw logits: the softmax is inside.
///
/// Work: the logits are read once for the costs, and once more for the gradient, which is written once; T serial
/// steps of both directions at a time. Workspace: about 21 B a frame and label with gradients, 4 B without
/// ([`CtcPlan::workspace_bytes`] is exact).
///
/// ```
/// # fn main() -> weft::Result<()> {
/// use weft::lattice::{Blank, CtcBatch, CtcLoss};
/// let gpu = weft::Context::cpu();
/// let logits = weft::Tensor::from_slice(&gpu, &[1, 2, 3], &[0.0; 6])?;
/// let loss = CtcLoss::new(Blank(0)).gradients(true).alignments(true).build(&gpu)?;
/// let out = loss.run_blocking(&CtcBatch::new(&logits, &[2], &[2], &[1]))?;
/// // Three paths of two frames, each of probability 1 / 9.
/// assert!((out.costs[0] - 3f32.ln()).abs() < 1e-6);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct CtcLoss {
    pub(super) context: Context,
    pub(super) options: Options,
}

/// Options of a [`CtcLoss`].
#[derive(Clone, Copy, Debug)]
pub struct CtcLossBuilder {
    options: Options,
}

/// What a loss gives back, in the order of the utterances.
#[derive(Debug)]
pub struct CtcOutput {
    /// -log P(target | logits) in nats, `[N]`. +inf or NaN where [`status`](Self::status) is not ok.
    pub costs: Vec<f32>,
    /// What became of each utterance, `[N]`.
    ///
    /// Infeasible is a target that needs more frames than there are (one a label, and one more between two equal
    /// ones), or one of whose symbols is masked wherever it could stand. No frames are feasible for no labels: cost 0.
    pub status: Vec<Status>,
    /// The reduction of the costs that are ok, times their weights; `None` if none was asked for.
    pub loss: Option<f64>,
    /// d costs\[n\] / d logits, or that of the reduction, times the weight of the utterance, in the shape and type of the logits, on the device, if
    /// it was asked for. Exactly zero beyond the frames of an utterance, and for utterances that are not ok.
    pub gradients: Option<Tensor>,
    /// The best path of each utterance, `[N]`, if it was asked for; `None` where the status is not ok.
    pub alignments: Option<Vec<Option<CtcAlignment>>>,
    /// What the run did.
    pub report: RunReport,
}

impl CtcLossBuilder {
    /// Which gradients a run gives. Without, the logits are read once and nothing of their size is written.
    pub fn gradients(mut self, wanted: impl Into<Gradients>) -> Self {
        self.options.gradients = wanted.into();
        self
    }

    /// Whether a run gives the best path of each utterance.
    pub fn alignments(mut self, wanted: bool) -> Self {
        self.options.alignments = wanted;
        self
    }

    /// Clamps the gradient to [-limit, limit], before the weights are applied.
    pub fn clamp(mut self, limit: f32) -> Self {
        self.options.clamp = Some(limit);
        self
    }

    /// Reduces the costs to one number. (torch's mean divides each cost by its number of labels, at least 1, and takes the mean
    /// over N: weights of 1 / max(U, 1) with [`Reduction::Mean`].)
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.options.reduction = reduction;
        self
    }

    /// Most bytes that a run may take beyond logits, gradients, lengths, targets and results: large batches are worked on
    /// in pieces.
    pub fn workspace_limit(mut self, bytes: u64) -> Self {
        self.options.workspace_limit = Some(bytes);
        self
    }

    /// The loss on one device.
    ///
    /// # Errors
    /// [`Error::Value`] for a clamp that is not above 0.
    pub fn build(self, context: &Context) -> Result<CtcLoss> {
        match self.options.clamp {
            Some(clamp) if clamp.is_nan() || clamp <= 0.0 => {
                Err(Error::Value { argument: "clamp", value: number(clamp), help: "gradients are clamped at a number above 0" })
            }
            _ => Ok(CtcLoss { context: context.clone(), options: self.options }),
        }
    }
}

impl CtcLoss {
    /// Starts a CTC loss, costs only.
    #[allow(clippy::new_ret_no_self, reason = "the builder is how one is made")]
    pub fn new(blank: Blank) -> CtcLossBuilder {
        let options = Options {
            blank,
            gradients: Gradients::None,
            alignments: false,
            clamp: None,
            reduction: Reduction::None,
            workspace_limit: None,
            keep_weights: false,
        };
        CtcLossBuilder { options }
    }

    /// What a padded batch of this shape would do on a device with these facts, if every utterance filled it.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Value`] if shape and blank do not fit together; [`Error::LimitExceeded`] if a single
    /// utterance is more than the device, or the [workspace limit](CtcLossBuilder::workspace_limit), can hold.
    pub fn plan(&self, shape: CtcShape, caps: &Caps) -> Result<CtcPlan> {
        CtcPlan::of_shape(shape, &self.options, caps)
    }

    /// What [`run`](Self::run) would do with this batch.
    ///
    /// # Errors
    /// As [`run`](Self::run), but for those of the device.
    pub fn plan_batch(&self, batch: &CtcBatch<'_>) -> Result<CtcPlan> {
        CtcPlan::new(&batch.check(&self.options, &self.context)?, &self.options, self.context.caps())
    }

    /// Compiles the kernels that [`run`](Self::run) would need for this batch, and reads nothing of its scores. What was compiled stays
    /// with the context; so no call with scores of this kind and size waits for compilers, which take from milliseconds to more than a
    /// second where the driver has kept nothing on disk. The report tells what was compiled.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn prepare(&self, batch: &CtcBatch<'_>) -> Result<RunReport> {
        self.context.prepare(self.plan_batch(batch)?.recording()).await
    }

    /// [`prepare`](Self::prepare), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn prepare_blocking(&self, batch: &CtcBatch<'_>) -> Result<RunReport> {
        pollster::block_on(self.prepare(batch))
    }

    /// Costs, and what else the loss was built for. Deterministic: the same batch gives the same bits, and an utterance
    /// the same bits in any batch with the same longest target.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Length`], [`Error::Label`], [`Error::Value`], [`Error::OtherContext`] for what is wrong
    /// with the batch; as [`plan`](Self::plan) for what does not fit; [`Error::OutOfMemory`], [`Error::DeviceLost`]. Bad data
    /// within one utterance is no error but its [`Status`].
    pub async fn run(&self, batch: &CtcBatch<'_>) -> Result<CtcOutput> {
        let problem = batch.check(&self.options, &self.context)?;
        let plan = CtcPlan::new(&problem, &self.options, self.context.caps())?;
        let call = Call::new(self, batch, &problem, plan.tiles())?;
        if plan.dispatches() == 0 {
            return Ok(call.without_rows());
        }
        let report = self.context.run(plan.recording(), &call.bound()).await?;
        call.output(report).await
    }

    /// [`run`](Self::run), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn run_blocking(&self, batch: &CtcBatch<'_>) -> Result<CtcOutput> {
        pollster::block_on(self.run(batch))
    }
}

/// A batch with the tensors that its runs are given.
pub(super) struct Call<'a> {
    loss: &'a CtcLoss,
    batch: &'a CtcBatch<'a>,
    problem: &'a CtcProblem,
    scales: Vec<f32>,
    words: Tensor,
    results: Tensor,
    gradients: Option<Tensor>,
    path: Option<Tensor>,
}

impl<'a> Call<'a> {
    pub fn new(loss: &'a CtcLoss, batch: &'a CtcBatch<'a>, problem: &'a CtcProblem, tiles: (u32, u64)) -> Result<Self> {
        let (context, options) = (&loss.context, &loss.options);
        let rows = problem.utterances.iter().map(|shape| shape.rows as usize).sum();
        let gradients = match options.gradients {
            Gradients::None => None,
            Gradients::InPlace => Some(batch.logits.clone()),
            // Without rows nothing is written.
            Gradients::Separate if rows == 0 => Some(Tensor::zeros(context, batch.logits.shape(), batch.logits.dtype())?),
            Gradients::Separate => Some(Tensor::empty(context, batch.logits.shape(), batch.logits.dtype())?),
        };
        let scales = batch.scales(options.reduction);
        let words = batch_words(batch, problem, &scales, tiles);
        let words = Tensor::from_u32(context, &[words.len()], &words)?;
        let results = Tensor::empty(context, &[RESULTS, problem.utterances.len()], DType::U32)?;
        let path = options.alignments.then(|| Tensor::empty(context, &[2, rows], DType::U32)).transpose()?;
        Ok(Self { loss, batch, problem, scales, words, results, gradients, path })
    }

    /// What every plan of the batch declares first, in its order.
    pub fn bound(&self) -> Vec<&Tensor> {
        let mut bound = vec![self.batch.logits, &self.words, &self.results];
        bound.extend(self.gradients.iter().filter(|_| self.loss.options.gradients == Gradients::Separate));
        bound.extend(&self.path);
        bound
    }

    pub async fn output(self, report: RunReport) -> Result<CtcOutput> {
        let utterances = self.problem.utterances.len();
        let words = self.results.to_vec_u32().await?;
        let status: Vec<Status> = words[utterances..2 * utterances].iter().map(|&word| Status::from_word(word)).collect();
        let costs: Vec<f32> = words[2 * utterances..3 * utterances].iter().map(|&bits| f32::from_bits(bits)).collect();
        let loss = self.loss.options.reduction.reduce(&costs, &status, &self.scales);
        let alignments = match self.path {
            Some(path) => Some(alignments(self.batch, self.problem, &status, &path.to_vec_u32().await?)),
            None => None,
        };
        Ok(CtcOutput { costs, status, loss, gradients: self.gradients, alignments, report })
    }

    /// The output of a batch without a single row.
    pub fn without_rows(self) -> CtcOutput {
        let empty = |shape: &UtteranceShape| shape.labels == 0;
        let of = |shape| if empty(shape) { (Status::Ok, 0.0) } else { (Status::Infeasible, f32::INFINITY) };
        let (status, costs): (Vec<_>, Vec<_>) = self.problem.utterances.iter().map(of).unzip();
        let loss = self.loss.options.reduction.reduce(&costs, &status, &self.scales);
        let none = CtcAlignment { states: Vec::new(), posteriors: Vec::new(), labels: Vec::new() };
        let alignments = self.problem.utterances.iter().map(|shape| empty(shape).then(|| none.clone())).collect();
        let alignments = self.loss.options.alignments.then_some(alignments);
        CtcOutput { costs, status, loss, gradients: self.gradients, alignments, report: RunReport::default() }
    }
}

/// The paths of the utterances from the words of all rows: states, then posteriors.
fn alignments(batch: &CtcBatch<'_>, problem: &CtcProblem, status: &[Status], words: &[u32]) -> Vec<Option<CtcAlignment>> {
    let (states, posteriors) = words.split_at(words.len() / 2);
    let of = |n: usize| {
        let shape = &problem.utterances[n];
        let rows = shape.first_row as usize..shape.first_row as usize + shape.frames as usize;
        let states = &states[rows.clone()];
        let posteriors: Vec<f32> = posteriors[rows].iter().map(|&bits| f32::from_bits(bits)).collect();
        let known = status[n] == Status::Ok && !states.contains(&NO_STATE);
        known.then(|| CtcAlignment::new(batch.target(n), states, &posteriors))
    };
    (0..status.len()).map(of).collect()
}
