//! Twins of `shaders/cell/copy_states.wgsl` and `valid_frames.wgsl`.

use super::sequences::Sequences;
use crate::cpu::Call;
use crate::device::shader::{CellCopyStatesParams, CellValidFramesParams};
use half::f16;

pub(in crate::cpu) fn copy_states(call: &mut Call<'_>) {
    let p: CellCopyStatesParams = call.params();
    let source: &[f32] = call.read(1);
    let words = call.read(2);
    let destination: &mut [f32] = call.write(3);
    let [hidden, resets_first, reset_words] = [p.hidden, p.resets_first, p.reset_words].map(|n| n as usize);
    let sequences = Sequences { words, has_lengths: p.has_lengths != 0, resets_first, reset_words };
    let plane = p.batch as usize * hidden;
    let [from_state, to_state] = [p.from_state, p.to_state].map(|n| n as usize);
    for state in 0..to_state + p.states as usize {
        let is_copied = p.has_source != 0 && state >= to_state;
        let from = ((state + from_state).saturating_sub(to_state) * p.from_slots as usize + p.from_slot as usize) * plane;
        let to = (state * p.to_slots as usize + p.to_slot as usize) * plane;
        for (n, row) in destination[to..][..plane].chunks_exact_mut(hidden).enumerate() {
            if is_copied && !sequences.begins_anew(n, p.frame) {
                row.copy_from_slice(&source[from + n * hidden..][..hidden]);
            } else {
                row.fill(0.0);
            }
        }
    }
}

/// Twin of `shaders/cell/valid_frames.wgsl`.
pub(in crate::cpu) fn valid_frames(call: &mut Call<'_>) {
    let p: CellValidFramesParams = call.params();
    let lengths: &[u32] = call.read(2);
    if call.has_flag("f16") {
        let (x, out) = (call.read(1), call.write(3));
        copy_valid::<f16>(&p, x, lengths, out);
    } else {
        let (x, out) = (call.read(1), call.write(3));
        copy_valid::<f32>(&p, x, lengths, out);
    }
}

fn copy_valid<T: Copy + Default>(p: &CellValidFramesParams, x: &[T], lengths: &[u32], out: &mut [T]) {
    let [batch, columns, frames] = [p.batch, p.columns, p.frames].map(|n| n as usize);
    let x = &x[p.x_first as usize..];
    for (row, out) in out.chunks_exact_mut(columns.max(1)).take(frames * batch).enumerate() {
        if p.first + (row / batch) as u32 >= lengths[row % batch] {
            out.fill(T::default());
        } else {
            out.copy_from_slice(&x[row * columns..][..columns]);
        }
    }
}
