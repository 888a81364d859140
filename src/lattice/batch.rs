//! The problem that a transducer loss is given, and every check on it.

use super::Band;
use super::layout::{HEADER, Part, Problem, UtteranceShape, most_utterances};
use super::options::{Gradients, Options};
use super::scores::{Layout, Meaning, Scores};
use super::targets::{Targets, within_length};
use crate::device::Context;
use crate::error::{Error, Result, within};
use crate::order::order;
use crate::tensor::DType;
use std::fmt;

/// A batch of utterances.
#[derive(Clone, Debug)]
pub struct LossBatch<'a> {
    scores: Scores<'a>,
    targets: Targets<'a>,
    begin: Option<(&'a [u32], &'a [u32])>,
}

/// Sides of the scores of a padded batch: all that a plan needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LossShape {
    /// N.
    pub utterances: usize,
    /// T, padded.
    pub frames: usize,
    /// U1: most labels + 1.
    pub positions: usize,
    /// V, with the blank; without the channels of durations.
    pub vocab: usize,
}

impl fmt::Display for LossShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[N {}, T {}, U1 {}, V {}]", self.utterances, self.frames, self.positions, self.vocab)
    }
}

impl LossShape {
    /// The problem of a batch of this shape whose utterances all fill it.
    pub(super) fn problem(self, options: &Options) -> Result<Problem> {
        let whole = Sides {
            parts: vec![self.utterances],
            frames: self.frames,
            positions: self.positions,
            row: self.vocab.saturating_add(options.kind.duration_channels()),
        };
        whole.check("logits")?;
        options.kind.check_vocabulary(self.vocab)?;
        let count = whole.count()?;
        let lengths = (vec![self.frames; count], vec![self.positions.saturating_sub(1); count]);
        whole.problem(Meaning::Logits, DType::F32, self.vocab, &lengths.0, &lengths.1)
    }
}

/// Sides of padded scores.
struct Sides {
    /// Utterances of each part.
    parts: Vec<usize>,
    frames: usize,
    positions: usize,
    /// Elements of a row.
    row: usize,
}

impl Sides {
    fn check(&self, argument: &'static str) -> Result<()> {
        if self.positions == 0 || self.row == 0 {
            return Err(Error::Shape {
                argument,
                expected: "[N, T, U1, V] with U1 = most labels + 1 and V of at least 1".to_owned(),
                got: format!("{self}"),
            });
        }
        Ok(())
    }

    /// Utterances of all parts.
    fn count(&self) -> Result<usize> {
        let count = self.parts.iter().fold(0, |sum: usize, &part| sum.saturating_add(part));
        let most = most_utterances(HEADER);
        within("logits: utterances", count as u64, most as u64, "split the batch")?;
        Ok(count)
    }

    fn problem(&self, meaning: Meaning, dtype: DType, vocab: usize, frames: &[usize], labels: &[usize]) -> Result<Problem> {
        self.count()?;
        for (what, side) in [("frames", self.frames), ("positions", self.positions), ("vocabulary", self.row)] {
            counted(what, side)?;
        }
        let rows = self.frames as u64 * self.positions as u64;
        if u32::try_from(rows).is_err() {
            return Err(too_large("logits: rows of one utterance", rows));
        }
        let mut problem = Problem::new(meaning, dtype, vocab, self.row);
        let mut first = 0;
        for &n in &self.parts {
            let bytes = rows.checked_mul(n as u64).and_then(|rows| rows.checked_mul(self.row as u64 * dtype.bytes()));
            let bytes = bytes.filter(|&bytes| bytes < 1 << 62).ok_or_else(|| too_large("logits: bytes", u64::MAX))?;
            problem.parts.push(Part { bytes, utterances: first..first + n });
            for place in 0..n {
                problem.utterances.push(UtteranceShape {
                    frames: frames[first + place] as u32,
                    labels: labels[first + place] as u32,
                    begin_frame: 0,
                    begin_label: 0,
                    positions: self.positions as u32,
                    rows,
                    first_row: place as u64 * rows,
                    frame_stride: self.positions as u64,
                });
            }
            first += n;
        }
        Ok(problem)
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[N {}, T {}, U1 {}, V {}]",
            self.parts.iter().fold(0, |sum: usize, &part| sum.saturating_add(part)),
            self.frames,
            self.positions,
            self.row
        )
    }
}

