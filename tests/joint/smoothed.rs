//! Smoothed losses of sums: against f64, whose gradients are finite differences through everything that a cost depends on.

use crate::case::Case;
use crate::common::{assert_close, contexts_with, shared_contexts};
use crate::kinds::{BLANK, Row, VOCAB, kinds};
use crate::truth::{self, Head};
use crate::{LENGTHS, bits, rnnt};
use weft::joint::{Joiner, JointBatch, JointLoss, JointOutput};
use weft::lattice::{Blank, Kind, Status, TransducerLoss};
use weft::{Context, Error, Tensor};

/// log softmax of a row; `None` if it holds no finite numbers.
fn log_softmax(row: &[f64]) -> Option<Vec<f64>> {
    let peak = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum = peak + row.iter().map(|x| (x - peak).exp()).sum::<f64>().ln();
    (sum.is_finite() && row.iter().all(|x| !x.is_nan())).then(|| row.iter().map(|x| x - sum).collect())
}

/// The definition, of what is given in f64.
struct Truth<'a> {
    case: &'a Case,
    encoder: Vec<f64>,
    predictor: Vec<f64>,
    /// Of positions alone, of frames alone.
    scales: [f64; 2],
}

impl<'a> Truth<'a> {
    fn of(case: &'a Case, scales: [f32; 2]) -> Self {
        let wide = |list: &[f32]| list.iter().map(|&x| x.into()).collect();
        Self { case, encoder: wide(&case.encoder), predictor: wide(&case.predictor), scales: scales.map(f64::from) }
    }

    fn row<'b>(&self, list: &'b [f64], side: usize, n: usize, place: usize) -> &'b [f64] {
        &list[(n * self.case.padded[side] + place) * self.case.hidden..][..self.case.hidden]
    }

    /// Mean probability of each symbol over the positions of utterances with frames.
    fn prior(&self) -> Vec<f64> {
        let mut sum = vec![0.0; self.case.hidden];
        let mut count = 0.0;
        for (n, &[frames, labels]) in self.case.lengths.iter().enumerate() {
            for u in (0..=labels).filter(|_| frames > 0) {
                if let Some(row) = log_softmax(self.row(&self.predictor, 1, n, u)) {
                    sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x.exp());
                    count += 1.0;
                }
            }
        }
        sum.into_iter().map(|sum| sum / count).collect()
    }

    fn lattice(&self, n: usize, prior: &[f64]) -> truth::Lattice {
        let ([frames, labels], [by_position, by_frame]) = (self.case.lengths[n], self.scales);
        let weighed = |scale: f64, x: f64| if scale == 0.0 { 0.0 } else { scale * x };
        let none = || vec![f64::NEG_INFINITY; self.case.hidden];
        let mut input = Vec::new();
        for t in 0..frames {
            let frame = self.row(&self.encoder, 0, n, t);
            let with_prior: Vec<f64> = frame.iter().zip(prior).map(|(x, prior)| x + prior.ln()).collect();
            let frame_alone = log_softmax(&with_prior).unwrap_or_else(none);
            for u in 0..=labels {
                let position = self.row(&self.predictor, 1, n, u);
                let position_alone = log_softmax(position).unwrap_or_else(none);
                let sum: Vec<f64> = frame.iter().zip(position).map(|(a, b)| a + b).collect();
                let both = log_softmax(&sum).unwrap_or_else(none);
                input.extend((0..self.case.hidden).map(|v| {
                    weighed(1.0 - by_position - by_frame, both[v])
                        + weighed(by_position, position_alone[v])
                        + weighed(by_frame, frame_alone[v])
                }));
            }
        }
        let kind = truth::Kind { head: Head::LogProbs, ..self.case.row.truth.clone() };
        truth::Lattice::new(kind, [frames, self.case.row.vocab], self.case.targets[n].clone(), input)
    }

    fn costs(&self) -> Vec<f64> {
        let prior = self.prior();
        (0..self.case.lengths.len()).map(|n| self.lattice(n, &prior).solve().cost).collect()
    }

    fn total(&self) -> f64 {
        self.costs().iter().zip(&self.case.weights).filter(|(cost, _)| cost.is_finite()).map(|(cost, &w)| cost * f64::from(w)).sum()
    }

    /// Slopes of the total, by the numbers of utterances that are ok.
    fn gradients(mut self) -> [Vec<f64>; 2] {
        const STEP: f64 = 1e-3;
        let ok: Vec<bool> = self.costs().iter().map(|cost| cost.is_finite()).collect();
        let mut slopes = [vec![0.0; self.encoder.len()], vec![0.0; self.predictor.len()]];
        for side in 0..2 {
            for (place, slope) in slopes[side].iter_mut().enumerate() {
                let (line, n) = (place / self.case.hidden, place / self.case.hidden / self.case.padded[side]);
                let items = [self.case.lengths[n][0], self.case.lengths[n][1] + 1][side];
                if !ok[n] || line % self.case.padded[side] >= items {
                    continue;
                }
                let mut at = |step: f64| {
                    let list = if side == 0 { &mut self.encoder } else { &mut self.predictor };
                    let was = list[place];
                    list[place] = was + step;
                    let total = self.total();
                    if side == 0 {
                        self.encoder[place] = was
                    } else {
                        self.predictor[place] = was
                    }
                    total
                };
                *slope = (8.0 * (at(STEP) - at(-STEP)) - (at(2.0 * STEP) - at(-2.0 * STEP))) / (12.0 * STEP);
            }
        }
        slopes
    }
}

