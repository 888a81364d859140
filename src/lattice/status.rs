/// What became of one utterance of a batch. A bad one never touches its neighbours.
///
/// Twin: `shaders/shared/lattice_status.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Status {
    /// Cost and gradient are good.
    Ok = 0,
    /// No frames: nothing can be emitted. The cost is +inf, the gradient zero.
    Empty = 1,
    /// No path has a probability above zero (masked symbols are on every one). The cost is +inf, the
    /// gradient zero. An arc below -2.7e6 nats counts as zero probability; 16 frames that lose as much together may.
    Infeasible = 2,
    /// NaN or +inf among the logits of the utterance. The cost is NaN, the gradient zero.
    NonFinite = 3,
}

impl Status {
    /// From a status word of the kernels, whose bits above the lowest two are their own affair.
    pub(super) fn from_word(word: u32) -> Self {
        match word & 3 {
            0 => Self::Ok,
            1 => Self::Empty,
            2 => Self::Infeasible,
            _ => Self::NonFinite,
        }
    }
}
