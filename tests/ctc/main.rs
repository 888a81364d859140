//! The CTC loss on the CPU twins and on the adapter of this machine, plain and with subgroups.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../oracle/truth/mod.rs"]
mod truth;

mod against_oracle;
mod alignments;
mod bad_input;
mod conformance;
mod invariance;
mod lattices;
mod limits;
mod reductions;
mod torch;

use common::{Lcg, assert_close};
use std::sync::OnceLock;
use truth::{Ctc, Head, Solution};
use weft::lattice::{Blank, CtcBatch, CtcLoss, CtcLossBuilder, CtcOutput, Gradients, Status};
use weft::{Context, DType, Tensor, f16};

/// Costs: the rounding of weights, and drivers whose `exp2` and `log2` are good to 2^-21, for each frame.
const COST: [f64; 2] = [1e-5, 2e-6];
/// Gradients are differences of probabilities. Forward and backward variables are kept to 2^-24 of their
/// distance from an anchor, which is up to a hundred bits.
const GRADIENT: f64 = 3e-5;

/// Every context once for all tests: they run on many threads, as a context must bear, and kernels are
/// compiled once.
fn contexts() -> &'static [(String, Context)] {
    static CONTEXTS: OnceLock<Vec<(String, Context)>> = OnceLock::new();
    CONTEXTS.get_or_init(common::contexts)
}

/// First frames of utterances that begin late.
const BEGINS: [u32; 8] = [1, 2, 0, 2, 1, 0, 1, 2];

/// How logits lie in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    Padded,
    Packed,
    /// Padded, of half the precision.
    Half,
    /// [T, N, V].
    TimeMajor,
    /// The same, with something between the rows, which begin anywhere.
    Crooked,
    /// Padded, with two frames more, of which up to two come before an utterance.
    Begin,
}

impl Layout {
    /// Elements from utterance to utterance and from frame to frame, where they are to be said.
    fn strides(self, [utterances, _, vocab]: [usize; 3]) -> Option<[usize; 2]> {
        match self {
            Self::Padded | Self::Packed | Self::Half | Self::Begin => None,
            Self::TimeMajor => Some([vocab, utterances * vocab]),
            Self::Crooked => Some([vocab + 1, utterances * (vocab + 1)]),
        }
    }
}

/// A batch on the host.
#[derive(Clone)]
struct Batch {
    /// [N, T, V]
    shape: [usize; 3],
    /// Labels a row of `targets`.
    most: usize,
    /// Or log-probabilities.
    logits: Vec<f32>,
    head: Head,
    targets: Vec<u32>,
    frames: Vec<u32>,
    labels: Vec<u32>,
    blank: u32,
    weights: Option<Vec<f32>>,
}

/// What a run gives, on the host.
struct Outcome {
    costs: Vec<f32>,
    status: Vec<Status>,
    /// Padded, whatever the layout.
    gradients: Vec<f32>,
}

impl Batch {
    /// Random logits in [-3, 3), random targets of `most` labels that avoid the blank; full lengths.
    fn random(seed: u64, shape: [usize; 3], most: usize, blank: u32) -> Self {
        let [n, t, v] = shape;
        let mut numbers = Lcg(seed);
        let logits = numbers.list(n * t * v, 3.0);
        let mut label = || {
            // One of the V - 1 others.
            let other = ((numbers.next() + 1.0) / 2.0 * (v.max(2) - 1) as f32) as u32;
            if other >= blank { other + 1 } else { other }
        };
        let targets = (0..n * most).map(|_| label()).collect();
        Self {
            shape,
            most,
            logits,
            head: Head::Softmax,
            targets,
            frames: vec![t as u32; n],
            labels: vec![most as u32; n],
            blank,
            weights: None,
        }
    }

    fn with_lengths(mut self, frames: &[u32], labels: &[u32]) -> Self {
        self.frames = frames.to_vec();
        self.labels = labels.to_vec();
        self
    }

    fn row(&mut self, n: usize, t: usize) -> &mut [f32] {
        let [_, frames, vocab] = self.shape;
        &mut self.logits[(n * frames + t) * vocab..][..vocab]
    }

    fn builder(&self) -> CtcLossBuilder {
        CtcLoss::new(Blank(self.blank))
    }

