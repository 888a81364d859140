//! What users take from a CTC lattice beside its cost: paths, posteriors, entropy, expected frames.
//!
//! The row pass weighs the symbols of the target; those weights are read back once, 4 B a frame and label, and every analysis
//! sums over the paths on the host, in f64.

use super::loss::Call;
use super::plan::Options;
use super::trellis::{CtcTrellis, Words};
use super::{CtcAlignment, CtcBatch, CtcLoss, CtcOutput, CtcPlan};
use crate::cpu::map_all;
use crate::device::RunReport;
use crate::error::Result;
use crate::lattice::Status;
use crate::lattice::align::{Best, KBest, Node, Random, Trellis as _, Way, add, entropy, log2_of, occupancy, sample};
use crate::tensor::{DType, Tensor};
use std::f64::consts::LN_2;

/// The lattices of a batch, kept on the host after their loss was computed.
#[derive(Debug)]
pub struct CtcLattices {
    output: CtcOutput,
    parts: Vec<Weights>,
    /// Words of a frame among those of labels.
    stride: usize,
    utterances: Vec<Utterance>,
}

/// Weights of the utterances of a part.
#[derive(Debug)]
struct Weights {
    labels: Vec<u32>,
    frames: Vec<u32>,
}

#[derive(Debug)]
struct Utterance {
    part: usize,
    /// Its first row in the part, and its frames.
    first: usize,
    frames: usize,
    target: Vec<u32>,
}

/// The lattice of one utterance: T frames, U labels, 2 U + 1 states. State 2 u is the blank before label u, state 2 u + 1 is label u.
///
/// Where its [status](Self::status) is not ok there are no paths, and every list is empty. Every analysis sums over the paths first:
/// O(T U) time, 40 B a frame and state.
#[derive(Clone, Copy, Debug)]
pub struct CtcLattice<'a> {
    all: &'a CtcLattices,
    index: usize,
}

/// One path through a lattice.
#[derive(Clone, Debug, PartialEq)]
pub struct CtcPath {
    /// Its states, and where the labels stand.
    pub alignment: CtcAlignment,
    /// Log-probability of the path given the logits, nats.
    pub log_prob: f64,
    /// Log-probability, nats, of the path among all paths of the target.
    pub log_posterior: f64,
}

