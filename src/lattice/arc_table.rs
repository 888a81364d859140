//! The arcs of a kind, as the kernels of any arcs read them. Twin: `shaders/shared/arcs_table.wgsl`.

use super::layout::Problem;
use super::options::Options;
use super::scores::Meaning;
use super::{Arc, Blank, Exit, Kind, Token};
use std::f32::consts::LOG2_E;

/// Words of a table before its arcs, and of an arc.
pub(crate) const KIND_WORDS: usize = 14;
pub(crate) const ARC_WORDS: usize = 9;
/// No symbol, no duration.
pub(crate) const NONE: u32 = u32::MAX;
/// The token of arcs that emit the next label.
pub(crate) const NEXT_LABEL: u32 = u32::MAX - 1;
/// The token of arcs that read all symbols but the blank and the next label.
pub(crate) const OTHERS: u32 = u32::MAX - 2;
/// A channel that is none, in the code of an arc.
const NO_CHANNEL: u32 = 127;
/// Log 0.
const NEVER: f32 = -1e30;

/// Words of all tables of a kind.
pub(super) fn words(kind: &Kind) -> usize {
    let tables = if kind.omega > 0.0 { 2 } else { 1 };
    tables * (KIND_WORDS + arcs(kind).count() * ARC_WORDS + thens(kind).count() + names(kind).len())
}

/// Appends the tables of a kind and says which each utterance is to use.
pub(super) fn append(words: &mut Vec<u32>, options: &Options, problem: &Problem, seed: u64) -> Vec<u32> {
    let (kind, utterances) = (&options.kind, problem.utterances.len());
    let own = words.len() as u32;
    write(words, options, problem, false);
    if kind.omega == 0.0 {
        return vec![own; utterances];
    }
    let drawn = words.len() as u32;
    write(words, options, problem, true);
    (0..utterances).map(|n| if is_drawn(kind, seed, n) { drawn } else { own }).collect()
}

/// Whether an utterance is taken as plain RNN-T.
pub(super) fn is_drawn(kind: &Kind, seed: u64, utterance: usize) -> bool {
    draw(seed, utterance as u32) < f64::from(kind.omega)
}

/// The arcs of a kind, and those of RNN-T if some utterances are taken as that.
pub(super) fn arcs(kind: &Kind) -> impl Iterator<Item = Arc> + Clone + '_ {
    let plain = [Arc::stay(1, kind.blank.0), Arc::label(0)];
    kind.arcs.iter().copied().chain(plain.into_iter().filter(|_| kind.omega > 0.0))
}

/// Arcs that read a second symbol.
pub(super) fn thens(kind: &Kind) -> impl Iterator<Item = usize> + '_ {
    kind.arcs.iter().enumerate().filter(|(_, arc)| arc.then.is_some()).map(|(index, _)| index)
}

/// Arcs that read a row: those that leave its cell, and those that read it from one position before.
pub(super) fn readers(kind: &Kind) -> usize {
    arcs(kind).count() + thens(kind).count()
}

/// Whether an arc reads all symbols but the blank and the next label.
pub(super) fn reads_others(kind: &Kind) -> bool {
    kind.arcs.iter().any(|arc| arc.token == Token::Others)
}

/// Pairs of words that the lattice keeps of each cell.
pub(super) fn word_pairs(kind: &Kind, meaning: Meaning) -> u64 {
    let normalisers = match meaning {
        Meaning::Logits => 1 + usize::from(!kind.durations.is_empty()),
        Meaning::LogProbs | Meaning::Gathered => 0,
    };
    (readers(kind) + normalisers + usize::from(reads_others(kind))).div_ceil(2) as u64
}

/// Symbols that arcs name, each once.
fn names(kind: &Kind) -> Vec<u32> {
    let symbols = arcs(kind).flat_map(|arc| {
        let token = if let Token::Symbol(symbol) = arc.token { Some(symbol) } else { None };
        [token, arc.then]
    });
    let mut names = Vec::new();
    for symbol in symbols.flatten() {
        if let Err(place) = names.binary_search(&symbol) {
            names.insert(place, symbol);
        }
    }
    names
}

