//! Transducer losses of kinds beyond two arcs, on the CPU twins and on the adapter of this machine,
//! against the f64 truth.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../oracle/truth/mod.rs"]
mod truth;

mod differences;
mod invariance;
mod kinds;
mod known_values;
mod layouts;
mod limits;
mod options;
mod shapes;

use common::{Lcg, assert_close};
use std::sync::OnceLock;
use truth::{Head, Lattice, Reshape};
use weft::lattice::{
    Arc, Band, Blank, Exit, FastEmit, Gradients, Kind, LogProbs, Logits, LossBatch, LossOutput, Scores, Status, Token, TransducerLoss,
    TransducerLossBuilder,
};
use weft::{Context, Tensor};

/// Costs: f32 sums of up to a few hundred terms, and drivers whose `log` is good to 2^-21 only.
const COST: [f64; 2] = [1e-5, 5e-6];
/// Gradients are differences of probabilities.
const GRADIENT: f64 = 3e-5;

/// Every context once for all tests.
fn contexts() -> &'static [(String, Context)] {
    static CONTEXTS: OnceLock<Vec<(String, Context)>> = OnceLock::new();
    CONTEXTS.get_or_init(common::contexts)
}

/// A kind, and what it must be.
#[derive(Clone)]
struct Pair {
    kind: Kind,
    truth: truth::Kind,
}

impl Pair {
    /// The truth's arcs are those that the kind tells of itself.
    fn new(kind: Kind, head: Head, sigma: f32, durations: usize) -> Self {
        let arcs = kind.arcs().iter().map(arc_of).collect();
        Self { kind, truth: truth::Kind { head, sigma: sigma.into(), durations, ..truth::Kind::of(arcs) } }
    }
}

fn arc_of(arc: &Arc) -> truth::Arc {
    truth::Arc {
        frames: arc.frames as usize,
        labels: arc.labels as usize,
        token: match arc.token {
            Token::Symbol(symbol) => truth::Token::Symbol(symbol),
            Token::NextLabel => truth::Token::Label,
            Token::Others => truth::Token::Others { blank: BLANK.0 },
            Token::None => truth::Token::None,
        },
        duration: arc.duration.map(|duration| duration as usize),
        then: arc.then,
        constant: arc.constant.into(),
        ends: arc.may_end,
    }
}

/// Options of a loss and of a batch.
#[derive(Clone, Default)]
struct Extras {
    delay: f32,
    eos: Option<(u32, f32)>,
    fast_emit: f32,
    clamp: Option<f32>,
    weights: Option<Vec<f32>>,
    bands: Option<Vec<Band>>,
    /// Probability of staying after a wildcard.
    stay: Option<f32>,
    log_probs: bool,
    workspace: Option<u64>,
}

/// A padded batch on the host.
#[derive(Clone)]
struct Batch {
    pair: Pair,
    /// [N, T, U1, C]
    shape: [usize; 4],
    scores: Vec<f32>,
    targets: Vec<u32>,
    frames: Vec<u32>,
    labels: Vec<u32>,
    extras: Extras,
}

/// What a run gives, on the host.
struct Outcome {
    costs: Vec<f32>,
    status: Vec<Status>,
    gradients: Vec<f32>,
}

impl Batch {
    /// Random scores in [-2, 2), labels that no arc names; full lengths. `vocab` without the durations.
    fn random(seed: u64, pair: &Pair, [n, t, u1, vocab]: [usize; 4]) -> Self {
        let mut numbers = Lcg(seed);
        let shape = [n, t, u1, vocab + pair.truth.durations];
        let mut scores = numbers.list(shape.iter().product(), 2.0);
        if pair.truth.head == Head::LogProbs {
            scores.iter_mut().for_each(|x| *x -= 2.5);
        }
        let named = |label: u32| {
            let mut arcs = pair.kind.arcs().iter();
            label == pair.kind.blank().0 || arcs.any(|arc| arc.token == Token::Symbol(label))
        };
        let free: Vec<u32> = (0..vocab as u32).filter(|&label| !named(label)).collect();
        let mut label = || free[((numbers.next() + 1.0) / 2.0 * free.len() as f32) as usize % free.len()];
        let targets = (0..n * (u1 - 1)).map(|_| label()).collect();
        Self {
            pair: pair.clone(),
            shape,
            scores,
            targets,
            frames: vec![t as u32; n],
            labels: vec![u1 as u32 - 1; n],
            extras: Extras { log_probs: pair.truth.head == Head::LogProbs, ..Extras::default() },
        }
    }

