//! Lattices too large to lay out edge by edge: arcs of fixed steps, their weights from a function.

use super::log_add;

/// An arc: frames, labels, and whether it may land on the terminal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    pub frames: usize,
    pub labels: usize,
    pub ends: bool,
}

/// T x (U + 1) cells. `weight(arc, t, u)` is the log weight of an arc at a cell.
pub struct Planes<'a, W> {
    pub steps: &'a [Step],
    pub frames: usize,
    pub labels: usize,
    pub weight: W,
}

impl<W: Fn(usize, usize, usize) -> f64> Planes<'_, W> {
    /// Where an arc of a cell lands: as many frames on and the position, (T, U) for the terminal.
    fn landing(&self, step: &Step, t: usize, u: usize) -> Option<(usize, usize)> {
        let (to_t, to_u) = (t + step.frames, u + step.labels);
        let lands = match to_t < self.frames {
            true => to_u <= self.labels,
            false => step.ends && to_t == self.frames && to_u == self.labels,
        };
        lands.then_some((to_t, to_u))
    }

    /// Backward variables of a frame, from those of the frames after it: `later(d)[u]`, d frames on.
    fn frame<'r>(&self, t: usize, later: impl Fn(usize) -> &'r [f64]) -> Vec<f64> {
        let mut row = vec![f64::NEG_INFINITY; self.labels + 1];
        for u in (0..=self.labels).rev() {
            for (arc, step) in self.steps.iter().enumerate() {
                let Some((to_t, to_u)) = self.landing(step, t, u) else { continue };
                let from_there = match step.frames {
                    _ if to_t == self.frames => 0.0,
                    0 => row[to_u],
                    frames => later(frames)[to_u],
                };
                row[u] = log_add(row[u], (self.weight)(arc, t, u) + from_there);
            }
        }
        row
    }

    /// Cost, in memory of a few frames.
    pub fn cost(&self) -> f64 {
        let depth = self.steps.iter().map(|step| step.frames).max().unwrap_or(0).max(1);
        let mut rows = vec![vec![f64::NEG_INFINITY; self.labels + 1]; depth];
        for t in (0..self.frames).rev() {
            rows[t % depth] = self.frame(t, |d| &rows[(t + d) % depth]);
        }
        -rows[0][0]
    }

    /// Cost and occupancies [arc][t * (U + 1) + u].
    pub fn occupancies(&self) -> (f64, Vec<Vec<f64>>) {
        let positions = self.labels + 1;
        let mut backward = vec![f64::NEG_INFINITY; self.frames * positions];
        for t in (0..self.frames).rev() {
            let row = self.frame(t, |d| &backward[(t + d) * positions..][..positions]);
            backward[t * positions..][..positions].copy_from_slice(&row);
        }
        let cost = -backward.first().copied().unwrap_or(f64::NEG_INFINITY);
        let mut occupancies = vec![vec![0.0; backward.len()]; self.steps.len()];
        if cost.is_infinite() {
            return (cost, occupancies);
        }
        let mut forward = vec![f64::NEG_INFINITY; backward.len()];
        forward[0] = 0.0;
        for (t, u) in (0..self.frames).flat_map(|t| (0..positions).map(move |u| (t, u))) {
            let cell = t * positions + u;
            for (arc, step) in self.steps.iter().enumerate() {
                let Some((to_t, to_u)) = self.landing(step, t, u) else { continue };
                let so_far = forward[cell] + (self.weight)(arc, t, u);
                let on = (to_t < self.frames).then_some(to_t * positions + to_u);
                occupancies[arc][cell] = (so_far + on.map_or(0.0, |on| backward[on]) + cost).exp();
                if let Some(on) = on {
                    forward[on] = log_add(forward[on], so_far);
                }
            }
        }
        (cost, occupancies)
    }
}
