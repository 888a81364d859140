//! How the lattices of two arcs are kept. Twin of `shaders/shared/quads.wgsl`.

use super::Utterance;
use crate::cpu::scaled::Scaled;

/// Frames of a place.
pub(super) const FRAMES: usize = 4;
/// Words of the weights 1 and 0.
pub(super) const CERTAIN: u32 = 0x3f80_0000;
pub(super) const IMPOSSIBLE: u32 = 0;

impl Utterance<'_> {
    /// Place of the quad that holds frame t of column u.
    pub(super) fn quad_at(&self, t: usize, u: usize) -> usize {
        self.first_place + (t / FRAMES + u) % self.lines * self.columns() + u
    }
}

/// A variable from the word of its quad.
pub(super) fn variable(y: f32, relative_to: i32) -> Scaled {
    let e = relative_to >> 1;
    if relative_to & 1 == 1 { Scaled::exp2(y, e) } else { Scaled { e, m: y }.tidy() }
}
