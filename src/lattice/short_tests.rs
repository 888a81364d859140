//! What the sweep of short arcs leaves to the sweep of any arcs: walks whose variables one f32 exponent does not hold.

use super::layout::{Part, Problem};
use super::loss::Call;
use super::{Band, Blank, Gradients, Kind, Logits, LossBatch, TransducerLoss, TransducerPlan};
use crate::device::recording::{Command, Role};
use crate::device::shader::Kernel;
use crate::{Context, ContextOptions, DType, Tensor};

/// Blanks of several frames are the last symbols; labels are below them.
const BIG_BLANKS: [u32; 3] = [2, 4, 8];
const DURATIONS: [u32; 5] = [0, 1, 2, 3, 4];
const SIGMA: f32 = 0.05;
/// First anchor of a walk that was left.
const LEFT: u32 = 0x7fff_ffff;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arcs {
    Rnnt,
    MultiBlank,
    Tdt,
}

/// A padded batch of utterances that fill it.
struct Case {
    arcs: Arcs,
    /// N, T, U + 1, V.
    sides: [usize; 4],
    /// Number of its first utterance in the noise.
    first: usize,
    /// Nats by which the wanted symbol, and the wanted duration, exceed the others, as under a trained model.
    sure: f32,
}

/// A hash of 32 bits (the finaliser of MurmurHash3) as a number in [-1, 1).
fn noise(i: u32, utterance: u32) -> f32 {
    let mut h = i.wrapping_add(utterance.wrapping_mul(0x9e37_79b9));
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^= h >> 16;
    (h >> 8) as f32 / 8_388_608.0 - 1.0
}

impl Case {
    fn kind(&self) -> Kind {
        let kind = match self.arcs {
            Arcs::Rnnt => return Kind::rnnt(Blank(0)),
            Arcs::MultiBlank => {
                let symbols = self.sides[3] as u32 - BIG_BLANKS.len() as u32..;
                Kind::multi_blank(Blank(0), &symbols.zip(BIG_BLANKS).collect::<Vec<_>>())
            }
            Arcs::Tdt => Kind::tdt(Blank(0), &DURATIONS),
        };
        kind.and_then(|kind| kind.under_normalised(SIGMA)).unwrap()
    }

    fn label(&self, utterance: usize, u: usize) -> u32 {
        (1 + (utterance * 5 + u * 7) % (self.sides[3] - BIG_BLANKS.len() - 1)) as u32
    }

    /// In each cell the symbol is wanted that a fixed alignment has there: label u from its frame on, until then the blank, and the
    /// duration that leads there.
    fn logits(&self) -> Vec<f32> {
        let [count, frames, positions, vocab] = self.sides;
        let durations = if self.arcs == Arcs::Tdt { DURATIONS.len() } else { 0 };
        let (row, labels) = (vocab + durations, positions - 1);
        let mut logits = Vec::with_capacity(count * frames * positions * row);
        for utterance in self.first..self.first + count {
            for (cell, i) in (0..frames * positions).zip((0u32..).step_by(row)) {
                let (t, u) = (cell / positions, cell % positions);
                let wait = ((2 * u + 1) * frames / (2 * labels).max(1)).min(frames).saturating_sub(t);
                let wanted = if u < labels && wait == 0 { self.label(utterance, u) } else { 0 };
                let first = logits.len();
                logits.extend((i..i + row as u32).map(|i| noise(i, utterance as u32)));
                logits[first + wanted as usize] += self.sure;
                if durations > 0 {
                    logits[first + vocab + wait.min(durations - 1)] += self.sure;
                }
            }
        }
        logits
    }

    fn row(&self) -> usize {
        self.sides[3] + if self.arcs == Arcs::Tdt { DURATIONS.len() } else { 0 }
    }

    fn targets(&self) -> Vec<u32> {
        let [count, _, positions, _] = self.sides;
        (self.first..self.first + count).flat_map(|n| (0..positions - 1).map(move |u| self.label(n, u))).collect()
    }

    fn lengths(&self) -> [Vec<u32>; 2] {
        let [count, frames, positions, _] = self.sides;
        [vec![frames as u32; count], vec![positions as u32 - 1; count]]
    }

    /// Forward and backward walks that are left.
    fn left(&self, context: &Context) -> [usize; 2] {
        let [count, frames, positions, _] = self.sides;
        let logits = Tensor::from_slice(context, &[count, frames, positions, self.row()], &self.logits()).unwrap();
        let ([frames, labels], targets) = (self.lengths(), self.targets());
        let loss = TransducerLoss::of(self.kind()).gradients(true).build(context).unwrap();
        let batch = LossBatch::new(Logits::padded(&logits), &targets, &frames, &labels);
        let problem = batch.check(&loss.options, context).unwrap();
        self.left_of(context, &loss, &batch, &problem)
    }

