//! Twin of `shaders/lattice/gradient.wgsl`.

use super::{Scores, Utterance, symbol_of};
use crate::cpu::call::Call;
use crate::cpu::parallel::for_each_chunk;
use crate::cpu::scaled::weight_log2;
use crate::cpu::scores::{Elements, LOG_ZERO, store};
use crate::device::shader::LatticeRowParams as RowParams;
use crate::lattice::WILDCARD;

const OK: u32 = 0;
const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// Everything but the scores.
struct Pass<'a> {
    p: RowParams,
    meaning: Scores,
    label_frames: usize,
    arcs: &'a [u32],
    lattice: &'a [f32],
    anchors: &'a [i32],
    results: &'a [u32],
}

/// What a row's gradient is made of.
#[derive(Clone, Copy, Default)]
struct RowGradient {
    start: usize,
    blank: f32,
    label: f32,
    symbol: Option<usize>,
    normaliser: f32,
}

pub(in crate::cpu) fn gradient(call: &mut Call<'_>) {
    let half = call.has_flag("f16");
    let batch: &[u32] = call.read(1);
    let pass = Pass {
        p: call.params(),
        meaning: Scores::of(call.constant("SCORES")),
        label_frames: call.constant("LABEL_FRAMES") as usize,
        arcs: call.read(2),
        lattice: call.read(3),
        anchors: call.read(4),
        results: call.read(5),
    };
    let in_place = call.has_flag("in_place");
    let scores: &[u32] = if in_place { &[] } else { call.read(7) };
    let groups = call.groups()[2] as usize;
    let gradients: &mut [u32] = call.write(6);
    let vocab = pass.p.vocab as usize;
    for n in pass.p.first_utterance as usize..pass.p.first_utterance as usize + groups {
        let utterance = Utterance::new(batch, n);
        let range = utterance.row_range(&pass.p);
        let mut rows = vec![RowGradient::default(); range.len()];
        for_each_chunk(&mut rows, 256, |chunk, rows| {
            for (place, row) in rows.iter_mut().enumerate() {
                *row = pass.row(&utterance, n, range.start + chunk * 256 + place);
            }
        });
        let mut values = vec![0.0; 256 * vocab];
        for rows in rows.chunks(256) {
            let source = Elements::of(if in_place { &*gradients } else { scores }, half);
            for_each_chunk(&mut values, vocab, |place, values| {
                if let Some(row) = rows.get(place) {
                    for (v, value) in values.iter_mut().enumerate() {
                        *value = utterance.scale * pass.element(row, v, source).clamp(-pass.p.clamp, pass.p.clamp);
                    }
                }
            });
            for (row, values) in rows.iter().zip(values.chunks(vocab)) {
                for (v, &value) in values.iter().enumerate() {
                    store(gradients, half, row.start + v, value);
                }
            }
        }
    }
}

impl Pass<'_> {
    fn row(&self, utterance: &Utterance<'_>, n: usize, number: usize) -> RowGradient {
        let row = utterance.row(&self.p, number);
        let mut result = RowGradient { start: row.start, ..Default::default() };
        let (Some((t, u)), true) = (row.place, row.is_cell && self.results[n] == OK) else { return result };
        let all = self.p.utterances as usize;
        let (total_e, total_x) = (self.results[2 * all + n] as i32, f32::from_bits(self.results[3 * all + n]));
        let pair = utterance.pair_at(t, u);
        let e = self.anchors[utterance.anchor_at(t / 2 + u, u)] - total_e;
        let x = self.lattice[2 * pair + t % 2] - total_x;
        let occupancy = |arc: usize, after: (i32, f32)| {
            let weight = weight_log2(self.arcs[4 * pair + 2 * (t % 2) + arc]);
            ((e + after.0) as f32 + (x + (weight + after.1))).clamp(-1e4, 1.0).exp2()
        };
        result.blank = occupancy(0, self.after(utterance, t + 1, u));
        result.label = self.p.label_scale * occupancy(1, self.after(utterance, t + self.label_frames, u + 1));
        if utterance.after_wildcard(u) {
            result.blank = 0.0;
        }
        match utterance.label(u) {
            None | Some(WILDCARD) => result.label = 0.0,
            Some(label) => result.symbol = Some(symbol_of(label, self.meaning)),
        }
        let cell = 2 * utterance.first_pair + t * utterance.columns() + u;
        result.normaliser = f32::from_bits(self.arcs[self.p.normalisers_at as usize + cell]);
        result
    }

    /// Backward variable of (t, u), exponent and rest.
    fn after(&self, utterance: &Utterance<'_>, t: usize, u: usize) -> (i32, f32) {
        if t >= utterance.frames || u > utterance.labels {
            return (0, if t == utterance.frames && u == utterance.labels { 0.0 } else { LOG_ZERO });
        }
        let j = utterance.labels - u;
        let anchor = self.anchors[self.p.anchors as usize + 1 + utterance.anchor_at(utterance.pairs - 1 - t / 2 + j, j)];
        (anchor, self.lattice[2 * (self.p.pairs as usize + 1 + utterance.pair_at(t, u)) + t % 2])
    }

    fn element(&self, row: &RowGradient, v: usize, scores: Elements<'_>) -> f32 {
        let (stay, come) = (row.blank, row.label);
        let (is_blank, is_label) = (v == self.p.blank as usize, Some(v) == row.symbol);
        if stay + come <= 0.0 {
            return 0.0;
        }
        if matches!(self.meaning, Scores::LogProbs | Scores::Gathered) {
            return if is_label {
                -come
            } else if is_blank {
                -stay
            } else {
                0.0
            };
        }
        let x = (scores.raw(row.start + v) * LOG2_E).max(LOG_ZERO);
        let p = (x - row.normaliser).min(0.0).exp2();
        match (self.meaning, is_blank, is_label) {
            (Scores::Hat, true, _) => come / (1.0 + (-x.max(-126.0)).exp2()) - stay / (1.0 + x.clamp(-126.0, 126.0).exp2()),
            (Scores::Hat, _, true) => come * (p - 1.0),
            (Scores::Hat, ..) => come * p,
            (_, true, _) => come * p - stay * (1.0 - p),
            (_, _, true) => stay * p - come * (1.0 - p),
            _ => (stay + come) * p,
        }
    }
}
