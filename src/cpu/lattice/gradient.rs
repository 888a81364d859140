//! Twin of `shaders/lattice/gradient.wgsl`.

use super::quads::{FRAMES, variable};
use super::{GradientPass, Log2, Row, Scores, Utterance, symbol_of};
use crate::cpu::call::Call;
use crate::cpu::gradients::Gradients;
use crate::cpu::scaled::Scaled;
use crate::cpu::scores::{Elements, LOG_ZERO, LOG2_E};
use crate::lattice::WILDCARD;

struct Pass<'a> {
    shared: GradientPass<'a>,
    label_frames: usize,
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
    let pass = Pass { shared: GradientPass::of(call), label_frames: call.constant("LABEL_FRAMES") as usize };
    let p = pass.shared.p;
    let groups = call.groups()[2] as usize;
    let Some(mut gradients) = Gradients::of(call) else { return };
    for n in p.first_utterance as usize..p.first_utterance as usize + groups {
        let utterance = Utterance::new(pass.shared.batch, n);
        let total = pass.shared.total(n);
        let rows = utterance.rows(&p, |row| pass.row(&utterance, total, row));
        pass.shared.write(&mut gradients, utterance.scale, &rows, |row| row.start, |row, v, scores| pass.element(row, v, scores));
    }
}

impl Pass<'_> {
    fn row(&self, utterance: &Utterance<'_>, total: Option<Log2>, row: Row) -> RowGradient {
        let GradientPass { p, meaning, arcs, lattice, anchors, .. } = self.shared;
        let mut result = RowGradient { start: row.start, ..Default::default() };
        let (Some((t, u)), true, Some(total)) = (row.place, row.is_cell, total) else { return result };
        let place = utterance.quad_at(t, u);
        let from = variable(lattice[FRAMES * place + t % FRAMES], anchors[place]);
        let from = Scaled { e: from.e - total.e, m: from.m * (-total.x).exp2() };
        let weight = |arc: usize| Scaled::weight(arcs[FRAMES * (arc * p.places as usize + place) + t % FRAMES]);
        let probability = |arc: usize, to: Scaled| from.mul(weight(arc)).mul(to).value();
        result.blank = probability(0, self.after(utterance, t + 1, u));
        result.label = p.label_scale * probability(1, self.after(utterance, t + self.label_frames, u + 1));
        if utterance.after_wildcard(u) {
            result.blank = 0.0;
        }
        match utterance.label(u) {
            None | Some(WILDCARD) => result.label = 0.0,
            Some(label) => result.symbol = Some(symbol_of(label, meaning)),
        }
        result.normaliser = f32::from_bits(arcs[FRAMES * (2 * p.places as usize + place) + t % FRAMES]);
        result
    }

    /// Backward variable of (t, u); (T, U) is the end.
    fn after(&self, utterance: &Utterance<'_>, t: usize, u: usize) -> Scaled {
        let GradientPass { p, lattice, anchors, .. } = &self.shared;
        if t >= utterance.frames || u > utterance.labels {
            return if t == utterance.frames && u == utterance.labels { Scaled::ONE } else { Scaled { e: 0, m: 0.0 } };
        }
        let place = p.anchors as usize + utterance.quad_at(t, u);
        variable(lattice[FRAMES * place + t % FRAMES], anchors[place])
    }

    fn element(&self, row: &RowGradient, v: usize, scores: Elements<'_>) -> f32 {
        let (stay, come) = (row.blank, row.label);
        let (is_blank, is_label) = (v == self.shared.p.blank as usize, Some(v) == row.symbol);
        if stay + come <= 0.0 {
            return 0.0;
        }
        if matches!(self.shared.meaning, Scores::LogProbs | Scores::Gathered) {
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
        match (self.shared.meaning, is_blank, is_label) {
            (Scores::Hat, true, _) => come / (1.0 + (-x.max(-126.0)).exp2()) - stay / (1.0 + x.clamp(-126.0, 126.0).exp2()),
            (Scores::Hat, _, true) => come * (p - 1.0),
            (Scores::Hat, ..) => come * p,
            (_, true, _) => come * p - stay * (1.0 - p),
            (_, _, true) => stay * p - come * (1.0 - p),
            _ => (stay + come) * p,
        }
    }
}
