//! The problem that a CTC loss is given, and every check on it.

use super::layout::HEADER;
use super::plan::Options;
use crate::device::Context;
use crate::error::{Error, Result, number, within};
use crate::lattice::batch::overlap;
use crate::lattice::layout::{Part, Problem, UtteranceShape, most_utterances};
use crate::lattice::scores::Meaning;
use crate::lattice::{Blank, Gradients, Reduction};
use crate::tensor::{DType, Tensor};
use std::fmt;

/// A batch of utterances.
#[derive(Clone, Debug)]
pub struct CtcBatch<'a> {
    pub(super) logits: &'a Tensor,
    meaning: Meaning,
    /// Sides [N, T, V], elements from utterance to utterance and from frame to frame.
    strides: Option<([usize; 3], [usize; 2])>,
    targets: &'a [u32],
    frames: &'a [u32],
    labels: &'a [u32],
    weights: Option<&'a [f32]>,
    begin: Option<&'a [u32]>,
}

/// Sides of a padded batch of f32 logits: all that a plan needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CtcShape {
    /// N.
    pub utterances: usize,
    /// T, padded.
    pub frames: usize,
    /// U: most labels of a target.
    pub labels: usize,
    /// V, with the blank.
    pub vocab: usize,
}

impl fmt::Display for CtcShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[N {}, T {}, U {}, V {}]", self.utterances, self.frames, self.labels, self.vocab)
    }
}

impl CtcShape {
    /// The problem of a batch of this shape whose utterances all fill it.
    pub(super) fn problem(self, blank: Blank) -> Result<CtcProblem> {
        check_vocabulary(self.vocab, blank)?;
        counted("logits: labels", self.labels)?;
        let mut problem = padded(DType::F32, [self.utterances, self.frames, self.vocab])?;
        for utterance in &mut problem.utterances {
            (utterance.frames, utterance.labels) = (self.frames as u32, self.labels as u32);
        }
        Ok(CtcProblem { rows: problem, strides: None })
    }
}

impl<'a> CtcBatch<'a> {
    /// `logits`: raw logits, f32 or f16: padded [N, T, V], or packed [Σ T, V], the rows of one
    /// utterance after those of another; other places by [`strided`](Self::strided). -inf masks a symbol; what lies beyond the frames of an utterance is never
    /// read. Log-probabilities give the same costs, and the gradient that torch gives for them: that by the logits. For that by themselves
    /// there is [`of_log_probs`](Self::of_log_probs).
    ///
    /// `targets`: labels, row-major [N, most labels]; what lies beyond the length of a target is ignored. `frames`,
    /// `labels`: lengths of each utterance, `[N]`; none of either is an ordinary number.
    pub fn new(logits: &'a Tensor, targets: &'a [u32], frames: &'a [u32], labels: &'a [u32]) -> Self {
        Self { logits, meaning: Meaning::Logits, strides: None, targets, frames, labels, weights: None, begin: None }
    }

    /// As [`new`](Self::new), from log-probabilities: nothing is normalised, and gradients are the partial derivatives by them, minus the
    /// posteriors of the symbols. Only the blank and the symbols of the target are read; a NaN among others is not found. Errors
    /// speak of them as logits.
    ///
    /// ```
    /// # fn main() -> weft::Result<()> {
    /// use weft::lattice::{Blank, CtcBatch, CtcLoss};
    /// let gpu = weft::Context::cpu();
    /// let log_probs = weft::Tensor::from_slice(&gpu, &[1, 1, 3], &[0.2f32.ln(), 0.3f32.ln(), 0.5f32.ln()])?;
    /// let loss = CtcLoss::new(Blank(0)).gradients(true).build(&gpu)?;
    /// let out = loss.run_blocking(&CtcBatch::of_log_probs(&log_probs, &[2], &[1], &[1]))?;
    /// assert!((out.costs[0] - 2f32.ln()).abs() < 1e-6);
    /// # if let Some(gradients) = out.gradients {
    /// assert_eq!(gradients.to_vec_blocking()?, [0.0, 0.0, -1.0]);
    /// # }
    /// # Ok(()) }
    /// ```
    pub fn of_log_probs(log_probs: &'a Tensor, targets: &'a [u32], frames: &'a [u32], labels: &'a [u32]) -> Self {
        Self { meaning: Meaning::LogProbs, ..Self::new(log_probs, targets, frames, labels) }
    }