/// What each arc is, as `shaders/shared/arcs_fixed.wgsl` reads it.
pub(super) fn codes(kind: &Kind, arcs: &[Arc]) -> Vec<u32> {
    let names = names(kind);
    let code = |arc: &Arc| {
        let symbol = match arc.token {
            Token::Symbol(symbol) => names.binary_search(&symbol).ok(),
            Token::NextLabel => Some(names.len()),
            Token::Others | Token::None => None,
        };
        let symbol = symbol.map_or(NO_CHANNEL, |channel| channel as u32);
        let duration = arc.duration.unwrap_or(NO_CHANNEL);
        arc.frames | arc.labels << 12 | u32::from(arc.may_end) << 13 | symbol << 14 | duration << 21
    };
    arcs.iter().map(code).collect()
}

/// Symbols whose gradients the arcs pull, the next label among them, and durations.
pub(super) fn channels(kind: &Kind) -> usize {
    names(kind).len() + 1 + kind.durations.len()
}

/// Diagonals that an arc crosses.
pub(super) fn steps(arc: &Arc) -> u32 {
    arc.frames + arc.labels
}

/// Symbols that arcs name beside the blank, in order.
pub(super) fn named(kind: &Kind) -> Vec<u32> {
    names(kind).into_iter().filter(|&symbol| symbol != kind.blank.0).collect()
}

/// The kind by channels of gathered scores: 0 the blank, 1 the next label, then what arcs name. Of such a kind it is the kind itself.
pub(super) fn gathered(kind: &Kind) -> Kind {
    let named = named(kind);
    let channel = |symbol: u32| named.binary_search(&symbol).map_or(0, |place| place as u32 + 2);
    let token = |token: Token| if let Token::Symbol(symbol) = token { Token::Symbol(channel(symbol)) } else { token };
    let arcs = kind.arcs.iter().map(|arc| Arc { token: token(arc.token), then: arc.then.map(channel), ..*arc });
    Kind { arcs: arcs.collect(), blank: Blank(0), ..kind.clone() }
}

/// One table. `drawn`: for utterances that are taken as RNN-T.
fn write(words: &mut Vec<u32>, options: &Options, problem: &Problem, drawn: bool) {
    let kind = &match problem.meaning {
        Meaning::Gathered => gathered(&options.kind),
        Meaning::Logits | Meaning::LogProbs => options.kind.clone(),
    };
    let log2 = |nats: Option<f32>| nats.filter(|_| !drawn).map_or(NEVER, |nats| nats * LOG2_E).to_bits();
    let names = names(kind);
    let beside_blank = || names.iter().copied().filter(|&symbol| symbol != kind.blank.0);
    let sigma = if drawn { 0.0 } else { kind.sigma * LOG2_E };
    words.extend([
        arcs(kind).count() as u32,
        thens(kind).count() as u32,
        problem.vocab as u32,
        kind.durations.len() as u32,
        sigma.to_bits(),
        beside_blank().min().unwrap_or(u32::MAX),
        beside_blank().max().unwrap_or(0),
        log2(kind.entry),
        log2(kind.exit.map(|(weight, _)| weight)),
        match kind.exit.filter(|_| !drawn) {
            None => 0,
            Some((_, Exit::LastFrame)) => 1,
            Some((_, Exit::End)) => 2,
        },
        arcs(kind).map(|arc| steps(&arc)).max().unwrap_or(1),
        names.len() as u32,
        options.latency.to_bits(),
        u32::from(reads_others(kind)),
    ]);
    let own = kind.arcs.len();
    words.extend(arcs(kind).enumerate().flat_map(|(index, arc)| arc_words(&arc, (index < own) != drawn, &names)));
    words.extend(thens(kind).map(|index| index as u32));
    words.extend(names);
}

fn arc_words(arc: &Arc, active: bool, names: &[u32]) -> [u32; ARC_WORDS] {
    let token = match arc.token {
        Token::Symbol(symbol) => symbol,
        Token::NextLabel => NEXT_LABEL,
        Token::Others => OTHERS,
        Token::None => NONE,
    };
    let constant = (arc.constant * LOG2_E).to_bits();
    let [may_end, active] = [arc.may_end, active].map(u32::from);
    // The next label comes after the named symbols; what is none of them after that.
    let name = |symbol: u32| names.binary_search(&symbol).unwrap_or(names.len() + 1) as u32;
    let label = if arc.token == Token::NextLabel { names.len() as u32 } else { name(token) };
    let [duration, then] = [arc.duration, arc.then].map(|x| x.unwrap_or(NONE));
    [arc.frames, arc.labels, token, duration, then, constant, may_end, active, label | name(then) << 16]
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
