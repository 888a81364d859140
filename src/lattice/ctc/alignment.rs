//! The best path of an utterance.

/// The most probable path through an utterance's lattice. Of paths that are equally probable the one is
/// taken that moves on earlier.
#[derive(Clone, Debug, PartialEq)]
pub struct CtcAlignment {
    /// State of each frame, `[T]`: 2 u is the blank before label u (after the last one for u = U), 2 u + 1 is label u.
    pub states: Vec<u32>,
    /// Posterior probability of that state in that frame, over all paths, `[T]`.
    pub posteriors: Vec<f32>,
    /// Where each label of the target stands, `[U]`.
    pub labels: Vec<LabelSpan>,
}

/// The frames of one label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelSpan {
    /// The symbol.
    pub label: u32,
    /// Its first frame.
    pub first: u32,
    /// Its last frame.
    pub last: u32,
    /// Mean of the posteriors of its frames.
    pub posterior: f32,
}

impl CtcAlignment {
    /// From the states and posteriors of all frames of an utterance.
    pub(super) fn new(target: &[u32], states: &[u32], posteriors: &[f32]) -> Self {
        let frames = states.iter().zip(posteriors).enumerate();
        let mut labels: Vec<LabelSpan> = Vec::with_capacity(target.len());
        for (t, (&state, &posterior)) in frames.filter(|(_, (state, _))| **state % 2 == 1) {
            let (u, t) = (state as usize / 2, t as u32);
            match labels.get_mut(u) {
                Some(span) => (span.last, span.posterior) = (t, span.posterior + posterior),
                None => labels.extend(target.get(u).map(|&label| LabelSpan { label, first: t, last: t, posterior })),
            }
        }
        for span in &mut labels {
            span.posterior /= (span.last - span.first + 1) as f32;
        }
        Self { states: states.to_vec(), posteriors: posteriors.to_vec(), labels }
    }

    /// The label of each frame by its position in the target; `None` for blanks.
    pub fn positions(&self) -> impl Iterator<Item = Option<u32>> {
        self.states.iter().map(|state| (state % 2 == 1).then_some(state / 2))
    }
}