impl<'a> LossBatch<'a> {
    /// `scores`: [`Logits`](super::Logits) or [`LogProbs`](super::LogProbs). `targets`: labels, row-major [N, most labels]; what
    /// lies beyond the length of a target is ignored. `frames`, `labels`: lengths of each utterance, `[N]`; no labels are an
    /// ordinary number.
    pub fn new(scores: impl Into<Scores<'a>>, targets: &'a [u32], frames: &'a [u32], labels: &'a [u32]) -> Self {
        Self { scores: scores.into(), targets: Targets::new(targets, frames, labels), begin: None }
    }

    /// Multiplies the cost of each utterance in reductions, and its gradient. Any sign.
    pub fn weights(mut self, weights: &'a [f32]) -> Self {
        self.targets.weights = Some(weights);
        self
    }

    /// Restricts each utterance to a band of its lattice, `[N]`.
    pub fn bands(mut self, bands: &'a [Band]) -> Self {
        self.targets.bands = Some(bands);
        self
    }

    /// Where the lattice of each utterance begins in padded scores: its first frame and its first position, `[N]` each.
    /// Frame and label lengths count from there, and so do the labels of a target.
    pub fn begin(mut self, frames: &'a [u32], positions: &'a [u32]) -> Self {
        self.begin = Some((frames, positions));
        self
    }

    /// Where the draws of a kind that is [sometimes RNN-T](super::Kind::sometimes_rnnt) come from: the same seed draws the same
    /// utterances, by their place in the batch. Give every training step its own.
    pub fn seed(mut self, seed: u64) -> Self {
        self.targets.seed = seed;
        self
    }

