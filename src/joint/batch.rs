//! The problem that a fused loss is given, and every check on it.

use super::Joiner;
use super::smoothing::Smoothing;
use super::sums::Kept;
use crate::error::{Error, Result};
use crate::lattice::{Band, Options, Problem, Targets};
use crate::tensor::{DType, Tensor};

/// A batch of utterances, before the joiner.
#[derive(Clone, Debug)]
pub struct JointBatch<'a> {
    pub(super) encoder: &'a Tensor,
    pub(super) predictor: &'a Tensor,
    pub(super) targets: Targets<'a>,
}

/// Sides of a padded batch: all that a plan needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JointShape {
    /// N.
    pub utterances: usize,
    /// T, padded.
    pub frames: usize,
    /// U1: most labels + 1.
    pub positions: usize,
    /// E and P: widths of the encoder's and the predictor's output.
    pub inputs: [usize; 2],
    /// Type of both.
    pub dtype: DType,
}

/// A checked batch, as it is worked on.
pub(super) struct Checked {
    pub sides: Sides,
    pub problem: Problem,
    /// Those of the lattices: with what follows from the batch, and of channels where the joiner is a sum.
    pub options: Options,
    /// What cells keep of a sum; `None` where logits are made.
    pub kept: Option<Kept>,
    /// Bands of all utterances, where other cells have no rows.
    pub bands: Option<Vec<Band>>,
}

/// Sides of a checked batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sides {
    /// N.
    pub utterances: usize,
    /// T and U1, padded.
    pub frames: usize,
    pub positions: usize,
    /// E and P.
    pub inputs: [usize; 2],
    /// f32 or f16, of each.
    pub dtypes: [DType; 2],
    /// H, or the row where logits are a sum.
    pub hidden: usize,
    /// V and the channels of durations.
    pub row: usize,
}

impl<'a> JointBatch<'a> {
    /// `encoder`: [N, T, E] of f32 or f16. `predictor`: [N, U1, P], likewise, its output before each label and behind the last. `targets`: labels, row-major
    /// [N, most labels]; what lies beyond the length of a target is ignored, and so are frames and positions beyond those of an
    /// utterance, whatever they hold. `frames`, `labels`: lengths of each utterance, `[N]`.
    pub fn new(encoder: &'a Tensor, predictor: &'a Tensor, targets: &'a [u32], frames: &'a [u32], labels: &'a [u32]) -> Self {
        Self { encoder, predictor, targets: Targets::new(targets, frames, labels) }
    }

    /// As [`LossBatch::weights`](crate::lattice::LossBatch::weights).
    pub fn weights(mut self, weights: &'a [f32]) -> Self {
        self.targets.weights = Some(weights);
        self
    }

    /// As [`LossBatch::bands`](crate::lattice::LossBatch::bands). Where the bands have half of the cells or less, counted by the widest range
    /// of each utterance, logits are made for theirs only, and so are the lattices, O(N T R) for R positions: the pruned loss of Kuang et al.
    /// 2022 (arXiv:2206.13236), given its ranges.
    pub fn bands(mut self, bands: &'a [Band]) -> Self {
        self.targets.bands = Some(bands);
        self
    }

    /// Where [dropout](super::JointLoss::with_dropout), and the draws of a kind that is
    /// [sometimes RNN-T](crate::lattice::Kind::sometimes_rnnt), come from. Give every training step its own.
    pub fn seed(mut self, seed: u64) -> Self {
        self.targets.seed = seed;
        self
    }

    /// Checks everything that the host knows.
    pub(super) fn check(&self, joiner: &Joiner, options: &Options, dropout: f32, smoothing: Option<Smoothing>) -> Result<Checked> {
        for (argument, tensor) in [("encoder", self.encoder), ("predictor", self.predictor)] {
            if !tensor.context().same_as(&joiner.context) {
                return Err(Error::OtherContext { argument });
            }
            if tensor.dtype() == DType::U32 {
                let value = format!("{:?}", tensor.dtype());
                return Err(Error::Value { argument, value, help: "give a tensor of f32 or f16" });
            }
        }
        let sides = self.sides(joiner)?;
        let vocab = sides.vocabulary(options)?;
        self.targets.check_lengths("encoder", [sides.utterances, sides.frames, sides.positions])?;
        self.targets.check(options, vocab, false)?;
        // The prior and the normalisers alone are of all cells.
        let (mut options, bands) = (options.clone(), self.narrow_bands().filter(|_| smoothing.is_none()));
        options.pruned = bands.is_some();
        let widths: Option<Vec<u32>> = bands.as_ref().map(|bands| bands.iter().map(Band::width).collect());
        let lengths = [self.targets.frames, self.targets.labels];
        let problem = Problem::packed(vocab, sides.row, lengths, widths.as_deref())?;
        Ok(Checked { bands, ..Checked::of(joiner, (sides, problem), options, dropout, smoothing)? })
    }

