//! One cell over whole sequences, in one direction.

use super::cell::Cell;
use super::norm::{Norm, statistics};
use super::tape::{Id, Tape};
use super::values::{Ids, Values};

/// One layer and one batch. `values` has x [T, N, I], the weights by the names of [`Cell::weights`], and
/// the first states [N, H] by the names of [`Cell::states`].
#[derive(Clone, Debug)]
pub struct Problem {
    pub cell: Cell,
    pub frames: usize,
    pub batch: usize,
    pub inputs: usize,
    pub hidden: usize,
    /// Frames of each sequence.
    pub lengths: Vec<usize>,
    /// From the last frame of each sequence to its first.
    pub reverse: bool,
    /// (frame, sequence): its states are zeros before that frame is done.
    pub resets: Vec<(usize, usize)>,
    /// For each state, or none: how much of the old one stays, [T, N, H]; 0 or 1 in training, the
    /// probability otherwise.
    pub zoneout: Vec<Option<Vec<f64>>>,
    /// What multiplies the candidate, [N, H].
    pub mask: Option<Vec<f64>>,
    /// What multiplies weight_hh: DropConnect, or the zeros of [`Problem::set_heads`].
    pub weight_mask: Option<Vec<f64>>,
    pub values: Values,
}

/// What a [`Problem`] gives.
#[derive(Clone, Debug)]
pub struct Solution {
    /// [T, N, H]; zeros after the end of a sequence.
    pub y: Vec<f64>,
    /// Each state after the last frame done, [N, H].
    pub states: Vec<Vec<f64>>,
    /// Each state after each frame, [T, N, H]; zeros after the end of a sequence.
    pub all: Vec<Vec<f64>>,
    /// Mean and variance of the rows of W x over all frames, of each layer where a batch norm took them.
    pub statistics: Vec<Statistics>,
}

/// What a batch norm divides by: of these frames, not an estimate for others.
#[derive(Clone, Debug)]
pub struct Statistics {
    pub mean: Vec<f64>,
    pub variance: Vec<f64>,
}

/// Gradients of what comes out.
#[derive(Clone, Debug, Default)]
pub struct Pull {
    /// Of y, [T, N, H].
    pub y: Vec<f64>,
    /// Of the last states, [N, H] each; may be fewer.
    pub states: Vec<Vec<f64>>,
}

impl Problem {
    /// Everything zero, except the weights of norms and the running variance: ones.
    pub fn new(cell: Cell, [frames, batch, inputs, hidden]: [usize; 4]) -> Self {
        let mut values = Values::default();
        values.set("x", &vec![0.0; frames * batch * inputs]);
        for (name, shape) in cell.weights(inputs, hidden) {
            let scale = name.starts_with("norm") && (name.ends_with("weight") || name.ends_with("var"));
            values.set(name, &vec![if scale { 1.0 } else { 0.0 }; shape.iter().product()]);
        }
        for name in cell.states() {
            values.set(name, &vec![0.0; batch * cell.width(name, hidden)]);
        }
        Self {
            cell,
            frames,
            batch,
            inputs,
            hidden,
            lengths: vec![frames; batch],
            reverse: false,
            resets: Vec::new(),
            zoneout: vec![None; cell.states().len()],
            mask: None,
            weight_mask: None,
            values,
        }
    }

    /// [`Problem::new`] with numbers: x in ±1, weights in ±1/√H, first states in ±1, weights of norms around 1.
    pub fn random(cell: Cell, sizes: [usize; 4], seed: u64) -> Self {
        let mut problem = Self::new(cell, sizes);
        let scale = 1.0 / (problem.hidden as f64).sqrt();
        let names: Vec<String> = problem.values.0.keys().cloned().collect();
        for name in names {
            match &*name {
                "x" | "h" | "c" | "m" => problem.values.fill(&name, seed, 1.0),
                // n of sLSTM is a sum of positive numbers.
                "n" => {
                    problem.values.fill(&name, seed, 0.5);
                    problem.values.get_mut(&name).iter_mut().for_each(|x| *x = f64::from((*x + 1.0) as f32));
                }
                _ if name.starts_with("norm") && (name.ends_with("weight") || name.ends_with("var")) => {
                    problem.values.fill(&name, seed, 0.5);
                    problem.values.get_mut(&name).iter_mut().for_each(|x| *x = f64::from((*x + 1.0) as f32));
                }
                _ => problem.values.fill(&name, seed, scale),
            }
        }
        problem
    }

