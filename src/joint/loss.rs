//! The fused loss as callers see it.

use super::batch::Checked;
use super::plan::Call;
use super::rows::Dropout;
use super::smoothing::Smoothing;
use super::{Joiner, JointBatch, JointPlan, JointShape};
use crate::dense::Linear;
use crate::device::{Caps, RunReport};
use crate::error::{Error, Result, number};
use crate::lattice::{Gradients, Lattices, LossOutput, Normalisation, Options, Results, Status, Targets, TransducerLossBuilder, keep};
use crate::tensor::{DType, Tensor};

/// A transducer loss from what stands before the joiner.
///
/// ```
/// # fn main() -> weft::Result<()> {
/// use weft::dense::Linear;
/// use weft::joint::{Joiner, JointBatch, JointLoss};
/// use weft::lattice::{Blank, TransducerLoss};
/// let gpu = weft::Context::cpu(); // or Context::new_blocking(ContextOptions::from_env())?
/// let output = Linear::new(&gpu, [5, 2], &[0.1; 10], Some(&[0.0; 5]))?;
/// let joiner = Joiner::new(None, None, output)?;
/// let loss = JointLoss::new(&joiner, TransducerLoss::rnnt(Blank(0)).gradients(true))?;
/// let encoder = weft::Tensor::from_slice(&gpu, &[1, 2, 2], &[0.5; 4])?;
/// let predictor = weft::Tensor::from_slice(&gpu, &[1, 3, 2], &[0.5; 6])?;
/// let out = loss.run_blocking(&JointBatch::new(&encoder, &predictor, &[1, 2], &[2], &[2]))?;
/// // Equal logits: C(T - 1 + U, U) paths of T + U symbols, each of probability 1 / V.
/// assert!((out.costs[0] - (4.0 * 5f32.ln() - 3f32.ln())).abs() < 1e-5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct JointLoss {
    joiner: Joiner,
    options: Options,
    dropout: f32,
    smoothing: Option<Smoothing>,
}

/// What a fused loss gives back, in the order of the utterances.
#[derive(Debug)]
pub struct JointOutput {
    /// As [`LossOutput::costs`](crate::lattice::LossOutput::costs), `[N]`.
    pub costs: Vec<f32>,
    /// What became of each utterance, `[N]`. [`NonFinite`](Status::NonFinite) also where what the joiner adds up is no finite number.
    pub status: Vec<Status>,
    /// The reduction of the costs that are ok, times their weights; `None` if none was asked for.
    pub loss: Option<f64>,
    /// `None` if none were asked for.
    pub gradients: Option<JointGradients>,
    /// What the run did.
    pub report: RunReport,
}

/// Gradients of a fused loss, f32, on the device. Utterances that are not ok add nothing.
#[derive(Clone, Debug)]
pub struct JointGradients {
    /// [N, T, E]; zero beyond the lengths, and where an utterance is not ok.
    pub encoder: Tensor,
    /// [N, U1, P], likewise.
    pub predictor: Tensor,
    /// Those of the joiner's weights.
    pub weights: JoinerGradients,
}

/// Gradients of the weights of a [`Joiner`], where it has the layer.
#[derive(Clone, Debug)]
pub struct JoinerGradients {
    /// Of the encoder's projection.
    pub encoder: Option<LinearGradients>,
    /// Of the predictor's projection.
    pub predictor: Option<LinearGradients>,
    /// Of the last layer.
    pub output: Option<LinearGradients>,
}

/// Gradients of a layer.
#[derive(Clone, Debug)]
pub struct LinearGradients {
    /// \[outputs, inputs]
    pub weight: Tensor,
    /// \[outputs], if it has one.
    pub bias: Option<Tensor>,
}

impl JointLoss {
    /// The loss with the options of `loss`; gradients, in place or not, are those of the joiner's inputs and weights. The
    /// [workspace limit](TransducerLossBuilder::workspace_limit) is of all that a run takes beyond what it is given and gives: lattices,
    /// projections and the tile of logits, whose rows are as many as fit.
    ///
    /// # Errors
    /// [`Error::Value`] for options that are negative or not finite.
    pub fn new(joiner: &Joiner, loss: TransducerLossBuilder) -> Result<Self> {
        Ok(Self { joiner: joiner.clone(), options: loss.checked()?, dropout: 0.0, smoothing: None })
    }

    /// Drops numbers of the hidden layer, after the activation, with this probability, and divides the others by what is left of 1: the
    /// same ones in all passes of a run, by the [seed](JointBatch::seed).
    ///
    /// # Errors
    /// [`Error::Value`] unless the probability is at least 0 and below 1.
    pub fn with_dropout(mut self, probability: f32) -> Result<Self> {
        if !(0.0..1.0).contains(&probability) {
            let help = "give a probability of at least 0 and below 1: with 1 nothing would be left";
            return Err(Error::Value { argument: "dropout", value: number(probability), help });
        }
        self.dropout = probability;
        Ok(self)
    }

