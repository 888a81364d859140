//! What users take from a lattice beside its cost: alignments, posteriors, entropy, expected frames.
//!
//! The kernels weigh the arcs and sum over the paths; the planes that they leave are read back once, 8 B and 4 B an arc for each
//! cell, and every analysis walks them on the host, in f64.

mod graph;
mod k_best;
mod kept;
mod posterior;
mod prune;
mod sample;
#[cfg(test)]
mod tests;
mod viterbi;

use super::layout::Problem;
use super::loss::Call;
use super::options::Options;
use super::{Band, LossBatch, LossOutput, Status, TransducerLoss, TransducerPlan, arc_table};
use crate::cpu::map_all;
use crate::device::{Context, RunReport};
use crate::error::Result;
use crate::tensor::Tensor;
use graph::{ArcSet, Graph, Planes};
pub(super) use graph::{Node, Trellis, Way};
pub(super) use k_best::KBest;
pub(super) use kept::weight_log2;
use kept::{CellPlanes, Kept, Place, Tensors};
pub(super) use posterior::{entropy, log2_of, occupancy};
pub(super) use sample::{Random, sample};
use std::f64::consts::LN_2;
pub(super) use viterbi::Best;

/// The lattices of a batch, kept on the host after their loss was computed.
#[derive(Debug)]
pub struct Lattices {
    output: LossOutput,
    /// Of the kind, and of utterances that are taken as plain RNN-T.
    arcs: [ArcSet; 2],
    chunks: Vec<Kept>,
    utterances: Vec<Utterance>,
    /// Where lattices have the cells of bands only, those of all utterances.
    bands: Vec<Band>,
}

#[derive(Debug)]
struct Utterance {
    /// Which of the arc sets.
    arcs: usize,
    chunk: usize,
    place: Place,
    total: (i32, f32),
}

/// The lattice of one utterance: T frames, U labels, A arcs.
///
/// Arcs are numbered as in [`Kind::arcs`](super::Kind::arcs). Kinds that are [sometimes
/// RNN-T](super::Kind::sometimes_rnnt) have its blank and its label after them, for utterances that were drawn. Kinds that are entered
/// or left at any frame ([`Kind::w_transducer`](super::Kind::w_transducer)) have their entries next, their exits last.
///
/// Where its [status](Self::status) is not ok there are no paths, and every list is empty.
#[derive(Clone, Copy, Debug)]
pub struct Lattice<'a> {
    all: &'a Lattices,
    index: usize,
}

/// One path through a lattice.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    /// Where each label is emitted, `[U]`.
    pub emissions: Vec<Emission>,
    /// Its arcs from the start to the end.
    pub path: Vec<PathArc>,
    /// Sum of the weights of its arcs, nats: the log-probability of the path and the target given the scores. Penalties and
    /// constants of arcs are in it, as they are in the cost.
    pub log_prob: f64,
    /// Log-probability, nats, of the path among all paths of the target.
    pub log_posterior: f64,
}

/// A label of an alignment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Emission {
    /// Frame in which it is emitted, counted from the first of the utterance.
    pub frame: u32,
    /// Frames that its arc takes: 0 in RNN-T, 1 in monotonic kinds, the predicted duration in TDT.
    pub duration: u32,
    /// Probability of this arc in this frame for this label, over all paths.
    pub posterior: f64,
    /// The number of the arc that emits it: one that skips labels emits what nobody said.
    pub arc: u32,
}

/// An arc of a path, and the cell that it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathArc {
    /// t.
    pub frame: u32,
    /// u: labels emitted before.
    pub position: u32,
    /// The number of the arc.
    pub arc: u32,
}

impl TransducerLoss {
    /// As [`run`](Self::run), and keeps the lattices: alignments, posteriors and more follow from them without another run.
    ///
    /// ```
    /// # fn main() -> weft::Result<()> {
    /// use weft::lattice::{Blank, Logits, LossBatch, TransducerLoss};
    /// use weft::{Context, Tensor};
    ///
    /// let gpu = Context::cpu();
    /// let logits = Tensor::from_slice(&gpu, &[1, 3, 2, 4], &[0.0; 24])?;
    /// let loss = TransducerLoss::rnnt(Blank(0)).build(&gpu)?;
    /// let lattices = loss.lattice_blocking(&LossBatch::new(Logits::padded(&logits), &[2], &[3], &[1]))?;
    /// // Three paths of the same probability: the label in each of the frames.
    /// let entropies = lattices.map(|lattice| lattice.entropy());
    /// assert!((entropies[0].unwrap_or(0.0) - 3f64.ln()).abs() < 1e-5);
    /// let alignments = lattices.map(|lattice| lattice.best_path());
    /// if let Some(best) = &alignments[0] {
    ///     println!("frame {}, posterior {}", best.emissions[0].frame, best.emissions[0].posterior);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The planes of all lattices are read back, 8 B and 4 B an arc for each cell, and held on the host. A batch that is worked
    /// on in pieces ([`workspace_limit`](super::TransducerLossBuilder::workspace_limit)) is read back piece by piece: the device
    /// holds one of them at a time.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn lattice(&self, batch: &LossBatch<'_>) -> Result<Lattices> {
        let problem = batch.check(&self.options, &self.context)?;
        let options = Options { keep_lattice: true, ..self.options.clone() };
        let plans = TransducerPlan::by_chunks(&problem, batch.targets().extra_words(), &options, self.context.caps())?;
        let ranges = plans.first().map_or(&[][..], TransducerPlan::chunks);
        let call = Call::new(self, batch, &problem, ranges)?;
        let seed = batch.targets().seed;
        let (kept, results, report) = keep(&self.context, (&problem, &options, seed), &plans, call.bound(), call.results_tensor()).await?;
        Ok(Lattices { output: call.output(&results, report), ..kept })
    }

    /// [`lattice`](Self::lattice), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn lattice_blocking(&self, batch: &LossBatch<'_>) -> Result<Lattices> {
        pollster::block_on(self.lattice(batch))
    }
}

