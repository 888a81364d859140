//! Twin of `shaders/lattice/arcs_gradient.wgsl`.

use super::super::lattice::{Scores, Utterance};
use super::{Arc, Kind, Token, anchor_at, arc_log2, cell_at, word_at};
use crate::cpu::call::Call;
use crate::cpu::parallel::for_each_chunk;
use crate::cpu::scores::{Elements, LOG_ZERO, store};
use crate::device::shader::LatticeArcsGradientParams as Params;
use crate::lattice::WILDCARD;

const STATUS_MASK: u32 = 3;
const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// Everything but the scores.
struct Pass<'a> {
    p: Params,
    meaning: Scores,
    arcs: &'a [u32],
    lattice: &'a [f32],
    anchors: &'a [i32],
    results: &'a [u32],
}

/// An arc that reads a row.
#[derive(Clone, Copy, Default)]
struct Reader {
    symbol: Option<usize>,
    pull: f32,
    duration: Option<usize>,
    occupied: f32,
}

/// What a row's gradient is made of.
#[derive(Clone, Default)]
struct RowGradient {
    start: usize,
    readers: Vec<Reader>,
    normaliser: f32,
    duration_normaliser: f32,
}

pub(in crate::cpu) fn gradient(call: &mut Call<'_>) {
    let half = call.has_flag("f16");
    let batch: &[u32] = call.read(1);
    let pass = Pass {
        p: call.params(),
        meaning: Scores::of(call.constant("SCORES")),
        arcs: call.read(2),
        lattice: call.read(3),
        anchors: call.read(4),
        results: call.read(5),
    };
    let in_place = call.has_flag("in_place");
    let scores: &[u32] = if in_place { &[] } else { call.read(7) };
    let groups = call.groups()[2] as usize;
    let gradients: &mut [u32] = call.write(6);
    let channels = pass.p.vocab as usize;
    for n in pass.p.first_utterance as usize..pass.p.first_utterance as usize + groups {
        let utterance = Utterance::new(batch, n);
        let kind = Kind::of(batch, n);
        let range = utterance.rows_between(pass.p.first_row, pass.p.end_row);
        let mut rows = vec![RowGradient::default(); range.len()];
        for_each_chunk(&mut rows, 256, |chunk, rows| {
            for (place, row) in rows.iter_mut().enumerate() {
                *row = pass.row(&utterance, &kind, n, range.start + chunk * 256 + place);
            }
        });
        let mut values = vec![0.0; 256 * channels];
        for rows in rows.chunks(256) {
            let source = Elements::of(if in_place { &*gradients } else { scores }, half);
            for_each_chunk(&mut values, channels, |place, values| {
                if let Some(row) = rows.get(place) {
                    for (v, value) in values.iter_mut().enumerate() {
                        *value = utterance.scale * pass.element(row, &kind, v, source).clamp(-pass.p.clamp, pass.p.clamp);
                    }
                }
            });
            for (row, values) in rows.iter().zip(values.chunks(channels)) {
                for (v, &value) in values.iter().enumerate() {
                    store(gradients, half, row.start + v, value);
                }
            }
        }
    }
}