    fn with_lengths(mut self, frames: &[u32], labels: &[u32]) -> Self {
        self.frames = frames.to_vec();
        self.labels = labels.to_vec();
        self
    }

    fn with(mut self, extras: Extras) -> Self {
        self.extras = Extras { log_probs: self.extras.log_probs, ..extras };
        self
    }

    fn row(&mut self, n: usize, t: usize, u: usize) -> &mut [f32] {
        let [_, frames, positions, channels] = self.shape;
        &mut self.scores[((n * frames + t) * positions + u) * channels..][..channels]
    }

    fn builder(&self) -> TransducerLossBuilder {
        let extras = &self.extras;
        let mut builder =
            TransducerLoss::of(self.pair.kind.clone()).delay_penalty(extras.delay).fast_emit(FastEmit::CostUnchanged(extras.fast_emit));
        if let Some((symbol, penalty)) = extras.eos {
            builder = builder.eos_penalty(symbol, penalty);
        }
        if let Some(clamp) = extras.clamp {
            builder = builder.clamp(clamp);
        }
        if let Some(stay) = extras.stay {
            builder = builder.wildcard(stay);
        }
        if let Some(bytes) = extras.workspace {
            builder = builder.workspace_limit(bytes);
        }
        builder
    }

    /// The batch over scores that lie in some tensor.
    fn over<'a>(&'a self, scores: impl Into<Scores<'a>>) -> LossBatch<'a> {
        let mut batch = LossBatch::new(scores, &self.targets, &self.frames, &self.labels);
        if let Some(weights) = &self.extras.weights {
            batch = batch.weights(weights);
        }
        if let Some(bands) = &self.extras.bands {
            batch = batch.bands(bands);
        }
        batch
    }

    fn padded<'a>(&'a self, tensor: &'a Tensor) -> LossBatch<'a> {
        if self.extras.log_probs { self.over(LogProbs::padded(tensor)) } else { self.over(Logits::padded(tensor)) }
    }

    fn try_run(&self, context: &Context, gradients: Gradients) -> weft::Result<LossOutput> {
        let tensor = Tensor::from_slice(context, &self.shape, &self.scores)?;
        self.builder().gradients(gradients).build(context)?.run_blocking(&self.padded(&tensor))
    }

    fn run(&self, context: &Context) -> Outcome {
        outcome(self.try_run(context, Gradients::Separate).unwrap())
    }

    /// One utterance, without its padding.
    fn lattice(&self, n: usize) -> Lattice {
        let [_, frames, positions, channels] = self.shape;
        let (own_frames, labels) = (self.frames[n] as usize, self.labels[n] as usize);
        let input = (0..own_frames).flat_map(|t| {
            let first = (n * frames + t) * positions * channels;
            self.scores[first..first + (labels + 1) * channels].iter().map(|&x| f64::from(x))
        });
        let mut kind = self.pair.truth.clone();
        kind.wildcard = Some(truth::Wildcard { symbol: weft::lattice::WILDCARD, stay: f64::from(self.extras.stay.unwrap_or(1.0)).ln() });
        let target = self.targets[n * (positions - 1)..][..labels].to_vec();
        let durations = kind.durations;
        let lattice = Lattice::new(kind, [own_frames, channels - durations], target, input.collect());
        let band = self.extras.bands.as_ref().map(|bands| &bands[n]).filter(|band| !band.ranges().is_empty());
        let bands = band.map(|band| {
            let mut ranges: Vec<[usize; 2]> = band.ranges().iter().map(|range| range.map(|u| u as usize)).collect();
            // The end is not in a band.
            ranges.push([0, labels]);
            ranges
        });
        Lattice {
            delay: self.extras.delay.into(),
            eos: self.extras.eos.map(|(symbol, penalty)| truth::Eos { symbol, penalty: penalty.into() }),
            bands,
            ..lattice
        }
    }

    /// Costs and padded gradients by the oracle.
    fn solve(&self) -> (Vec<f64>, Vec<f64>) {
        let [count, frames, positions, channels] = self.shape;
        let mut costs = Vec::new();
        let mut gradients = vec![0.0; self.scores.len()];
        for n in 0..count {
            let reshape = Reshape {
                fast_emit: self.extras.fast_emit.into(),
                fast_emit_durations: false,
                clamp: self.extras.clamp.map(f64::from),
                weight: self.extras.weights.as_ref().map_or(1.0, |weights| weights[n].into()),
            };
            let solution = self.lattice(n).solve_with(&reshape);
            costs.push(solution.cost);
            if solution.cost.is_infinite() {
                continue;
            }
            let row = (self.labels[n] as usize + 1) * channels;
            for (t, from) in solution.gradient.chunks(row).enumerate() {
                gradients[(n * frames + t) * positions * channels..][..row].copy_from_slice(from);
            }
        }
        (costs, gradients)
    }

