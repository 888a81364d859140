//! Twin of `shaders/lattice/arcs_gradient.wgsl`.

use super::super::lattice::{GradientPass, Log2, Row, Scores, Utterance, arc_probability, symbol_of};
use super::latency::lateness;
use super::{Arc, Kind, Token, anchor_at, arc_log2, cell_at, word_at};
use crate::cpu::call::Call;
use crate::cpu::gradients::Gradients;
use crate::cpu::scores::{Elements, LOG_ZERO, LOG2_E};
use crate::lattice::WILDCARD;

/// An arc that reads a row.
#[derive(Clone, Copy, Default)]
struct Reader {
    symbol: Option<usize>,
    /// Whether it reads all symbols but the blank and the next label.
    others: bool,
    duration: Option<usize>,
    /// Minus the derivative of the cost by its log weight: the probability that a path takes it, without a latency.
    pull: f32,
    /// Of FastEmit, at symbols.
    scale: f32,
}

/// What a row's gradient is made of.
#[derive(Clone, Default)]
struct RowGradient {
    start: usize,
    readers: Vec<Reader>,
    normaliser: f32,
    duration_normaliser: f32,
    label: Option<u32>,
    others: f32,
}

pub(in crate::cpu) fn gradient(call: &mut Call<'_>) {
    let pass = GradientPass::of(call);
    let p = pass.p;
    let groups = call.groups()[2] as usize;
    let Some(mut gradients) = Gradients::of(call) else { return };
    let bands = call.has_flag("bands");
    for n in p.first_utterance as usize..p.first_utterance as usize + groups {
        let one = One {
            pass: &pass,
            utterance: Utterance::new(pass.batch, n).with_bands(bands),
            kind: Kind::of(pass.batch, n),
            total: pass.total(n),
        };
        let rows = one.utterance.rows(&p, |row| one.row(row));
        pass.write(&mut gradients, one.utterance.scale, &rows, |row| row.start, |row, v, scores| one.element(row, v, scores));
    }
}

/// One utterance.
struct One<'a> {
    pass: &'a GradientPass<'a>,
    utterance: Utterance<'a>,
    kind: Kind,
    /// If it is ok.
    total: Option<Log2>,
}