/// Runs plans, a chunk of the batch each, on these tensors, and takes the lattices of each; gives them with an empty output, what the
/// kernels said of the utterances, and what the runs did.
pub(crate) async fn keep(
    context: &Context,
    (problem, options, seed): (&Problem, &Options, u64),
    plans: &[TransducerPlan],
    bound: Vec<&Tensor>,
    results: &Tensor,
) -> Result<(Lattices, Vec<u32>, RunReport)> {
    let arcs = [false, true].map(|drawn| ArcSet::of(&options.kind, drawn));
    let mut chunks = Vec::new();
    let mut report = RunReport::default();
    let mut tensors: Option<Tensors> = None;
    for plan in plans {
        let tensors = match &mut tensors {
            // All chunks take as much as the largest.
            Some(tensors) => tensors,
            none => none.insert(Tensors::new(context, plan.workspace())?),
        };
        let mut bound = bound.clone();
        bound.extend(tensors.bound());
        report = add(report, context.run(plan.recording(), &bound).await?);
        chunks.push(tensors.read(arcs[0].steps.len()).await?);
    }
    let results = if plans.is_empty() { Vec::new() } else { results.to_vec_u32().await? };
    let count = problem.utterances.len();
    let ranges = plans.first().map_or(&[][..], TransducerPlan::chunks);
    let places = ranges.iter().enumerate().flat_map(|(chunk, range)| {
        let places = Place::of_chunk(&problem.utterances[range.clone()], options.stride());
        places.map(move |place| (chunk, place))
    });
    let utterances = places.enumerate().map(|(n, (chunk, place))| Utterance {
        arcs: usize::from(arc_table::is_drawn(&options.kind, seed, n)),
        chunk,
        place,
        total: (results[2 * count + n] as i32, f32::from_bits(results[3 * count + n])),
    });
    let utterances = utterances.collect();
    let output = LossOutput { costs: Vec::new(), status: Vec::new(), loss: None, gradients: Vec::new(), report };
    Ok((Lattices { output, arcs, chunks, utterances, bands: Vec::new() }, results, report))
}

/// What two runs did.
pub(super) fn add(a: RunReport, b: RunReport) -> RunReport {
    RunReport {
        gpu_time: a.gpu_time.into_iter().chain(b.gpu_time).reduce(|a, b| a + b),
        submits: a.submits + b.submits,
        passes: a.passes + b.passes,
        dispatches: a.dispatches + b.dispatches,
        compile: a.compile + b.compile,
        compiled: a.compiled + b.compiled,
        encode: a.encode + b.encode,
    }
}

impl Lattices {
    /// With another output, and the bands that have all of their cells.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn with_output(self, output: LossOutput, bands: Option<Vec<Band>>) -> Self {
        Self { output, bands: bands.unwrap_or_default(), ..self }
    }

    /// What [`run`](TransducerLoss::run) would have given.
    pub fn output(&self) -> &LossOutput {
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
    pub fn get(&self, utterance: usize) -> Option<Lattice<'_>> {
        (utterance < self.len()).then_some(Lattice { all: self, index: utterance })
    }

    /// An analysis of every utterance, on all cores, in the order of the batch.
    pub fn map<R: Send>(&self, analysis: impl Fn(Lattice<'_>) -> R + Sync + Send) -> Vec<R> {
        map_all(self.len(), |index| analysis(Lattice { all: self, index }))
    }
}

