//! A batch of one kind with one setting: run by the library in any form, and solved by the truth.

use crate::common::Lcg;
use crate::forms::{Form, Meaning, Places, upload};
use crate::kinds::{BLANK, Row};
use crate::settings::{Restriction, Setting};
use crate::truth::{self, Eos, Head, Lattice, Reshape, Rows, Wildcard};
use weft::lattice::{Band, Gradients, LossBatch, LossOutput, Status, WILDCARD};
use weft::{Context, DType, Result};

/// One utterance, without padding. Scores are multiples of 1/64, which f16 holds too.
#[derive(Clone)]
pub struct Utterance {
    pub frames: usize,
    pub target: Vec<u32>,
    /// [T, U + 1, C].
    pub logits: Vec<f32>,
    /// Not normalised, though nearly.
    pub log_probs: Vec<f32>,
    band: Band,
    bands: Option<Vec<[usize; 2]>>,
    windows: Option<Vec<[usize; 2]>>,
    weight: f32,
}

#[derive(Clone)]
pub struct Case {
    pub row: Row,
    pub setting: Setting,
    pub utterances: Vec<Utterance>,
}

/// What an utterance must give, its gradient [T, U + 1, C or 2].
pub struct Expected {
    pub cost: f64,
    pub gradient: Vec<f64>,
    /// The same if the utterance is drawn to be RNN-T, for kinds that draw.
    drawn: Option<Box<Expected>>,
}

impl Expected {
    /// What it is that a cost tells of: drawn, or not.
    fn told_by(&self, cost: f32) -> &Self {
        let off = |expected: &Self| nan_is_infinite((f64::from(cost) - expected.cost).abs());
        self.drawn.as_deref().filter(|drawn| off(drawn) < off(self)).unwrap_or(self)
    }
}

/// What a run gave.
#[derive(Clone)]
pub struct Outcome {
    pub costs: Vec<f32>,
    pub status: Vec<Status>,
    pub loss: Option<f64>,
    /// As [`Expected::gradient`]; none if none were asked for.
    pub gradients: Vec<Vec<f32>>,
    /// Gradients in the padding, and what is between the rows.
    pub padding: Vec<f32>,
    pub gaps: Vec<f32>,
}

/// Largest errors of a comparison.
#[derive(Clone, Copy, Default, Debug)]
pub struct Errors {
    /// Relative, or absolute where the cost is below 1.
    pub cost: f64,
    /// Absolute, over the largest weight if that is above 1.
    pub gradient: f64,
}

impl Errors {
    pub fn max(self, other: Self) -> Self {
        Self { cost: self.cost.max(other.cost), gradient: self.gradient.max(other.gradient) }
    }
}

/// Frames and labels: with and without labels, with more labels than frames, without frames.
const LENGTHS: [[usize; 2]; 7] = [[5, 3], [4, 0], [1, 1], [6, 4], [3, 2], [0, 2], [2, 3]];
const WEIGHTS: [f32; 7] = [1.0, -2.0, 0.5, 0.0, 0.25, 1.0, -0.75];

fn coarse(x: f32) -> f32 {
    (x * 64.0).round() / 64.0
}

impl Case {
    /// `None` where a setting makes no sense for a kind.
    pub fn new(row: &Row, setting: &Setting, seed: u64) -> Option<Self> {
        Self::of_lengths(row, setting, seed, &LENGTHS)
    }