    /// Logits [N, T, V] that lie anywhere in a tensor: `strides` are the elements from utterance to utterance and from frame to frame;
    /// the V of a row follow each other. torch's [T, N, V] is the shape [N, T, V] with the strides [V, N V]. The tensor must fit one
    /// window of the device. Gradients have its shape; separate ones are zero between the rows.
    pub fn strided(mut self, shape: [usize; 3], strides: [usize; 2]) -> Self {
        self.strides = Some((shape, strides));
        self
    }

    /// Where each utterance begins in padded or strided logits: its first frame, `[N]`. Lengths, and frames of alignments, count from
    /// there.
    pub fn begin(mut self, frames: &'a [u32]) -> Self {
        self.begin = Some(frames);
        self
    }

    /// Multiplies the cost of each utterance in reductions, and its gradient, `[N]`. Any sign, finite.
    pub fn weights(mut self, weights: &'a [f32]) -> Self {
        self.weights = Some(weights);
        self
    }

    /// Labels of one utterance.
    pub(super) fn target(&self, utterance: usize) -> &[u32] {
        let stride = self.targets.len().checked_div(self.frames.len()).unwrap_or(0);
        &self.targets[utterance * stride..][..self.labels[utterance] as usize]
    }

    /// What the gradient of each utterance is multiplied by.
    pub(super) fn scales(&self, reduction: Reduction) -> Vec<f32> {
        reduction.scales(self.frames, self.labels, self.weights)
    }

    /// Checks everything that the host knows.
    pub(super) fn check(&self, options: &Options, context: &Context) -> Result<CtcProblem> {
        if !self.logits.context().same_as(context) {
            return Err(Error::OtherContext { argument: "logits" });
        }
        let dtype = self.logits.dtype();
        if dtype == DType::U32 {
            return Err(Error::Value { argument: "logits", value: format!("{dtype:?}"), help: "logits are f32 or f16" });
        }
        let mut problem = self.place(options, dtype)?;
        problem.rows.meaning = self.meaning;
        self.check_begin(&mut problem.rows)?;
        self.check_targets(problem.vocab, options.blank)?;
        Ok(problem)
    }

    /// Where each utterance lies.
    fn place(&self, options: &Options, dtype: DType) -> Result<CtcProblem> {
        let dense = |rows| CtcProblem { rows, strides: None };
        match (self.strides, self.logits.shape()) {
            (Some((shape, strides)), _) => {
                check_vocabulary(shape[2], options.blank)?;
                let problem = dense(self.padded(dtype, shape)?);
                self.check_strides(options, shape, strides)?;
                Ok(problem.lie_by(shape, strides, self.logits.bytes()))
            }
            (None, &[utterances, frames, vocab]) => {
                check_vocabulary(vocab, options.blank)?;
                Ok(dense(self.padded(dtype, [utterances, frames, vocab])?))
            }
            (None, &[rows, vocab]) => {
                check_vocabulary(vocab, options.blank)?;
                self.check_lengths(self.frames.len(), rows)?;
                Ok(dense(self.packed(dtype, rows, vocab)?))
            }
            (None, shape) => {
                Err(Error::Shape { argument: "logits", expected: "sides [N, T, V], or [rows, V]".to_owned(), got: format!("{shape:?}") })
            }
        }
    }

    fn padded(&self, dtype: DType, sides: [usize; 3]) -> Result<Problem> {
        let mut problem = padded(dtype, sides)?;
        self.check_lengths(sides[0], sides[1])?;
        for (utterance, (&frames, &labels)) in problem.utterances.iter_mut().zip(self.frames.iter().zip(self.labels)) {
            (utterance.frames, utterance.labels) = (frames, labels);
        }
        Ok(problem)
    }