fn run(case: &Case, context: &Context, [lm, am]: [f32; 2]) -> JointOutput {
    case.with(context, true, |loss, batch| loss.clone().smoothed(lm, am).unwrap().run_blocking(batch).unwrap())
}

/// Costs and statuses, and gradients if they are given.
fn compare(what: &str, case: &Case, out: &JointOutput, costs: &[f64], gradients: Option<&[Vec<f64>; 2]>, tolerance: f64) {
    for (n, &cost) in costs.iter().enumerate() {
        if cost.is_finite() {
            assert_eq!(out.status[n], Status::Ok, "{what}: utterance {n}");
            let off = (f64::from(out.costs[n]) - cost).abs() / cost.abs().max(1.0);
            assert!(off <= tolerance, "{what}: cost of utterance {n}: {} {cost}", out.costs[n]);
        } else {
            assert!(!out.costs[n].is_finite() && out.status[n] != Status::Ok, "{what}: utterance {n}: {}", out.costs[n]);
        }
    }
    let Some(expected) = gradients else { return };
    let most = case.weights.iter().fold(0.0f64, |most, w| most.max(w.abs().into()));
    let got = out.gradients.as_ref().unwrap();
    for (name, got, expected) in [("encoder", &got.encoder, &expected[0]), ("predictor", &got.predictor, &expected[1])] {
        assert_close(&format!("{what}: {name}"), &got.to_vec_blocking().unwrap(), expected, tolerance * most, tolerance);
    }
}

#[test]
fn every_kind_and_scale() {
    for row in kinds() {
        let case = Case::new(&row, &LENGTHS[..5], [0, 0, 0], 3);
        for scales in [[0.25, 0.0], [0.0, 0.25], [0.125, 0.25], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0]] {
            let refused = case.with(&Context::cpu(), true, |loss, batch| {
                let loss = loss.clone().smoothed(scales[0], scales[1]);
                loss.and_then(|loss| loss.plan_batch(batch)).err()
            });
            if let Some(refused) = refused {
                let expected = row.name.contains("HAT") || row.name == "made up" || row.name.contains("TDT") || row.reads_others();
                assert!(expected && matches!(refused, Error::Value { .. }), "{}: {refused}", row.name);
                continue;
            }
            let (costs, gradients) = (Truth::of(&case, scales).costs(), Truth::of(&case, scales).gradients());
            for (name, context) in shared_contexts() {
                let what = format!("{}, {scales:?}, {name}", row.name);
                compare(&what, &case, &run(&case, &context, scales), &costs, Some(&gradients), 2e-5);
            }
        }
    }
}

/// Around pieces of V, with more rows than one workgroup has; and numbers that are f16.
#[test]
fn sides_and_halves() {
    for (vocab, lengths) in [(4, &[[3, 1]][..]), (5, &[[17, 3], [2, 20]]), (70, &[[4, 2], [5, 1], [3, 3]]), (130, &[[2, 1]])] {
        let plain = Case::new(&Row { vocab, ..rnnt() }, lengths, [0, 0, 0], vocab as u64);
        for case in [plain.clone(), plain.in_halves()] {
            let truth = || Truth::of(&case, [0.25, 0.125]);
            // Some of the slopes of many.
            let gradients = (case.encoder.len() < 2_000 && vocab < 100).then(|| truth().gradients());
            for (name, context) in shared_contexts() {
                let what = format!("V {vocab}, half {}, {name}", case.half);
                compare(&what, &case, &run(&case, &context, [0.25, 0.125]), &truth().costs(), gradients.as_ref(), 2e-5);
            }
        }
    }
}

/// Without any smoothing, the loss of the sum: the same bits.
#[test]
fn zeros_are_the_simple_loss() {
    let case = Case::new(&rnnt(), &LENGTHS, [0, 0, 0], 3);
    for (name, context) in shared_contexts() {
        let [simple, smoothed] = [case.run(&context, true), run(&case, &context, [0.0, 0.0])];
        assert_eq!(bits(&simple.costs), bits(&smoothed.costs), "{name}");
        let read = |out: JointOutput| out.gradients.map(|g| [g.encoder, g.predictor].map(|g| bits(&g.to_vec_blocking().unwrap())));
        assert_eq!(read(simple), read(smoothed), "{name}");
    }
}

