//! Twin of `shaders/lattice/arcs_then.wgsl`.

use super::super::lattice::Utterance;
use super::{Kind, arc_log2, arc_word, cell_at, word_at};
use crate::cpu::call::Call;
use crate::cpu::scores::LOG_ZERO;
use crate::device::shader::LatticeArcsThenParams as Params;

pub(in crate::cpu) fn then(call: &mut Call<'_>) {
    let (p, bands): (Params, bool) = (call.params(), call.has_flag("bands"));
    let batch: &[u32] = call.read(1);
    let arcs: &mut [u32] = call.write(2);
    for n in p.first_utterance as usize..p.first_utterance as usize + call.groups()[2] as usize {
        let utterance = Utterance::new(batch, n).with_bands(bands);
        let kind = Kind::of(batch, n);
        for (t, u) in (0..utterance.frames).flat_map(|t| (0..utterance.labels).map(move |u| (t, u))) {
            if bands && !utterance.allows(t, u) {
                continue;
            }
            let (cell, next) = (cell_at(&utterance, t, u), cell_at(&utterance, t, u + 1));
            for (h, &arc) in kind.thens.iter().enumerate() {
                let at = word_at(p.cells, cell, arc);
                let then = arcs[word_at(p.cells, next, kind.arcs.len() + h)];
                arcs[at] = arc_word((arc_log2(arcs[at]) + arc_log2(then)).max(LOG_ZERO));
            }
        }
    }
}
