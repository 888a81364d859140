//! The RNN-T loss on the CPU twins and on the adapter of this machine, plain and with subgroups.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;

#[path = "../oracle/truth/mod.rs"]
mod truth;

mod against_oracle;
mod bad_input;
mod case;
mod conformance;
mod degenerate;
mod differences;
mod docs;
mod forms;
mod halves;
mod hostile;
mod invariance;
mod kinds;
mod known;
mod latency;
mod limits;
mod long;
mod others;
mod properties;
mod settings;
mod trained;

use common::{Lcg, assert_close};
use std::sync::OnceLock;
use weft::lattice::{Blank, Kind, Logits, LossBatch, LossOutput, Status, TransducerLoss};
use weft::{Context, Tensor};

/// Costs: f32 sums of up to a few hundred terms, and drivers whose `log` is good to 2^-21 only.
const COST: [f64; 2] = [1e-5, 5e-6];

/// Gradients are differences of probabilities: absolute error. Forward and backward variables are as
/// large as the cost; their rounding in f32 (6e-8 of it, at every diagonal) is a relative error of
/// the occupancies.
fn gradient_tolerance(cost: f64) -> f64 {
    2e-5 + 2e-6 * cost
}

/// Every context once for all tests: they run on many threads, as a context must bear, and kernels are
/// compiled once.
fn contexts() -> &'static [(String, Context)] {
    static CONTEXTS: OnceLock<Vec<(String, Context)>> = OnceLock::new();
    CONTEXTS.get_or_init(common::contexts)
}

/// [`contexts`] for tests that go through all kinds, each of which is a set of kernels of its own. SwiftShader compiles a kernel
/// for seconds, into hundreds of megabytes, and is left out.
fn quick_contexts() -> Vec<&'static (String, Context)> {
    contexts().iter().filter(|(name, _)| !name.contains("SwiftShader")).collect()
}

/// A padded batch on the host.
#[derive(Clone)]
struct Batch {
    /// [N, T, U1, V]
    shape: [usize; 4],
    logits: Vec<f32>,
    targets: Vec<u32>,
    frames: Vec<u32>,
    labels: Vec<u32>,
    blank: u32,
}

/// What a run gives, on the host.
struct Outcome {
    costs: Vec<f32>,
    status: Vec<Status>,
    gradients: Vec<f32>,
}

impl Batch {
    /// Random logits in [-3, 3), random targets that avoid the blank; full lengths.
    fn random(seed: u64, shape: [usize; 4], blank: u32) -> Self {
        let [n, t, u1, v] = shape;
        let mut numbers = Lcg(seed);
        let logits = numbers.list(n * t * u1 * v, 3.0);
        let mut label = || {
            // One of the V - 1 others.
            let other = ((numbers.next() + 1.0) / 2.0 * (v.max(2) - 1) as f32) as u32;
            if other >= blank { other + 1 } else { other }
        };
        let targets = (0..n * (u1 - 1)).map(|_| label()).collect();
        Self { shape, logits, targets, frames: vec![t as u32; n], labels: vec![u1 as u32 - 1; n], blank }
    }

    fn with_lengths(mut self, frames: &[u32], labels: &[u32]) -> Self {
        self.frames = frames.to_vec();
        self.labels = labels.to_vec();
        self
    }

    fn row(&mut self, n: usize, t: usize, u: usize) -> &mut [f32] {
        let [_, frames, positions, vocab] = self.shape;
        &mut self.logits[((n * frames + t) * positions + u) * vocab..][..vocab]
    }

    fn try_run_kind(&self, kind: Kind, context: &Context, gradients: bool) -> weft::Result<LossOutput> {
        let logits = Tensor::from_slice(context, &self.shape, &self.logits)?;
        let loss = TransducerLoss::of(kind).gradients(gradients).build(context)?;
        loss.run_blocking(&LossBatch::new(Logits::padded(&logits), &self.targets, &self.frames, &self.labels))
    }

    fn try_run(&self, context: &Context, gradients: bool) -> weft::Result<LossOutput> {
        self.try_run_kind(Kind::rnnt(Blank(self.blank)), context, gradients)
    }

    fn run(&self, context: &Context) -> Outcome {
        self.run_kind(Kind::rnnt(Blank(self.blank)), context)
    }

    fn run_kind(&self, kind: Kind, context: &Context) -> Outcome {
        let out = self.try_run_kind(kind, context, true).unwrap();
        let [gradients] = &out.gradients[..] else { panic!("one tensor was asked for") };
        assert_eq!(gradients.shape(), self.shape);
        Outcome { costs: out.costs, status: out.status, gradients: gradients.to_vec_blocking().unwrap() }
    }