    /// Units see those of their own head only: weight_hh is block-diagonal in each gate.
    pub fn set_heads(&mut self, heads: usize) {
        let (hidden, size) = (self.hidden, self.hidden / heads);
        let entry = |i: usize| if i / hidden % hidden / size == i % hidden / size { 1.0 } else { 0.0 };
        self.weight_mask = Some((0..self.cell.gates() * hidden * hidden).map(entry).collect());
    }

    /// Size of h: H, or that of the projection.
    pub fn outputs(&self) -> usize {
        self.cell.width("h", self.hidden)
    }

    pub fn solve(&self) -> Solution {
        let mut tape = Tape::default();
        let ids = self.values.leaves(&mut tape);
        let walk = self.walk(&mut tape, &ids, &[]);
        let whole = |ids: &[Option<Id>], width: usize| -> Vec<f64> {
            ids.iter().flat_map(|id| id.map_or(vec![0.0; width], |id| tape.value(id).to_vec())).collect()
        };
        let names = self.cell.states().iter().enumerate();
        Solution {
            y: whole(&walk.all[0], self.outputs()),
            states: walk.last.iter().map(|ids| ids.iter().flat_map(|&id| tape.value(id).to_vec()).collect()).collect(),
            all: names.map(|(s, name)| whole(&walk.all[s], self.cell.width(name, self.hidden))).collect(),
            statistics: walk.statistics(&tape).into_iter().collect(),
        }
    }

    /// Gradients of everything in `values`.
    pub fn gradients(&self, pull: &Pull) -> Values {
        let mut tape = Tape::default();
        let ids = self.values.leaves(&mut tape);
        let walk = self.walk(&mut tape, &ids, &[]);
        let width = self.outputs();
        let mut pulls = Vec::new();
        pulls.extend(walk.all[0].iter().zip(pull.y.chunks_exact(width)).filter_map(|(id, numbers)| Some(((*id)?, numbers))));
        for ((ids, numbers), name) in walk.last.iter().zip(&pull.states).zip(self.cell.states()) {
            pulls.extend(ids.iter().copied().zip(numbers.chunks_exact(self.cell.width(name, self.hidden))));
        }
        ids.gradients(&tape.gradients(&pulls))
    }

