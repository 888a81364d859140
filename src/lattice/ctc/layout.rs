//! How a CTC batch and its lattices lie in memory. Twin: `shaders/shared/ctc_layout.wgsl`.

use super::CtcBatch;
use crate::lattice::CHUNK;
use crate::lattice::layout::{Problem, UtteranceShape};
use crate::order::order;

/// Columns of a group.
pub(crate) const COLUMNS: u32 = 4;
/// Symbols of a tile of the gradient pass for each invocation of a row.
pub(crate) const DEPTH: u32 = 8;
/// Words of the header of an utterance.
pub(super) const HEADER: usize = 9;

/// Groups of columns that a target needs.
pub(super) fn groups(labels: u32) -> u64 {
    u64::from(labels / COLUMNS) + 1
}

/// Chunks of an utterance: of its frames, and of one step more, as the best path needs.
pub(super) fn chunks(shape: &UtteranceShape) -> u64 {
    u64::from(shape.frames / CHUNK) + 1
}

/// Words of headers, labels and, where there are tiles, distinct labels: no batch of these lengths has more.
pub(super) fn words(problem: &Problem, tiles: u64) -> u64 {
    let of = |shape: &UtteranceShape| {
        let labels = u64::from(shape.labels);
        // Of distinct labels: where each tile begins, two words each, the positions.
        HEADER as u64 + labels + if tiles > 0 { tiles + 1 + 2 * (labels + 1) + labels } else { 0 }
    };
    problem.utterances.iter().map(of).sum()
}

/// Headers, labels and distinct labels; as many words as [`words`] says.
pub(super) fn batch_words(batch: &CtcBatch<'_>, problem: &Problem, scales: &[f32], (tile, tiles): (u32, u64)) -> Vec<u32> {
    let mut out = vec![0; problem.utterances.len() * HEADER];
    let mut first_chunk = 0;
    for (n, shape) in problem.utterances.iter().enumerate() {
        let target = batch.target(n);
        let labels_at = out.len() as u32;
        out.extend_from_slice(target);
        let distinct_at = out.len() as u32;
        if tiles > 0 {
            append_distinct(&mut out, target, tile, tiles);
        }
        out[n * HEADER..][..HEADER].copy_from_slice(&[
            shape.frames,
            shape.labels,
            shape.first_row as u32,
            shape.rows as u32,
            first_chunk as u32,
            labels_at,
            distinct_at,
            scales[n].to_bits(),
            shape.begin_frame,
        ]);
        first_chunk += chunks(shape);
    }
    out.resize(words(problem, tiles) as usize, 0);
    out
}

/// The distinct labels of a target by tiles of symbols, and the positions of each.
fn append_distinct(out: &mut Vec<u32>, target: &[u32], tile: u32, tiles: u64) {
    let positions: Vec<u32> = order(target.iter().map(|&label| (label.into(), 0))).into_iter().map(|place| place as u32).collect();
    let runs: Vec<&[u32]> = positions.chunk_by(|&a, &b| target[a as usize] == target[b as usize]).collect();
    let entries_at = out.len() as u32 + tiles as u32 + 1;
    let positions_at = entries_at + 2 * (runs.len() as u32 + 1);
    let symbol = |run: &[u32]| target[run[0] as usize];
    for i in 0..=tiles {
        let before = runs.partition_point(|run| u64::from(symbol(run)) < i * u64::from(tile));
        out.push(entries_at + 2 * before as u32);
    }
    let mut at = positions_at;
    for run in &runs {
        out.extend([symbol(run), at]);
        at += run.len() as u32;
    }
    out.extend([u32::MAX, at]);
    out.extend(positions);
}

/// Twin of `Utterance` in `ctc_layout.wgsl`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CtcUtterance<'a> {
    pub batch: &'a [u32],
    pub frames: usize,
    pub labels: usize,
    pub first_row: usize,
    pub rows: usize,
    pub first_chunk: usize,
    pub distinct_at: usize,
    pub target: &'a [u32],
    pub scale: f32,
    pub begin: usize,
}

impl<'a> CtcUtterance<'a> {
    pub fn new(batch: &'a [u32], n: usize) -> Self {
        let word = |i: usize| batch[n * HEADER + i] as usize;
        Self {
            batch,
            frames: word(0),
            labels: word(1),
            first_row: word(2),
            rows: word(3),
            first_chunk: word(4),
            distinct_at: word(6),
            target: &batch[word(5)..][..word(1)],
            scale: f32::from_bits(batch[n * HEADER + 7]),
            begin: word(8),
        }
    }

    /// Columns in whole groups.
    pub fn columns(&self) -> usize {
        COLUMNS as usize * (self.labels / COLUMNS as usize + 1)
    }
}