    /// Likewise of lattices of bands: so many positions a frame, in their middle the one that is wanted.
    fn left_in_bands(&self, context: &Context, width: usize) -> [usize; 2] {
        let ([count, frames, positions, vocab], row) = (self.sides, self.row());
        let labels = positions - 1;
        let begin = |t: usize| {
            let emitted = (0..labels).take_while(|u| (2 * u + 1) * frames / (2 * labels) < t).count();
            emitted.saturating_sub(width / 2).min(positions - width)
        };
        let all = self.logits();
        let rows = (0..count * frames).flat_map(|frame| {
            let first = (frame * positions + begin(frame % frames)) * row;
            all[first..first + width * row].iter().copied()
        });
        let logits = Tensor::from_slice(context, &[count * frames * width, row], &rows.collect::<Vec<_>>()).unwrap();
        let band = Band::new((0..frames).map(|t| [begin(t) as u32, (begin(t) + width - 1) as u32]).collect());
        let (lengths, targets, bands) = (self.lengths(), self.targets(), vec![band; count]);
        let mut loss = TransducerLoss::of(self.kind()).gradients(Gradients::InPlace).build(context).unwrap();
        loss.options.pruned = true;
        let batch = LossBatch::new(Logits::packed(&logits), &targets, &lengths[0], &lengths[1]).bands(&bands);
        let mut problem = Problem::packed(vocab, row, [&lengths[0], &lengths[1]], Some(&vec![width as u32; count])).unwrap();
        problem.parts = vec![Part { bytes: logits.bytes(), utterances: 0..count }];
        self.left_of(context, &loss, &batch, &problem)
    }

    fn left_of(&self, context: &Context, loss: &TransducerLoss, batch: &LossBatch<'_>, problem: &Problem) -> [usize; 2] {
        let count = self.sides[0];
        let plan = TransducerPlan::new(problem, batch.targets().extra_words(), &loss.options, context.caps()).unwrap();
        assert_eq!(plan.chunks().len(), 1);
        // The plan up to the short sweep, with anchors that can be read.
        let mut recording = plan.recording().clone();
        let is_short = |command: &Command| matches!(command, Command::Dispatch(d) if d.shader.kernel == Kernel::LatticeArcsShort);
        let short = recording.commands.iter().position(is_short).unwrap();
        recording.commands.truncate(short + 1);
        let call = Call::new(loss, batch, problem, plan.chunks()).unwrap();
        let mut bound = call.bound();
        let anchors = recording.buffers.iter_mut().find(|buffer| buffer.label == "anchors").unwrap();
        anchors.role = Role::Bound(bound.len());
        let anchors = Tensor::empty(context, &[anchors.bytes as usize / 4], DType::U32).unwrap();
        bound.push(&anchors);
        pollster::block_on(context.run(&recording, &bound)).unwrap();
        let words = pollster::block_on(anchors.to_vec_u32()).unwrap();
        let each: u64 = problem.utterances.iter().map(|u| u.anchors(loss.options.stride())).max().unwrap();
        let direction = |words: &[u32]| words.iter().step_by(each as usize).take(count).filter(|&&word| word == LEFT).count();
        let half = words.len() / 2;
        [direction(&words[..half]), direction(&words[half..])]
    }
}

/// The CPU's twin leaves none, whatever comes.
fn gpu() -> Option<Context> {
    match Context::new_blocking(ContextOptions::from_env().with_shader_checks(true)) {
        Ok(gpu) => Some(gpu),
        Err(error) if std::env::var("WEFT_TEST_NO_GPU").is_ok_and(|v| v == "1") => {
            println!("{error}");
            None
        }
        Err(error) => panic!("{error} (WEFT_TEST_NO_GPU=1 skips the GPU)"),
    }
}

/// Five frames a label. Each walk that is left takes the slow sweep, and so does the whole batch.
#[test]
fn no_walk_of_a_trained_model_is_left() {
    let Some(gpu) = gpu() else { return };
    for (arcs, sure) in [(Arcs::Tdt, 10.0), (Arcs::Tdt, 0.0), (Arcs::MultiBlank, 10.0)] {
        let case = Case { arcs, sides: [2, 450, 90, 50], first: 0, sure };
        assert_eq!(case.left(&gpu), [0, 0], "{arcs:?}, sure by {sure}");
    }
}

#[test]
fn no_walk_of_a_band_is_left() {
    let Some(gpu) = gpu() else { return };
    for arcs in [Arcs::Rnnt, Arcs::MultiBlank] {
        for (sure, width) in [(0.0, 5), (0.0, 20), (5.0, 5), (5.0, 20), (10.0, 5)] {
            let case = Case { arcs, sides: [2, 450, 90, 50], first: 0, sure };
            assert_eq!(case.left_in_bands(&gpu, width), [0, 0], "{arcs:?}, sure by {sure}, {width} positions");
        }
    }
}

/// Labels of 2^-115 are beyond any f32 exponent: what the others are counted by does count.
#[test]
fn walks_beyond_floats_are_left() {
    let Some(gpu) = gpu() else { return };
    assert_eq!(Case { arcs: Arcs::Tdt, sides: [3, 40, 8, 20], first: 0, sure: 40.0 }.left(&gpu), [3, 3]);
}
