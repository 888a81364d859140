//! Kinds of lattices, as sets of arcs.

#[cfg(not(target_family = "wasm"))]
use super::arc_table;
use crate::error::{Error, Result, number, within};

/// Index of the blank among the V symbols; any is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blank(pub u32);

/// In a target: a label that stands for any symbol at no cost
/// ([`TransducerLossBuilder::wildcard`](super::TransducerLossBuilder::wildcard)).
pub const WILDCARD: u32 = u32::MAX;

/// Where an arc takes the score of its symbol from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// This symbol of the row.
    Symbol(u32),
    /// The next label of the target.
    NextLabel,
    /// All symbols together but for the blank and the next label: the sum of their probabilities.
    Others,
    /// No symbol: the arc weighs its constant only, and has no gradient.
    None,
}

/// An arc that leaves every cell (t, u) of a lattice for (t + frames, u + labels).
///
/// It is there where it ends in a cell (t + frames < T, u + labels <= U), and where it ends the lattice: t + frames
/// = T and u + labels = U, for arcs that [`may_end`](Self::may_end).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arc {
    /// Frames that it takes.
    pub frames: u32,
    /// Labels that it emits: 0, or 1, which needs a next label.
    pub labels: u32,
    /// Its symbol.
    pub token: Token,
    /// Duration channel whose log-probability is added; they follow the V symbols in a row.
    pub duration: Option<u32>,
    /// A symbol that is read in the row one position on, (t, u + 1), and added (k2's constrained transducer). A band that does not
    /// allow that cell does not allow the arc.
    pub then: Option<u32>,
    /// Added to its log weight, nats.
    pub constant: f32,
    /// Whether it may end the lattice.
    pub may_end: bool,
}

impl Arc {
    /// Takes `frames` frames and emits `symbol`; may end the lattice. The blank is `Arc::stay(1, blank)`.
    pub fn stay(frames: u32, symbol: u32) -> Self {
        Self { frames, labels: 0, token: Token::Symbol(symbol), duration: None, then: None, constant: 0.0, may_end: true }
    }

    /// Emits the next label and takes `frames` frames; may not end the lattice.
    pub fn label(frames: u32) -> Self {
        Self { frames, labels: 1, token: Token::NextLabel, duration: None, then: None, constant: 0.0, may_end: false }
    }

    /// Skips frames and labels without looking at the scores, at the price of `weight`, a natural log; may not end the lattice.
    pub fn free(frames: u32, labels: u32, weight: f32) -> Self {
        Self { frames, labels, token: Token::None, duration: None, then: None, constant: weight, may_end: false }
    }
}

/// Where arcs from any frame of the last position lead ([`Kind::w_transducer`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// To the last frame: its blank is still to come. NeMo's `force_final`.
    LastFrame,
    /// To the end, past the last blank. NeMo's `allow_ignore`.
    End,
}

/// How the scores of a row become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Normalisation {
    /// One softmax over the V symbols (and one over the durations, if there are any).
    Softmax,
    /// The blank by the logistic function of its score, the labels by a softmax among themselves, times what the
    /// blank leaves (Variani et al. 2020, arXiv:2003.07705).
    Hat,
}

/// A kind of lattice: which arcs leave a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    pub(super) blank: Blank,
    pub(super) arcs: Vec<Arc>,
    /// Frames of each duration channel; none: no such channels.
    pub(super) durations: Vec<u32>,
    pub(super) normalisation: Normalisation,
    /// Natural log; subtracted from the log-probability of every symbol.
    pub(super) sigma: f32,
    /// Log weight of arcs from (0, 0) to every later frame.
    pub(super) entry: Option<f32>,
    /// Log weight of arcs from every frame of the last position but the last, and where they lead.
    pub(super) exit: Option<(f32, Exit)>,
    /// Probability that an utterance is taken as plain RNN-T.
    pub(super) omega: f32,
}

/// A kind whose symbols are channels of gathered scores: 0 the blank, 1 the next label, then the others.
#[cfg(not(target_family = "wasm"))]
#[derive(Clone, Debug)]
pub(crate) struct Gathered {
    pub kind: Kind,
    /// The symbols of channels 2, 3, …
    pub named: Vec<u32>,
}

