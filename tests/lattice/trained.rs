//! Scores as a trained model gives them: in each cell one symbol is far likelier than all others, and nearly all paths run in a
//! band around one alignment. Next to it are probabilities that the quick sweeps keep beside much larger ones.

use crate::case::{Case, Utterance};
use crate::forms::PADDED;
use crate::kinds::{BLANK, Row, kinds, sampled};
use crate::quick_contexts;
use crate::settings::PLAIN;

/// Frames and labels; the last has hardly more frames than labels.
const LENGTHS: [[usize; 2]; 3] = [[300, 60], [180, 7], [70, 66]];

/// Adds `sure` to the symbol that an alignment wants in each cell: label u from its frame on, until then the blank, and the duration
/// that leads there.
fn be_sure(row: &Row, utterance: &mut Utterance, sure: f32) {
    let (frames, labels) = (utterance.frames, utterance.target.len());
    for (cell, scores) in utterance.logits.chunks_mut(row.channels()).enumerate() {
        let (t, u) = (cell / (labels + 1), cell % (labels + 1));
        let wait = ((2 * u + 1) * frames / (2 * labels)).saturating_sub(t);
        let wanted = if u < labels && wait == 0 { utterance.target[u] } else { BLANK };
        scores[wanted as usize] += sure;
        if row.truth.durations > 0 {
            scores[row.vocab + wait.min(row.truth.durations - 1)] += sure;
        }
    }
}

/// 5 and 10 nats are those of models; 40 are 2^-58 a symbol, beyond what any has, and near to where the quick sweeps give up.
/// Costs are about 1, and of each of the 300 frames the normaliser is rounded, which is all that a cost may be off by; scores of 40
/// are 4e-6 apart, and so are the differences of paths that are not of the band.
#[test]
fn every_kind_in_its_band() {
    for row in kinds().into_iter().chain([sampled()]) {
        for (sure, cost, gradient) in [(5.0, 1e-5, 1e-4), (10.0, 3e-5, 2e-4), (40.0, 1e-5, 1e-3)] {
            let mut case = Case::of_lengths(&Row { vocab: 12, ..row.clone() }, &PLAIN, 23, &LENGTHS).unwrap();
            let row = case.row.clone();
            case.utterances.iter_mut().for_each(|utterance| be_sure(&row, utterance, sure));
            let expected = case.expected(PADDED.meaning);
            for (name, context) in quick_contexts() {
                let what = format!("{}, sure by {sure}, on {name}", row.name);
                let errors = case.compare(PADDED, &case.run(PADDED, context), &expected).unwrap_or_else(|e| panic!("{what}: {e}"));
                assert!(errors.cost <= cost && errors.gradient <= gradient, "{what}: {errors:?}");
            }
        }
    }
}
