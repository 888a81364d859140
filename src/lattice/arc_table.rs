//! The arcs of a kind, as the kernels of any arcs read them. Twin: `shaders/shared/arcs_table.wgsl`.

use super::scores::Meaning;
use super::{Arc, Exit, Kind, Token};
use std::f32::consts::LOG2_E;

/// Words of a table before its arcs, and of an arc.
pub(crate) const KIND_WORDS: usize = 12;
pub(crate) const ARC_WORDS: usize = 8;
/// No symbol, no duration.
pub(crate) const NONE: u32 = u32::MAX;
/// The token of arcs that emit the next label.
pub(crate) const NEXT_LABEL: u32 = u32::MAX - 1;
/// Log 0.
const NEVER: f32 = -1e30;

/// Words of all tables of a kind.
pub(super) fn words(kind: &Kind) -> usize {
    let size = |kind: &Kind| KIND_WORDS + kind.arcs().len() * ARC_WORDS + thens(kind).count();
    size(kind) + if kind.omega > 0.0 { size(&plain(kind)) } else { 0 }
}

/// Appends the tables of a kind and says which each utterance is to use.
pub(super) fn append(words: &mut Vec<u32>, kind: &Kind, vocab: usize, utterances: usize, seed: u64) -> Vec<u32> {
    let own = words.len() as u32;
    write(words, kind, vocab);
    if kind.omega == 0.0 {
        return vec![own; utterances];
    }
    let rnnt = words.len() as u32;
    write(words, &plain(kind), vocab);
    (0..utterances).map(|n| if draw(seed, n as u32) < f64::from(kind.omega) { rnnt } else { own }).collect()
}

/// Arcs that read a second symbol.
pub(super) fn thens(kind: &Kind) -> impl Iterator<Item = usize> + '_ {
    kind.arcs().iter().enumerate().filter(|(_, arc)| arc.then.is_some()).map(|(index, _)| index)
}

/// Arcs that read a row: those that leave its cell, and those that read it from one position before.
pub(super) fn readers(kind: &Kind) -> usize {
    let count = |kind: &Kind| kind.arcs().len() + thens(kind).count();
    count(kind).max(if kind.omega > 0.0 { 2 } else { 0 })
}

/// Pairs of words that the lattice keeps of each cell.
pub(super) fn word_pairs(kind: &Kind, meaning: Meaning) -> u64 {
    let normalisers = match meaning {
        Meaning::Logits => 1 + usize::from(!kind.durations.is_empty()),
        Meaning::LogProbs | Meaning::Gathered => 0,
    };
    (readers(kind) + normalisers).div_ceil(2) as u64
}

/// Largest number of diagonals that an arc crosses.
pub(super) fn reach(kind: &Kind) -> u32 {
    let own = kind.arcs().iter().map(|arc| arc.frames + arc.labels).max();
    own.unwrap_or(1).max(1)
}

/// RNN-T with the symbols and channels of another kind.
fn plain(kind: &Kind) -> Kind {
    Kind { durations: kind.durations.clone(), normalisation: kind.normalisation, ..Kind::rnnt(kind.blank) }
}

fn write(words: &mut Vec<u32>, kind: &Kind, vocab: usize) {
    let log2 = |nats: Option<f32>| nats.map_or(NEVER, |nats| nats * LOG2_E).to_bits();
    let named = || {
        let symbols = kind.arcs().iter().flat_map(|arc| {
            let token = if let Token::Symbol(symbol) = arc.token { Some(symbol) } else { None };
            [token, arc.then]
        });
        symbols.flatten().filter(|&symbol| symbol != kind.blank.0)
    };
    words.extend([
        kind.arcs().len() as u32,
        thens(kind).count() as u32,
        vocab as u32,
        kind.durations.len() as u32,
        (kind.sigma * LOG2_E).to_bits(),
        named().min().unwrap_or(u32::MAX),
        named().max().unwrap_or(0),
        log2(kind.entry),
        log2(kind.exit.map(|(weight, _)| weight)),
        match kind.exit {
            None => 0,
            Some((_, Exit::LastFrame)) => 1,
            Some((_, Exit::End)) => 2,
        },
        reach(kind),
        0,
    ]);
    words.extend(kind.arcs().iter().flat_map(arc_words));
    words.extend(thens(kind).map(|index| index as u32));
}

fn arc_words(arc: &Arc) -> [u32; ARC_WORDS] {
    let token = match arc.token {
        Token::Symbol(symbol) => symbol,
        Token::NextLabel => NEXT_LABEL,
        Token::None => NONE,
    };
    let constant = (arc.constant * LOG2_E).to_bits();
    [arc.frames, arc.labels, token, arc.duration.unwrap_or(NONE), arc.then.unwrap_or(NONE), constant, u32::from(arc.may_end), 0]
}

/// A number in [0, 1) for an utterance: 32-bit PCG-RXS-M-XS (O'Neill 2014), as a hash of seed and utterance.
fn draw(seed: u64, utterance: u32) -> f64 {
    f64::from(pcg(utterance ^ pcg(seed as u32 ^ pcg((seed >> 32) as u32)))) / f64::from(u32::MAX) * (1.0 - f64::EPSILON)
}

fn pcg(x: u32) -> u32 {
    let state = x.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn draws_are_spread_and_depend_on_seed_and_utterance() {
        for seed in [0, 1, 1 << 40] {
            let below = (0..10_000).filter(|&n| draw(seed, n) < 0.3).count();
            assert!((2_800..3_200).contains(&below), "{below}");
        }
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_ne!(draw(1, 0), draw(1 << 32, 0));
    }
}
