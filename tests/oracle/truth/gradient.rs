//! Gradients, from what each edge pulls.

use super::{Graph, Rows};

/// What is done to a gradient after the fact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reshape {
    /// FastEmit's lambda (Yu et al. 2020): edges that emit a label pull 1 + lambda times as strongly.
    pub fast_emit: f64,
    /// Whether FastEmit reaches the durations too. In NeMo it does not.
    pub fast_emit_durations: bool,
    /// Every element is clamped to [-clamp, clamp], before the weight.
    pub clamp: Option<f64>,
    /// Of the utterance, of any sign.
    pub weight: f64,
}

impl Default for Reshape {
    fn default() -> Self {
        Self { fast_emit: 0.0, fast_emit_durations: true, clamp: None, weight: 1.0 }
    }
}

/// Derivatives by the weights of the edges, on their way to the input.
pub struct Pull<'a> {
    pub graph: &'a Graph,
    pub rows: &'a Rows,
    pub tokens: usize,
    pub channels: usize,
}

impl Pull<'_> {
    /// By the log-probabilities, from derivatives by the edges' weights.
    pub fn by_log_probs(&self, by_weights: &[f64], reshape: &Reshape) -> Vec<f64> {
        let mut gradient = vec![0.0; self.rows.log_probs.len()];
        for (edge, &pull) in self.graph.edges.iter().zip(by_weights).filter(|&(_, &pull)| pull != 0.0) {
            for read in &edge.reads {
                let total: f64 = read.iter().map(|&i| self.rows.log_probs[i].exp()).sum();
                for &i in read {
                    let reached = i % self.channels < self.tokens || reshape.fast_emit_durations;
                    let emphasis = if edge.emits.is_some() && reached { 1.0 + reshape.fast_emit } else { 1.0 };
                    let share = if read.len() == 1 { 1.0 } else { self.rows.log_probs[i].exp() / total };
                    gradient[i] += pull * emphasis * share;
                }
            }
        }
        gradient
    }

    /// By the input, clamped and weighted.
    pub fn by_input(&self, by_weights: &[f64], reshape: &Reshape) -> Vec<f64> {
        let gradient = self.rows.pull_back(&self.by_log_probs(by_weights, reshape));
        let clamp = reshape.clamp.unwrap_or(f64::INFINITY);
        gradient.into_iter().map(|g| g.clamp(-clamp, clamp) * reshape.weight).collect()
    }
}