    pub fn of_lengths(row: &Row, setting: &Setting, seed: u64, lengths: &[[usize; 2]]) -> Option<Self> {
        if setting.restriction == Restriction::Windows && !row.labels_stay() {
            return None;
        }
        let mut numbers = Lcg(seed);
        let mut case = Self { row: row.clone(), setting: *setting, utterances: Vec::new() };
        let symbols = row.labels();
        for (n, &[frames, labels]) in lengths.iter().enumerate() {
            let mut target: Vec<u32> = (0..labels).map(|u| symbols[(n + u / 2 + u % 2) % symbols.len()]).collect();
            if setting.wildcard.is_some() {
                // The second and the third of four, the first of less, the last of three.
                target
                    .iter_mut()
                    .enumerate()
                    .filter(|(u, _)| (labels == 4) == (*u == 1 || *u == 2) && u % 2 == u / 2)
                    .for_each(|(_, y)| *y = WILDCARD);
            }
            let logits: Vec<f32> = numbers.list(frames * (labels + 1) * row.channels(), 3.0).into_iter().map(coarse).collect();
            let wide: Vec<f64> = logits.iter().map(|&x| x.into()).collect();
            let log_probs = Rows::new(&wide, row.truth.head, row.vocab, row.truth.durations).log_probs;
            case.utterances.push(Utterance {
                frames,
                target,
                logits,
                log_probs: log_probs.into_iter().map(|x| coarse(x as f32)).collect(),
                band: Band::default(),
                bands: None,
                windows: None,
                weight: if setting.weights { WEIGHTS[n % WEIGHTS.len()] } else { 1.0 },
            });
            case.restrict(n);
        }
        Some(case)
    }

    /// Restricts an utterance that has paths, so that some are left.
    fn restrict(&mut self, n: usize) {
        let utterance = &self.utterances[n];
        let (frames, labels) = (utterance.frames, utterance.target.len());
        let kind = &self.row.truth;
        if frames == 0 || self.lattice(n, Meaning::Logits, kind).solve().cost.is_infinite() {
            return;
        }
        let utterance = &mut self.utterances[n];
        match self.setting.restriction {
            Restriction::None => return,
            Restriction::Band => {
                let range = |t: usize| [(t * labels / frames).saturating_sub(1), ((t + 1) * labels).div_ceil(frames)];
                let mut bands: Vec<[usize; 2]> = (0..frames).map(range).collect();
                utterance.band = Band::new(bands.iter().map(|range| range.map(|u| u as u32)).collect());
                bands.push([0, labels]);
                utterance.bands = Some(bands);
            }
            Restriction::Windows => {
                let window = |u: usize| [(u * frames / labels).saturating_sub(1), ((u + 1) * frames / labels).min(frames - 1)];
                let windows: Vec<[usize; 2]> = (0..labels).map(window).collect();
                let narrow: Vec<[u32; 2]> = windows.iter().map(|range| range.map(|t| t as u32)).collect();
                utterance.band = Band::label_windows(&narrow, frames as u32);
                utterance.windows = Some(windows);
            }
        }
        for kind in [Some(&self.row.truth), self.row.drawn.as_ref()].into_iter().flatten() {
            assert!(self.lattice(n, Meaning::Logits, kind).solve().cost.is_finite(), "a restriction that leaves nothing");
        }
    }

    pub fn lengths(&self) -> Vec<[usize; 2]> {
        self.utterances.iter().map(|utterance| [utterance.frames, utterance.target.len()]).collect()
    }

    /// The symbol that ends sentences: a label of the first target.
    fn eos(&self) -> u32 {
        self.row.labels()[1]
    }

    /// Under-normalisation is not for utterances that are drawn.
    fn lattice(&self, n: usize, meaning: Meaning, kind: &truth::Kind) -> Lattice {
        let Setting { sigma, delay, eos, latency, wildcard, .. } = self.setting;
        let utterance = &self.utterances[n];
        let mut kind = kind.clone();
        let input = match meaning {
            Meaning::Logits => &utterance.logits,
            Meaning::LogProbs | Meaning::Gathered => {
                kind.head = Head::LogProbs;
                &utterance.log_probs
            }
        };
        kind.sigma += if self.row.drawn.as_ref().is_some_and(|drawn| drawn.arcs == kind.arcs) { 0.0 } else { f64::from(sigma) };
        kind.wildcard = wildcard.map(|probability| Wildcard { symbol: WILDCARD, stay: f64::from(probability).ln() });
        Lattice {
            delay: delay.into(),
            latency: latency.into(),
            eos: eos.map(|penalty| Eos { symbol: self.eos(), penalty: penalty.into() }),
            bands: utterance.bands.clone(),
            windows: utterance.windows.clone(),
            ..Lattice::new(kind, [utterance.frames, self.row.vocab], utterance.target.clone(), input.iter().map(|&x| x.into()).collect())
        }
    }

