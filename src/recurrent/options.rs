//! What a call of a layer may be given besides its input.

use super::State;

/// Options of a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions<'a> {
    /// Frames of each sequence, at most T; without them all have T.
    pub lengths: Option<&'a [usize]>,
    /// The states before the first frame; without it they are zero.
    pub state: Option<&'a State>,
    /// Frames before which the states of a sequence become zero: (frame, sequence), in any order.
    pub resets: &'a [(usize, usize)],
}

/// Options of a call in training.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrainOptions<'a> {
    /// Those of any call.
    pub run: RunOptions<'a>,
    /// Probability that a candidate of a unit is dropped for the whole sequence, where the cell has such a mask (LiGRU, SLi-GRU); the
    /// others are scaled by 1 / (1 - p).
    pub recurrent_dropout: f32,
    /// The mask itself instead, [N, H] of factors.
    pub mask: Option<&'a [f32]>,
    /// DropConnect (Wan et al. 2013; the weight drop of Merity et al. 2018): probability that a number of the recurrent weight is 0 in
    /// this call; the others are multiplied by 1 / (1 - p). All sequences and frames see the same. Costs a launch over the weight.
    pub weight_dropout: f32,
    /// What zoneout, masks and dropped weights are drawn from: the same seed gives the same numbers on every device.
    pub seed: u32,
}