    /// The smoothed loss of [a sum](Joiner::additive), as k2 has it (`rnnt_loss_smoothed`; Kuang et al. 2022, arXiv:2206.13236): each
    /// log-probability that arcs read becomes
    /// `(1 - lm_only - am_only) log p(v | t, u) + lm_only log p(v | u) + am_only log p(v | t)`.
    ///
    /// `p(v | t, u)` is the softmax of the sum, `p(v | u)` that of the predictor's row alone, and `p(v | t)` that of the encoder's row plus
    /// the logarithm of the prior: the mean of `p(v | u)` over the positions of all utterances of the batch that have frames. k2's mean
    /// has padding in it too: with targets of equal length costs are the same. So the costs of a batch hang together. Positions of
    /// no finite numbers are left out of the mean, and an utterance that is not ok gets no gradient through it either.
    ///
    /// With 0 and 0 this is the loss of the sum, bit for bit. [`lattice`](Self::lattice) gives occupancies for
    /// [`Lattice::prune`](crate::lattice::Lattice::prune). Bands restrict paths, but leave no rows out.
    ///
    /// # Errors
    /// [`Error::Value`] for a scale that is negative or not finite, scales of more than 1 together, a joiner with a layer, a clamp (there
    /// is no logit), HAT. Batches are refused later, if arcs read durations, sums of symbols or more than six symbols, and with dropout.
    pub fn smoothed(mut self, lm_only_scale: f32, am_only_scale: f32) -> Result<Self> {
        let smoothing = Smoothing::new(lm_only_scale, am_only_scale)?;
        let refused = |argument, value: &str, help| Err(Error::Value { argument, value: value.to_owned(), help });
        if self.joiner.output.is_some() {
            return refused("joiner", "with layers", "a smoothed loss needs Joiner::additive");
        }
        if self.options.clamp.is_some() {
            return refused("clamp", "of gradients of logits", "a smoothed loss has no logits: leave the clamp out");
        }
        if self.options.kind.normalisation() == Normalisation::Hat {
            return refused("kind", "HAT", "a smoothed loss is over one softmax: use a kind without a blank of its own");
        }
        self.smoothing = smoothing;
        Ok(self)
    }

    /// What a padded batch of this shape would do on a device with these facts, if every utterance filled it.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Value`] if shape, joiner and kind do not fit together; [`Error::LimitExceeded`], which names the least
    /// workspace that works.
    pub fn plan(&self, shape: JointShape, caps: &Caps) -> Result<JointPlan> {
        let checked = Checked::of_shape(&self.joiner, &self.options, shape, self.dropout, self.smoothing)?;
        let extra_words = shape.utterances as u64 * shape.positions.saturating_sub(1) as u64 + 1;
        JointPlan::new(&self.call(&checked, extra_words, (0, 1.0), caps))
    }

    /// What [`run`](Self::run) would do with this batch.
    ///
    /// # Errors
    /// As [`run`](Self::run), but for those of the device.
    pub fn plan_batch(&self, batch: &JointBatch<'_>) -> Result<JointPlan> {
        self.plan_checked(&batch.targets, &self.check(batch)?)
    }

    fn check(&self, batch: &JointBatch<'_>) -> Result<Checked> {
        batch.check(&self.joiner, &self.options, self.dropout, self.smoothing)
    }

    fn plan_checked(&self, targets: &Targets<'_>, checked: &Checked) -> Result<JointPlan> {
        JointPlan::new(&self.call_of(targets, checked))
    }

