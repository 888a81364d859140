//! The transducer loss as callers see it.

use super::layout::Problem;
use super::options::{FastEmit, Gradients, Options, Reduction};
use super::targets::Targets;
use super::{Blank, Kind, LossBatch, LossShape, Status, TransducerPlan};
use crate::device::{Caps, Context, RunReport};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::tensor::{DType, Tensor};
use std::ops::Range;

/// A transducer loss of any [kind](Kind).
///
/// ```no_run
/// # async fn f() -> weft::Result<()> {
/// use weft::lattice::{Blank, Logits, LossBatch, TransducerLoss};
/// let gpu = weft::Context::new(weft::ContextOptions::from_env()).await?;
/// let loss = TransducerLoss::rnnt(Blank(0)).gradients(true).build(&gpu)?;
/// let logits = weft::Tensor::from_slice(&gpu, &[1, 2, 2, 3], &[0.0; 12])?;
/// let out = loss.run(&LossBatch::new(Logits::padded(&logits), &[1], &[2], &[1])).await?;
/// println!("{:?} {:?}", out.costs, out.status);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TransducerLoss {
    pub(super) context: Context,
    pub(super) options: Options,
}

/// Options of a [`TransducerLoss`].
#[derive(Clone, Debug)]
pub struct TransducerLossBuilder {
    options: Options,
}

/// What a loss gives back, in the order of the utterances.
#[derive(Debug)]
pub struct LossOutput {
    /// -log P(target | scores) in nats, and the expected latency if it has a weight, `[N]`. +inf or NaN where [`status`](Self::status) is not ok.
    pub costs: Vec<f32>,
    /// What became of each utterance, `[N]`.
    pub status: Vec<Status>,
    /// The reduction of the costs that are ok, times their weights; `None` if none was asked for.
    pub loss: Option<f64>,
    /// Gradient with respect to the scores, in their shape, type and layout, on the device: a tensor for each part, none if
    /// none were asked for. Exactly zero beyond the lengths of an utterance and for utterances that are not ok.
    pub gradients: Vec<Tensor>,
    /// What the run did.
    pub report: RunReport,
}

impl TransducerLossBuilder {
    /// Whether runs give gradients too, and where: `true` is [`Gradients::Separate`].
    pub fn gradients(mut self, gradients: impl Into<Gradients>) -> Self {
        self.options.gradients = gradients.into();
        self
    }

    /// Trains labels to come early.
    pub fn fast_emit(mut self, fast_emit: FastEmit) -> Self {
        self.options.fast_emit = fast_emit;
        self
    }

    /// Adds `penalty` * ((T - 1) / 2 - t) nats to the weight of each label of frame t: early ones gain, late ones lose (Kang et al.
    /// 2022, arXiv:2211.00490). The cost contains it.
    pub fn delay_penalty(mut self, penalty: f32) -> Self {
        self.options.delay_penalty = penalty;
        self
    }

    /// A [delay penalty](Self::delay_penalty) for one symbol, the end of the sentence, beyond that of all labels.
    pub fn eos_penalty(mut self, symbol: u32, penalty: f32) -> Self {
        self.options.eos = Some((symbol, penalty));
        self
    }

    /// Adds `weight` times the expected latency to the cost: the mean, over labels and over all paths, of the frame in which a
    /// label is emitted, counted from 0. The gradient is that of the sum, exactly.
    ///
    /// Minimum latency training of Shinohara & Watanabe 2022, arXiv:2211.02333: their sum of expected frames over the diagonals of
    /// the RNN-T lattice is that of the labels, up to a constant. For lattices of any kind; every arc that emits a label counts, one
    /// that skips a label too. It takes the sweep of any arcs, one more launch of T + U serial steps, and
    /// 8 B a cell more (4 B without gradients). At 1500 frames, 300 labels and a weight of 0.5 gradients are within 5e-4 of f64.
    pub fn min_latency(mut self, weight: f32) -> Self {
        self.options.latency = weight;
        self
    }

