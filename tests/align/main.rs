//! What is taken from kept lattices, on the CPU twins and on the adapter of this machine, against the f64 oracle, which walks
//! every path.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../oracle/truth/mod.rs"]
mod truth;

mod degenerate;
mod outputs;
mod samples;
mod with_the_loss;

use common::Lcg;
use weft::lattice::{Band, Blank, Exit, Kind, Lattices, Logits, LossBatch, TransducerLoss, TransducerLossBuilder, WILDCARD};
use weft::{Context, Tensor};

/// A padded batch on the host, and the same lattices for the oracle.
#[derive(Clone)]
struct Batch {
    kind: Kind,
    truth: truth::Kind,
    /// [N, T, U1, V and the channels of durations]
    shape: [usize; 4],
    logits: Vec<f32>,
    targets: Vec<u32>,
    frames: Vec<u32>,
    labels: Vec<u32>,
    bands: Option<Vec<Band>>,
    /// Probability of staying after a wildcard.
    stay: f32,
    delay: f32,
}

/// Kinds of two arcs, then others, which have planes of their own; all have two labels at least.
fn kinds() -> Vec<(&'static str, Kind, truth::Kind)> {
    const BLANK: Blank = Blank(0);
    // The library's order: blanks before labels.
    let mut tdt = truth::Kind::tdt(0, &[0, 1, 2], 0.0);
    tdt.arcs.sort_by_key(|arc| arc.labels);
    let own_tdt = || Kind::tdt(BLANK, &[0, 1, 2]).unwrap();
    // Those of RNN-T come after arcs that are not there.
    let mut drawn = truth::Kind::tdt_as_rnnt(0, 3);
    drawn.arcs.splice(..0, vec![truth::Arc::free(1, 0, f64::NEG_INFINITY); tdt.arcs.len()]);
    vec![
        ("rnnt", Kind::rnnt(BLANK), truth::Kind::rnnt(0)),
        ("monotonic", Kind::monotonic(BLANK), truth::Kind::modified(0)),
        ("hat", Kind::hat(BLANK), truth::Kind::hat(0)),
        ("constrained", Kind::constrained(BLANK), truth::Kind::constrained(0)),
        ("multi-blank", Kind::multi_blank(BLANK, &[(3, 2)]).unwrap(), truth::Kind::multi_blank(0, &[(3, 2)], 0.0)),
        ("tdt", own_tdt(), tdt),
        ("tdt as rnnt", own_tdt().sometimes_rnnt(1.0).unwrap(), drawn),
        ("bypass", Kind::bypass(BLANK, -2.0).unwrap(), truth::Kind::bypass(0, -2.0)),
        ("bypass of others", Kind::bypass_others(BLANK, -0.5).unwrap(), truth::Kind::bypass_others(0, -0.5)),
        ("star", Kind::star(BLANK, -1.0).unwrap(), truth::Kind::star(0, -1.0)),
        ("w", Kind::w_transducer(BLANK, -1.0, Exit::LastFrame).unwrap(), truth::Kind::w(0, -1.0, truth::Exit::LastCell)),
        ("w to the end", Kind::w_transducer(BLANK, -1.0, Exit::End).unwrap(), truth::Kind::w(0, -1.0, truth::Exit::Terminal)),
    ]
}

impl Batch {
    /// Random logits in [-2, 2), targets of the labels 1 and 2; full lengths.
    fn random(seed: u64, kind: Kind, truth: truth::Kind, shape: [usize; 4]) -> Self {
        let [n, t, u1, vocab] = shape;
        let shape = [n, t, u1, vocab + truth.durations];
        let mut numbers = Lcg(seed);
        let logits = numbers.list(shape.iter().product(), 2.0);
        let targets = (0..n * (u1 - 1)).map(|_| if numbers.next() < 0.0 { 1 } else { 2 }).collect();
        let (frames, labels) = (vec![t as u32; n], vec![u1 as u32 - 1; n]);
        Self { kind, truth, shape, logits, targets, frames, labels, bands: None, stay: 1.0, delay: 0.0 }
    }

    fn rnnt(seed: u64, shape: [usize; 4]) -> Self {
        Self::random(seed, Kind::rnnt(Blank(0)), truth::Kind::rnnt(0), shape)
    }

    fn with_lengths(mut self, frames: &[u32], labels: &[u32]) -> Self {
        (self.frames, self.labels) = (frames.to_vec(), labels.to_vec());
        self
    }

    fn row(&mut self, n: usize, t: usize, u: usize) -> &mut [f32] {
        let [_, frames, positions, vocab] = self.shape;
        &mut self.logits[((n * frames + t) * positions + u) * vocab..][..vocab]
    }

    fn loss(&self) -> TransducerLossBuilder {
        TransducerLoss::of(self.kind.clone()).wildcard(self.stay).delay_penalty(self.delay)
    }

    /// Gives the batch on a device to `run`.
    fn on<R>(&self, context: &Context, run: impl FnOnce(&LossBatch<'_>) -> R) -> R {
        let logits = Tensor::from_slice(context, &self.shape, &self.logits).unwrap();
        let mut batch = LossBatch::new(Logits::padded(&logits), &self.targets, &self.frames, &self.labels);
        if let Some(bands) = &self.bands {
            batch = batch.bands(bands);
        }
        run(&batch)
    }

    fn lattices(&self, context: &Context) -> Lattices {
        let loss = self.loss().build(context).unwrap();
        self.on(context, |batch| loss.lattice_blocking(batch).unwrap())
    }

    /// One utterance, without padding.
    fn truth(&self, n: usize) -> truth::Lattice {
        let [_, frames, positions, channels] = self.shape;
        let (length, labels) = (self.frames[n] as usize, self.labels[n] as usize);
        let rows = (0..length).flat_map(|t| (0..=labels).map(move |u| (n * frames + t) * positions + u));
        let input = rows.flat_map(|row| &self.logits[row * channels..][..channels]).map(|&x| f64::from(x)).collect();
        let target = self.targets[n * (positions - 1)..][..labels].to_vec();
        let wildcard = truth::Wildcard { symbol: WILDCARD, stay: f64::from(self.stay).ln() };
        let kind = truth::Kind { wildcard: Some(wildcard), ..self.truth.clone() };
        let vocab = channels - kind.durations;
        let mut lattice = truth::Lattice::new(kind, [length, vocab], target, input);
        lattice.delay = f64::from(self.delay);
        lattice.bands = self.bands.as_ref().map(|bands| bands[n].ranges()).filter(|ranges| !ranges.is_empty()).map(|ranges| {
            let ranges = ranges.iter().map(|&[first, last]| [first as usize, last as usize]);
            // The end is always allowed.
            ranges.chain([[labels, labels]]).collect()
        });
        lattice
    }
}