/// k2's own example of small whole numbers (`rnnt_loss_test.py`): costs of the simple loss, computed in f64.
#[test]
fn simple_costs_of_k2s_example() {
    let lm = [0., 0., 1., 0., 1., 1., 1., 0., 1., 2., 2., 0.];
    let am = [0., 1., 2., 0., 0., 0., 0., 2., 4., 0., 3., 3.];
    let blank = Blank(2);
    for (kind, cost) in [(Kind::rnnt(blank), 7.504_013_4), (Kind::monotonic(blank), 6.545_785), (Kind::constrained(blank), 9.658_769)] {
        for (name, context) in shared_contexts() {
            let encoder = Tensor::from_slice(&context, &[1, 4, 3], &am).unwrap();
            let predictor = Tensor::from_slice(&context, &[1, 4, 3], &lm).unwrap();
            let loss = JointLoss::new(&Joiner::additive(&context), TransducerLoss::of(kind.clone())).unwrap();
            let out = loss.run_blocking(&JointBatch::new(&encoder, &predictor, &[0, 1, 0], &[4], &[3])).unwrap();
            assert!((out.costs[0] - cost).abs() < 1e-5f32, "{name}: {} {cost}", out.costs[0]);
        }
    }
}

/// A number that is added to all scores of a frame, or of a position, changes nothing.
#[test]
fn constants_change_nothing() {
    let case = Case::new(&rnnt(), &[[9, 4], [6, 5]], [0, 0, 0], 8);
    let mut other = case.clone();
    let add = |list: &mut Vec<f32>, factor: f32| {
        list.chunks_mut(case.hidden).enumerate().for_each(|(line, row)| row.iter_mut().for_each(|x| *x += factor * (line % 5) as f32));
    };
    add(&mut other.encoder, 0.75);
    add(&mut other.predictor, -1.5);
    for (name, context) in shared_contexts() {
        for scales in [[0.0, 0.0], [0.25, 0.125]] {
            let [a, b] = [&case, &other].map(|case| run(case, &context, scales));
            let wide = |list: &[f32]| list.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            assert_close(&format!("{name}: costs"), &b.costs, &wide(&a.costs), 0.0, 2e-6);
            let read = |out: JointOutput| out.gradients.unwrap().encoder.to_vec_blocking().unwrap();
            assert_close(&format!("{name}: gradients"), &read(b), &wide(&read(a)), 1e-5, 0.0);
        }
    }
}

/// Occupancies of kept lattices, of which bands come.
#[test]
fn kept_lattices() {
    let case = Case::new(&rnnt(), &[[12, 7], [9, 8], [0, 2]], [0, 0, 0], 4);
    let truth = Truth::of(&case, [0.25, 0.125]);
    let prior = truth.prior();
    for (name, context) in shared_contexts() {
        let lattices =
            case.with(&context, false, |loss, batch| loss.clone().smoothed(0.25, 0.125).unwrap().lattice_blocking(batch).unwrap());
        compare(&name, &case, &run(&case, &context, [0.25, 0.125]), &truth.costs(), None, 1e-5);
        assert_eq!(bits(&lattices.output().costs), bits(&run(&case, &context, [0.25, 0.125]).costs), "{name}");
        for n in 0..2 {
            let ([_, labels], lattice) = (case.lengths[n], lattices.get(n).unwrap());
            let by_log_probs = truth.lattice(n, &prior).solve().by_log_probs;
            let expected = by_log_probs.chunks(VOCAB).enumerate().flat_map(|(row, slopes)| {
                let label = case.targets[n].get(row % (labels + 1)).map_or(0.0, |&label| -slopes[label as usize]);
                [-slopes[BLANK as usize], label]
            });
            let got: Vec<f32> = lattice.occupancies().iter().map(|&x| x as f32).collect();
            assert_close(&format!("{name}: occupancies of utterance {n}"), &got, &expected.collect::<Vec<_>>(), 1e-5, 0.0);
            assert!(lattice.prune(4).ranges().iter().all(|[first, last]| last - first == 3), "{name}");
        }
    }
}

