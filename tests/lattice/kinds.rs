//! The kinds that the suite runs, a line each: as the library makes them, and as the truth has them.

use crate::truth::{self, Head, Token};
use weft::lattice::{Arc, Blank, Exit, Kind, Token as Reads};

/// Tokens of a row, if nobody says otherwise; durations come on top.
pub const VOCAB: usize = 6;
pub const BLANK: u32 = 3;

/// A kind under test.
#[derive(Clone)]
pub struct Row {
    pub name: &'static str,
    pub kind: Kind,
    pub truth: truth::Kind,
    pub vocab: usize,
    /// What utterances are taken as that are drawn.
    pub drawn: Option<truth::Kind>,
}

pub fn kinds() -> Vec<Row> {
    let row = |name, kind, truth| Row { name, kind, truth, vocab: VOCAB, drawn: None };
    let blank = Blank(BLANK);
    vec![
        row("RNN-T", Kind::rnnt(blank), truth::Kind::rnnt(BLANK)),
        row("monotonic", Kind::monotonic(blank), truth::Kind::modified(BLANK)),
        row("HAT", Kind::hat(blank), truth::Kind::hat(BLANK)),
        row("constrained", Kind::constrained(blank), truth::Kind::constrained(BLANK)),
        row(
            "multi-blank 2 3",
            Kind::multi_blank(blank, &[(0, 2), (5, 3)]).unwrap(),
            truth::Kind::multi_blank(BLANK, &[(0, 2), (5, 3)], 0.0),
        ),
        row("TDT 0 1 2 4", Kind::tdt(blank, &[0, 1, 2, 4]).unwrap(), truth::Kind::tdt(BLANK, &[0, 1, 2, 4], 0.0)),
        row("TDT 1 3", Kind::tdt(blank, &[1, 3]).unwrap(), truth::Kind::tdt(BLANK, &[1, 3], 0.0)),
        row("star", Kind::star(blank, -0.75).unwrap(), truth::Kind::star(BLANK, -0.75)),
        row("bypass", Kind::bypass(blank, -1.5).unwrap(), truth::Kind::bypass(BLANK, -1.5)),
        row("bypass, others", Kind::bypass_others(blank, -0.5).unwrap(), truth::Kind::bypass_others(BLANK, -0.5)),
        row(
            "HAT, others",
            Kind::bypass_others(blank, 0.25).unwrap().with_hat(),
            truth::Kind { head: Head::Hat { blank: BLANK }, ..truth::Kind::bypass_others(BLANK, 0.25) },
        ),
        row("target-robust", Kind::target_robust(blank, -0.75, -1.5).unwrap(), truth::Kind::target_robust(BLANK, -0.75, -1.5)),
        row("W, last frame", Kind::w_transducer(blank, -0.5, Exit::LastFrame).unwrap(), truth::Kind::w(BLANK, -0.5, truth::Exit::LastCell)),
        row("W, end", Kind::w_transducer(blank, -0.5, Exit::End).unwrap(), truth::Kind::w(BLANK, -0.5, truth::Exit::Terminal)),
        row("made up", made_up(), truth_of(&made_up())),
    ]
}

/// A kind of which some utterances of a batch are taken as plain RNN-T. Which, depends on their places in the batch.
pub fn sampled() -> Row {
    let durations = [0, 1, 3];
    let kind = Kind::tdt(Blank(BLANK), &durations).unwrap().sometimes_rnnt(0.5).unwrap();
    let drawn = truth::Kind { durations: durations.len(), ..truth::Kind::rnnt(BLANK) };
    let truth = truth::Kind::tdt(BLANK, &[0, 1, 3], 0.0);
    Row { name: "TDT 0 1 3, half as RNN-T", kind, truth, vocab: VOCAB, drawn: Some(drawn) }
}

/// A kind that nobody has a name for: a blank that skips, labels of their own durations, a second row, prices, frames of anything.
fn made_up() -> Kind {
    let arcs = vec![
        Arc::stay(1, BLANK),
        Arc { duration: Some(1), constant: -0.25, ..Arc::stay(2, 5) },
        Arc { duration: Some(0), ..Arc::label(0) },
        Arc { then: Some(0), duration: Some(1), may_end: true, ..Arc::label(1) },
        Arc::free(3, 1, -2.0),
        Arc { token: Reads::Others, duration: Some(0), ..Arc::stay(2, 0) },
    ];
    Kind::custom(Blank(BLANK), arcs, vec![0, 1]).unwrap()
}

/// The truth of any arcs over a softmax.
fn truth_of(kind: &Kind) -> truth::Kind {
    let arc = |arc: &Arc| truth::Arc {
        frames: arc.frames as usize,
        labels: arc.labels as usize,
        token: match arc.token {
            Reads::Symbol(symbol) => Token::Symbol(symbol),
            Reads::NextLabel => Token::Label,
            Reads::Others => Token::Others { blank: BLANK },
            Reads::None => Token::None,
        },
        duration: arc.duration.map(|channel| channel as usize),
        then: arc.then,
        constant: arc.constant.into(),
        ends: arc.may_end,
    };
    let arcs: Vec<truth::Arc> = kind.arcs().iter().map(arc).collect();
    let durations = arcs.iter().filter_map(|arc| arc.duration).max().map_or(0, |last| last + 1);
    truth::Kind { durations, ..truth::Kind::of(arcs) }
}

impl Row {
    /// Channels of a row of scores.
    pub fn channels(&self) -> usize {
        self.vocab + self.truth.durations
    }

    /// Symbols that may stand in a target.
    pub fn labels(&self) -> Vec<u32> {
        let reserved = |symbol: u32| self.truth.arcs.iter().any(|arc| arc.token == Token::Symbol(symbol));
        (0..self.vocab as u32).filter(|&symbol| !reserved(symbol)).collect()
    }

    /// Whether the blank and the next label are all that it reads.
    pub fn is_gathered(&self) -> bool {
        let known = |token| matches!(token, Token::Symbol(BLANK) | Token::Label);
        let plain = self.truth.entry.is_none() && self.truth.exit.is_none() && self.truth.durations == 0;
        plain && self.truth.arcs.len() == 2 && self.truth.arcs.iter().all(|arc| known(arc.token) && arc.then.is_none())
    }

    /// Whether some arc reads a sum of symbols.
    pub fn reads_others(&self) -> bool {
        self.truth.arcs.iter().any(|arc| matches!(arc.token, Token::Others { .. }))
    }

    /// Whether labels take no frame, so that windows of labels are bands of cells.
    pub fn labels_stay(&self) -> bool {
        self.truth.arcs.iter().all(|arc| arc.labels == 0 || arc.frames == 0)
    }
}