    /// y and last states, each times its pull, summed: what [`Problem::gradients`] is the gradient of.
    pub fn pulled(&self, pull: &Pull) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let solution = self.solve();
        dot(&solution.y, &pull.y) + solution.states.iter().zip(&pull.states).map(|(a, b)| dot(a, b)).sum::<f64>()
    }

    /// [`Problem::gradients`] by central differences over four points.
    pub fn differences(&self, pull: &Pull) -> Values {
        const STEP: f64 = 1e-4;
        let mut result = self.values.clone();
        for (name, numbers) in &mut result.0 {
            for (i, slot) in numbers.iter_mut().enumerate() {
                let moved = |by: f64| {
                    let mut problem = self.clone();
                    problem.values.get_mut(name)[i] += by;
                    problem.pulled(pull)
                };
                let (near, far) = (moved(STEP) - moved(-STEP), moved(2.0 * STEP) - moved(-2.0 * STEP));
                *slot = (8.0 * near - far) / (12.0 * STEP);
            }
        }
        result
    }

    /// A pull of numbers in ±1 on y and on every state.
    pub fn random_pull(&self, seed: u64) -> Pull {
        let random = |name: &str, len: usize| {
            let mut values = Values::default();
            values.set(name, &vec![0.0; len]);
            values.fill(name, seed, 1.0);
            values.get(name).to_vec()
        };
        let states = self.cell.states().iter().map(|name| random(name, self.batch * self.cell.width(name, self.hidden)));
        Pull { y: random("y", self.frames * self.batch * self.outputs()), states: states.collect() }
    }

    /// Runs on the tape. `x`, where it is not empty, takes the place of the x of `values`: T N vectors.
    pub(super) fn walk(&self, tape: &mut Tape, ids: &Ids, x: &[Id]) -> Walk {
        let (frames, batch, hidden) = (self.frames, self.batch, self.hidden);
        assert_eq!(self.lengths.len(), batch);
        let mut masked = ids.clone();
        if let Some(mask) = &self.weight_mask {
            let mask = tape.leaf(mask);
            let weight = tape.mul(ids.get("weight_hh"), mask);
            masked.insert("weight_hh", weight);
        }
        let ids = &masked;
        let places: Vec<(usize, usize)> = (0..batch).flat_map(|n| (0..self.lengths[n]).map(move |t| (t, n))).collect();
        let inputs: Vec<Id> = places
            .iter()
            .map(|&(t, n)| {
                let place = t * batch + n;
                x.get(place).copied().unwrap_or_else(|| tape.slice(ids.get("x"), place * self.inputs, self.inputs))
            })
            .collect();
        let projected = self.cell.project(tape, ids, &inputs);
        let statistics = match self.cell.norm_ih {
            Some(Norm::Batch { .. }) if !inputs.is_empty() => {
                let products: Vec<Id> = inputs.iter().map(|&x| tape.product(ids.get("weight_ih"), x)).collect();
                Some(statistics(tape, &products))
            }
            _ => None,
        };
        let names = self.cell.states();
        let mut walk = Walk { all: vec![vec![None; frames * batch]; names.len()], last: vec![Vec::new(); names.len()], statistics };
        let mut begin = 0;
        for n in 0..batch {
            let length = self.lengths[n];
            let own = &projected[begin..begin + length];
            begin += length;
            let mask = self.mask.as_ref().map(|mask| tape.leaf(&mask[n * hidden..][..hidden]));
            let first = |tape: &mut Tape, name: &str| {
                let width = self.cell.width(name, hidden);
                tape.slice(ids.get(name), n * width, width)
            };
            let mut states: Vec<Id> = names.iter().map(|name| first(tape, name)).collect();
            for step in 0..length {
                let t = if self.reverse { length - 1 - step } else { step };
                if self.resets.contains(&(t, n)) {
                    states = names.iter().map(|name| tape.leaf(&vec![0.0; self.cell.width(name, hidden)])).collect();
                }
                let mut new = self.cell.step(tape, ids, own[t], &states, mask);
                for ((new, old), zoneout) in new.iter_mut().zip(&states).zip(&self.zoneout) {
                    if let Some(weights) = zoneout {
                        let width = tape.len(*new);
                        *new = tape.blend(&weights[(t * batch + n) * width..][..width], *old, *new);
                    }
                }
                states = new;
                for (all, &id) in walk.all.iter_mut().zip(&states) {
                    all[t * batch + n] = Some(id);
                }
            }
            for (last, id) in walk.last.iter_mut().zip(states) {
                last.push(id);
            }
        }
        walk
    }
}

/// Where the results lie on the tape.
pub(super) struct Walk {
    /// Each state after each frame, T N vectors.
    pub all: Vec<Vec<Option<Id>>>,
    /// Each state at the end, N vectors.
    pub last: Vec<Vec<Id>>,
    pub statistics: Option<(Id, Id)>,
}

impl Walk {
    pub fn statistics(&self, tape: &Tape) -> Option<Statistics> {
        self.statistics.map(|(mean, variance)| Statistics { mean: tape.value(mean).to_vec(), variance: tape.value(variance).to_vec() })
    }
}