impl Lattice<'_> {
    /// Its place in the batch.
    pub fn index(&self) -> usize {
        self.index
    }

    /// What became of it.
    pub fn status(&self) -> Status {
        self.all.output.status[self.index]
    }

    /// Sides of its planes: T, U + 1, A.
    pub fn shape(&self) -> [usize; 3] {
        let utterance = &self.all.utterances[self.index];
        [utterance.place.frames(), utterance.place.labels() + 1, self.all.arcs[utterance.arcs].count()]
    }

    fn graph(&self) -> Option<Graph<'_, CellPlanes<'_>>> {
        let &Utterance { arcs, chunk, place, total } = &self.all.utterances[self.index];
        let planes = CellPlanes { kept: &self.all.chunks[chunk], place, band: self.all.bands.get(self.index), total };
        let graph = Graph { frames: place.frames(), labels: place.labels(), arcs: &self.all.arcs[arcs], planes };
        (self.status() == Status::Ok).then_some(graph)
    }

    /// Posteriors of all arcs: the probability that a path takes arc a from cell (t, u), row-major [T, U + 1, A]. Those of the arcs
    /// that emit one label sum to 1, as do those that cross from one frame to the next.
    ///
    /// Good to about 1e-5 of their value where scores are tens of nats, as forward and backward variables are kept in f32.
    /// O(T U A).
    pub fn occupancies(&self) -> Vec<f64> {
        self.graph().map_or(Vec::new(), |graph| graph.occupancies())
    }

    /// The band of `width` positions a frame that nearly all paths stay in: for a loss with more to do for each cell, such as a
    /// [fused one](crate::joint::JointLoss), after one with less. Begins of frames do not fall, and climb so slowly that no label is skipped.
    /// Of more positions where the last label would be out of reach else, at most of all. Empty, no restriction, where there are no paths.
    ///
    /// The ranges of k2's `get_rnnt_prune_ranges` (Kuang et al. 2022, arXiv:2206.13236). O(T U width).
    pub fn prune(&self, width: usize) -> Band {
        let Some(graph) = self.graph() else { return Band::default() };
        let [frames, columns, _] = self.shape();
        let labels_take_frames = graph.labels_take_frames();
        let width = prune::least_width(width, frames, columns, labels_take_frames);
        let step = if labels_take_frames { 1 } else { width - 1 };
        let begins = prune::runs(&graph.visits(), columns, width, step);
        Band::new(begins.into_iter().map(|begin| [begin, begin + width as u32 - 1]).collect())
    }

    /// Entropy of the alignment given the target, nats: 0 where there is one path only; `None` where there is none.
    /// O(T U A).
    pub fn entropy(&self) -> Option<f64> {
        self.graph().map(|graph| entropy(&graph))
    }

    /// Mean frame, over all paths, in which each label is emitted, `[U]`, counted from 0. O(T U A).
    pub fn expected_frames(&self) -> Vec<f64> {
        self.graph().map_or(Vec::new(), |graph| graph.expected_frames())
    }

    /// The path of the highest weight (Viterbi): the forced alignment of the target. Of equally good paths, the one that takes the
    /// earlier arc of the kind where they part. O(T U A) time, 8 B a cell.
    pub fn best_path(&self) -> Option<Alignment> {
        let graph = self.graph()?;
        Some(alignment(&graph, &Best::of(&graph).path(&graph)?))
    }

    /// The `k` paths of the highest weight, best first, all different; fewer if the lattice has fewer. Two that emit every label
    /// in the same frame may differ in other arcs.
    ///
    /// Exact, by recursive enumeration (Jiménez & Marzal 1999): O(T U A) for the first, O((T + U) (A + log k)) for each other.
    pub fn k_best(&self, k: usize) -> Vec<Alignment> {
        let Some(graph) = self.graph() else { return Vec::new() };
        KBest::of(&graph).take(k).map(|path| alignment(&graph, &path)).collect()
    }

    /// `count` paths, drawn independently from the posterior.
    ///
    /// Each arc is drawn with the probability of all paths that go on with it, so the distribution is that of the lattice, without
    /// approximation beyond rounding. The numbers come from SplitMix64 in a stream for each seed, utterance (its place in the
    /// batch) and sample: the same kept lattice gives the same samples, and more samples begin with the same ones. Devices round
    /// differently, so that now and then another arc is drawn there. O((T + U) A) a sample.
    pub fn sample(&self, count: usize, seed: u64) -> Vec<Alignment> {
        let Some(graph) = self.graph() else { return Vec::new() };
        let random = |number: usize| Random::of(seed, self.index as u64, number as u64);
        let paths = (0..count).filter_map(|number| sample(&graph, &mut random(number)));
        paths.map(|path| alignment(&graph, &path)).collect()
    }
}

/// Everything about a path that its arcs tell.
fn alignment<P: Planes>(graph: &Graph<'_, P>, path: &[Way]) -> Alignment {
    let emission = |way: &Way| {
        let Node { t, .. } = way.from;
        Emission { frame: t as u32, duration: (way.to.t - t) as u32, posterior: occupancy(graph, way), arc: way.arc as u32 }
    };
    let emissions = path.iter().filter(|way| graph.labels_of(way) == 1).map(emission).collect();
    let (log2_posterior, log2_weight) = log2_of(graph, path);
    let arc = |way: &Way| PathArc { frame: way.from.t as u32, position: way.from.u as u32, arc: way.arc as u32 };
    Alignment { emissions, path: path.iter().map(arc).collect(), log_prob: log2_weight * LN_2, log_posterior: log2_posterior * LN_2 }
}
