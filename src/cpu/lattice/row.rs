//! Twin of `shaders/lattice/row.wgsl`.

use super::quads::{CERTAIN, FRAMES, IMPOSSIBLE};
use super::{Row, Scores, Utterance, symbol_of};
use crate::cpu::call::Call;
use crate::cpu::scaled::weight_word;
use crate::cpu::scores::{Elements, LOG_ZERO, LOG2_E, is_log_zero, log_sum};
use crate::cpu::status::NON_FINITE;
use crate::device::shader::LatticeRowParams as RowParams;
use crate::lattice::WILDCARD;

/// What one row gives.
#[derive(Clone, Copy, Default)]
struct Weights {
    /// Where: place, and frame of it; `None` if the row is outside of its lattice.
    place: Option<(usize, usize)>,
    blank: u32,
    label: u32,
    normaliser: f32,
    unusable: bool,
    /// Whether it is of the last frame.
    is_last: bool,
}

pub(in crate::cpu) fn row(call: &mut Call<'_>) {
    let p: RowParams = call.params();
    let meaning = Scores::of(call.constant("SCORES"));
    let scores = Elements::of(call.read(1), call.has_flag("f16"));
    let batch: &[u32] = call.read(2);
    let arcs: &mut [u32] = call.write(3);
    let results: &mut [u32] = call.write(4);
    for (n, status) in results.iter_mut().enumerate().skip(p.first_utterance as usize).take(call.groups()[2] as usize) {
        let utterance = Utterance::new(batch, n);
        for w in utterance.rows(&p, |row| weights(&p, meaning, scores, &utterance, row)) {
            if w.unusable {
                *status |= NON_FINITE;
            }
            if let Some((place, frame)) = w.place {
                let (blanks, labels) = (FRAMES * place, FRAMES * (p.places as usize + place));
                arcs[blanks + frame] = w.blank;
                arcs[labels + frame] = w.label;
                if w.is_last {
                    arcs[blanks + frame + 1..blanks + FRAMES].fill(CERTAIN);
                    arcs[labels + frame + 1..labels + FRAMES].fill(IMPOSSIBLE);
                }
                arcs[blanks + 2 * FRAMES * p.places as usize + frame] = w.normaliser.to_bits();
            }
        }
    }
}

fn weights(p: &RowParams, meaning: Scores, scores: Elements<'_>, utterance: &Utterance<'_>, row: Row) -> Weights {
    let Some((t, u)) = row.place else { return Weights::default() };
    let place = Some((utterance.quad_at(t, u), t % FRAMES));
    let is_last = t + 1 == utterance.frames;
    let zero = weight_word(LOG_ZERO);
    if !row.is_cell {
        return Weights { place, is_last, blank: zero, label: zero, ..Default::default() };
    }
    let (mut blank, mut label, normaliser) = log_weights(p, meaning, scores, utterance, row, u);
    let symbols = row.start..row.start + p.vocab as usize;
    let mut read = [p.blank as usize, label_read(p, meaning, utterance, u)].into_iter().map(|symbol| row.start + symbol);
    let unusable = match meaning {
        Scores::Logits | Scores::Hat => symbols.clone().any(|at| scores.is_unusable(at)),
        Scores::LogProbs | Scores::Gathered => read.any(|at| scores.is_unusable(at)),
    };
    blank -= p.sigma;
    label -= p.sigma;
    let lead = 0.5 * (utterance.frames - 1) as f32 - t as f32;
    match utterance.label(u) {
        Some(WILDCARD) => label = 0.0,
        Some(symbol) if symbol == p.eos => label += p.eos_delay * lead,
        _ => {}
    }
    label += p.delay * lead;
    if utterance.after_wildcard(u) {
        blank = p.wildcard;
    }
    if u >= utterance.labels {
        label = 0.0;
    }
    Weights { place, is_last, blank: weight_word(blank), label: weight_word(label), normaliser, unusable }
}

/// The symbol that is read for the label of a cell: the blank where there is none to read.
fn label_read(p: &RowParams, meaning: Scores, utterance: &Utterance<'_>, u: usize) -> usize {
    let label = utterance.label(u).filter(|&label| label != WILDCARD);
    label.map_or(p.blank as usize, |label| symbol_of(label, meaning))
}

/// log2 weights of blank and label, and the normaliser.
fn log_weights(p: &RowParams, meaning: Scores, scores: Elements<'_>, utterance: &Utterance<'_>, row: Row, u: usize) -> (f32, f32, f32) {
    let at = |symbol: usize| (scores.clean(row.start + symbol) * LOG2_E).max(LOG_ZERO);
    let blank = at(p.blank as usize);
    let label = at(label_read(p, meaning, utterance, u));
    let all = |without: usize| log_sum((0..p.vocab as usize).filter(move |&v| v != without).map(at));
    match meaning {
        Scores::LogProbs | Scores::Gathered => (blank, label, 0.0),
        Scores::Logits => all(usize::MAX).map_or((LOG_ZERO, LOG_ZERO, 0.0), |sum| (blank - sum, label - sum, sum)),
        Scores::Hat => {
            let stay = if is_log_zero(blank) { LOG_ZERO } else { log2_sigmoid(blank) };
            all(p.blank as usize).map_or((stay, LOG_ZERO, 0.0), |sum| (stay, label - sum + log2_sigmoid(-blank), sum))
        }
    }
}

/// log2 of the logistic function, for base-2 logits.
pub(in crate::cpu) fn log2_sigmoid(x: f32) -> f32 {
    x.min(0.0) - ((-x.abs()).exp2() + 1.0).log2()
}