/// Most arcs of a kind: the table of them lies in workgroup memory.
const MOST_ARCS: usize = 256;
/// Most duration channels of a kind: what they are pulled by lies in workgroup memory too.
const MOST_DURATIONS: usize = 256;
/// Most frames of an arc: kernels add them to frames of the lattice.
const MOST_FRAMES: u32 = 65_535;

impl Kind {
    /// Any set of arcs. `durations` gives the frames of the duration channels, which follow the V symbols of a row.
    ///
    /// # Errors
    /// [`Error::Value`] for arcs that go nowhere, go back, emit two labels, or name a duration channel that is not there.
    pub fn custom(blank: Blank, arcs: Vec<Arc>, durations: Vec<u32>) -> Result<Self> {
        let kind = Self::of(blank, arcs, durations);
        kind.check()?;
        Ok(kind)
    }

    /// RNN-T (Graves 2012, arXiv:1211.3711): the blank takes a frame, labels none.
    pub fn rnnt(blank: Blank) -> Self {
        Self::two_arcs(blank, 0)
    }

    /// One symbol a frame: a label takes a frame too. Also known as modified (k2), RNA (Sak et al. 2017) or strictly
    /// monotonic transducer (Tripathi et al. 2019). Needs T >= U.
    pub fn monotonic(blank: Blank) -> Self {
        Self::two_arcs(blank, 1)
    }

    /// As RNN-T, with the blank apart from the labels' softmax: [`Normalisation::Hat`].
    pub fn hat(blank: Blank) -> Self {
        Self::rnnt(blank).with_hat()
    }

    /// k2's constrained transducer: every label is followed by a blank in the same frame. Needs T >= U.
    pub fn constrained(blank: Blank) -> Self {
        let mut kind = Self::monotonic(blank);
        kind.arcs[1].then = Some(blank.0);
        kind
    }

    /// Multi-blank (Xu et al. 2022, arXiv:2211.03541): beside the blank, `(symbol, frames)` pairs of blanks that take
    /// several frames at once.
    ///
    /// # Errors
    /// [`Error::Value`] if two blanks share a symbol, or one takes fewer than 2 frames.
    pub fn multi_blank(blank: Blank, big_blanks: &[(u32, u32)]) -> Result<Self> {
        let mut kind = Self::rnnt(blank);
        for (index, &(symbol, frames)) in big_blanks.iter().enumerate() {
            let value = || format!("{big_blanks:?}");
            if symbol == blank.0 || big_blanks[..index].iter().any(|&(other, _)| other == symbol) {
                return Err(Error::Value { argument: "big_blanks", value: value(), help: "each blank needs a symbol of its own" });
            }
            if frames < 2 {
                return Err(Error::Value { argument: "big_blanks", value: value(), help: "a big blank takes at least 2 frames" });
            }
            kind.arcs.push(Arc::stay(frames, symbol));
        }
        kind.check()?;
        Ok(kind)
    }

    /// Token-and-duration transducer (Xu et al. 2023, arXiv:2304.06795): a second softmax, over `durations`, says how many
    /// frames a symbol takes; its scores follow the V symbols in each row. Durations are ascending; one of them must be
    /// at least 1.
    ///
    /// # Errors
    /// [`Error::Value`] if durations are not ascending, or none takes a frame.
    pub fn tdt(blank: Blank, durations: &[u32]) -> Result<Self> {
        let value = || format!("{durations:?}");
        if !durations.is_sorted_by(|a, b| a < b) {
            return Err(Error::Value { argument: "durations", value: value(), help: "durations must be ascending, each once" });
        }
        if durations.last().is_none_or(|&last| last == 0) {
            return Err(Error::Value { argument: "durations", value: value(), help: "some duration must be at least 1, for the blank" });
        }
        let with = |arc: Arc, channel: usize| Arc { duration: Some(channel as u32), ..arc };
        let blanks = durations.iter().enumerate().filter(|&(_, &d)| d > 0).map(|(i, &d)| with(Arc::stay(d, blank.0), i));
        let labels = durations.iter().enumerate().map(|(i, &d)| with(Arc::label(d), i));
        Self::custom(blank, blanks.chain(labels).collect(), durations.to_vec())
    }

