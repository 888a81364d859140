//! Twins of `shaders/cell/first.wgsl`, `first_gradient.wgsl` and `empty.wgsl`.

use super::sequences::Sequences;
use crate::cpu::Call;
use crate::device::shader::{CellEmptyParams, CellFirstParams};

/// The line of gates of the frame with which a sequence begins, if that is there and does not begin anew.
fn first_line(p: &CellFirstParams, words: &[u32], n: usize) -> Option<usize> {
    let [resets_first, reset_words] = [p.resets_first, p.reset_words].map(|n| n as usize);
    let sequences = Sequences { words, has_lengths: p.has_lengths != 0, resets_first, reset_words };
    let last = if p.has_lengths != 0 { words[n] } else { p.all_frames }.checked_sub(1)?;
    let frame = if p.reversed != 0 { last } else { 0 };
    let place = frame.checked_sub(p.frame).filter(|&place| place < p.frames)?;
    (!sequences.begins_anew(n, frame)).then(|| place as usize * p.batch as usize + n)
}

pub(in crate::cpu) fn first(call: &mut Call<'_>) {
    let p: CellFirstParams = call.params();
    let words: &[u32] = call.read(1);
    let rows: &[f32] = call.read(2);
    let gates: &mut [f32] = call.write(3);
    let columns = p.columns as usize;
    for (n, row) in rows.chunks_exact(columns).take(p.batch as usize).enumerate() {
        if let Some(line) = first_line(&p, words, n) {
            let line = &mut gates[p.gates_first as usize + line * columns..][..columns];
            line.iter_mut().zip(row).for_each(|(gate, own)| *gate += own);
        }
    }
}

pub(in crate::cpu) fn first_gradient(call: &mut Call<'_>) {
    let p: CellFirstParams = call.params();
    let words: &[u32] = call.read(1);
    let gates: &[f32] = call.read(2);
    let rows: &mut [f32] = call.write(3);
    let columns = p.columns as usize;
    for (n, row) in rows.chunks_exact_mut(columns).take(p.batch as usize).enumerate() {
        if let Some(line) = first_line(&p, words, n) {
            row.copy_from_slice(&gates[p.gates_first as usize + line * columns..][..columns]);
        }
    }
}

pub(in crate::cpu) fn empty(call: &mut Call<'_>) {
    let p: CellEmptyParams = call.params();
    let lengths: &[u32] = call.read(1);
    let source: &[f32] = call.read(2);
    let destination: &mut [f32] = call.write(3);
    let columns = p.columns as usize;
    for n in (0..p.batch as usize).filter(|&n| lengths[n] == 0) {
        destination[n * columns..][..columns].copy_from_slice(&source[n * columns..][..columns]);
    }
}
