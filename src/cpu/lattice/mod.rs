//! Twins of the kernels of `shaders/lattice`.

mod gradient;
mod gradient_pass;
mod quads;
mod row;
mod sweep;

pub(super) use gradient::gradient;
pub(super) use gradient_pass::{GradientPass, Log2, arc_probability};
pub(super) use row::{log2_sigmoid, row};
pub(super) use sweep::{finish, sweep};

use super::parallel::map_pieces;
use crate::device::shader::LatticeRowParams as RowParams;
use crate::lattice::{HEADER, WILDCARD};

/// What the scores are. Twin of the constants in `lattice_rows.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scores {
    Logits,
    LogProbs,
    Gathered,
    Hat,
}

impl Scores {
    pub fn of(constant: f64) -> Self {
        match constant as u32 {
            0 => Self::Logits,
            1 => Self::LogProbs,
            2 => Self::Gathered,
            _ => Self::Hat,
        }
    }

    /// Whether they are log-probabilities: picked, not summed.
    pub fn is_picked(self) -> bool {
        matches!(self, Self::LogProbs | Self::Gathered)
    }
}

/// Twin of `Utterance` in `lattice_layout.wgsl`.
#[derive(Clone, Copy)]
pub(super) struct Utterance<'a> {
    pub batch: &'a [u32],
    pub frames: usize,
    pub labels: usize,
    pub lines: usize,
    pub first_place: usize,
    pub first_anchor: usize,
    labels_at: usize,
    pub first_row: u32,
    frame_stride: u32,
    pub positions: usize,
    pub rows: usize,
    begin_frame: usize,
    begin_label: usize,
    pub band_at: usize,
    pub scale: f32,
    /// Whether its lattice has the cells of its band only.
    pub bands: bool,
}

/// One row of scores that is a cell, or is beside the lattice.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Frame and position in the lattice; `None` outside.
    pub place: Option<(usize, usize)>,
    /// Whether the band allows it.
    pub is_cell: bool,
    /// First element in the window.
    pub start: usize,
}

impl<'a> Utterance<'a> {
    pub fn new(batch: &'a [u32], n: usize) -> Self {
        let word = |i: usize| batch[n * HEADER + i] as usize;
        Self {
            batch,
            frames: word(0),
            labels: word(1),
            lines: word(2),
            first_place: word(3),
            first_anchor: word(4),
            labels_at: word(6),
            first_row: batch[n * HEADER + 7],
            frame_stride: batch[n * HEADER + 8],
            positions: word(9),
            rows: word(10),
            begin_frame: word(11),
            begin_label: word(12),
            band_at: word(13),
            scale: f32::from_bits(batch[n * HEADER + 14]),
            bands: false,
        }
    }

    /// As the variants for bands see it.
    pub fn with_bands(self, bands: bool) -> Self {
        Self { bands, ..self }
    }

    /// Whether the band allows a cell.
    pub fn allows(&self, t: usize, u: usize) -> bool {
        let at = self.band_at + 2 * t;
        self.band_at == 0 || (u >= self.batch[at] as usize && u <= self.batch[at + 1] as usize)
    }

    pub fn columns(&self) -> usize {
        self.labels + 1
    }

    pub fn label(&self, u: usize) -> Option<u32> {
        (u < self.labels).then(|| self.batch[self.labels_at + u])
    }

    pub fn after_wildcard(&self, u: usize) -> bool {
        u > 0 && self.label(u - 1) == Some(WILDCARD)
    }

    /// Row `number` of its tensor.
    fn row(&self, p: &RowParams, number: usize) -> Row {
        let (frame, position) = (number / self.positions, number % self.positions);
        let t = frame.checked_sub(self.begin_frame).filter(|&t| t < self.frames);
        let shift = t.filter(|_| self.bands).map_or(0, |t| self.batch[self.band_at + 2 * t] as usize);
        let u = (position + shift).checked_sub(self.begin_label).filter(|&u| u <= self.labels);
        let place = t.zip(u);
        // Tensors may have more rows than 32 bits count; windows have not.
        let inside = (frame as u32).wrapping_mul(self.frame_stride).wrapping_add((position as u32).wrapping_mul(p.position_stride));
        let row = self.first_row.wrapping_add(inside).wrapping_sub(p.window_row);
        Row { place, is_cell: place.is_some_and(|(t, u)| self.allows(t, u)), start: row as usize * p.unit as usize + p.shift as usize }
    }

    /// What `of` finds in each of its rows of the launch.
    pub fn rows<R: Clone + Default + Send>(&self, p: &RowParams, of: impl Fn(Row) -> R + Sync + Send) -> Vec<R> {
        let (first, end) = (p.first_row as usize, self.rows.min(p.end_row as usize));
        map_pieces(end.saturating_sub(first), 256, |number| of(self.row(p, first + number)))
    }
}

/// The symbol whose score is that of a label, which is no wildcard.
pub(super) fn symbol_of(label: u32, scores: Scores) -> usize {
    match scores {
        Scores::Gathered => 1,
        _ => label as usize,
    }
}