    /// Probability of a frame after a [`WILDCARD`](super::WILDCARD) in a target, in place of the blank's; 1 without this
    /// option. Wildcards stand for parts of a transcript that nobody knows: emitting one has probability 1, whatever the scores.
    pub fn wildcard(mut self, probability: f32) -> Self {
        self.options.wildcard = probability;
        self
    }

    /// Clamps the gradient to [-limit, limit], before weights and reductions are applied: a loss scale of mixed precision, given
    /// as a weight, does not change what is clamped.
    pub fn clamp(mut self, limit: f32) -> Self {
        self.options.clamp = Some(limit);
        self
    }

    /// Reduces the costs to one number.
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.options.reduction = reduction;
        self
    }

    /// Most bytes that the lattices of a run may take: large batches are worked on in pieces, to the same bits. Scores, gradients,
    /// lengths, results and the parameters of the launches (at most 256 B each) are not counted.
    pub fn workspace_limit(mut self, bytes: u64) -> Self {
        self.options.workspace_limit = Some(bytes);
        self
    }

    /// The options, checked.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn checked(self) -> Result<Options> {
        self.options.check()?;
        Ok(self.options)
    }

    /// The loss on one device.
    ///
    /// # Errors
    /// [`Error::Value`] for options that are negative or not finite.
    pub fn build(self, context: &Context) -> Result<TransducerLoss> {
        self.options.check()?;
        Ok(TransducerLoss { context: context.clone(), options: self.options })
    }
}

impl TransducerLoss {
    /// Starts a loss of any kind, costs only.
    pub fn of(kind: Kind) -> TransducerLossBuilder {
        TransducerLossBuilder { options: Options::new(kind) }
    }

    /// Starts a plain RNN-T loss, costs only.
    pub fn rnnt(blank: Blank) -> TransducerLossBuilder {
        Self::of(Kind::rnnt(blank))
    }

    /// What a padded batch of this shape would do on a device with these facts, if every utterance filled it.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Value`] if shape and kind do not fit together; [`Error::LimitExceeded`] if a single
    /// utterance is more than the device, or the [workspace limit](TransducerLossBuilder::workspace_limit), can hold.
    pub fn plan(&self, shape: LossShape, caps: &Caps) -> Result<TransducerPlan> {
        TransducerPlan::of_shape(shape, &self.options, caps)
    }

    /// What [`run`](Self::run) would do with this batch.
    ///
    /// # Errors
    /// As [`run`](Self::run), but for those of the device.
    pub fn plan_batch(&self, batch: &LossBatch<'_>) -> Result<TransducerPlan> {
        let problem = batch.check(&self.options, &self.context)?;
        TransducerPlan::new(&problem, batch.targets().extra_words(), &self.options, self.context.caps())
    }

    /// Compiles the kernels that [`run`](Self::run) would need for this batch, and reads nothing of its scores. What was compiled stays
    /// with the context; so no call with scores of this kind and size waits for compilers, which take from milliseconds to more than a
    /// second where the driver has kept nothing on disk. The report tells what was compiled.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn prepare(&self, batch: &LossBatch<'_>) -> Result<RunReport> {
        self.context.prepare(self.plan_batch(batch)?.recording()).await
    }

    /// [`prepare`](Self::prepare), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn prepare_blocking(&self, batch: &LossBatch<'_>) -> Result<RunReport> {
        pollster::block_on(self.prepare(batch))
    }

    /// Costs, and gradients if the loss was built with them. Deterministic: the same batch gives the same bits, and an
    /// utterance the same bits in any batch of the same widest target.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Length`], [`Error::Label`], [`Error::Value`], [`Error::OtherContext`] for what is wrong with the
    /// batch; as [`plan`](Self::plan) for what does not fit; [`Error::OutOfMemory`], [`Error::DeviceLost`]. Bad data within
    /// one utterance is no error but its [`Status`].
    pub async fn run(&self, batch: &LossBatch<'_>) -> Result<LossOutput> {
        let problem = batch.check(&self.options, &self.context)?;
        let plan = TransducerPlan::new(&problem, batch.targets().extra_words(), &self.options, self.context.caps())?;
        let call = Call::new(self, batch, &problem, plan.chunks())?;
        if problem.utterances.is_empty() {
            return Ok(call.nothing());
        }
        let report = self.context.run(plan.recording(), &call.bound()).await?;
        let results = call.results().await?;
        Ok(call.output(&results, report))
    }

    /// [`run`](Self::run), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn run_blocking(&self, batch: &LossBatch<'_>) -> Result<LossOutput> {
        pollster::block_on(self.run(batch))
    }
}