    fn check_begin(&self, problem: &mut Problem) -> Result<()> {
        let Some(begin) = self.begin else { return Ok(()) };
        if self.strides.is_none() && self.logits.shape().len() == 2 {
            return Err(Error::Value {
                argument: "begin",
                value: "packed logits".to_owned(),
                help: "packed utterances begin where the one before ends",
            });
        }
        if begin.len() != problem.utterances.len() {
            return Err(Error::Shape {
                argument: "begin",
                expected: format!("{0} values for {0} utterances", problem.utterances.len()),
                got: format!("{} values", begin.len()),
            });
        }
        for (utterance, (shape, &begin)) in problem.utterances.iter_mut().zip(begin).enumerate() {
            let length = u64::from(shape.frames) + u64::from(begin);
            if length > shape.rows {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                return Err(Error::Length { argument: "frames", utterance, length, max: shape.rows as usize });
            }
            shape.begin_frame = begin;
        }
        Ok(())
    }

    fn check_strides(&self, options: &Options, [n, t, vocab]: [usize; 3], strides: [usize; 2]) -> Result<()> {
        if n == 0 || t == 0 {
            return Ok(());
        }
        let elements = self.logits.len();
        let last = |side: usize, stride: usize| (side - 1).checked_mul(stride);
        let reach = last(n, strides[0]).zip(last(t, strides[1])).and_then(|(n, t)| n.checked_add(t)?.checked_add(vocab));
        if reach.is_none_or(|reach| reach > elements) {
            return Err(Error::Shape {
                argument: "logits",
                expected: format!("strides that stay within the {elements} elements of the tensor"),
                got: format!("shape {:?} with strides {strides:?}", [n, t, vocab]),
            });
        }
        if options.gradients != Gradients::None && overlap([n, t, 1], [strides[0], strides[1], 0], vocab, elements) {
            return Err(Error::Value {
                argument: "logits",
                value: format!("strides {strides:?} of shape {:?}", [n, t, vocab]),
                help: "rows overlap, and each needs a place for its gradient: copy the logits, or ask for costs only",
            });
        }
        Ok(())
    }

    fn check_lengths(&self, utterances: usize, most_frames: usize) -> Result<()> {
        let weights = self.weights.map_or(utterances, <[f32]>::len);
        for (argument, count) in [("frames", self.frames.len()), ("labels", self.labels.len()), ("weights", weights)] {
            if count != utterances {
                return Err(Error::Shape {
                    argument,
                    expected: format!("{utterances} values for {utterances} utterances"),
                    got: format!("{count} values"),
                });
            }
        }
        let most_labels = self.targets.len().checked_div(utterances).unwrap_or(0);
        if most_labels * utterances != self.targets.len() {
            return Err(Error::Shape {
                argument: "targets",
                expected: format!("{utterances} rows of labels, equally long"),
                got: format!("{} values", self.targets.len()),
            });
        }
        for (argument, lengths, max) in [("frames", self.frames, most_frames), ("labels", self.labels, most_labels)] {
            if let Some((utterance, &length)) = lengths.iter().enumerate().find(|&(_, &length)| length as usize > max) {
                return Err(Error::Length { argument, utterance, length: length as usize, max });
            }
        }
        if let Some((utterance, weight)) = self.weights.unwrap_or_default().iter().enumerate().find(|(_, weight)| !weight.is_finite()) {
            return Err(Error::Value {
                argument: "weights",
                value: format!("{} of utterance {utterance}", number(*weight)),
                help: "weights must be finite",
            });
        }
        Ok(())
    }

    fn packed(&self, dtype: DType, rows: usize, vocab: usize) -> Result<Problem> {
        let taken: u64 = self.frames.iter().map(|&frames| u64::from(frames)).sum();
        if taken != rows as u64 {
            return Err(Error::Shape {
                argument: "logits",
                expected: format!("{taken} rows: the sum of the frames"),
                got: format!("{rows} rows"),
            });
        }
        counted("logits: rows", rows)?;
        let mut problem = Problem::new(Meaning::Logits, dtype, vocab, vocab);
        let mut first_row = 0;
        for (&frames, &labels) in self.frames.iter().zip(self.labels) {
            problem.utterances.push(UtteranceShape { frames, labels, ..rows_of(first_row, u64::from(frames)) });
            first_row += u64::from(frames);
        }
        problem.parts.push(Part { bytes: self.logits.bytes(), utterances: 0..self.frames.len() });
        Ok(problem)
    }

