//! Values that other projects publish, through the library: the same tests that show the truth to be one.

use crate::common::assert_close;
use crate::forms::upload;
use crate::truth::{self, Head, Lattice, Reshape, Solution, Token};
use crate::{Solve, quick_contexts};
use weft::DType;
use weft::lattice::{Arc, Band, Blank, Exit, FastEmit, Kind, LogProbs, Logits, LossBatch, Scores, TransducerLoss, WILDCARD};

#[path = "../oracle/known/mod.rs"]
mod published;

/// The library's kind of these arcs.
fn kind_of(kind: &truth::Kind) -> Kind {
    let symbols = kind.arcs.iter().filter_map(|arc| if let Token::Symbol(symbol) = arc.token { Some(symbol) } else { None });
    let blank = Blank({ symbols }.next().unwrap());
    if let Some((weight, exit)) = kind.exit {
        let exit = if exit == truth::Exit::LastCell { Exit::LastFrame } else { Exit::End };
        return Kind::w_transducer(blank, weight as f32, exit).unwrap();
    }
    let mut durations = vec![0; kind.durations];
    let mut arcs = Vec::new();
    for arc in &kind.arcs {
        if let Some(channel) = arc.duration {
            durations[channel] = arc.frames as u32;
        }
        arcs.push(Arc {
            frames: arc.frames as u32,
            labels: arc.labels as u32,
            token: match arc.token {
                Token::Symbol(symbol) => weft::lattice::Token::Symbol(symbol),
                Token::Label => weft::lattice::Token::NextLabel,
                Token::None => weft::lattice::Token::None,
                Token::Others { .. } => weft::lattice::Token::Others,
            },
            duration: arc.duration.map(|channel| channel as u32),
            then: arc.then,
            constant: (arc.constant as f32).max(f32::MIN),
            // Labels that take no frame never do.
            may_end: arc.ends && arc.frames > 0,
        });
    }
    let kind_of = Kind::custom(blank, arcs, durations).unwrap().under_normalised(kind.sigma as f32).unwrap();
    if kind.head == Head::Softmax { kind_of } else { kind_of.with_hat() }
}

/// Cost and gradient by the input: on every context, all close to each other; the last is given.
fn run(lattice: &Lattice, kind: &Kind, reshape: &Reshape, over_log_probs: bool) -> (f64, Vec<f64>) {
    let channels = lattice.vocab + lattice.kind.durations;
    let values = if over_log_probs { lattice.rows().log_probs } else { lattice.input.clone() };
    let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
    let wildcard = lattice.kind.wildcard;
    let symbol = |&label: &u32| if wildcard.is_some_and(|wildcard| wildcard.symbol == label) { WILDCARD } else { label };
    let target: Vec<u32> = lattice.target.iter().map(symbol).collect();
    let band = lattice
        .bands
        .as_ref()
        .map_or(Band::default(), |bands| Band::new(bands[..lattice.frames].iter().map(|range| range.map(|u| u as u32)).collect()));
    let mut results: Vec<(f32, Vec<f32>)> = Vec::new();
    for (name, context) in quick_contexts() {
        let tensor = upload(context, &[1, lattice.frames, target.len() + 1, channels], &values, DType::F32).unwrap();
        let mut loss = TransducerLoss::of(kind.clone()).gradients(true).delay_penalty(lattice.delay as f32);
        loss = loss.fast_emit(FastEmit::CostUnchanged(reshape.fast_emit as f32));
        if let Some(eos) = lattice.eos {
            loss = loss.eos_penalty(eos.symbol, eos.penalty as f32);
        }
        if let Some(wildcard) = wildcard {
            loss = loss.wildcard(wildcard.stay.exp() as f32);
        }
        if let Some(clamp) = reshape.clamp {
            loss = loss.clamp(clamp as f32);
        }
        let scores: Scores<'_> = if over_log_probs { LogProbs::padded(&tensor).into() } else { Logits::padded(&tensor).into() };
        let (frames, labels, bands) = ([lattice.frames as u32], [target.len() as u32], [band.clone()]);
        let batch = LossBatch::new(scores, &target, &frames, &labels).bands(&bands);
        let out = loss.build(context).unwrap().run_blocking(&batch).unwrap();
        let gradient = out.gradients[0].to_vec_blocking().unwrap();
        if let Some((cost, known)) = results.last() {
            assert_close(name, &out.costs, &[f64::from(*cost)], 1e-6, 1e-6);
            assert_close(name, &gradient, &known.iter().map(|&g| g.into()).collect::<Vec<_>>(), 2e-6, 0.0);
        }
        results.push((out.costs[0], gradient));
    }
    let (cost, gradient) = results.pop().unwrap();
    (cost.into(), gradient.into_iter().map(f64::from).collect())
}

impl Solve for Lattice {
    fn solved(&self) -> Solution {
        self.solved_with(&Reshape::default())
    }

    fn solved_with(&self, reshape: &Reshape) -> Solution {
        let kind = kind_of(&self.kind);
        let (cost, gradient) = run(self, &kind, reshape, false);
        let (again, by_log_probs) = run(self, &kind, reshape, true);
        crate::assert_near("cost from log-probs", &[again], &[cost], 1e-6);
        Solution { cost, gradient, by_log_probs }
    }
}