impl Pass<'_> {
    fn row(&self, utterance: &Utterance<'_>, kind: &Kind, n: usize, number: usize) -> RowGradient {
        let row = utterance.row_at(number, self.p.position_stride, self.p.window_row, self.p.unit, self.p.shift);
        let mut result = RowGradient { start: row.start, ..Default::default() };
        let (Some((t, u)), true) = (row.place, row.is_cell && self.results[n] & STATUS_MASK == 0) else { return result };
        let leaving = kind.arcs.iter().enumerate().map(|(a, arc)| self.leaving(utterance, n, (t, u), a, arc));
        let thens = kind.thens.iter().map(|&a| self.then(utterance, n, (t, u), a, &kind.arcs[a]));
        result.readers = leaving.chain(thens).collect();
        if self.meaning != Scores::LogProbs {
            let word = |number: usize| f32::from_bits(self.arcs[word_at(self.p.pairs, cell_at(utterance, t, u), number)]);
            result.normaliser = word(kind.readers());
            if kind.durations > 0 {
                result.duration_normaliser = word(kind.readers() + 1);
            }
        }
        result
    }

    fn leaving(&self, utterance: &Utterance<'_>, n: usize, (t, u): (usize, usize), a: usize, arc: &Arc) -> Reader {
        if arc.labels == 1 && u >= utterance.labels {
            return Reader::default();
        }
        let occupied = self.occupancy(utterance, n, (t, u), a, arc);
        let symbol = match (arc.token, utterance.label(u)) {
            (Token::Symbol(symbol), _) => (!utterance.after_wildcard(u)).then_some(symbol),
            (Token::NextLabel, Some(label)) if label != WILDCARD => Some(label as usize),
            (Token::NextLabel | Token::None, _) => None,
        };
        let scale = if arc.labels == 1 { self.p.label_scale } else { 1.0 };
        Reader { symbol, pull: occupied * scale, duration: arc.duration, occupied }
    }

    /// An arc that emits the label before this position, and reads its second symbol here.
    fn then(&self, utterance: &Utterance<'_>, n: usize, (t, u): (usize, usize), a: usize, arc: &Arc) -> Reader {
        if u == 0 {
            return Reader::default();
        }
        let occupied = self.occupancy(utterance, n, (t, u - 1), a, arc);
        let symbol = (!utterance.after_wildcard(u)).then_some(arc.then);
        Reader { symbol, pull: occupied * self.p.label_scale, duration: None, occupied }
    }

    /// Probability that a path takes arc a from cell (t, u).
    fn occupancy(&self, utterance: &Utterance<'_>, n: usize, (t, u): (usize, usize), a: usize, arc: &Arc) -> f32 {
        let all = self.p.utterances as usize;
        let (total_e, total_x) = (self.results[2 * all + n] as i32, f32::from_bits(self.results[3 * all + n]));
        let cell = cell_at(utterance, t, u);
        let e = self.anchors[anchor_at(utterance, t, u)] - total_e;
        let x = self.lattice[cell] - total_x;
        let w = arc_log2(self.arcs[word_at(self.p.pairs, cell, a)]);
        let (to_e, to_x) = self.after(utterance, t + arc.frames, u + arc.labels, arc.may_end);
        ((e + to_e) as f32 + (x + (w + to_x))).clamp(-1e4, 1.0).exp2()
    }

    /// Backward variable of (t, u), exponent and rest.
    fn after(&self, utterance: &Utterance<'_>, t: usize, u: usize, may_end: bool) -> (i32, f32) {
        let (frames, labels) = (utterance.frames, utterance.labels);
        if t >= frames || u > labels {
            return (0, if may_end && t == frames && u == labels { 0.0 } else { LOG_ZERO });
        }
        let anchor = self.anchors[self.p.anchors as usize + 1 + anchor_at(utterance, frames - 1 - t, labels - u)];
        (anchor, self.lattice[self.p.pairs as usize + 1 + cell_at(utterance, t, u)])
    }

    fn element(&self, row: &RowGradient, kind: &Kind, v: usize, scores: Elements<'_>) -> f32 {
        let blank = self.p.blank as usize;
        let hat = self.meaning == Scores::Hat;
        let (mut own, mut others, mut occupied) = (0.0, 0.0, 0.0);
        for reader in &row.readers {
            occupied += reader.occupied;
            if let Some(duration) = v.checked_sub(kind.vocab) {
                match reader.duration {
                    Some(read) if read == duration => own += reader.occupied,
                    Some(_) => others += reader.occupied,
                    None => {}
                }
            } else {
                match reader.symbol {
                    Some(symbol) if symbol == v => own += reader.pull,
                    Some(symbol) if !(hat && symbol == blank) => others += reader.pull,
                    _ => {}
                }
            }
        }
        if occupied <= 0.0 {
            return 0.0;
        }
        if self.meaning == Scores::LogProbs {
            return -own;
        }
        let x = (scores.raw(row.start + v) * LOG2_E).max(LOG_ZERO);
        if hat && v == blank {
            return others / (1.0 + (-x.max(-126.0)).exp2()) - own / (1.0 + x.clamp(-126.0, 126.0).exp2());
        }
        let normaliser = if v < kind.vocab { row.normaliser } else { row.duration_normaliser };
        let p = (x - normaliser).min(0.0).exp2();
        others * p - own * (1.0 - p)
    }
}