/// What is no number is left out of the prior, and spoils its utterance alone. Masks are no such thing.
#[test]
fn what_is_no_number_is_left_out() {
    let good = Case::new(&rnnt(), &LENGTHS, [0, 0, 0], 3);
    let scales = [0.25, 0.125];
    for (side, bad) in [(0, f32::NAN), (0, f32::INFINITY), (1, f32::INFINITY), (1, f32::NAN)] {
        let mut case = good.clone();
        let own = 4 * case.padded[side] * case.hidden;
        let input = if side == 0 { &mut case.encoder } else { &mut case.predictor };
        input[own + case.hidden + 2] = bad;
        let (mut costs, gradients) = (Truth::of(&case, scales).costs(), Truth::of(&case, scales).gradients());
        costs[4] = f64::INFINITY;
        for (name, context) in shared_contexts() {
            let out = run(&case, &context, scales);
            assert_eq!(out.status[4], Status::NonFinite, "{name}");
            compare(&format!("{bad} on side {side}, {name}"), &case, &out, &costs, Some(&gradients), 2e-5);
        }
    }
    let mut case = Case::new(&rnnt(), &LENGTHS[..2], [0, 0, 0], 4);
    let symbol = (0..VOCAB).find(|&v| v as u32 != BLANK && case.targets.iter().flatten().all(|&y| y != v as u32)).unwrap();
    case.encoder.iter_mut().skip(symbol).step_by(case.hidden).for_each(|x| *x = f32::NEG_INFINITY);
    case.predictor.iter_mut().skip(symbol).step_by(case.hidden).for_each(|x| *x = f32::NEG_INFINITY);
    for (name, context) in shared_contexts() {
        let out = run(&case, &context, scales);
        compare(&format!("masked, {name}"), &case, &out, &Truth::of(&case, scales).costs(), None, 2e-5);
        assert!(out.gradients.unwrap().predictor.to_vec_blocking().unwrap().iter().all(|g| g.is_finite()), "{name}");
    }
}

/// Within the least workspace, and where devices grant little: the prior is of the whole batch still.
#[test]
fn within_any_limit() {
    let case = Case::new(&rnnt(), &[[20, 4], [13, 6], [0, 1], [31, 0], [7, 9]], [0, 0, 0], 9);
    let scales = [0.25, 0.125];
    let (costs, gradients) = (Truth::of(&case, scales).costs(), Truth::of(&case, scales).gradients());
    let plan = |case: &Case, context: &Context| {
        case.with(context, true, |loss, batch| loss.clone().smoothed(scales[0], scales[1]).unwrap().plan_batch(batch))
    };
    for (name, context) in shared_contexts() {
        let Err(Error::LimitExceeded { need, .. }) = plan(&Case { limit: Some(1), ..case.clone() }, &context) else { panic!("{name}") };
        let few = Case { limit: Some(need), ..case.clone() };
        let plan = plan(&few, &context).unwrap();
        assert!(plan.workspace_bytes() <= need && plan.tiles() > 1, "{name}: {plan}");
        compare(&format!("{need} B, {name}"), &few, &run(&few, &context, scales), &costs, Some(&gradients), 2e-5);
    }
    for (name, context) in contexts_with(|options| options.with_max_binding_bytes(32_768).with_max_workgroups(7)) {
        compare(&format!("small windows, {name}"), &case, &run(&case, &context, scales), &costs, Some(&gradients), 2e-5);
    }
}

#[test]
fn what_is_refused() {
    let context = Context::cpu();
    let loss = || JointLoss::new(&Joiner::additive(&context), TransducerLoss::rnnt(Blank(0))).unwrap();
    let error = |lm, am| loss().smoothed(lm, am).unwrap_err().to_string();
    assert_eq!(error(-0.1, 0.0), "lm_only_scale = -0.1: a scale is between 0 and 1, and both together are at most 1");
    assert_eq!(error(0.0, f32::NAN), "am_only_scale = NaN: a scale is between 0 and 1, and both together are at most 1");
    assert_eq!(error(0.75, 0.5), "am_only_scale = 0.5 beside an lm_only_scale of 0.75: both scales together are at most 1");
    assert!(error(0.0, f32::INFINITY).starts_with("am_only_scale = "));
    assert!(loss().smoothed(0.75, 0.25).is_ok());
    let layer = weft::dense::Linear::new(&context, [3, 2], &[0.0; 6], None).unwrap();
    let layered = JointLoss::new(&Joiner::new(None, None, layer).unwrap(), TransducerLoss::rnnt(Blank(0))).unwrap();
    assert!(matches!(layered.smoothed(0.1, 0.1), Err(Error::Value { argument: "joiner", .. })));
    let clamped = JointLoss::new(&Joiner::additive(&context), TransducerLoss::rnnt(Blank(0)).clamp(0.1)).unwrap();
    assert!(matches!(clamped.smoothed(0.1, 0.1), Err(Error::Value { argument: "clamp", .. })));
    let dropped = Case { dropout: 0.5, ..Case::new(&rnnt(), &LENGTHS, [0, 0, 0], 1) };
    let refused = dropped.with(&context, true, |loss, batch| loss.clone().smoothed(0.1, 0.1).unwrap().run_blocking(batch).err().unwrap());
    assert!(matches!(refused, Error::Value { argument: "smoothed", .. }));
}
