//! Lattices restricted to the neighbourhood of a known alignment.

/// Bands for strictly monotonic lattices, as SimBe195/monotonic-rnnt has them: `alignment` has a symbol a
/// frame; after k frames as many labels must be out as the alignment has between k - distance and
/// k + distance frames. `[first, last]` for k = 0..=T.
pub fn alignment_bands(alignment: &[u32], blank: u32, distance: usize) -> Vec<[usize; 2]> {
    let frames = alignment.len();
    let out = |k: usize| alignment[..k].iter().filter(|&&symbol| symbol != blank).count();
    (0..=frames).map(|k| [out(k.saturating_sub(distance)), out((k + distance).min(frames))]).collect()
}

/// Windows around the end frame of each label (Mahadeokar et al. 2021): it may be emitted from `left`
/// frames before to `right` after. `[first, last]` a label.
pub fn end_windows(ends: &[usize], left: usize, right: usize, frames: usize) -> Vec<[usize; 2]> {
    ends.iter().map(|&end| [end.saturating_sub(left), (end + right).min(frames - 1)]).collect()
}