    /// One utterance, without its padding.
    fn utterance(&self, n: usize) -> truth::Lattice {
        let [_, frames, positions, vocab] = self.shape;
        let labels = self.labels[n] as usize;
        let logits = (0..self.frames[n] as usize)
            .flat_map(|t| {
                let first = (n * frames + t) * positions * vocab;
                self.logits[first..first + (labels + 1) * vocab].iter().map(|&x| f64::from(x))
            })
            .collect();
        let target = self.targets[n * (positions - 1)..][..labels].to_vec();
        truth::Lattice::new(truth::Kind::rnnt(self.blank), [self.frames[n] as usize, vocab], target, logits)
    }

    /// The same utterance as a batch of its own, of the same padded size.
    fn single(&self, n: usize) -> Self {
        let [_, frames, positions, vocab] = self.shape;
        let part = |list: &[u32], width: usize| list[n * width..(n + 1) * width].to_vec();
        let size = frames * positions * vocab;
        Self {
            shape: [1, frames, positions, vocab],
            logits: self.logits[n * size..(n + 1) * size].to_vec(),
            targets: part(&self.targets, positions - 1),
            frames: part(&self.frames, 1),
            labels: part(&self.labels, 1),
            blank: self.blank,
        }
    }

    /// Costs and padded gradients by the oracle.
    fn solve(&self) -> (Vec<f64>, Vec<f64>) {
        let [count, frames, positions, vocab] = self.shape;
        let mut costs = Vec::new();
        let mut gradients = vec![0.0; self.logits.len()];
        for n in 0..count {
            let solution = self.utterance(n).solve();
            costs.push(solution.cost);
            let row = (self.labels[n] as usize + 1) * vocab;
            for (t, from) in solution.gradient.chunks(row).enumerate() {
                gradients[(n * frames + t) * positions * vocab..][..row].copy_from_slice(from);
            }
        }
        (costs, gradients)
    }

    /// Runs on every context and compares everything with the oracle; lists statuses too.
    #[track_caller]
    fn check(&self, what: &str, contexts: &[(String, Context)]) {
        let (costs, gradients) = self.solve();
        for (name, context) in contexts {
            let what = format!("{what} on {name}");
            let out = self.run(context);
            for (n, status) in out.status.iter().enumerate() {
                let expected = match () {
                    () if self.frames[n] == 0 => Status::Empty,
                    () if costs[n].is_infinite() => Status::Infeasible,
                    () => Status::Ok,
                };
                assert_eq!(*status, expected, "{what}: utterance {n}");
                if expected == Status::Ok {
                    assert_close(&format!("{what}: cost of utterance {n}"), &out.costs[n..=n], &costs[n..=n], COST[0], COST[1]);
                } else {
                    assert_eq!(out.costs[n], f32::INFINITY, "{what}: cost of utterance {n}");
                }
            }
            let size = gradients.len() / costs.len();
            for (n, &cost) in costs.iter().enumerate() {
                let range = n * size..(n + 1) * size;
                let tolerance = gradient_tolerance(if cost.is_finite() { cost } else { 0.0 });
                let what = format!("{what}: gradients of utterance {n}, cost {cost}");
                assert_close(&what, &out.gradients[range.clone()], &gradients[range], tolerance, 0.0);
            }
            self.assert_padding_is_zero(&out.gradients, &what);
        }
    }

    /// Exactly zero outside the lattices.
    #[track_caller]
    fn assert_padding_is_zero(&self, gradients: &[f32], what: &str) {
        let [_, frames, positions, vocab] = self.shape;
        for (row, gradient) in gradients.chunks(vocab).enumerate() {
            let (u, t, n) = (row % positions, row / positions % frames, row / positions / frames);
            if t >= self.frames[n] as usize || u > self.labels[n] as usize {
                assert!(gradient.iter().all(|&g| g == 0.0), "{what}: gradient in the padding at [{n}, {t}, {u}]");
            }
        }
    }
}

/// Who is asked for the published values of `tests/oracle/known`: the library.
trait Solve {
    fn solved(&self) -> truth::Solution;
    fn solved_with(&self, reshape: &truth::Reshape) -> truth::Solution;
}

/// Fails with the place of the first difference above `tolerance`, or what f32 arithmetic may be off.
#[track_caller]
fn assert_near(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let near = g == e || (g - e).abs() <= tolerance.max(2e-6 * e.abs().max(1.0));
        assert!(near, "{what} [{i}]: got {g}, expected {e}");
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}