impl One<'_> {
    fn row(&self, row: Row) -> RowGradient {
        let Self { pass, utterance, kind, .. } = self;
        let mut result = RowGradient { start: row.start, ..Default::default() };
        let (Some((t, u)), true, Some(total)) = (row.place, row.is_cell, self.total) else { return result };
        let leaving = kind.arcs.iter().enumerate().map(|(a, arc)| self.leaving(total, (t, u), a, arc));
        let thens = kind.thens.iter().map(|&a| self.then(total, (t, u), a, &kind.arcs[a]));
        result.readers = leaving.chain(thens).collect();
        if !pass.meaning.is_picked() {
            let word = |number: usize| f32::from_bits(pass.arcs[word_at(pass.p.places, cell_at(utterance, t, u), number)]);
            result.normaliser = word(kind.readers());
            if kind.durations > 0 {
                result.duration_normaliser = word(kind.readers() + 1);
            }
        }
        result.label = utterance.label(u);
        if kind.others {
            let normalisers = if pass.meaning.is_picked() { 0 } else { 1 + usize::from(kind.durations > 0) };
            let at = word_at(pass.p.places, cell_at(utterance, t, u), kind.readers() + normalisers);
            result.others = f32::from_bits(pass.arcs[at]);
        }
        result
    }

    fn leaving(&self, total: Log2, (t, u): (usize, usize), a: usize, arc: &Arc) -> Reader {
        let utterance = &self.utterance;
        if arc.labels == 1 && u >= utterance.labels {
            return Reader::default();
        }
        let pull = self.pull(total, (t, u), a, arc);
        let symbol = match (arc.token, utterance.label(u)) {
            (Token::Symbol(symbol), _) => (!utterance.after_wildcard(u)).then_some(symbol),
            (Token::NextLabel, Some(label)) if label != WILDCARD => Some(symbol_of(label, self.pass.meaning)),
            (Token::NextLabel | Token::Others | Token::None, _) => None,
        };
        let scale = if arc.labels == 1 { self.pass.p.label_scale } else { 1.0 };
        Reader { symbol, others: arc.token == Token::Others, duration: arc.duration, pull, scale }
    }

    /// An arc that emits the label before this position, and reads its second symbol here.
    fn then(&self, total: Log2, (t, u): (usize, usize), a: usize, arc: &Arc) -> Reader {
        if u == 0 {
            return Reader::default();
        }
        let pull = self.pull(total, (t, u - 1), a, arc);
        let symbol = (!self.utterance.after_wildcard(u)).then_some(arc.then);
        Reader { symbol, others: false, duration: None, pull, scale: self.pass.p.label_scale }
    }

    /// What arc a of cell (t, u) pulls.
    fn pull(&self, total: Log2, (t, u): (usize, usize), a: usize, arc: &Arc) -> f32 {
        let Self { pass, utterance, kind, .. } = self;
        let cell = cell_at(utterance, t, u);
        let from = Log2 { e: pass.anchors[anchor_at(utterance, false, t, u)] - total.e, x: pass.lattice[cell] - total.x };
        let weight = arc_log2(pass.arcs[word_at(pass.p.places, cell, a)]);
        let occupied = arc_probability(from, weight, self.after(t + arc.frames, u + arc.labels, arc.may_end));
        if kind.latency > 0.0 { occupied - occupied * kind.latency * self.delay((t, u), arc) } else { occupied }
    }

    /// How much later the labels of paths that take an arc from cell (t, u) are than those of all, in the mean.
    fn delay(&self, (t, u): (usize, usize), arc: &Arc) -> f32 {
        let Self { pass, utterance, .. } = self;
        let plane = pass.p.places as usize + 1;
        let mean = |number: usize, t: usize, u: usize| pass.lattice[number * plane + cell_at(utterance, t, u)];
        let (to_t, to_u) = (t + arc.frames, u + arc.labels);
        let mut sum = mean(3, t, u) - mean(2, 0, 0);
        if arc.labels == 1 {
            sum += lateness(utterance, t, u);
        }
        if to_t < utterance.frames && to_u <= utterance.labels {
            sum += mean(2, to_t, to_u);
        }
        sum / utterance.labels.max(1) as f32
    }

    /// Backward variable of (t, u).
    fn after(&self, t: usize, u: usize, may_end: bool) -> Log2 {
        let Self { pass, utterance, .. } = self;
        let (frames, labels) = (utterance.frames, utterance.labels);
        if t >= frames || u > labels {
            return Log2 { e: 0, x: if may_end && t == frames && u == labels { 0.0 } else { LOG_ZERO } };
        }
        Log2 {
            e: pass.anchors[pass.p.anchors as usize + 1 + anchor_at(utterance, true, t, u)],
            x: pass.lattice[pass.p.places as usize + 1 + cell_at(utterance, t, u)],
        }
    }

    fn element(&self, row: &RowGradient, v: usize, scores: Elements<'_>) -> f32 {
        let (kind, meaning) = (&self.kind, self.pass.meaning);
        let blank = self.pass.p.blank as usize;
        let hat = meaning == Scores::Hat;
        let (mut own, mut others, mut summed, mut pulled) = (0.0, 0.0, 0.0, 0.0);
        for reader in &row.readers {
            pulled += reader.pull.abs();
            if let Some(duration) = v.checked_sub(kind.vocab) {
                match reader.duration {
                    Some(read) if read == duration => own += reader.pull,
                    Some(_) => others += reader.pull,
                    None => {}
                }
            } else {
                match reader.symbol {
                    Some(symbol) if symbol == v => own += reader.pull * reader.scale,
                    Some(symbol) if !(hat && symbol == blank) => others += reader.pull * reader.scale,
                    None if reader.others => {
                        others += reader.pull * reader.scale;
                        summed += reader.pull * reader.scale;
                    }
                    _ => {}
                }
            }
        }
        if pulled <= 0.0 {
            return 0.0;
        }
        let x = (scores.raw(row.start + v) * LOG2_E).max(LOG_ZERO);
        if kind.is_other(v, self.pass.p.blank, row.label) {
            // Its part of their sum.
            own += summed * (x - row.others).min(0.0).exp2();
            others -= summed * (x - row.others).min(0.0).exp2();
        }
        if meaning.is_picked() {
            return -own;
        }
        if hat && v == blank {
            return others / (1.0 + (-x.max(-126.0)).exp2()) - own / (1.0 + x.clamp(-126.0, 126.0).exp2());
        }
        let normaliser = if v < kind.vocab { row.normaliser } else { row.duration_normaliser };
        let p = (x - normaliser).min(0.0).exp2();
        others * p - own * (1.0 - p)
    }
}
