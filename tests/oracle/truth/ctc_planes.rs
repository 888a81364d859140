//! CTC of many frames and labels, in planes [T, states] instead of edges.

use super::{Ctc, Rows, Solution, log_add};
use std::ops::Range;

/// Variables of the states of one frame.
type Row = Vec<f64>;

impl Ctc {
    /// [`solve`](Self::solve) without laying out edges.
    pub fn solve_large(&self) -> Solution {
        let rows = self.rows();
        let backward = self.backward(&rows);
        let mut forward = self.first(&rows);
        let cost = match backward.first() {
            Some(row) => -forward.iter().zip(row).map(|(a, b)| a + b).fold(f64::NEG_INFINITY, log_add),
            None if self.target.is_empty() => 0.0,
            None => f64::INFINITY,
        };
        let mut by_log_probs = vec![0.0; self.input.len()];
        for (t, backward) in backward.iter().enumerate().filter(|_| cost.is_finite()) {
            for (s, (a, b)) in forward.iter().zip(backward).enumerate() {
                by_log_probs[self.place(t, s)] -= (a + b + cost).exp();
            }
            if t + 1 < self.frames {
                forward = self.next(&rows, t + 1, &forward);
            }
        }
        Solution { cost, gradient: rows.pull_back(&by_log_probs), by_log_probs }
    }

    fn place(&self, t: usize, s: usize) -> usize {
        t * self.vocab + self.symbol(s) as usize
    }

    /// States that a state can go on to, itself among them.
    fn reach(&self, s: usize) -> Range<usize> {
        let states = self.states();
        let skips = s % 2 == 1 && s + 2 < states && self.symbol(s) != self.symbol(s + 2);
        s..(if skips { s + 3 } else { s + 2 }).min(states)
    }

    fn first(&self, rows: &Rows) -> Row {
        let starts = |s: usize| if s < 2 && self.frames > 0 { rows.log_probs[self.place(0, s)] } else { f64::NEG_INFINITY };
        (0..self.states()).map(starts).collect()
    }

    /// Forward variables of frame `t` from those of the one before.
    fn next(&self, rows: &Rows, t: usize, forward: &Row) -> Row {
        let mut next = vec![f64::NEG_INFINITY; self.states()];
        for (s, &so_far) in forward.iter().enumerate() {
            for to in self.reach(s) {
                next[to] = log_add(next[to], so_far + rows.log_probs[self.place(t, to)]);
            }
        }
        next
    }

    /// Backward variables, what a state itself weighs left out.
    fn backward(&self, rows: &Rows) -> Vec<Row> {
        let states = self.states();
        let mut backward = vec![vec![f64::NEG_INFINITY; states]; self.frames];
        for t in (0..self.frames).rev() {
            for s in 0..states {
                let onward = |to: usize| rows.log_probs[self.place(t + 1, to)] + backward[t + 1][to];
                backward[t][s] = match t + 1 == self.frames {
                    true if s + 2 >= states => 0.0,
                    true => f64::NEG_INFINITY,
                    false => self.reach(s).map(onward).fold(f64::NEG_INFINITY, log_add),
                };
            }
        }
        backward
    }
}
