//! Twin of `shaders/lattice/ctc_trace.wgsl`.

use super::Kept;
use crate::cpu::call::Call;
use crate::device::shader::LatticeCtcTraceParams as Params;
use crate::lattice::{CHUNK, COLUMNS, CtcUtterance};

const NO_STATE: u32 = u32::MAX;

pub(in crate::cpu) fn trace(call: &mut Call<'_>) {
    let p: Params = call.params();
    let batch: &[u32] = call.read(1);
    let choices: &[u32] = call.read(2);
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
    let path: &mut [u32] = call.write(6);
    let (steps, columns) = (CHUNK as usize, COLUMNS as usize);
    for n in p.first_utterance as usize..(p.first_utterance + p.count) as usize {
        let utterance = CtcUtterance::new(batch, n);
        let first_chunk = utterance.first_chunk - kept.workspace_chunk;
        let mut state = 2 * utterance.labels;
        for t in (0..utterance.frames).rev() {
            // Step t + 1 chose the state of frame t.
            let (k, u) = (t + 1, state / 2);
            let bits = choices[(first_chunk + k / steps) * kept.groups * columns + u] >> (4 * (k % steps));
            state -= if state % 2 == 1 { (bits >> 1) & 3 } else { bits & 1 } as usize;
            let row = utterance.first_row + t;
            let (found, posterior) = if kept.is_ok(n) {
                (state as u32, kept.occupancy(&utterance, n, t, state / 2, state % 2).min(1.0))
            } else {
                (NO_STATE, 0.0)
            };
            path[row] = found;
            path[p.rows as usize + row] = posterior.to_bits();
        }
    }
}
