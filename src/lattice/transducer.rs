//! The RNN-T loss as callers see it.

use super::{LossBatch, LossShape, Status, TransducerPlan};
use crate::device::{Caps, Context, RunReport};
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor};

/// Index of the blank among the V symbols; any is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blank(pub u32);

/// The transducer (RNN-T) loss of Graves 2012, from raw logits: the softmax is inside.
///
/// ```no_run
/// # async fn f() -> weft::Result<()> {
/// use weft::lattice::{Blank, LossBatch, TransducerLoss};
/// let gpu = weft::Context::new(weft::ContextOptions::from_env()).await?;
/// let loss = TransducerLoss::rnnt(Blank(0)).gradients(true).build(&gpu)?;
/// let logits = weft::Tensor::from_slice(&gpu, &[1, 2, 2, 3], &[0.0; 12])?;
/// let batch = LossBatch { logits: &logits, targets: &[1], frames: &[2], labels: &[1] };
/// let out = loss.run(&batch).await?;
/// println!("{:?} {:?}", out.costs, out.status);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TransducerLoss {
    context: Context,
    blank: Blank,
    gradients: bool,
}

/// Options of a [`TransducerLoss`].
#[derive(Clone, Copy, Debug)]
pub struct TransducerLossBuilder {
    blank: Blank,
    gradients: bool,
}

/// What a loss gives back, in the order of the utterances.
#[derive(Debug)]
pub struct LossOutput {
    /// -log P(target | logits) in nats, `[N]`. +inf or NaN where [`status`](Self::status) is not ok.
    pub costs: Vec<f32>,
    /// What became of each utterance, `[N]`.
    pub status: Vec<Status>,
    /// d costs\[n\] / d logits, f32 [N, T, U1, V], on the device, if they were asked for. Exactly zero
    /// beyond the lengths of an utterance and for utterances that are not ok.
    pub gradients: Option<Tensor>,
    /// What the run did.
    pub report: RunReport,
}

impl TransducerLossBuilder {
    /// Whether runs give the gradient too. Without, the logits are read once and nothing of their size
    /// is written.
    pub fn gradients(mut self, wanted: bool) -> Self {
        self.gradients = wanted;
        self
    }

    /// The loss on one device.
    ///
    /// # Errors
    /// None today: what a device cannot do shows when a batch is planned.
    pub fn build(self, context: &Context) -> Result<TransducerLoss> {
        Ok(TransducerLoss { context: context.clone(), blank: self.blank, gradients: self.gradients })
    }
}

impl TransducerLoss {
    /// Starts a plain RNN-T loss, costs only.
    pub fn rnnt(blank: Blank) -> TransducerLossBuilder {
        TransducerLossBuilder { blank, gradients: false }
    }

    /// What a batch of this shape would do on a device with these facts.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Value`] if shape and blank do not fit together;
    /// [`Error::LimitExceeded`] if a single utterance is more than the device can hold.
    pub fn plan(&self, shape: LossShape, caps: &Caps) -> Result<TransducerPlan> {
        TransducerPlan::new(shape, self.blank, self.gradients, caps)
    }

    /// Costs, and gradients if the loss was built with them. Deterministic: the same batch gives the
    /// same bits, and an utterance the same bits in any batch of the same T and U1.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Length`], [`Error::Label`], [`Error::Value`],
    /// [`Error::OtherContext`] for what is wrong with the batch; as [`plan`](Self::plan) for what does
    /// not fit; [`Error::OutOfMemory`], [`Error::DeviceLost`]. Bad data within one utterance is no
    /// error but its [`Status`].
    pub async fn run(&self, batch: &LossBatch<'_>) -> Result<LossOutput> {
        let shape = batch.check(self.blank)?;
        if !batch.logits.context().same_as(&self.context) {
            return Err(Error::OtherContext { argument: "logits" });
        }
        let plan = self.plan(shape, self.context.caps())?;
        let gradients = self.gradients.then(|| Tensor::empty(&self.context, batch.logits.shape(), DType::F32)).transpose()?;
        let utterances = shape.utterances;
        if plan.dispatches() == 0 {
            let (costs, status) = (vec![f32::INFINITY; utterances], vec![Status::Empty; utterances]);
            return Ok(LossOutput { costs, status, gradients, report: RunReport::default() });
        }
        let words = batch.words();
        let lengths = Tensor::from_u32(&self.context, &[words.len()], &words)?;
        let results = Tensor::empty(&self.context, &[2, utterances], DType::U32)?;
        let mut bound = vec![batch.logits, &lengths, &results];
        bound.extend(&gradients);
        let report = self.context.run(plan.recording(), &bound).await?;

        let words = results.to_vec_u32().await?;
        let (status, costs) = words.split_at(utterances);
        let status = status.iter().map(|&word| Status::from_word(word).ok_or_else(|| unknown_status(word))).collect::<Result<_>>()?;
        Ok(LossOutput { costs: costs.iter().map(|&bits| f32::from_bits(bits)).collect(), status, gradients, report })
    }

    /// [`run`](Self::run), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn run_blocking(&self, batch: &LossBatch<'_>) -> Result<LossOutput> {
        pollster::block_on(self.run(batch))
    }
}

fn unknown_status(word: u32) -> Error {
    Error::Gpu { message: format!("the loss kernels left status word {word}: the driver miscompiled them or the device was reset") }
}
