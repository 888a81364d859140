//! Kinds of lattices, as `js/kind.ts` writes them.

use crate::numbers::Numbers;
use weft::lattice::{Arc, Blank, Exit, Kind, Token};

fn index(numbers: &mut Numbers) -> Option<u32> {
    numbers.optional(Numbers::word)
}

fn arc(numbers: &mut Numbers) -> Arc {
    let (frames, labels) = (numbers.word(), numbers.word());
    let token = match numbers.word() {
        0 => Token::Symbol(numbers.word()),
        1 => Token::NextLabel,
        2 => Token::Others,
        _ => Token::None,
    };
    let (duration, then) = (index(numbers), index(numbers));
    Arc { frames, labels, token, duration, then, constant: numbers.number(), may_end: numbers.flag() }
}

fn base(blank: Blank, numbers: &mut Numbers) -> weft::Result<Kind> {
    match numbers.word() {
        0 => Ok(Kind::rnnt(blank)),
        1 => Ok(Kind::hat(blank)),
        2 => Ok(Kind::monotonic(blank)),
        3 => Ok(Kind::constrained(blank)),
        4 => Kind::multi_blank(blank, &numbers.list(|pair| (pair.word(), pair.word()))),
        5 => Kind::tdt(blank, &numbers.list(Numbers::word)),
        6 => Kind::star(blank, numbers.number()),
        7 => Kind::bypass(blank, numbers.number()),
        8 => Kind::bypass_others(blank, numbers.number()),
        9 => Kind::target_robust(blank, numbers.number(), numbers.number()),
        10 => Kind::w_transducer(blank, numbers.number(), if numbers.flag() { Exit::End } else { Exit::LastFrame }),
        _ => Kind::custom(blank, numbers.list(arc), numbers.list(Numbers::word)),
    }
}

/// A kind, and what it is changed by.
pub(crate) fn kind(blank: Blank, numbers: &mut Numbers) -> weft::Result<Kind> {
    let mut kind = base(blank, numbers)?;
    for arc in numbers.list(arc) {
        kind = kind.with_arc(arc)?;
    }
    if numbers.flag() {
        kind = kind.with_hat();
    }
    if let Some(sigma) = numbers.optional(Numbers::number) {
        kind = kind.under_normalised(sigma)?;
    }
    match numbers.optional(Numbers::number) {
        Some(omega) => kind.sometimes_rnnt(omega),
        None => Ok(kind),
    }
}