    fn check_targets(&self, vocab: usize, blank: Blank) -> Result<()> {
        for utterance in 0..self.labels.len() {
            for (position, &label) in self.target(utterance).iter().enumerate() {
                let problem = match label {
                    _ if label as usize >= vocab => "is outside the vocabulary",
                    _ if label == blank.0 => "is the blank",
                    _ => continue,
                };
                return Err(Error::Label { utterance, position, label, problem, vocab, blank: blank.0 as usize });
            }
        }
        Ok(())
    }
}

/// A checked batch, as plans see it.
#[derive(Clone, Debug)]
pub(super) struct CtcProblem {
    /// Utterances one after the other.
    rows: Problem,
    /// Where they lie instead: elements from utterance to utterance and from frame to frame.
    pub strides: Option<[usize; 2]>,
}

impl std::ops::Deref for CtcProblem {
    type Target = Problem;

    fn deref(&self) -> &Problem {
        &self.rows
    }
}

impl CtcProblem {
    /// In a tensor of so many bytes. Without rows any strides do.
    fn lie_by(mut self, [n, t, _]: [usize; 3], strides: [usize; 2], bytes: u64) -> Self {
        let is_empty = n == 0 || t == 0;
        self.rows.unit = if is_empty { self.rows.unit } else { common_divisor(strides).max(1) as u64 };
        self.rows.parts.iter_mut().for_each(|part| part.bytes = bytes);
        self.rows.dense = false;
        self.strides = Some(if is_empty { [0; 2] } else { strides });
        self
    }
}

fn common_divisor([mut a, mut b]: [usize; 2]) -> usize {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A padded problem without lengths.
fn padded(dtype: DType, [utterances, frames, vocab]: [usize; 3]) -> Result<Problem> {
    within("logits: utterances", utterances as u64, most_utterances(HEADER) as u64, "split the batch")?;
    counted("logits: frames", frames)?;
    let rows = (utterances as u64).saturating_mul(frames as u64);
    counted("logits: rows", usize::try_from(rows).unwrap_or(usize::MAX))?;
    let bytes = rows.saturating_mul(vocab as u64).saturating_mul(dtype.bytes());
    let mut problem = Problem::new(Meaning::Logits, dtype, vocab, vocab);
    problem.parts.push(Part { bytes, utterances: 0..utterances });
    problem.utterances = (0..utterances as u64).map(|n| rows_of(n * frames as u64, frames as u64)).collect();
    Ok(problem)
}

/// An utterance of so many rows, its lengths still to be said.
fn rows_of(first_row: u64, rows: u64) -> UtteranceShape {
    UtteranceShape { frames: 0, labels: 0, begin_frame: 0, begin_label: 0, positions: 1, rows, first_row, frame_stride: 1 }
}

fn check_vocabulary(vocab: usize, blank: Blank) -> Result<()> {
    if vocab == 0 {
        return Err(Error::Shape { argument: "logits", expected: "V of at least 1 in the last side".to_owned(), got: "0".to_owned() });
    }
    counted("logits: vocabulary", vocab)?;
    if blank.0 as usize >= vocab {
        return Err(Error::Value {
            argument: "blank",
            value: blank.0.to_string(),
            help: "the blank must be one of the V symbols of the logits",
        });
    }
    Ok(())
}

/// Kernels count in 32 bits.
fn counted(what: &'static str, side: usize) -> Result<()> {
    if u32::try_from(side).is_err() {
        return Err(Error::LimitExceeded { what, need: side as u64, have: u64::from(u32::MAX), help: "split the batch" });
    }
    Ok(())
}