    /// Frames of the padded batch that a packed one has.
    fn rows(&self) -> impl Iterator<Item = usize> {
        let frames = self.shape[1];
        self.frames.iter().enumerate().flat_map(move |(n, &length)| n * frames..n * frames + length as usize)
    }

    /// Where rows begin that have strides, by utterances and frames.
    fn starts(&self, layout: Layout) -> impl Iterator<Item = usize> {
        let [utterances, frames, _] = self.shape;
        let [n, t] = layout.strides(self.shape).unwrap_or_default();
        (0..utterances * frames).map(move |row| row / frames * n + row % frames * t)
    }

    /// Rows of a batch whose utterances begin late, by utterances and frames.
    fn late_rows(&self) -> impl Iterator<Item = usize> {
        let [utterances, frames, _] = self.shape;
        (0..utterances * frames).map(move |row| row / frames * (frames + 2) + BEGINS[row / frames] as usize + row % frames)
    }

    /// The batch over uploaded logits.
    fn over<'a>(&'a self, logits: &'a Tensor, layout: Layout) -> CtcBatch<'a> {
        let of = if self.head == Head::LogProbs { CtcBatch::of_log_probs } else { CtcBatch::new };
        let mut batch = of(logits, &self.targets, &self.frames, &self.labels);
        if let Some(strides) = layout.strides(self.shape) {
            batch = batch.strided(self.shape, strides);
        }
        if layout == Layout::Begin {
            batch = batch.begin(&BEGINS[..self.shape[0]]);
        }
        match &self.weights {
            Some(weights) => batch.weights(weights),
            None => batch,
        }
    }

    fn upload(&self, context: &Context, layout: Layout) -> weft::Result<Tensor> {
        self.upload_as(context, layout, if layout == Layout::Half { DType::F16 } else { DType::F32 })
    }

    fn upload_as(&self, context: &Context, layout: Layout, dtype: DType) -> weft::Result<Tensor> {
        let vocab = self.shape[2];
        let (shape, values) = match layout {
            Layout::Padded | Layout::Half => (self.shape.to_vec(), self.logits.clone()),
            Layout::Packed => {
                let packed: Vec<f32> = self.rows().flat_map(|row| &self.logits[row * vocab..][..vocab]).copied().collect();
                (vec![packed.len() / vocab, vocab], packed)
            }
            Layout::Begin => {
                let [utterances, frames, _] = self.shape;
                let mut values = vec![f32::NAN; utterances * (frames + 2) * vocab];
                for (from, row) in self.logits.chunks(vocab).zip(self.late_rows()) {
                    values[row * vocab..][..vocab].copy_from_slice(from);
                }
                (vec![utterances, frames + 2, vocab], values)
            }
            Layout::TimeMajor | Layout::Crooked => {
                let rows: Vec<usize> = self.starts(layout).collect();
                let end = rows.iter().max().map_or(0, |last| last + vocab);
                let mut values = vec![f32::NAN; end];
                for (row, from) in rows.into_iter().zip(self.logits.chunks(vocab)) {
                    values[row..][..vocab].copy_from_slice(from);
                }
                (vec![end], values)
            }
        };
        if dtype == DType::F16 {
            let half: Vec<f16> = values.iter().map(|&x| f16::from_f32(x)).collect();
            return Tensor::from_f16(context, &shape, &half);
        }
        Tensor::from_slice(context, &shape, &values)
    }

    fn try_run(&self, context: &Context, builder: CtcLossBuilder, layout: Layout) -> weft::Result<CtcOutput> {
        let logits = self.upload(context, layout)?;
        builder.build(context)?.run_blocking(&self.over(&logits, layout))
    }

    fn run_as(&self, context: &Context, builder: CtcLossBuilder, layout: Layout) -> Outcome {
        self.outcome(self.try_run(context, builder, layout).unwrap(), layout)
    }