    /// Compares everything that a run gives with the truth.
    #[track_caller]
    fn compare(&self, what: &str, out: &Outcome) {
        let (costs, gradients) = self.solve();
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
            let what = format!("{what}: gradients of utterance {n}, cost {cost}");
            let weight = self.extras.weights.as_ref().map_or(1.0, |weights| f64::from(weights[n].abs()).max(1.0));
            assert_close(&what, &out.gradients[range.clone()], &gradients[range], GRADIENT * weight, 0.0);
        }
        self.assert_padding_is_zero(&out.gradients, what);
    }

    /// Runs on every context and compares everything with the truth.
    #[track_caller]
    fn check(&self, what: &str) {
        for (name, context) in contexts() {
            self.compare(&format!("{what} on {name}"), &self.run(context));
        }
    }

    /// Exactly zero outside the lattices.
    #[track_caller]
    fn assert_padding_is_zero(&self, gradients: &[f32], what: &str) {
        let [_, frames, positions, channels] = self.shape;
        for (row, gradient) in gradients.chunks(channels).enumerate() {
            let (u, t, n) = (row % positions, row / positions % frames, row / positions / frames);
            if t >= self.frames[n] as usize || u > self.labels[n] as usize {
                assert!(gradient.iter().all(|&g| g == 0.0), "{what}: gradient in the padding at [{n}, {t}, {u}]");
            }
        }
    }
}

fn outcome(out: LossOutput) -> Outcome {
    let gradients = out.gradients.iter().flat_map(|tensor| tensor.to_vec_blocking().unwrap()).collect();
    Outcome { costs: out.costs, status: out.status, gradients }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Fails where two outcomes differ in any bit.
#[track_caller]
fn assert_same(what: &str, a: &Outcome, b: &Outcome) {
    assert_eq!(a.status, b.status, "{what}");
    assert_eq!(bits(&a.costs), bits(&b.costs), "{what}");
    assert_eq!(bits(&a.gradients), bits(&b.gradients), "{what}");
}

const BLANK: Blank = Blank(3);

fn multi_blank() -> Pair {
    let kind = Kind::multi_blank(BLANK, &[(5, 2), (0, 4), (4, 8)]).unwrap().under_normalised(0.05).unwrap();
    Pair::new(kind, Head::Softmax, 0.05, 0)
}

fn tdt(durations: &[u32]) -> Pair {
    let kind = Kind::tdt(BLANK, durations).unwrap().under_normalised(0.05).unwrap();
    Pair::new(kind, Head::Softmax, 0.05, durations.len())
}

/// Kinds of every family, by name.
fn all_kinds() -> Vec<(&'static str, Pair)> {
    let plain = |kind| Pair::new(kind, Head::Softmax, 0.0, 0);
    let hat = Head::Hat { blank: BLANK.0 };
    let w = |exit| {
        let mut pair = plain(Kind::w_transducer(BLANK, -0.4, exit).unwrap());
        let to = if exit == Exit::End { truth::Exit::Terminal } else { truth::Exit::LastCell };
        (pair.truth.entry, pair.truth.exit) = (Some(f64::from(-0.4f32)), Some((f64::from(-0.4f32), to)));
        pair
    };
    vec![
        ("multi-blank", multi_blank()),
        ("tdt 0..4", tdt(&[0, 1, 2, 3, 4])),
        ("tdt 1 2", tdt(&[1, 2])),
        ("constrained", plain(Kind::constrained(BLANK))),
        ("star", plain(Kind::star(BLANK, -0.7).unwrap())),
        ("bypass", plain(Kind::bypass(BLANK, -1.1).unwrap())),
        ("bypass of others", plain(Kind::bypass_others(BLANK, -0.4).unwrap())),
        ("target-robust", plain(Kind::target_robust(BLANK, -0.7, -1.1).unwrap())),
        ("w to the last frame", w(Exit::LastFrame)),
        ("w to the end", w(Exit::End)),
        ("hat tdt", Pair::new(Kind::tdt(BLANK, &[0, 1]).unwrap().with_hat(), hat, 0.0, 2)),
        ("hat star", Pair::new(Kind::star(BLANK, -0.7).unwrap().with_hat(), hat, 0.0, 0)),
        ("tdt log-probs", Pair { truth: truth::Kind { head: Head::LogProbs, ..tdt(&[0, 1, 3]).truth }, ..tdt(&[0, 1, 3]) }),
    ]
}
