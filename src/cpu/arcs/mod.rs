//! Twins of the kernels of `shaders/lattice` for lattices of any arcs.

mod gradient;
mod latency;
mod row;
mod sweep;
mod then;

pub(super) use gradient::gradient;
pub(super) use latency::latency;
pub(super) use row::row;
pub(super) use sweep::{short, sweep};
pub(super) use then::then;

use super::lattice::Utterance;
use super::scaled::{EXPONENT_NEVER, LOG2_NEVER, Scaled, weight_log2, weight_word};
use crate::lattice::{ARC_WORDS, CHUNK, HEADER, KIND_WORDS, NEXT_LABEL, NONE, OTHERS};

/// The weight of an arc that is not there.
const NEVER: Scaled = Scaled { e: EXPONENT_NEVER, m: 0.0 };

/// What an arc reads of the symbols of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Symbol(usize),
    NextLabel,
    Others,
    None,
}

/// Twin of `Arc` in `arcs_table.wgsl`.
#[derive(Clone, Copy, Debug)]
struct Arc {
    frames: usize,
    labels: usize,
    token: Token,
    duration: Option<usize>,
    then: usize,
    constant: f32,
    may_end: bool,
    active: bool,
}

/// Where arcs from any frame of the last position lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    None,
    LastFrame,
    End,
}

/// Twin of `Kind` in `arcs_table.wgsl`.
#[derive(Clone, Debug)]
struct Kind {
    arcs: Vec<Arc>,
    /// Arcs that read a second symbol.
    thens: Vec<usize>,
    vocab: usize,
    durations: usize,
    sigma: f32,
    entry: f32,
    exit: f32,
    exit_to: Exit,
    /// Weight of the expected latency.
    latency: f32,
    /// Whether an arc reads all symbols but the blank and the next label.
    others: bool,
}

impl Kind {
    /// Of utterance n.
    fn of(batch: &[u32], n: usize) -> Self {
        let table = &batch[batch[n * HEADER + 15] as usize..];
        let count = table[0] as usize;
        let (arcs, thens) = table[KIND_WORDS..].split_at(count * ARC_WORDS);
        Self {
            arcs: arcs.chunks_exact(ARC_WORDS).map(Arc::of).collect(),
            thens: thens[..table[1] as usize].iter().map(|&arc| arc as usize).collect(),
            vocab: table[2] as usize,
            durations: table[3] as usize,
            sigma: f32::from_bits(table[4]),
            entry: f32::from_bits(table[7]),
            exit: f32::from_bits(table[8]),
            exit_to: [Exit::None, Exit::LastFrame, Exit::End][table[9].min(2) as usize],
            latency: f32::from_bits(table[12]),
            others: table[13] == 1,
        }
    }

    /// Whether a symbol is one of the others, where `label` is next.
    fn is_other(&self, v: usize, blank: u32, label: Option<u32>) -> bool {
        v < self.vocab && v != blank as usize && label.is_none_or(|label| v != label as usize)
    }

    /// Arcs that read a row.
    fn readers(&self) -> usize {
        self.arcs.len() + self.thens.len()
    }
}

impl Arc {
    fn of(words: &[u32]) -> Self {
        Self {
            frames: words[0] as usize,
            labels: words[1] as usize,
            token: match words[2] {
                NONE => Token::None,
                NEXT_LABEL => Token::NextLabel,
                OTHERS => Token::Others,
                symbol => Token::Symbol(symbol as usize),
            },
            duration: (words[3] != NONE).then_some(words[3] as usize),
            then: words[4] as usize,
            constant: f32::from_bits(words[5]),
            may_end: words[6] != 0,
            active: words[7] != 0,
        }
    }
}

fn cell_at(utterance: &Utterance<'_>, t: usize, u: usize) -> usize {
    if utterance.bands {
        let positions = utterance.positions;
        return if utterance.allows(t, u) { utterance.first_place + t * positions + u % positions } else { beside_band(utterance) };
    }
    utterance.first_place + (t + u) % utterance.lines * utterance.columns() + u
}

/// The place that stands for cells outside of a band.
fn beside_band(utterance: &Utterance<'_>) -> usize {
    utterance.first_place + utterance.frames * utterance.positions
}

/// Place of the anchor of cell (t, u): columns have one for some frames, counted in the coordinates of a direction; cells of bands each one.
fn anchor_at(utterance: &Utterance<'_>, backward: bool, t: usize, u: usize) -> usize {
    if utterance.bands {
        return cell_at(utterance, t, u);
    }
    let (s, j) = if backward { (utterance.frames - 1 - t, utterance.labels - u) } else { (t, u) };
    utterance.first_anchor + s / CHUNK as usize * utterance.columns() + j
}

/// Word number `word` of a cell.
fn word_at(cells: u32, cell: usize, word: usize) -> usize {
    (word / 2 * cells as usize + cell) * 2 + word % 2
}

/// An arc without probability is 0.
fn arc_word(log2_weight: f32) -> u32 {
    if log2_weight < LOG2_NEVER { 0 } else { weight_word(log2_weight) }
}

fn arc_log2(word: u32) -> f32 {
    if word == 0 { -1e30 } else { weight_log2(word) }
}

fn arc_weight(word: u32) -> Scaled {
    if word == 0 { NEVER } else { Scaled::weight(word) }
}