    /// Of [T, U + 1, C] the blank and the next label, [T, U + 1, 2].
    pub fn gather<X: Copy>(&self, n: usize, values: &[X], none: X) -> Vec<X> {
        let target = &self.utterances[n].target;
        let rows = values.chunks(self.row.channels()).enumerate();
        let label = |i: usize, row: &[X]| match target.get(i % (target.len() + 1)) {
            None | Some(&WILDCARD) => none,
            Some(&label) => row[label as usize],
        };
        rows.flat_map(|(i, row)| [row[BLANK as usize], label(i, row)]).collect()
    }

    /// Costs and gradients by the truth.
    pub fn expected(&self, meaning: Meaning) -> Vec<Expected> {
        let lengths = self.lengths();
        let solve = |n: usize, kind: &truth::Kind| {
            let utterance = &self.utterances[n];
            let scale = (f64::from(utterance.weight) / self.setting.denominator(&lengths)) as f32;
            let reshape = Reshape {
                fast_emit: self.setting.lambda().into(),
                fast_emit_durations: false,
                clamp: self.setting.clamp.map(f64::from),
                weight: scale.into(),
            };
            let solution = self.lattice(n, meaning, kind).solve_with(&reshape);
            let gradient = match meaning {
                Meaning::Gathered => self.gather(n, &solution.gradient, 0.0),
                _ => solution.gradient,
            };
            Expected { cost: self.setting.cost_scale() * solution.cost, gradient, drawn: None }
        };
        let both = |n: usize| {
            let drawn = self.row.drawn.as_ref().map(|kind| Box::new(solve(n, kind)));
            Expected { drawn, ..solve(n, &self.row.truth) }
        };
        (0..self.utterances.len()).map(both).collect()
    }

    /// The reduction of costs, weighted.
    fn reduced(&self, expected: &[&Expected]) -> f64 {
        let terms = self.utterances.iter().zip(expected).filter(|(_, expected)| expected.cost.is_finite());
        let sum: f64 = terms.map(|(utterance, expected)| f64::from(utterance.weight) * expected.cost).sum();
        sum / self.setting.denominator(&self.lengths())
    }

    /// Scores of each utterance. What no arc reads is NaN in gathered ones.
    fn values(&self, meaning: Meaning) -> Vec<Vec<f32>> {
        let of = |(n, utterance): (usize, &Utterance)| match meaning {
            Meaning::Logits => utterance.logits.clone(),
            Meaning::LogProbs => utterance.log_probs.clone(),
            Meaning::Gathered => self.gather(n, &utterance.log_probs, f32::NAN),
        };
        self.utterances.iter().enumerate().map(of).collect()
    }

    pub fn try_run(&self, form: Form, context: &Context) -> Result<Outcome> {
        let channels = if form.meaning == Meaning::Gathered { 2 } else { self.row.channels() };
        let lengths = self.lengths();
        let places = Places::of(form.layout, &lengths, channels);
        let values = self.values(form.meaning);
        let filled = places.fill(&values.iter().map(|values| &values[..]).collect::<Vec<_>>());
        let tensors: Vec<_> =
            places.shapes.iter().zip(&filled).map(|(shape, values)| upload(context, shape, values, form.dtype)).collect::<Result<_>>()?;
        let out = self.call(form, context, &places, &tensors)?;
        let gradients: Vec<Vec<f32>> = out.gradients.iter().map(|tensor| tensor.to_vec_blocking()).collect::<Result<_>>()?;
        for (gradient, tensor) in out.gradients.iter().zip(&tensors) {
            assert_eq!(
                (gradient.shape(), gradient.dtype()),
                (tensor.shape(), form.dtype),
                "gradients have the shape and type of the scores"
            );
        }
        let none = gradients.is_empty();
        assert_eq!(none, form.gradients == Gradients::None);
        Ok(Outcome {
            costs: out.costs,
            status: out.status,
            loss: out.loss,
            padding: if none { Vec::new() } else { places.padding(&gradients) },
            gaps: if none { Vec::new() } else { places.gaps(&gradients) },
            gradients: if none { Vec::new() } else { places.take(&gradients) },
        })
    }

