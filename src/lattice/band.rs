//! Bands: lattices restricted to what an alignment allows.

use super::{Exit, Kind};
use crate::error::{Error, Result};

/// The positions that an utterance may be at in each frame: paths that leave the band have no probability, and cells
/// outside of it are not read, so that arcs which read a second row ([`Arc::then`](super::Arc::then)) there have none either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Band {
    ranges: Vec<[u32; 2]>,
}

impl Band {
    /// First and last allowed u of each frame. An empty list is no restriction.
    pub fn new(ranges: Vec<[u32; 2]>) -> Self {
        Self { ranges }
    }

    /// At most `distance` frames away from an alignment: `emitted[t]` says how many labels lie in frame t. This is the band of
    /// monotonic-rnnt (SimBe195), for lattices whose labels take a frame.
    pub fn around(emitted: &[u32], distance: usize) -> Self {
        let mut before = vec![0u32];
        for &labels in emitted {
            before.push(before[before.len() - 1].saturating_add(labels));
        }
        let frames = emitted.len();
        let range =
            |t: usize| if t == 0 { [0, 0] } else { [before[t.saturating_sub(distance)], before[t.saturating_add(distance).min(frames)]] };
        Self { ranges: (0..frames).map(range).collect() }
    }

    /// Each label within a window of frames, first and last, of an utterance of `frames` frames (Mahadeokar et al. 2021,
    /// arXiv:2011.03072). For lattices whose labels take no frame. Labels come in order, so the windows of later ones begin no
    /// earlier.
    pub fn label_windows(windows: &[[u32; 2]], frames: u32) -> Self {
        let mut from = Vec::with_capacity(windows.len());
        let mut to = vec![u32::MAX; windows.len() + 1];
        for &[first, _] in windows {
            from.push(from.last().map_or(first, |&before: &u32| before.max(first)));
        }
        for (u, &[_, last]) in windows.iter().enumerate().rev() {
            to[u] = to[u + 1].min(last);
        }
        let range = |t: u32| {
            let low = to.iter().position(|&last| last >= t).unwrap_or(windows.len());
            let high = from.iter().take_while(|&&first| first <= t).count();
            [low as u32, high as u32]
        };
        Self { ranges: (0..frames).map(range).collect() }
    }

    /// First and last allowed u of each frame.
    pub fn ranges(&self) -> &[[u32; 2]] {
        &self.ranges
    }

    /// The same for an utterance of these lengths: a range for every frame, none beyond the labels.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn of_lengths(&self, frames: u32, labels: u32) -> Self {
        if self.ranges.is_empty() {
            return Self { ranges: vec![[0, labels]; frames as usize] };
        }
        Self { ranges: self.ranges.iter().map(|&[first, last]| [first, last.min(labels)]).collect() }
    }

    /// Positions of its widest range; at least one.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn width(&self) -> u32 {
        self.ranges.iter().map(|[first, last]| last - first + 1).max().unwrap_or(1)
    }

    /// Checks it against the lengths of its utterance.
    pub(super) fn check(&self, utterance: usize, frames: u32, labels: u32, kind: &Kind) -> Result<()> {
        if self.ranges.is_empty() {
            return Ok(());
        }
        if self.ranges.len() != frames as usize {
            return Err(Error::Shape {
                argument: "bands",
                expected: format!("{frames} ranges, one a frame, for utterance {utterance}"),
                got: format!("{} ranges", self.ranges.len()),
            });
        }
        match self.ranges.iter().enumerate().find(|(_, [first, last])| first > last || *first > labels) {
            Some((t, range)) => Err(Error::Value {
                argument: "bands",
                value: format!("{range:?} in frame {t} of utterance {utterance}, which has {labels} labels"),
                help: "a band allows some position of every frame, or no path is left",
            }),
            None if self.admits(kind, labels as usize) => Ok(()),
            None => Err(Error::Value {
                argument: "bands",
                value: format!("that of utterance {utterance}, of {frames} frames and {labels} labels"),
                help: "no path of this kind stays in the band: widen it",
            }),
        }
    }

    /// Whether some path of a kind stays in the band.
    fn admits(&self, kind: &Kind, labels: usize) -> bool {
        let (frames, columns) = (self.ranges.len(), labels + 1);
        let allowed = |t: usize, u: usize| (self.ranges[t][0] as usize..=self.ranges[t][1] as usize).contains(&u);
        let mut reached = vec![false; frames * columns];
        for t in 0..if kind.entry.is_some() { frames } else { 1 } {
            reached[t * columns] = allowed(0, 0) && allowed(t, 0);
        }
        for (t, u) in (0..frames).flat_map(|t| (0..columns).map(move |u| (t, u))) {
            if !reached[t * columns + u] {
                continue;
            }
            for arc in &kind.arcs {
                let (to_t, to_u) = (t + arc.frames as usize, u + arc.labels as usize);
                if to_u > labels || (arc.then.is_some() && !allowed(t, to_u)) {
                    continue;
                }
                if to_t < frames {
                    reached[to_t * columns + to_u] |= allowed(to_t, to_u);
                } else if to_t == frames && to_u == labels && arc.may_end {
                    return true;
                }
            }
            match kind.exit {
                Some((_, Exit::End)) if u == labels && t + 1 < frames => return true,
                Some((_, Exit::LastFrame)) if u == labels => reached[(frames - 1) * columns + u] |= allowed(frames - 1, u),
                _ => {}
            }
        }
        false
    }
}