    fn call_of<'a>(&'a self, targets: &Targets<'_>, checked: &'a Checked) -> Call<'a> {
        let targets = Targets { bands: checked.bands.as_deref().or(targets.bands), ..targets.clone() };
        let largest = targets.scales(&self.options).into_iter().map(f32::abs).fold(0.0, f32::max);
        self.call(checked, targets.extra_words(), (targets.seed, largest), self.joiner.context.caps())
    }

    /// With a seed, and the largest magnitude of what gradients are multiplied by.
    fn call<'a>(
        &'a self,
        Checked { sides, problem, options, kept, .. }: &'a Checked,
        extra_words: u64,
        (seed, largest): (u64, f32),
        caps: &'a Caps,
    ) -> Call<'a> {
        let Options { fast_emit, latency, .. } = self.options;
        Call {
            joiner: &self.joiner,
            options,
            sides: *sides,
            problem,
            kept: kept.as_ref(),
            extra_words,
            dropout: Dropout { probability: self.dropout, seed: (seed ^ (seed >> 32)) as u32 },
            // The gradient of a probability, times what options and weights do.
            steepest: largest * (1.0 + fast_emit.lambda()) * (1.0 + latency * sides.frames as f32),
            caps,
        }
    }

    /// Costs, and gradients if the loss was built with them. Deterministic: the same batch gives the same bits. The size of the tiles
    /// changes no bit of a cost, and the order in which gradients of weights are summed.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Length`], [`Error::Label`], [`Error::Value`], [`Error::OtherContext`] for what is wrong with the
    /// batch; [`Error::LimitExceeded`], which names the least that works; [`Error::OutOfMemory`], [`Error::DeviceLost`]. Bad data within
    /// one utterance is no error but its [`Status`].
    pub async fn run(&self, batch: &JointBatch<'_>) -> Result<JointOutput> {
        let checked = self.check(batch)?;
        let plan = self.plan_checked(&batch.targets, &checked)?;
        let Checked { problem, options, bands, .. } = &checked;
        let targets = Targets { bands: bands.as_deref().or(batch.targets.bands), ..batch.targets.clone() };
        let context = &self.joiner.context;
        let gradients = (self.options.gradients != Gradients::None).then(|| self.gradients(batch)).transpose()?;
        if problem.utterances.is_empty() {
            let Results { costs, status, loss } = Results::of(&[], &self.options, &batch.targets);
            return Ok(JointOutput { costs, status, loss, gradients, report: RunReport::default() });
        }
        let words = targets.words(options, problem, plan.lattices().chunks());
        let words = Tensor::from_u32(context, &[words.len()], &words)?;
        let results = Tensor::empty(context, &[4, problem.utterances.len()], DType::U32)?;
        let mut bound = self.given(batch);
        if let Some(gradients) = &gradients {
            let JoinerGradients { encoder, predictor, output } = &gradients.weights;
            bound.extend([&gradients.encoder, &gradients.predictor]);
            let layers = [encoder, predictor, output].into_iter().flatten();
            bound.extend(layers.flat_map(|layer| [Some(&layer.weight), layer.bias.as_ref()]).flatten());
        }
        bound.extend([&words, &results]);
        let report = context.run(plan.lattices().recording(), &bound).await?;
        let Results { costs, status, loss } = Results::of(&results.to_vec_u32().await?, &self.options, &batch.targets);
        Ok(JointOutput { costs, status, loss, gradients, report })
    }

    /// [`run`](Self::run), on the calling thread.
    pub fn run_blocking(&self, batch: &JointBatch<'_>) -> Result<JointOutput> {
        pollster::block_on(self.run(batch))
    }

    /// Costs, without gradients, and the lattices: alignments, posteriors and more follow from them, and
    /// [bands](crate::lattice::Lattice::prune) for another joiner. As
    /// [`TransducerLoss::lattice`](crate::lattice::TransducerLoss::lattice); the limit is of the lattices alone.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn lattice(&self, batch: &JointBatch<'_>) -> Result<Lattices> {
        let checked = self.check(batch)?;
        let plans = self.call_of(&batch.targets, &checked).kept()?;
        let Checked { problem, options, bands, .. } = &checked;
        let targets = Targets { bands: bands.as_deref().or(batch.targets.bands), ..batch.targets.clone() };
        let context = &self.joiner.context;
        let words = targets.words(options, problem, plans.first().map_or(&[][..], |plan| plan.chunks()));
        let words = Tensor::from_u32(context, &[words.len()], &words)?;
        let results = Tensor::empty(context, &[4, problem.utterances.len()], DType::U32)?;
        let mut bound = self.given(batch);
        bound.extend([&words, &results]);
        // Alignments name symbols, not channels.
        let options = Options { kind: self.options.kind.clone(), ..options.clone() };
        let (lattices, results, report) = keep(context, (problem, &options, targets.seed), &plans, bound, &results).await?;
        let Results { costs, status, loss } = Results::of(&results, &self.options, &batch.targets);
        Ok(lattices.with_output(LossOutput { costs, status, loss, gradients: Vec::new(), report }, checked.bands))
    }

    /// [`lattice`](Self::lattice), on the calling thread.
    pub fn lattice_blocking(&self, batch: &JointBatch<'_>) -> Result<Lattices> {
        pollster::block_on(self.lattice(batch))
    }

    /// What every plan of the batch declares first, in its order.
    fn given<'a>(&'a self, batch: &JointBatch<'a>) -> Vec<&'a Tensor> {
        let mut given = vec![batch.encoder, batch.predictor];
        let layers = [&self.joiner.encoder, &self.joiner.predictor, &self.joiner.output];
        given.extend(layers.into_iter().flatten().flat_map(|layer| [Some(layer.weight()), layer.bias()]).flatten());
        given
    }

    /// Zeros, for a batch without utterances.
    fn gradients(&self, batch: &JointBatch<'_>) -> Result<JointGradients> {
        let zeros = |like: &Tensor| Tensor::zeros(&self.joiner.context, like.shape(), DType::F32);
        let of = |layer: &Option<Linear>| -> Result<Option<LinearGradients>> {
            let Some(layer) = layer else { return Ok(None) };
            Ok(Some(LinearGradients { weight: zeros(layer.weight())?, bias: layer.bias().map(zeros).transpose()? }))
        };
        Ok(JointGradients {
            encoder: zeros(batch.encoder)?,
            predictor: zeros(batch.predictor)?,
            weights: JoinerGradients {
                encoder: of(&self.joiner.encoder)?,
                predictor: of(&self.joiner.predictor)?,
                output: of(&self.joiner.output)?,
            },
        })
    }
}
