//! What the gradient passes of transducer lattices share.

use super::Scores;
use crate::cpu::call::Call;
use crate::cpu::gradients::Gradients;
use crate::cpu::math::limited;
use crate::cpu::scores::Elements;
use crate::cpu::status::OK;
use crate::device::shader::LatticeRowParams as Params;

/// Everything but the scores.
pub(in crate::cpu) struct GradientPass<'a> {
    pub p: Params,
    pub meaning: Scores,
    pub batch: &'a [u32],
    pub arcs: &'a [u32],
    pub lattice: &'a [f32],
    pub anchors: &'a [i32],
    results: &'a [u32],
}

/// A base-2 logarithm: exponent and rest.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Log2 {
    pub e: i32,
    pub x: f32,
}

impl<'a> GradientPass<'a> {
    pub fn of(call: &Call<'a>) -> Self {
        Self {
            p: call.params(),
            meaning: Scores::of(call.constant("SCORES")),
            batch: call.read(1),
            arcs: call.read(2),
            lattice: call.read(3),
            anchors: call.read(4),
            results: call.read(5),
        }
    }

    /// The total of utterance n; `None` if it is not ok.
    pub fn total(&self, n: usize) -> Option<Log2> {
        let all = self.p.utterances as usize;
        (self.results[n] == OK).then(|| Log2 { e: self.results[2 * all + n] as i32, x: f32::from_bits(self.results[3 * all + n]) })
    }

    /// Writes rows that begin at `start`, of the elements that `of` gives.
    pub fn write<R: Sync>(
        &self,
        gradients: &mut Gradients<'_>,
        scale: f32,
        rows: &[R],
        start: impl Fn(&R) -> usize,
        of: impl Fn(&R, usize, Elements<'_>) -> f32 + Sync + Send,
    ) {
        gradients.write(
            rows.len(),
            self.p.vocab as usize,
            |number| start(&rows[number]),
            |number, scores, values| {
                for (v, value) in values.iter_mut().enumerate() {
                    *value = scale * limited(of(&rows[number], v, scores), self.p.clamp);
                }
            },
        );
    }
}

/// Probability that a path takes an arc of log2 weight w: from a forward variable, relative to the total, to a backward variable.
pub(in crate::cpu) fn arc_probability(from: Log2, w: f32, to: Log2) -> f32 {
    ((from.e + to.e) as f32 + (from.x + (w + to.x))).clamp(-1e4, 1.0).exp2()
}
