//! Twin of `shaders/lattice/arcs_row.wgsl`.

use super::super::lattice::{Row, Scores, Utterance, log2_sigmoid, symbol_of};
use super::{Arc, Kind, Token, arc_word, cell_at, word_at};
use crate::cpu::call::Call;
use crate::cpu::scores::{Elements, LOG_ZERO, LOG2_E, is_log_zero, log_sum};
use crate::cpu::status::NON_FINITE;
use crate::device::shader::LatticeArcsRowParams as Params;
use crate::lattice::WILDCARD;
use std::cell::Cell;

/// What one row gives.
#[derive(Clone, Default)]
struct Found {
    /// `None` if the row is outside of its lattice.
    cell: Option<usize>,
    words: Vec<u32>,
    unusable: bool,
}

pub(in crate::cpu) fn row(call: &mut Call<'_>) {
    let p: Params = call.params();
    let bands = call.has_flag("bands");
    let pass = Pass { p, meaning: Scores::of(call.constant("SCORES")), scores: Elements::of(call.read(1), call.has_flag("f16")) };
    let batch: &[u32] = call.read(2);
    let arcs: &mut [u32] = call.write(3);
    let results: &mut [u32] = call.write(4);
    let utterances = call.groups()[2] as usize;
    for (n, status) in results.iter_mut().enumerate().skip(p.first_utterance as usize).take(utterances) {
        let utterance = Utterance::new(batch, n).with_bands(bands);
        let kind = Kind::of(batch, n);
        for row in utterance.rows(&p, |row| pass.found(&utterance, &kind, row)) {
            if row.unusable {
                *status |= NON_FINITE;
            }
            if let Some(cell) = row.cell {
                for (number, &word) in row.words.iter().enumerate() {
                    arcs[word_at(p.places, cell, number)] = word;
                }
            }
        }
    }
}

struct Pass<'a> {
    p: Params,
    meaning: Scores,
    scores: Elements<'a>,
}

/// A row whose sums are known.
struct Weighed<'a> {
    pass: &'a Pass<'a>,
    kind: &'a Kind,
    start: usize,
    /// log2; `None` if nothing is possible.
    normaliser: Option<f32>,
    duration_normaliser: Option<f32>,
    /// log2 of what HAT's blank leaves to the labels.
    leave: f32,
    /// log2 of the sum of all symbols but the blank and the next label, as they are scored.
    others: Option<f32>,
    unusable: Cell<bool>,
}

impl Pass<'_> {
    fn found(&self, utterance: &Utterance<'_>, kind: &Kind, row: Row) -> Found {
        let Some((t, u)) = row.place else { return Found::default() };
        let cell = Some(cell_at(utterance, t, u));
        if !row.is_cell {
            return Found { cell, words: vec![0; kind.readers()], unusable: false };
        }
        let row = self.weighed(kind, row, utterance.label(u));
        let lead = 0.5 * (utterance.frames - 1) as f32 - t as f32;
        let wild = utterance.after_wildcard(u);
        let arcs = kind.arcs.iter().map(|arc| match arc.labels {
            _ if !arc.active => LOG_ZERO,
            // Nothing lies beyond the last position.
            1 if u >= utterance.labels => LOG_ZERO,
            _ => row.arc(arc, utterance.label(u), lead, wild),
        });
        let thens = kind.thens.iter().map(|&arc| row.named(kind.arcs[arc].then, wild));
        let mut words: Vec<u32> = arcs.chain(thens).map(arc_word).collect();
        if !self.meaning.is_picked() {
            words.push(row.normaliser.unwrap_or(0.0).to_bits());
            if kind.durations > 0 {
                words.push(row.duration_normaliser.unwrap_or(0.0).to_bits());
            }
        }
        if kind.others {
            words.push(row.others.unwrap_or(0.0).to_bits());
        }
        Found { cell, words, unusable: row.unusable.get() }
    }

    fn weighed<'a>(&'a self, kind: &'a Kind, row: Row, label: Option<u32>) -> Weighed<'a> {
        let mut weighed = Weighed {
            pass: self,
            kind,
            start: row.start,
            normaliser: None,
            duration_normaliser: None,
            leave: 0.0,
            others: None,
            unusable: Cell::new(false),
        };
        if kind.others {
            let others = (0..kind.vocab).filter(|&v| kind.is_other(v, self.p.blank, label));
            weighed.others = log_sum(others.map(|v| weighed.score(v)));
        }
        if self.meaning.is_picked() {
            return weighed;
        }
        let channels = kind.vocab + kind.durations;
        weighed.unusable.set((row.start..row.start + channels).any(|at| self.scores.is_unusable(at)));
        let at = |v: usize| (self.scores.clean(row.start + v) * LOG2_E).max(LOG_ZERO);
        let without = if self.meaning == Scores::Hat { self.p.blank as usize } else { channels };
        weighed.normaliser = log_sum((0..kind.vocab).filter(|&v| v != without).map(at));
        weighed.duration_normaliser = log_sum((kind.vocab..channels).map(at));
        if self.meaning == Scores::Hat {
            weighed.leave = log2_sigmoid(-at(without));
        }
        weighed
    }
}

impl Weighed<'_> {
    /// Score of channel v, as a base-2 logarithm.
    fn score(&self, v: usize) -> f32 {
        let at = self.start + v;
        self.unusable.set(self.unusable.get() || self.pass.scores.is_unusable(at));
        (self.pass.scores.clean(at) * LOG2_E).max(LOG_ZERO)
    }

    fn symbol(&self, symbol: usize) -> f32 {
        let x = self.score(symbol);
        let w = match self.pass.meaning {
            Scores::LogProbs | Scores::Gathered => x,
            Scores::Hat if symbol == self.pass.p.blank as usize => {
                if is_log_zero(x) {
                    LOG_ZERO
                } else {
                    log2_sigmoid(x)
                }
            }
            _ => self.normaliser.map_or(LOG_ZERO, |normaliser| x - normaliser + self.leave),
        };
        w - self.kind.sigma
    }

    fn others(&self) -> f32 {
        let share = match self.pass.meaning {
            Scores::LogProbs | Scores::Gathered => 0.0,
            _ => self.leave - self.normaliser.unwrap_or(0.0),
        };
        self.others.map_or(LOG_ZERO, |others| others + share - self.kind.sigma)
    }

    fn duration(&self, duration: usize) -> f32 {
        let x = self.score(self.kind.vocab + duration);
        if self.pass.meaning.is_picked() {
            return x;
        }
        self.duration_normaliser.map_or(LOG_ZERO, |normaliser| x - normaliser)
    }

    /// Of a symbol that an arc names.
    fn named(&self, symbol: usize, wild: bool) -> f32 {
        if wild { self.pass.p.wildcard } else { self.symbol(symbol) }
    }

    fn arc(&self, arc: &Arc, label: Option<u32>, lead: f32, wild: bool) -> f32 {
        let p = &self.pass.p;
        let mut w = arc.constant;
        if arc.labels == 1 {
            w += p.delay * lead;
        }
        match (arc.token, label) {
            (Token::Symbol(symbol), _) => w += self.named(symbol, wild),
            (Token::NextLabel, Some(label)) if label != WILDCARD => {
                w += self.symbol(symbol_of(label, self.pass.meaning));
                if label == p.eos {
                    w += p.eos_delay * lead;
                }
            }
            (Token::Others, _) => w += self.others(),
            (Token::NextLabel | Token::None, _) => {}
        }
        w + arc.duration.map_or(0.0, |duration| self.duration(duration))
    }
}
