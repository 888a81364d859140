//! Layers on top of each other, in one direction or both.

use super::cell::Cell;
use super::layer::{Problem, Pull, Solution, Statistics};
use super::tape::{Id, Tape};
use super::values::{Ids, Values};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Reverse,
    Both,
}

/// What a layer of both directions gives to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Forward, then reverse.
    Concat,
    Sum,
}

/// Several layers. `values` has x [T, N, I], the weights by their names with PyTorch's suffix (`_l0`,
/// `_l0_reverse`; the dot of a norm's stays: `norm_ih.weight_l0`), and the first states [L D, N, H].
#[derive(Clone, Debug)]
pub struct Stack {
    pub cell: Cell,
    pub layers: usize,
    pub direction: Direction,
    pub merge: Merge,
    /// Both directions use the weights without `_reverse`. (They see the same frames: a batch norm has the
    /// same statistics for both.)
    pub shared: bool,
    pub frames: usize,
    pub batch: usize,
    pub inputs: usize,
    pub hidden: usize,
    pub lengths: Vec<usize>,
    /// After each layer but the last: what multiplies its output, [T, N, D H].
    pub between: Vec<Option<Vec<f64>>>,
    /// What multiplies the candidates, or nothing: [L D, N, H].
    pub masks: Vec<f64>,
    pub values: Values,
}

impl Stack {
    /// Full lengths, no dropout, no values yet.
    pub fn new(cell: Cell, layers: usize, direction: Direction, [frames, batch, inputs, hidden]: [usize; 4]) -> Self {
        Self {
            cell,
            layers,
            direction,
            merge: Merge::Concat,
            shared: false,
            frames,
            batch,
            inputs,
            hidden,
            lengths: vec![frames; batch],
            between: vec![None; layers - 1],
            masks: Vec::new(),
            values: Values::default(),
        }
    }

    pub fn directions(&self) -> usize {
        if self.direction == Direction::Both { 2 } else { 1 }
    }

    /// Size of y: D H, or H of a sum.
    pub fn outputs(&self) -> usize {
        let one = self.cell.width("h", self.hidden);
        if self.merge == Merge::Concat { self.directions() * one } else { one }
    }

    /// Names and shapes of all that `values` needs.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = vec![("x".to_owned(), vec![self.frames, self.batch, self.inputs])];
        for layer in 0..self.layers {
            let inputs = if layer == 0 { self.inputs } else { self.outputs() };
            for direction in self.weight_sets() {
                let weights = self.cell.weights(inputs, self.hidden).into_iter();
                all.extend(weights.map(|(name, shape)| (name.to_owned() + &suffix(layer, direction), shape)));
            }
        }
        let sets = self.layers * self.directions();
        all.extend(self.cell.states().iter().map(|&name| (name.to_owned(), vec![sets, self.batch, self.cell.width(name, self.hidden)])));
        all
    }

    fn weight_sets(&self) -> Vec<bool> {
        match self.direction {
            Direction::Forward => vec![false],
            Direction::Reverse => vec![true],
            Direction::Both if self.shared => vec![false],
            Direction::Both => vec![false, true],
        }
    }

    /// y, and the last states [L D, N, H]. `all` is empty.
    pub fn solve(&self) -> Solution {
        let mut tape = Tape::default();
        let ids = self.values.leaves(&mut tape);
        let Walk { y, last, statistics } = self.walk(&mut tape, &ids);
        let whole = |ids: &[Id]| -> Vec<f64> { ids.iter().flat_map(|&id| tape.value(id).to_vec()).collect() };
        Solution { y: whole(&y), states: last.iter().map(|ids| whole(ids)).collect(), all: Vec::new(), statistics }
    }

    /// Gradients of everything in `values`.
    pub fn gradients(&self, pull: &Pull) -> Values {
        let mut tape = Tape::default();
        let ids = self.values.leaves(&mut tape);
        let Walk { y, last, .. } = self.walk(&mut tape, &ids);
        let mut pulls: Vec<(Id, &[f64])> = y.into_iter().zip(pull.y.chunks_exact(self.outputs())).collect();
        for ((ids, numbers), name) in last.into_iter().zip(&pull.states).zip(self.cell.states()) {
            pulls.extend(ids.into_iter().zip(numbers.chunks_exact(self.cell.width(name, self.hidden))));
        }
        ids.gradients(&tape.gradients(&pulls))
    }

    fn walk(&self, tape: &mut Tape, ids: &Ids) -> Walk {
        let places = self.frames * self.batch;
        let x = ids.get("x");
        let mut x: Vec<Id> = (0..places).map(|place| tape.slice(x, place * self.inputs, self.inputs)).collect();
        let mut last = vec![Vec::new(); self.cell.states().len()];
        let mut statistics = Vec::new();
        for layer in 0..self.layers {
            let mut halves = Vec::new();
            for d in 0..self.directions() {
                let reverse = self.direction == Direction::Reverse || d == 1;
                let set = layer * self.directions() + d;
                let mut own = ids.ending(&suffix(layer, reverse && !self.shared));
                for name in self.cell.states() {
                    let width = self.batch * self.cell.width(name, self.hidden);
                    let state = tape.slice(ids.get(name), set * width, width);
                    own.insert(name, state);
                }
                let problem = Problem {
                    cell: self.cell,
                    frames: self.frames,
                    batch: self.batch,
                    inputs: tape.len(x[0]),
                    hidden: self.hidden,
                    lengths: self.lengths.clone(),
                    reverse,
                    resets: Vec::new(),
                    zoneout: Vec::new(),
                    mask: self.masks.chunks_exact(self.batch * self.hidden).nth(set).map(<[f64]>::to_vec),
                    weight_mask: None,
                    values: Values::default(),
                };
                let walk = problem.walk(tape, &own, &x);
                if d == 0 {
                    statistics.extend(walk.statistics(tape));
                }
                for (last, own) in last.iter_mut().zip(walk.last) {
                    last.extend(own);
                }
                let padding = tape.leaf(&vec![0.0; problem.outputs()]);
                halves.push(walk.all[0].iter().map(|id| id.unwrap_or(padding)).collect::<Vec<_>>());
            }
            let [forward, rest @ ..] = &halves[..] else { panic!("no direction") };
            x = match rest.first() {
                None => forward.clone(),
                Some(reverse) => {
                    let pairs = forward.iter().zip(reverse);
                    pairs.map(|(&a, &b)| if self.merge == Merge::Concat { tape.join(&[a, b]) } else { tape.add(a, b) }).collect()
                }
            };
            if let Some(Some(mask)) = self.between.get(layer) {
                let width = self.outputs();
                for (x, mask) in x.iter_mut().zip(mask.chunks_exact(width)) {
                    let mask = tape.leaf(mask);
                    *x = tape.mul(*x, mask);
                }
            }
        }
        Walk { y: x, last, statistics }
    }
}

/// Where the results lie on the tape.
struct Walk {
    /// T N vectors.
    y: Vec<Id>,
    /// For each state, L D N vectors.
    last: Vec<Vec<Id>>,
    /// Of each layer's batch norm.
    statistics: Vec<Statistics>,
}

fn suffix(layer: usize, reverse: bool) -> String {
    format!("_l{layer}{}", if reverse { "_reverse" } else { "" })
}
