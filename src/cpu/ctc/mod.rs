//! Twins of `shaders/lattice/ctc_*.wgsl`.

mod gradient;
mod row;
mod sweep;
mod trace;

pub(super) use gradient::gradient;
pub(super) use row::row;
pub(super) use sweep::{floats, sweep};
pub(super) use trace::trace;

use super::status::OK;
use crate::device::shader::LatticeCtcRowParams;
use crate::lattice::{CHUNK, COLUMNS, CtcUtterance};

/// Words of the results of each utterance: twins of the constants in `ctc_layout.wgsl`.
const SEEN: usize = 0;
const STATUS: usize = 1;
const COST: usize = 2;
const EXPONENT: usize = 3;
const MANTISSA: usize = 4;

const STATES: usize = 2 * COLUMNS as usize;

/// First element of a row of utterance n in its window. Twin of `locate` in `ctc_rows.wgsl`.
fn start_of(p: &LatticeCtcRowParams, utterance: &CtcUtterance<'_>, n: usize, row: usize) -> usize {
    let first = if p.strided == 1 { utterance.first_row } else { p.first_row as usize };
    n * p.utterance_stride as usize + (row - first) * p.frame_stride as usize + p.shift as usize
}

/// The kept variables of a part of a batch.
#[derive(Clone, Copy)]
struct Kept<'a> {
    lattice: &'a [f32],
    anchors: &'a [i32],
    results: &'a [u32],
    utterances: usize,
    groups: usize,
    /// Elements of one direction, in fours.
    lattice_stride: usize,
    anchor_stride: usize,
    workspace_row: usize,
    workspace_chunk: usize,
}

impl Kept<'_> {
    fn is_ok(&self, n: usize) -> bool {
        self.results[STATUS * self.utterances + n] == OK
    }

    /// Posterior probability of a blank (`part` 0) or of a label (1).
    fn occupancy(&self, utterance: &CtcUtterance<'_>, n: usize, t: usize, u: usize, part: usize) -> f32 {
        let columns = COLUMNS as usize;
        let row = utterance.first_row + t - self.workspace_row;
        let chunk = utterance.first_chunk - self.workspace_chunk;
        let from_end = utterance.frames - 1 - t;
        let state = (row * self.groups + u / columns) * STATES + part * columns + u % columns;
        let anchor = |k: usize| (chunk + k / CHUNK as usize) * self.groups * columns + u;
        let x = self.lattice[state] + self.lattice[4 * self.lattice_stride + state];
        let e = self.anchors[anchor(t)] + self.anchors[4 * self.anchor_stride + anchor(from_end)];
        let exponent = self.results[EXPONENT * self.utterances + n] as i32;
        let mantissa = f32::from_bits(self.results[MANTISSA * self.utterances + n]);
        (x + (e - exponent) as f32 - mantissa).exp2()
    }
}