    pub(super) fn scores(&self) -> &Scores<'a> {
        &self.scores
    }

    pub(super) fn targets(&self) -> &Targets<'a> {
        &self.targets
    }

    /// Checks everything that the host knows.
    pub(super) fn check(&self, options: &Options, context: &Context) -> Result<Problem> {
        let name = self.scores.name();
        for part in &self.scores.parts {
            if !part.context().same_as(context) {
                return Err(Error::OtherContext { argument: name });
            }
        }
        if options.gradients == Gradients::InPlace {
            self.check_apart()?;
        }
        let mut problem = self.place(options)?;
        if problem.meaning != Meaning::Gathered {
            options.kind.check_vocabulary(problem.vocab)?;
        } else if options.kind.label_frames().is_none() {
            return Err(Error::Value {
                argument: name,
                value: "gathered".to_owned(),
                help: "gathered scores have the blank and the next label only; this kind reads more symbols",
            });
        }
        self.check_begin(&mut problem)?;
        self.targets.check(options, problem.vocab, problem.meaning == Meaning::Gathered)?;
        Ok(problem)
    }

    /// Gradients in place need memory of their own for each part.
    fn check_apart(&self) -> Result<()> {
        let parts = &self.scores.parts;
        let twice = parts.iter().enumerate().find_map(|(second, part)| {
            let first = parts[..second].iter().position(|other| other.same_memory(part))?;
            Some((first, second))
        });
        match twice {
            Some((first, second)) => Err(Error::Value {
                argument: self.scores.name(),
                value: format!("the same tensor as parts {first} and {second}"),
                help: "gradients in place would overwrite each other: give copies, or ask for separate gradients",
            }),
            None => Ok(()),
        }
    }

    /// Where each utterance lies.
    fn place(&self, options: &Options) -> Result<Problem> {
        let dtype = self.scores.dtype()?;
        let extra = options.kind.duration_channels();
        let vocabulary = |row: usize| {
            let gathered = self.scores.meaning == Meaning::Gathered;
            if gathered && row != 2 {
                return Err(self.scores.shape_error("two values a cell: blank, next label", row));
            }
            // The blank of gathered scores is their first value, whatever symbol it is.
            row.checked_sub(extra)
                .filter(|&vocab| vocab > 0)
                .ok_or_else(|| self.scores.shape_error(&format!("V of at least 1 and {extra} channels of durations in the last side"), row))
        };
        let problem = match self.scores.layout {
            Layout::Padded => {
                let sides = self.padded_sides()?;
                let lengths = self.lengths(&sides, sides.count()?)?;
                sides.problem(self.scores.meaning, dtype, vocabulary(sides.row)?, &lengths.0, &lengths.1)?
            }
            Layout::Packed => self.place_packed(dtype, vocabulary)?,
            Layout::Strided { shape: [n, t, u1, row], strides } => {
                let sides = Sides { parts: vec![n], frames: t, positions: u1, row };
                sides.check(self.scores.name())?;
                let lengths = self.lengths(&sides, n)?;
                let mut problem = sides.problem(self.scores.meaning, dtype, vocabulary(row)?, &lengths.0, &lengths.1)?;
                let reach = |sides: [usize; 3]| {
                    let last = sides.iter().zip(strides).try_fold(0usize, |sum, (&side, stride)| {
                        side.saturating_sub(1).checked_mul(stride).and_then(|x| sum.checked_add(x))
                    });
                    last.and_then(|last| last.checked_add(row))
                };
                let elements = self.scores.parts.first().map_or(0, |part| part.len());
                let is_empty = n == 0 || t == 0;
                if !is_empty && reach([n, t, u1]).is_none_or(|reach| reach > elements) {
                    return Err(self.scores.shape_error(
                        &format!("strides that stay within the {elements} elements of the tensor"),
                        format!("shape {:?} with strides {strides:?}", [n, t, u1, row]),
                    ));
                }
                if options.gradients != Gradients::None && overlap([n, t, u1], strides, row, elements) {
                    return Err(Error::Value {
                        argument: self.scores.name(),
                        value: format!("strides {strides:?} of shape {:?}", [n, t, u1, row]),
                        help: "rows overlap, and each needs a place for its gradient: copy the scores, or ask for costs only",
                    });
                }
                // Without rows any strides do.
                problem.stride(if is_empty { [row; 3] } else { strides }, elements as u64);
                problem
            }
        };
        Ok(problem)
    }

    fn padded_sides(&self) -> Result<Sides> {
        let mut sides: Option<Sides> = None;
        for part in &self.scores.parts {
            let &[n, t, u1, row] = part.shape() else {
                return Err(self.scores.shape_error("four sides [N, T, U1, V]", format!("{:?}", part.shape())));
            };
            match &mut sides {
                None => sides = Some(Sides { parts: vec![n], frames: t, positions: u1, row }),
                Some(known) if [known.frames, known.positions, known.row] == [t, u1, row] => known.parts.push(n),
                Some(known) => {
                    let expected =
                        format!("parts with the sides of the first: T {}, U1 {}, V {}", known.frames, known.positions, known.row);
                    return Err(self.scores.shape_error(&expected, format!("{:?}", part.shape())));
                }
            }
        }
        let sides = sides.ok_or_else(|| self.scores.shape_error("at least one tensor", "none"))?;
        sides.check(self.scores.name())?;
        Ok(sides)
    }

    /// Lengths that fit padded sides.
    fn lengths(&self, sides: &Sides, utterances: usize) -> Result<(Vec<usize>, Vec<usize>)> {
        let wide = sides.positions - 1;
        for (argument, slice) in [("frames", self.targets.frames), ("labels", self.targets.labels)] {
            if slice.len() != utterances {
                return Err(Error::Shape {
                    argument,
                    expected: format!("{utterances} x 1 values for {} {sides}", self.scores.name()),
                    got: format!("{} values", slice.len()),
                });
            }
        }
        if Some(self.targets.symbols.len()) != utterances.checked_mul(wide)
            && self.targets.stride() * utterances != self.targets.symbols.len()
        {
            return Err(Error::Shape {
                argument: "targets",
                expected: format!("{utterances} x {wide} values for {} {sides}", self.scores.name()),
                got: format!("{} values", self.targets.symbols.len()),
            });
        }
        for (argument, lengths, max) in [("frames", self.targets.frames, sides.frames), ("labels", self.targets.labels, wide)] {
            within_length(argument, lengths, max)?;
        }
        within_length("labels", self.targets.labels, self.targets.stride())?;
        let wide = |lengths: &[u32]| lengths.iter().map(|&length| length as usize).collect();
        Ok((wide(self.targets.frames), wide(self.targets.labels)))
    }

    fn place_packed(&self, dtype: DType, vocabulary: impl Fn(usize) -> Result<usize>) -> Result<Problem> {
        self.targets.check_count("labels", self.targets.labels.len(), 1)?;
        if self.targets.stride() * self.targets.frames.len() != self.targets.symbols.len() {
            return Err(Error::Shape {
                argument: "targets",
                expected: format!("{} rows of labels, equally long", self.targets.frames.len()),
                got: format!("{} values", self.targets.symbols.len()),
            });
        }
        within_length("labels", self.targets.labels, self.targets.stride())?;
        let mut row_elements = None;
        let mut problem: Option<Problem> = None;
        let mut next = 0;
        for part in &self.scores.parts {
            let &[rows, row] = part.shape() else {
                return Err(self.scores.shape_error("two sides [rows, V]", format!("{:?}", part.shape())));
            };
            if *row_elements.get_or_insert(row) != row || row == 0 {
                return Err(self.scores.shape_error("parts with the same V, at least 1", format!("{:?}", part.shape())));
            }
            counted("rows", rows)?;
            let problem = problem.get_or_insert(Problem::new(self.scores.meaning, dtype, vocabulary(row)?, row));
            let first = next;
            let mut at = 0;
            while next < self.targets.frames.len() {
                let (frames, labels) = (self.targets.frames[next], self.targets.labels[next]);
                let rows_here = u64::from(frames) * (u64::from(labels) + 1);
                if at + rows_here > rows as u64 {
                    break;
                }
                problem.utterances.push(UtteranceShape::packed(frames, labels, at));
                at += rows_here;
                next += 1;
            }
            if at != rows as u64 {
                return Err(self
                    .scores
                    .shape_error(&format!("T (U + 1) rows for each utterance; those from {first} on take {at}"), format!("{rows} rows")));
            }
            problem.parts.push(Part { bytes: part.bytes(), utterances: first..next });
        }
        let problem = problem.ok_or_else(|| self.scores.shape_error("at least one tensor", "none"))?;
        if next < self.targets.frames.len() {
            let rest: u64 = (next..self.targets.frames.len())
                .map(|n| u64::from(self.targets.frames[n]) * (u64::from(self.targets.labels[n]) + 1))
                .sum();
            return Err(self.scores.shape_error(&format!("{rest} more rows, for the utterances from {next} on"), "none"));
        }
        Ok(problem)
    }

    fn check_begin(&self, problem: &mut Problem) -> Result<()> {
        let Some((frames, positions)) = self.begin else { return Ok(()) };
        if self.scores.layout == Layout::Packed {
            return Err(Error::Value {
                argument: "begin",
                value: "packed scores".to_owned(),
                help: "packed utterances begin where the one before ends",
            });
        }
        self.targets.check_count("begin", frames.len(), 1)?;
        self.targets.check_count("begin", positions.len(), 1)?;
        for (utterance, shape) in problem.utterances.iter_mut().enumerate() {
            let (frame, position) = (frames[utterance], positions[utterance]);
            let tensor_frames = shape.rows / u64::from(shape.positions);
            let within = |length: u32, begin: u32, max: u64, argument| {
                let length = u64::from(length) + u64::from(begin);
                if length <= max {
                    return Ok(());
                }
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                Err(Error::Length { argument, utterance, length, max: max as usize })
            };
            within(shape.frames, frame, tensor_frames, "frames")?;
            within(shape.labels, position, u64::from(shape.positions) - 1, "labels")?;
            (shape.begin_frame, shape.begin_label) = (frame, position);
        }
        Ok(())
    }
}