    /// Bands of all utterances, if their rows are so few that those of other cells are better left out: lattices take longer then.
    fn narrow_bands(&self) -> Option<Vec<Band>> {
        let Targets { frames, labels, .. } = self.targets;
        let bands: Vec<Band> = self.targets.bands?.iter().enumerate().map(|(n, band)| band.of_lengths(frames[n], labels[n])).collect();
        let rows = |width: &dyn Fn(usize) -> u64| (0..frames.len()).map(|n| u64::from(frames[n]) * width(n)).sum::<u64>();
        let (all, few) = (rows(&|n| u64::from(labels[n]) + 1), rows(&|n| bands[n].width().into()));
        (2 * few <= all && few > 0).then_some(bands)
    }

    fn sides(&self, joiner: &Joiner) -> Result<Sides> {
        let three = |argument, tensor: &Tensor, expected: &str| match *tensor.shape() {
            [n, length, width] => Ok([n, length, width]),
            ref other => Err(Error::Shape { argument, expected: expected.to_owned(), got: format!("{other:?}") }),
        };
        let encoder = three("encoder", self.encoder, "three sides [N, T, E]")?;
        let predictor = three("predictor", self.predictor, "three sides [N, U1, P]")?;
        Sides::new(joiner, [encoder, predictor], [self.encoder.dtype(), self.predictor.dtype()])
    }
}

impl Checked {
    /// Of a batch whose utterances fill it.
    pub fn of_shape(joiner: &Joiner, options: &Options, shape: JointShape, dropout: f32, smoothing: Option<Smoothing>) -> Result<Self> {
        let JointShape { utterances, frames, positions, inputs: [e, p], dtype } = shape;
        let sides = Sides::new(joiner, [[utterances, frames, e], [utterances, positions, p]], [dtype; 2])?;
        let vocab = sides.vocabulary(options)?;
        let counted = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let (frames, labels) = (vec![counted(frames); utterances], vec![counted(positions - 1); utterances]);
        let problem = Problem::packed(vocab, sides.row, [&frames, &labels], None)?;
        Self::of(joiner, (sides, problem), options.clone(), dropout, smoothing)
    }

    fn of(
        joiner: &Joiner,
        (sides, problem): (Sides, Problem),
        options: Options,
        dropout: f32,
        smoothing: Option<Smoothing>,
    ) -> Result<Self> {
        match Kept::of(joiner, &options, dropout, smoothing) {
            Some((kept, options)) => {
                let problem = problem.gathered(kept.channels());
                Ok(Self { sides, problem, options, kept: Some(kept), bands: None })
            }
            None if smoothing.is_some() => Err(Error::Value {
                argument: "smoothed",
                value: "a kind whose arcs read more than a few symbols, or dropout".to_owned(),
                help: "smooth the loss of RNN-T, of a monotonic or a constrained transducer, without dropout",
            }),
            None => Ok(Self { sides, problem, options, kept: None, bands: None }),
        }
    }
}

impl Sides {
    fn new(joiner: &Joiner, [encoder, predictor]: [[usize; 3]; 2], dtypes: [DType; 2]) -> Result<Self> {
        let ([utterances, frames, e], [others, positions, p]) = (encoder, predictor);
        let hidden = match (&joiner.output, &joiner.encoder) {
            (Some(output), _) => output.inputs(),
            (None, _) => e,
        };
        let wanted = |layer: &Option<crate::dense::Linear>| layer.as_ref().map_or(hidden, crate::dense::Linear::inputs);
        let expect = |argument, expected: [usize; 3], got: [usize; 3], is_right: bool| {
            if is_right { Ok(()) } else { Err(Error::Shape { argument, expected: format!("{expected:?}"), got: format!("{got:?}") }) }
        };
        let width = wanted(&joiner.encoder);
        expect("encoder", [utterances, frames, width.max(1)], [utterances, frames, e], e == width && e > 0)?;
        let width = wanted(&joiner.predictor);
        let is_right = others == utterances && p == width && positions > 0;
        expect("predictor", [utterances, positions.max(1), width], [others, positions, p], is_right)?;
        let row = joiner.output.as_ref().map_or(hidden, crate::dense::Linear::outputs);
        Ok(Self { utterances, frames, positions, inputs: [e, p], dtypes, hidden, row })
    }

    /// V.
    fn vocabulary(&self, options: &Options) -> Result<usize> {
        let extra = options.kind.duration_channels();
        let vocab = self.row.checked_sub(extra).filter(|&vocab| vocab > 0).ok_or_else(|| Error::Shape {
            argument: "joiner",
            expected: format!("V of at least 1 and {extra} channels of durations"),
            got: format!("{} outputs", self.row),
        })?;
        options.kind.check_vocabulary(vocab)?;
        Ok(vocab)
    }
}