    /// Star transducer (Bataev et al. 2025): RNN-T whose blanks, but for the last, have a twin of constant log weight, for frames
    /// of which the transcript says nothing.
    ///
    /// # Errors
    /// [`Error::Value`] if the weight is not finite.
    pub fn star(blank: Blank, weight: f32) -> Result<Self> {
        Self::rnnt(blank).with_arc(Arc::free(1, 0, weight))
    }

    /// Bypass transducer: RNN-T whose labels have a twin of constant log weight, for labels of the transcript that nobody said.
    ///
    /// # Errors
    /// [`Error::Value`] if the weight is not finite.
    pub fn bypass(blank: Blank, weight: f32) -> Result<Self> {
        Self::rnnt(blank).with_arc(Arc::free(0, 1, weight))
    }

    /// Bypass transducer whose skipped labels weigh what the model would say instead: the probability of all symbols but the blank
    /// and the label, times exp(`weight`). The mode `sumexcl` of Bataev 2025, arXiv:2504.06963, which its author found best.
    ///
    /// # Errors
    /// [`Error::Value`] if the weight is not finite.
    pub fn bypass_others(blank: Blank, weight: f32) -> Result<Self> {
        Self::rnnt(blank).with_arc(Arc { token: Token::Others, ..Arc::free(0, 1, weight) })
    }

    /// Target-robust transducer: frames may be skipped as in [`star`](Self::star), labels as in [`bypass`](Self::bypass).
    ///
    /// # Errors
    /// [`Error::Value`] if a weight is not finite.
    pub fn target_robust(blank: Blank, frame_weight: f32, label_weight: f32) -> Result<Self> {
        Self::star(blank, frame_weight)?.with_arc(Arc::free(0, 1, label_weight))
    }

    /// W-transducer (Laptev et al. 2023, IEEE 10096679): RNN-T of a transcript that covers a part of the frames only. The lattice
    /// may be entered at any frame from (0, 0), and left from any frame of the last position, at `weight` each (a natural log).
    ///
    /// # Errors
    /// [`Error::Value`] if the weight is not finite.
    pub fn w_transducer(blank: Blank, weight: f32, exit: Exit) -> Result<Self> {
        if !weight.is_finite() {
            return Err(Error::Value { argument: "weight", value: number(weight), help: "the weight of arcs must be finite" });
        }
        Ok(Self { entry: Some(weight), exit: Some((weight, exit)), ..Self::rnnt(blank) })
    }

    /// This kind with one more arc, such as [`Arc::free`].
    ///
    /// # Errors
    /// As [`custom`](Self::custom).
    pub fn with_arc(mut self, arc: Arc) -> Result<Self> {
        self.arcs.push(arc);
        self.check()?;
        Ok(self)
    }

    /// Logit under-normalisation (multi-blank and TDT papers): `sigma` nats are taken off the log-probability of every
    /// symbol, so that fewer symbols win.
    ///
    /// # Errors
    /// [`Error::Value`] if it is negative or not finite.
    pub fn under_normalised(mut self, sigma: f32) -> Result<Self> {
        if !(sigma >= 0.0 && sigma.is_finite()) {
            return Err(Error::Value { argument: "sigma", value: number(sigma), help: "under-normalisation is 0 or more, finite" });
        }
        self.sigma = sigma;
        Ok(self)
    }

    /// Takes each utterance with probability `omega` as plain RNN-T of its symbols, without under-normalisation; its durations get
    /// no gradient then (TDT paper: models learn faster and can be decoded either way). Which, says
    /// [`LossBatch::seed`](super::LossBatch::seed). NeMo draws once for the whole batch.
    ///
    /// # Errors
    /// [`Error::Value`] if it is no probability.
    pub fn sometimes_rnnt(mut self, omega: f32) -> Result<Self> {
        if !(0.0..=1.0).contains(&omega) {
            return Err(Error::Value { argument: "omega", value: number(omega), help: "a probability is between 0 and 1" });
        }
        self.omega = omega;
        Ok(self)
    }

    /// This kind with the blank apart from the labels' softmax: [`Normalisation::Hat`].
    pub fn with_hat(mut self) -> Self {
        self.normalisation = Normalisation::Hat;
        self
    }

    /// The arcs.
    pub fn arcs(&self) -> &[Arc] {
        &self.arcs
    }

    /// The blank's symbol.
    pub fn blank(&self) -> Blank {
        self.blank
    }