/// Whether some rows of `row` elements, which stay within `elements`, share some.
pub(super) fn overlap(sides: [usize; 3], strides: [usize; 3], row: usize, elements: usize) -> bool {
    if sides.contains(&0) {
        return false;
    }
    let nested: Vec<(usize, usize)> = strides.into_iter().zip(sides).filter(|&(_, side)| side > 1).collect();
    let places = order(nested.iter().map(|&(stride, side)| (stride as u64, side as u64)));
    // Strides that step over all that the smaller ones reach, as those of slices and transposed tensors do.
    let mut reach = row;
    let steps_over = places.into_iter().map(|place| nested[place]).all(|(stride, side)| {
        let over = stride >= reach;
        reach += stride * (side - 1);
        over
    });
    if steps_over {
        return false;
    }
    let [n, t, u] = sides;
    let all = sides.iter().try_fold(row, |elements, &side| elements.checked_mul(side));
    if all.is_none_or(|all| all > elements) {
        return true;
    }
    let rows = (0..n).flat_map(|n| (0..t).flat_map(move |t| (0..u).map(move |u| n * strides[0] + t * strides[1] + u * strides[2])));
    let rows: Vec<usize> = rows.collect();
    order(rows.iter().map(|&first| (first as u64, 0))).windows(2).any(|pair| rows[pair[1]] - rows[pair[0]] < row)
}

fn counted(what: &'static str, side: usize) -> Result<()> {
    let what = match what {
        "frames" => "logits: frames",
        "positions" => "logits: positions",
        "rows" => "logits: rows",
        _ => "logits: vocabulary",
    };
    if u32::try_from(side).is_err() { Err(too_large(what, side as u64)) } else { Ok(()) }
}

fn too_large(what: &'static str, need: u64) -> Error {
    Error::LimitExceeded { what, need, have: u64::from(u32::MAX), help: "split the batch" }
}