    fn call(&self, form: Form, context: &Context, places: &Places, tensors: &[weft::Tensor]) -> Result<LossOutput> {
        let lengths = self.lengths();
        let loss = self.setting.loss(&self.row.kind, self.eos(), form.gradients).build(context)?;
        let widest = lengths.iter().map(|length| length[1]).max().unwrap_or(0);
        let targets: Vec<u32> = self
            .utterances
            .iter()
            .flat_map(|utterance| utterance.target.iter().copied().chain(std::iter::repeat_n(BLANK, widest - utterance.target.len())))
            .collect();
        let side = |side: usize| lengths.iter().map(|length| length[side] as u32).collect::<Vec<_>>();
        let (frames, labels) = (side(0), side(1));
        let weights: Vec<f32> = self.utterances.iter().map(|utterance| utterance.weight).collect();
        let bands: Vec<Band> = self.utterances.iter().map(|utterance| utterance.band.clone()).collect();
        let mut batch = LossBatch::new(places.scores(form.meaning, tensors), &targets, &frames, &labels);
        if self.setting.weights {
            batch = batch.weights(&weights);
        }
        if self.setting.restriction != Restriction::None {
            batch = batch.bands(&bands);
        }
        if let Some([frames, positions]) = places.begins() {
            batch = batch.begin(frames, positions);
        }
        loss.run_blocking(&batch)
    }

    pub fn run(&self, form: Form, context: &Context) -> Outcome {
        self.try_run(form, context).unwrap()
    }

    /// Largest errors of an outcome, or what is wrong with it beyond numbers.
    pub fn compare(&self, form: Form, outcome: &Outcome, expected: &[Expected]) -> Result<Errors, String> {
        let mut errors = Errors::default();
        let expected: Vec<&Expected> = expected.iter().zip(&outcome.costs).map(|(expected, &cost)| expected.told_by(cost)).collect();
        for (n, expected) in expected.iter().enumerate() {
            let status = match self.utterances[n].frames {
                0 => Status::Empty,
                _ if expected.cost.is_infinite() => Status::Infeasible,
                _ => Status::Ok,
            };
            let cost = f64::from(outcome.costs[n]);
            if outcome.status[n] != status {
                return Err(format!("utterance {n}: {:?} instead of {status:?}", outcome.status[n]));
            }
            if status == Status::Ok {
                errors.cost = errors.cost.max(relative(cost, expected.cost));
            } else if cost != f64::INFINITY {
                return Err(format!("utterance {n}: cost {cost} though {status:?}"));
            }
            let scale = f64::from(self.utterances[n].weight).abs().max(1.0);
            if let Some(gradient) = outcome.gradients.get(n) {
                if status != Status::Ok && gradient.iter().any(|&g| g != 0.0) {
                    return Err(format!("utterance {n}: a gradient though {status:?}"));
                }
                let off = gradient.iter().zip(&expected.gradient).map(|(&g, e)| nan_is_infinite((f64::from(g) - e).abs() / scale));
                errors.gradient = off.fold(errors.gradient, f64::max);
            }
        }
        if let Some(loss) = outcome.loss {
            errors.cost = errors.cost.max(relative(loss, self.reduced(&expected)));
        }
        if outcome.padding.iter().any(|&g| g != 0.0) {
            return Err("a gradient outside the lattices".to_owned());
        }
        let untouched = |&g: &f32| if form.gradients == Gradients::InPlace { g.is_nan() } else { g == 0.0 };
        match outcome.gaps.iter().find(|g| !untouched(g)) {
            Some(g) => Err(format!("{g} between the rows")),
            None => Ok(errors),
        }
    }

    /// What errors may be: those of f32 arithmetic with a driver's `log2` and `exp2`, and of sums whose terms cancel; and the
    /// rounding of gradients in f16.
    pub fn tolerance(form: Form) -> Errors {
        Errors { cost: 5e-6, gradient: if form.dtype == DType::F16 { 6e-4 } else { 1e-5 } }
    }
}

fn relative(got: f64, expected: f64) -> f64 {
    nan_is_infinite((got - expected).abs() / expected.abs().max(1.0))
}

fn nan_is_infinite(x: f64) -> f64 {
    if x.is_nan() { f64::INFINITY } else { x }
}
