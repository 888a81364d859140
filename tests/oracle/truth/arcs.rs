//! Lattice kinds as sets of arcs.

use super::Head;

/// What an arc reads of the tokens of its row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token {
    /// Nothing: the arc has its constant only.
    None,
    /// A symbol, the same in every row.
    Symbol(u32),
    /// The next label of the target.
    Label,
    /// All symbols together but for the blank and the next label.
    Others { blank: u32 },
}

/// One way to go on from every cell (t, u).
#[derive(Clone, Debug, PartialEq)]
pub struct Arc {
    pub frames: usize,
    /// 0 or 1.
    pub labels: usize,
    pub token: Token,
    /// Channel of the duration softmax.
    pub duration: Option<usize>,
    /// A symbol read at (t, u + labels) besides.
    pub then: Option<u32>,
    /// Log weight, in nats.
    pub constant: f64,
    /// Whether it may land on the terminal (T, U). Cells it may always land on.
    pub ends: bool,
}

impl Arc {
    pub fn new(frames: usize, labels: usize, token: Token) -> Self {
        Self { frames, labels, token, duration: None, then: None, constant: 0.0, ends: true }
    }

    /// Without any token.
    pub fn free(frames: usize, labels: usize, constant: f64) -> Self {
        Self { constant, ends: false, ..Self::new(frames, labels, Token::None) }
    }
}

/// Where the exits of a W-transducer lead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Exit {
    /// To (T - 1, U): the last blank is still to come.
    LastCell,
    /// To the terminal.
    Terminal,
}

/// A label that stands for anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wildcard {
    /// As it appears in targets.
    pub symbol: u32,
    /// Log weight of a blank (any fixed symbol) in the row that follows it.
    pub stay: f64,
}

/// A lattice kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    pub arcs: Vec<Arc>,
    pub head: Head,
    /// Subtracted from every token that an arc reads.
    pub sigma: f64,
    /// Channels of the duration softmax; they follow the tokens in a row.
    pub durations: usize,
    /// Log weight of additional arcs from (0, 0) to every (t, 0), 0 < t < T.
    pub entry: Option<f64>,
    /// Log weight of additional arcs from every (t, U), t < T - 1, and where they lead.
    pub exit: Option<(f64, Exit)>,
    pub wildcard: Option<Wildcard>,
}

impl Kind {
    /// Any arcs, over a softmax.
    pub fn of(arcs: Vec<Arc>) -> Self {
        Self { arcs, head: Head::Softmax, sigma: 0.0, durations: 0, entry: None, exit: None, wildcard: None }
    }

    /// Graves 2012.
    pub fn rnnt(blank: u32) -> Self {
        Self::of(vec![Arc::new(1, 0, Token::Symbol(blank)), Arc::new(0, 1, Token::Label)])
    }

    /// Xu et al. 2022 (2211.03541): blanks (symbol, frames) besides the plain one.
    pub fn multi_blank(blank: u32, big: &[(u32, usize)], sigma: f64) -> Self {
        let mut kind = Self { sigma, ..Self::rnnt(blank) };
        kind.arcs.extend(big.iter().map(|&(symbol, frames)| Arc::new(frames, 0, Token::Symbol(symbol))));
        kind
    }

    /// Xu et al. 2023 (2304.06795). Only blanks end an utterance, and blanks never stay.
    pub fn tdt(blank: u32, durations: &[usize], sigma: f64) -> Self {
        let mut arcs = Vec::new();
        for (channel, &frames) in durations.iter().enumerate() {
            let duration = Some(channel);
            if frames > 0 {
                arcs.push(Arc { duration, ..Arc::new(frames, 0, Token::Symbol(blank)) });
            }
            arcs.push(Arc { duration, ends: false, ..Arc::new(frames, 1, Token::Label) });
        }
        Self { sigma, durations: durations.len(), ..Self::of(arcs) }
    }

    /// What an utterance of a TDT batch gets when omega draws it: plain RNN-T over its tokens, no sigma.
    pub fn tdt_as_rnnt(blank: u32, durations: usize) -> Self {
        Self { durations, ..Self::rnnt(blank) }
    }

    /// Variani et al. 2020, as in k2.
    pub fn hat(blank: u32) -> Self {
        Self { head: Head::Hat { blank }, ..Self::rnnt(blank) }
    }

    /// k2's modified, the recurrent neural aligner, strictly monotonic: a label takes a frame.
    pub fn modified(blank: u32) -> Self {
        Self::of(vec![Arc::new(1, 0, Token::Symbol(blank)), Arc::new(1, 1, Token::Label)])
    }

    /// k2's constrained: as modified, and the blank of the next context in the same frame.
    pub fn constrained(blank: u32) -> Self {
        let mut kind = Self::modified(blank);
        kind.arcs[1].then = Some(blank);
        kind
    }

    /// Frames may be skipped at a constant weight, though not the last blank.
    pub fn star(blank: u32, weight: f64) -> Self {
        let mut kind = Self::rnnt(blank);
        kind.arcs.push(Arc::free(1, 0, weight));
        kind
    }

    /// Labels may be skipped at a constant weight.
    pub fn bypass(blank: u32, weight: f64) -> Self {
        let mut kind = Self::rnnt(blank);
        kind.arcs.push(Arc::free(0, 1, weight));
        kind
    }

    /// Labels may be skipped for whatever else the model would say ("sumexcl").
    pub fn bypass_others(blank: u32, weight: f64) -> Self {
        let mut kind = Self::rnnt(blank);
        kind.arcs.push(Arc { token: Token::Others { blank }, ..Arc::free(0, 1, weight) });
        kind
    }

    /// Star and bypass.
    pub fn target_robust(blank: u32, frame: f64, label: f64) -> Self {
        let mut kind = Self::star(blank, frame);
        kind.arcs.push(Arc::free(0, 1, label));
        kind
    }

    /// W-transducer: the target may cover a part of the frames only.
    pub fn w(blank: u32, weight: f64, exit: Exit) -> Self {
        Self { entry: Some(weight), exit: Some((weight, exit)), ..Self::rnnt(blank) }
    }

    /// RNN-T with a wildcard label; `stay` is a probability.
    pub fn wildcard(blank: u32, symbol: u32, stay: f64) -> Self {
        Self { wildcard: Some(Wildcard { symbol, stay: stay.ln() }), ..Self::rnnt(blank) }
    }
}