impl CtcLoss {
    /// As [`run`](Self::run), and keeps the lattices: paths, posteriors and more follow from them without another run.
    ///
    /// ```
    /// # fn main() -> weft::Result<()> {
    /// use weft::lattice::{Blank, CtcBatch, CtcLoss};
    /// let gpu = weft::Context::cpu();
    /// let logits = weft::Tensor::from_slice(&gpu, &[1, 2, 3], &[0.0; 6])?;
    /// let loss = CtcLoss::new(Blank(0)).build(&gpu)?;
    /// let lattices = loss.lattice_blocking(&CtcBatch::new(&logits, &[2], &[2], &[1]))?;
    /// // Blank and label, label and blank, label and label.
    /// let entropies = lattices.map(|lattice| lattice.entropy());
    /// assert!((entropies[0].unwrap_or(0.0) - 3f64.ln()).abs() < 1e-5);
    /// assert_eq!(lattices.map(|lattice| lattice.k_best(5).len()), [3]);
    /// # Ok(()) }
    /// ```
    ///
    /// The weights of all labels are read back, 4 B a frame and label (of the longest target), and held on the host. A batch that is
    /// worked on in pieces ([`workspace_limit`](super::CtcLossBuilder::workspace_limit)) is read back piece by piece.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn lattice(&self, batch: &CtcBatch<'_>) -> Result<CtcLattices> {
        let problem = batch.check(&self.options, &self.context)?;
        let options = Options { keep_weights: true, ..self.options };
        let plans = CtcPlan::by_parts(&problem, &options, self.context.caps())?;
        let call = Call::new(self, batch, &problem, plans.first().map_or((0, 0), CtcPlan::tiles))?;
        let mut parts = Vec::new();
        let mut report = RunReport::default();
        let mut tensors: Option<[Tensor; 2]> = None;
        let mut utterances: Vec<Utterance> = Vec::new();
        for (part, plan) in plans.iter().enumerate() {
            let [labels, frames] = match &tensors {
                // All parts take as much as the largest.
                Some(tensors) => tensors,
                None => {
                    let [labels, frames] =
                        plan.weights_bytes().map(|bytes| Tensor::empty(&self.context, &[bytes as usize / 4], DType::U32));
                    tensors.insert([labels?, frames?])
                }
            };
            let mut bound = call.bound();
            bound.extend([labels, frames]);
            report = add(report, self.context.run(plan.recording(), &bound).await?);
            let shapes = plan.parts().iter().flat_map(|range| &problem.utterances[range.clone()]);
            let first_row = shapes.clone().next().map_or(0, |shape| shape.first_row);
            let rows: u64 = shapes.clone().map(|shape| shape.rows).sum();
            let stride = 4 * plan.groups() as u64;
            parts.push(Weights { labels: labels.first_words(stride * rows).await?, frames: frames.first_words(2 * rows).await? });
            for shape in shapes {
                let target = batch.target(utterances.len()).to_vec();
                utterances.push(Utterance { part, first: (shape.first_row - first_row) as usize, frames: shape.frames as usize, target });
            }
        }
        let stride = plans.first().map_or(0, |plan| 4 * plan.groups());
        if plans.is_empty() {
            let without = |n: usize| Utterance { part: 0, first: 0, frames: 0, target: batch.target(n).to_vec() };
            utterances = (0..problem.utterances.len()).map(without).collect();
            parts.push(Weights { labels: Vec::new(), frames: Vec::new() });
            return Ok(CtcLattices { output: call.without_rows(), parts, stride, utterances });
        }
        Ok(CtcLattices { output: call.output(report).await?, parts, stride, utterances })
    }

    /// [`lattice`](Self::lattice), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn lattice_blocking(&self, batch: &CtcBatch<'_>) -> Result<CtcLattices> {
        pollster::block_on(self.lattice(batch))
    }
}

impl CtcLattices {
    /// What [`run`](CtcLoss::run) would have given.
    pub fn output(&self) -> &CtcOutput {
        &self.output
    }

    /// N.
    pub fn len(&self) -> usize {
        self.utterances.len()
    }

    /// Whether the batch has no utterances.
    pub fn is_empty(&self) -> bool {
        self.utterances.is_empty()
    }

    /// The lattice of one utterance; `None` beyond the batch.
    pub fn get(&self, utterance: usize) -> Option<CtcLattice<'_>> {
        (utterance < self.len()).then_some(CtcLattice { all: self, index: utterance })
    }

    /// An analysis of every utterance, on all cores, in the order of the batch.
    pub fn map<R: Send>(&self, analysis: impl Fn(CtcLattice<'_>) -> R + Sync + Send) -> Vec<R> {
        map_all(self.len(), |index| analysis(CtcLattice { all: self, index }))
    }
}

