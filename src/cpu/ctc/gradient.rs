//! Twin of `shaders/lattice/ctc_gradient.wgsl`.

use super::{Kept, start_of};
use crate::cpu::call::Call;
use crate::cpu::gradients::Gradients;
use crate::cpu::math::limited;
use crate::cpu::scores::LOG2_E;
use crate::device::shader::LatticeCtcRowParams as Params;
use crate::lattice::{CtcUtterance, DEPTH};

pub(in crate::cpu) fn gradient(call: &mut Call<'_>) {
    let p: Params = call.params();
    let batch: &[u32] = call.read(1);
    let frames: &[u32] = call.read(2);
    let kept = Kept {
        lattice: call.read(3),
        anchors: call.read(4),
        results: call.read(5),
        utterances: p.utterances as usize,
        groups: p.groups as usize,
        lattice_stride: p.lattice_stride as usize,
        anchor_stride: p.anchor_stride as usize,
        workspace_row: p.workspace_row as usize,
        workspace_chunk: p.workspace_chunk as usize,
    };
    let tiles = (p.vocab as usize).div_ceil(DEPTH as usize * call.constant("LANES") as usize);
    let groups = call.groups()[2] as usize;
    let vocab = p.vocab as usize;
    let picked = call.constant("PICKED") != 0.0;
    let Some(mut gradients) = Gradients::of(call) else { return };
    for n in p.first_utterance as usize..p.first_utterance as usize + groups {
        let utterance = CtcUtterance::new(batch, n);
        let first = utterance.first_row.max(p.first_row as usize);
        let rows = (utterance.first_row + utterance.rows).min(p.end_row as usize).saturating_sub(first);
        let start = |number: usize| start_of(&p, &utterance, n, first + number);
        gradients.write(rows, vocab, start, |number, scores, values| {
            let row = first + number;
            let Some(t) = (row - utterance.first_row).checked_sub(utterance.begin).filter(|&t| t < utterance.frames && kept.is_ok(n))
            else {
                return;
            };
            occupancies(&kept, &utterance, n, t, tiles, values);
            values[p.blank as usize] = (0..=utterance.labels).map(|u| kept.occupancy(&utterance, n, t, u, 0)).sum();
            let normaliser = f32::from_bits(frames[2 * (row - utterance.begin - kept.workspace_row) + 1]);
            for (v, value) in values.iter_mut().enumerate() {
                let p_v = if picked { 0.0 } else { (scores.clean(start(number) + v) * LOG2_E - normaliser).exp2() };
                *value = utterance.scale * limited(p_v - *value, p.clamp);
            }
        });
    }
}

/// Occupancies of the labels, summed by symbol.
fn occupancies(kept: &Kept<'_>, utterance: &CtcUtterance<'_>, n: usize, t: usize, tiles: usize, out: &mut [f32]) {
    let word = |at: usize| utterance.batch[at] as usize;
    let (first, end) = (word(utterance.distinct_at), word(utterance.distinct_at + tiles));
    for entry in (first..end).step_by(2) {
        let positions = word(entry + 1)..word(entry + 3);
        out[word(entry)] = positions.map(|p| kept.occupancy(utterance, n, t, word(p), 1)).sum();
    }
}