    fn of(blank: Blank, arcs: Vec<Arc>, durations: Vec<u32>) -> Self {
        let normalisation = Normalisation::Softmax;
        Self { blank, arcs, durations, normalisation, sigma: 0.0, entry: None, exit: None, omega: 0.0 }
    }

    fn two_arcs(blank: Blank, label_frames: u32) -> Self {
        let label = Arc { may_end: label_frames > 0, ..Arc::label(label_frames) };
        Self::of(blank, vec![Arc::stay(1, blank.0), label], Vec::new())
    }

    /// Frames that a label takes, for lattices of nothing but the blank and the label: those that the sweep of two arcs
    /// walks.
    pub(super) fn label_frames(&self) -> Option<u32> {
        let same = |frames| Self::two_arcs(self.blank, frames).arcs == self.arcs && self.durations.is_empty();
        let fixed = self.entry.is_none() && self.exit.is_none() && self.omega == 0.0;
        [0, 1].into_iter().find(|&frames| fixed && same(frames))
    }

    /// Channels of a row beyond its V symbols.
    pub(crate) fn duration_channels(&self) -> usize {
        self.durations.len()
    }

    fn check(&self) -> Result<()> {
        let help = "join arcs, or use fewer durations";
        within("arcs of a kind", self.arcs.len() as u64, MOST_ARCS as u64, help)?;
        within("durations of a kind", self.durations.len() as u64, MOST_DURATIONS as u64, "use fewer durations")?;
        if self.arcs.is_empty() {
            return Err(Error::Value { argument: "arcs", value: "none".to_owned(), help: "a kind needs arcs" });
        }
        for (index, arc) in self.arcs.iter().enumerate() {
            let help = if arc.labels > 1 {
                "an arc emits no label or one"
            } else if arc.frames == 0 && arc.labels == 0 {
                "an arc must take a frame or emit a label"
            } else if arc.token == Token::NextLabel && arc.labels == 0 {
                "an arc that reads the next label must emit it"
            } else if arc.duration.is_some_and(|channel| channel as usize >= self.durations.len()) {
                "the duration channel is not among the durations"
            } else if arc.then.is_some() && arc.labels == 0 {
                "only an arc that emits a label reads a second row"
            } else if arc.frames > MOST_FRAMES {
                "an arc takes 65,535 frames at most"
            } else if !(arc.constant.is_finite()) {
                "the constant must be finite"
            } else {
                continue;
            };
            let value = format!("number {index}, of {} frames, {} labels and {} nats", arc.frames, arc.labels, number(arc.constant));
            return Err(Error::Value { argument: "arcs", value, help });
        }
        Ok(())
    }

    /// What gathered scores of the kind are; `None` where arcs read durations, or sums of symbols.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn gathered(&self) -> Option<Gathered> {
        let is_picked = self.durations.is_empty() && !arc_table::reads_others(self);
        is_picked.then(|| Gathered { kind: arc_table::gathered(self), named: arc_table::named(self) })
    }

    /// How scores become probabilities.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn normalisation(&self) -> Normalisation {
        self.normalisation
    }

    /// Checks the symbols against the vocabulary.
    pub(crate) fn check_vocabulary(&self, vocab: usize) -> Result<()> {
        if self.blank.0 as usize >= vocab {
            return Err(Error::Value {
                argument: "blank",
                value: self.blank.0.to_string(),
                help: "the blank must be one of the V symbols of the logits",
            });
        }
        let symbols = self.arcs.iter().flat_map(|arc| match arc.token {
            Token::Symbol(symbol) => [Some(symbol), arc.then],
            Token::NextLabel | Token::Others | Token::None => [None, arc.then],
        });
        match symbols.flatten().find(|&symbol| symbol as usize >= vocab) {
            Some(symbol) => Err(Error::Value {
                argument: "arcs",
                value: symbol.to_string(),
                help: "the symbol of an arc must be one of the V symbols of the logits",
            }),
            None => Ok(()),
        }
    }

    /// Whether a label is the symbol of an arc of its own, such as the blank.
    pub(super) fn reserves(&self, label: u32) -> bool {
        label == self.blank.0 || self.arcs.iter().any(|arc| arc.token == Token::Symbol(label))
    }
}