    /// What a run with gradients gave.
    fn outcome(&self, out: CtcOutput, layout: Layout) -> Outcome {
        let values = out.gradients.expect("asked for").to_vec_blocking().unwrap();
        let vocab = self.shape[2];
        let gradients = if layout == Layout::Packed {
            let mut padded = vec![0.0; self.logits.len()];
            for (row, values) in self.rows().zip(values.chunks(vocab)) {
                padded[row * vocab..][..vocab].copy_from_slice(values);
            }
            padded
        } else if layout == Layout::Begin {
            let rows: Vec<usize> = self.late_rows().collect();
            let others = (0..values.len() / vocab).filter(|row| !rows.contains(row));
            assert!(others.flat_map(|row| &values[row * vocab..][..vocab]).all(|&g| g == 0.0), "a gradient beside the utterances");
            rows.iter().flat_map(|&row| &values[row * vocab..][..vocab]).copied().collect()
        } else if layout.strides(self.shape).is_some() {
            let rows: Vec<usize> = self.starts(layout).collect();
            let is_row = |i: &usize| rows.iter().any(|row| (*row..row + vocab).contains(i));
            let untouched = |x: f32| x.is_nan() || x == 0.0;
            assert!((0..values.len()).filter(|i| !is_row(i)).all(|i| untouched(values[i])), "something between the rows");
            rows.iter().flat_map(|&row| &values[row..][..vocab]).copied().collect()
        } else {
            values
        };
        Outcome { costs: out.costs, status: out.status, gradients }
    }

    fn run(&self, context: &Context) -> Outcome {
        self.run_as(context, self.builder().gradients(true), Layout::Padded)
    }

    /// One utterance, without its padding.
    fn utterance(&self, n: usize) -> Ctc {
        let [_, frames, vocab] = self.shape;
        let length = self.frames[n] as usize;
        let logits = self.logits[n * frames * vocab..][..length * vocab].iter().map(|&x| f64::from(x)).collect();
        let target = self.targets[n * self.most..][..self.labels[n] as usize].to_vec();
        Ctc { head: self.head, ..Ctc::new(self.blank, [length, vocab], target, logits) }
    }

    /// The same utterance as a batch of its own, of the same padded size.
    fn single(&self, n: usize) -> Self {
        let [_, frames, vocab] = self.shape;
        let size = frames * vocab;
        Self {
            shape: [1, frames, vocab],
            logits: self.logits[n * size..(n + 1) * size].to_vec(),
            targets: self.targets[n * self.most..(n + 1) * self.most].to_vec(),
            frames: vec![self.frames[n]],
            labels: vec![self.labels[n]],
            weights: self.weights.as_ref().map(|weights| vec![weights[n]]),
            ..*self
        }
    }

    /// Every utterance by the oracle; gradients padded with zeros.
    fn solve(&self) -> Vec<Solution> {
        let size = self.shape[1] * self.shape[2];
        let of = |n| {
            let mut solution = self.utterance(n).solve_large();
            solution.gradient.resize(size, 0.0);
            solution
        };
        (0..self.shape[0]).map(of).collect()
    }

    /// Runs on every context and compares everything with the oracle; lists statuses too.
    #[track_caller]
    fn check(&self, what: &str) {
        let solutions = self.solve();
        for (name, context) in contexts() {
            self.compare(&format!("{what} on {name}"), &self.run(context), &solutions, GRADIENT);
        }
    }

    #[track_caller]
    fn compare(&self, what: &str, out: &Outcome, solutions: &[Solution], gradient: f64) {
        let size = self.shape[1] * self.shape[2];
        for (n, solution) in solutions.iter().enumerate() {
            let what = format!("{what}, utterance {n}");
            if solution.cost.is_finite() {
                assert_eq!(out.status[n], Status::Ok, "{what}");
                assert_close(&format!("{what}: cost"), &out.costs[n..=n], &[solution.cost], COST[0], COST[1]);
            } else {
                assert_eq!((out.status[n], out.costs[n]), (Status::Infeasible, f32::INFINITY), "{what}");
            }
            let gradients = &out.gradients[n * size..(n + 1) * size];
            assert_close(&format!("{what}: gradient"), gradients, &solution.gradient, gradient, 0.0);
            let lived = if solution.cost.is_finite() { self.frames[n] as usize * self.shape[2] } else { 0 };
            assert!(gradients[lived..].iter().all(|&g| g == 0.0), "{what}: gradient beyond the lattice");
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[track_caller]
fn assert_same(what: &str, a: &Outcome, b: &Outcome) {
    assert_eq!(a.status, b.status, "{what}");
    assert_eq!(bits(&a.costs), bits(&b.costs), "{what}");
    assert_eq!(bits(&a.gradients), bits(&b.gradients), "{what}");
}

/// Each way of asking for gradients.
const GRADIENTS: [Gradients; 2] = [Gradients::Separate, Gradients::InPlace];