impl CtcLattice<'_> {
    /// Its place in the batch.
    pub fn index(&self) -> usize {
        self.index
    }

    /// What became of it.
    pub fn status(&self) -> Status {
        self.all.output.status[self.index]
    }

    /// Sides of its planes: T, 2 U + 1.
    pub fn shape(&self) -> [usize; 2] {
        let utterance = self.utterance();
        [utterance.frames, 2 * utterance.target.len() + 1]
    }

    fn utterance(&self) -> &Utterance {
        &self.all.utterances[self.index]
    }

    fn trellis(&self) -> Option<CtcTrellis> {
        if self.status() != Status::Ok {
            return None;
        }
        let utterance = self.utterance();
        let (weights, stride) = (&self.all.parts[utterance.part], self.all.stride);
        let end = utterance.first + utterance.frames;
        let words = Words {
            labels: &weights.labels[stride * utterance.first..stride * end],
            stride,
            frames: &weights.frames[2 * utterance.first..2 * end],
        };
        Some(CtcTrellis::new(&utterance.target, &words))
    }

    /// Posteriors of all states: the probability that a path is in state s in frame t, row-major [T, 2 U + 1]. Those of a frame sum to 1.
    pub fn occupancies(&self) -> Vec<f64> {
        let Some(trellis) = self.trellis() else { return Vec::new() };
        let [frames, states] = trellis.sides();
        (0..frames).flat_map(|t| (0..states).map(move |s| (t, s))).map(|(t, s)| trellis.posterior(t, s)).collect()
    }

    /// Entropy of the alignment given the target, nats: 0 where there is one path only; `None` where there is none.
    pub fn entropy(&self) -> Option<f64> {
        self.trellis().map(|trellis| entropy(&trellis))
    }

    /// Mean, over all paths, of the first frame of each label, `[U]`, counted from 0.
    pub fn expected_frames(&self) -> Vec<f64> {
        let Some(trellis) = self.trellis() else { return Vec::new() };
        // Mass and moment; divided, because rounded probabilities of many frames need not sum to 1.
        let mut sums = vec![(0.0, 0.0); self.utterance().target.len()];
        for node in trellis.nodes() {
            let enters = |way: &Way| way.to.u % 2 == 1 && (node == Node::START || way.to.u != node.u) && !trellis.is_end(way.to);
            for way in trellis.ways(node).filter(enters) {
                let (mass, moment) = &mut sums[way.to.u / 2];
                let occupancy = occupancy(&trellis, &way);
                *mass += occupancy;
                *moment += occupancy * (way.to.t - 1) as f64;
            }
        }
        sums.into_iter().map(|(mass, moment)| moment / mass).collect()
    }

    /// The most probable path (Viterbi): the forced alignment of the target. Of equally probable paths, the one that moves on
    /// earlier.
    pub fn best_path(&self) -> Option<CtcPath> {
        let trellis = self.trellis()?;
        Some(self.path(&trellis, &Best::of(&trellis).path(&trellis)?))
    }

    /// The `k` most probable paths, best first, all different; fewer if the lattice has fewer.
    ///
    /// Exact, by recursive enumeration (Jiménez & Marzal 1999): O(T log k) for each beyond the first.
    pub fn k_best(&self, k: usize) -> Vec<CtcPath> {
        let Some(trellis) = self.trellis() else { return Vec::new() };
        KBest::of(&trellis).take(k).map(|path| self.path(&trellis, &path)).collect()
    }

    /// `count` paths, drawn independently from the posterior. Streams of numbers are those of
    /// [`Lattice::sample`](crate::lattice::Lattice::sample). O(T) a sample.
    pub fn sample(&self, count: usize, seed: u64) -> Vec<CtcPath> {
        let Some(trellis) = self.trellis() else { return Vec::new() };
        let random = |number: usize| Random::of(seed, self.index as u64, number as u64);
        let paths = (0..count).filter_map(|number| sample(&trellis, &mut random(number)));
        paths.map(|path| self.path(&trellis, &path)).collect()
    }

    fn path(&self, trellis: &CtcTrellis, path: &[Way]) -> CtcPath {
        let frames = || path.iter().map(|way| way.from).filter(|node| node.t > 0);
        let states: Vec<u32> = frames().map(|node| node.u as u32).collect();
        let posteriors: Vec<f32> = frames().map(|node| trellis.posterior(node.t - 1, node.u) as f32).collect();
        let (log2_posterior, log2_weight) = log2_of(trellis, path);
        CtcPath {
            alignment: CtcAlignment::new(&self.utterance().target, &states, &posteriors),
            log_prob: log2_weight * LN_2,
            log_posterior: log2_posterior * LN_2,
        }
    }
}