/// A batch with the tensors that its runs are given.
pub(super) struct Call<'a> {
    loss: &'a TransducerLoss,
    batch: &'a LossBatch<'a>,
    /// Headers, labels, bands.
    words: Tensor,
    results: Tensor,
    gradients: Vec<Tensor>,
}

impl<'a> Call<'a> {
    pub fn new(loss: &'a TransducerLoss, batch: &'a LossBatch<'a>, problem: &Problem, chunks: &[Range<usize>]) -> Result<Self> {
        let scores = &batch.scores().parts;
        let gradients: Vec<Tensor> = match loss.options.gradients {
            Gradients::None => Vec::new(),
            Gradients::InPlace => scores.iter().map(|&part| part.clone()).collect(),
            Gradients::Separate => {
                scores.iter().map(|part| Tensor::empty(&loss.context, part.shape(), part.dtype())).collect::<Result<_>>()?
            }
        };
        let words = batch.targets().words(&loss.options, problem, chunks);
        let words = Tensor::from_u32(&loss.context, &[words.len()], &words)?;
        let results = Tensor::empty(&loss.context, &[4, problem.utterances.len()], DType::U32)?;
        Ok(Self { loss, batch, words, results, gradients })
    }

    /// What every plan of the batch declares first, in its order.
    pub fn bound(&self) -> Vec<&Tensor> {
        let mut bound = self.batch.scores().parts.clone();
        bound.extend([&self.words, &self.results]);
        bound.extend(self.gradients.iter().filter(|_| self.loss.options.gradients == Gradients::Separate));
        bound
    }

    /// As they lie on the device.
    pub fn results_tensor(&self) -> &Tensor {
        &self.results
    }

    /// Status words [N], cost bits [N], log2 of the total: exponents [N], rests [N].
    pub async fn results(&self) -> Result<Vec<u32>> {
        self.results.to_vec_u32().await
    }

    /// The output of a batch without utterances, for which there is nothing to run.
    pub fn nothing(self) -> LossOutput {
        self.output(&[], RunReport::default())
    }

    pub fn output(self, results: &[u32], report: RunReport) -> LossOutput {
        let Results { costs, status, loss } = Results::of(results, &self.loss.options, self.batch.targets());
        LossOutput { costs, status, loss, gradients: self.gradients, report }
    }
}

/// What the kernels said of a batch.
pub(crate) struct Results {
    pub costs: Vec<f32>,
    pub status: Vec<Status>,
    pub loss: Option<f64>,
}

impl Results {
    /// From status words [N], cost bits [N], and what follows them.
    pub fn of(words: &[u32], options: &Options, targets: &Targets<'_>) -> Self {
        let utterances = words.len() / 4;
        let status: Vec<Status> = words[..utterances].iter().map(|&word| Status::from_word(word)).collect();
        let factor = match options.fast_emit {
            FastEmit::CostScaled(lambda) => 1.0 + lambda,
            FastEmit::CostUnchanged(_) => 1.0,
        };
        let costs: Vec<f32> = words[utterances..2 * utterances].iter().map(|&bits| factor * f32::from_bits(bits)).collect();
        let loss = options.reduction.reduce(&costs, &status, &targets.scales(options));
        Self { costs, status, loss }
    }
}
