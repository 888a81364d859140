//! Twin of `shaders/lattice/ctc_row.wgsl`.

use super::{SEEN, start_of};
use crate::cpu::call::Call;
use crate::cpu::parallel::map_pieces;
use crate::cpu::scaled::weight_word;
use crate::cpu::scores::{Elements, LOG2_E, log_sum};
use crate::cpu::status::NON_FINITE;
use crate::device::shader::LatticeCtcRowParams as Params;
use crate::lattice::{COLUMNS, CtcUtterance};

/// Columns without a label lead nowhere.
const NO_LABEL: u32 = 0;

/// What one row gives: weights of the labels, of the blank, normaliser, whether a logit was unusable.
type Found = (Vec<u32>, u32, f32, bool);

pub(in crate::cpu) fn row(call: &mut Call<'_>) {
    let p: Params = call.params();
    let scores = Elements::of(call.read(1), call.has_flag("f16"));
    let picked = call.constant("PICKED") != 0.0;
    let batch: &[u32] = call.read(2);
    let arcs: &mut [u32] = call.write(3);
    let frames: &mut [u32] = call.write(4);
    let results: &mut [u32] = call.write(5);
    for n in p.first_utterance as usize..p.first_utterance as usize + call.groups()[2] as usize {
        let utterance = CtcUtterance::new(batch, n);
        let begin = utterance.first_row + utterance.begin;
        let first = begin.max(p.first_row as usize);
        let end = (begin + utterance.frames).min(p.end_row as usize).max(first);
        let found =
            map_pieces(end - first, 16, |number| weights(&p, (scores, picked), &utterance, start_of(&p, &utterance, n, first + number)));
        for (row, (labels, blank, normaliser, unusable)) in (first..).zip(found) {
            let place = row - utterance.begin - p.workspace_row as usize;
            arcs[place * p.groups as usize * COLUMNS as usize..][..labels.len()].copy_from_slice(&labels);
            frames[2 * place..][..2].copy_from_slice(&[blank, normaliser.to_bits()]);
            if unusable {
                results[SEEN * p.utterances as usize + n] |= NON_FINITE;
            }
        }
    }
}

fn weights(p: &Params, (scores, picked): (Elements<'_>, bool), utterance: &CtcUtterance<'_>, start: usize) -> Found {
    let row = start..start + p.vocab as usize;
    // Of log-probabilities nothing else is read.
    let mut read = utterance.target.iter().chain([&p.blank]).map(|&symbol| start + symbol as usize);
    let unusable = if picked { read.any(|at| scores.is_unusable(at)) } else { row.clone().any(|at| scores.is_unusable(at)) };
    let normaliser = if picked { None } else { log_sum(row.map(|at| scores.clean(at) * LOG2_E)) }.unwrap_or_default();
    let weight = |symbol: u32| weight_word(scores.clean(start + symbol as usize) * LOG2_E - normaliser);
    let mut labels: Vec<u32> = utterance.target.iter().map(|&label| weight(label)).collect();
    labels.resize(utterance.columns(), NO_LABEL);
    (labels, weight(p.blank), normaliser, unusable)
}
