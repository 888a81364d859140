//! A lattice as its analyses see it, whatever its kind and wherever its weights lie; and that of transducers.

use crate::lattice::{Arc, Exit, Kind, arc_table};
use std::f32::consts::LOG2_E;

/// A lattice whose variables are known. Weights are base-2 logarithms; -inf: probability zero.
pub(in crate::lattice) trait Trellis: Sync {
    /// Nodes but for the end.
    fn cells(&self) -> usize;
    /// The place of a node among them.
    fn place(&self, node: Node) -> usize;
    /// Whether a node is the end.
    fn is_end(&self, node: Node) -> bool;
    /// All nodes but the end, every one after those that lead to it; the first is [`Node::START`].
    fn nodes(&self) -> impl DoubleEndedIterator<Item = Node>;
    /// The arcs of a node that have a probability above zero.
    fn ways(&self, from: Node) -> impl Iterator<Item = Way>;
    /// Summed weight of all ways from the start to a node.
    fn forward(&self, node: Node) -> f64;
    /// Summed weight of all ways from a node, which is not the end, to the end.
    fn backward(&self, node: Node) -> f64;
    /// Summed weight of all paths.
    fn total(&self) -> f64;

    /// Summed weight of all ways from a node to the end.
    fn onward(&self, node: Node) -> f64 {
        if self.is_end(node) { 0.0 } else { self.backward(node) }
    }
}

/// Where an arc leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub frames: usize,
    pub labels: usize,
    pub may_end: bool,
}

/// What is known of each cell, as base-2 logarithms; -inf: probability zero.
pub(super) trait Planes: Sync {
    /// Weight of an arc that leaves (t, u).
    fn weight(&self, t: usize, u: usize, arc: usize) -> f64;
    /// Summed weight of all ways from the start to (t, u).
    fn forward(&self, t: usize, u: usize) -> f64;
    /// Summed weight of all ways from (t, u) to the end.
    fn backward(&self, t: usize, u: usize) -> f64;
    /// Summed weight of all paths.
    fn total(&self) -> f64;
}

/// The arcs of a kind.
#[derive(Clone, Debug)]
pub(super) struct ArcSet {
    /// Those of every cell.
    pub steps: Vec<Step>,
    /// log2 weight of arcs from (0, 0) to every later frame; their number is one more than the last.
    pub entry: Option<f64>,
    /// log2 weight of arcs from every frame of the last position but the last, and where they lead; their number is two more.
    pub exit: Option<(f64, Exit)>,
}

/// The arcs of all cells (t, u), t < T, u <= U.
pub(super) struct Graph<'a, P> {
    pub frames: usize,
    pub labels: usize,
    pub arcs: &'a ArcSet,
    pub planes: P,
}

/// An arc that leaves some node.
#[derive(Clone, Copy, Debug)]
pub(in crate::lattice) struct Way {
    pub from: Node,
    pub arc: usize,
    /// log2.
    pub weight: f64,
    pub to: Node,
}

/// A cell of a transducer's lattice, or (T, U): its end. Of other lattices what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::lattice) struct Node {
    pub t: usize,
    pub u: usize,
}

impl Node {
    pub const START: Self = Self { t: 0, u: 0 };
}

impl ArcSet {
    /// `drawn`: of utterances that are taken as RNN-T. Their own arcs follow those of the kind, which have no weight there, nor
    /// have they where nothing was drawn.
    pub fn of(kind: &Kind, drawn: bool) -> Self {
        let step = |arc: Arc| Step { frames: arc.frames as usize, labels: arc.labels as usize, may_end: arc.may_end };
        let log2 = |nats: f32| f64::from(nats * LOG2_E);
        Self {
            steps: arc_table::arcs(kind).map(step).collect(),
            entry: kind.entry.filter(|_| !drawn).map(log2),
            exit: kind.exit.filter(|_| !drawn).map(|(nats, exit)| (log2(nats), exit)),
        }
    }

    /// A: numbers that arcs have.
    pub fn count(&self) -> usize {
        self.steps.len() + if self.entry.is_some() || self.exit.is_some() { 2 } else { 0 }
    }
}

impl<P: Planes> Trellis for Graph<'_, P> {
    fn cells(&self) -> usize {
        self.frames * (self.labels + 1)
    }

    /// Row-major.
    fn place(&self, node: Node) -> usize {
        node.t * (self.labels + 1) + node.u
    }

    fn is_end(&self, node: Node) -> bool {
        node.t == self.frames
    }

    fn nodes(&self) -> impl DoubleEndedIterator<Item = Node> {
        (0..self.frames).flat_map(|t| (0..=self.labels).map(move |u| Node { t, u }))
    }

    fn ways(&self, from: Node) -> impl Iterator<Item = Way> {
        let steps = self.arcs.steps.iter().enumerate().filter_map(move |(arc, &step)| {
            let to = self.target(from, step)?;
            let weight = self.planes.weight(from.t, from.u, arc);
            (weight > f64::NEG_INFINITY).then_some(Way { from, arc, weight, to })
        });
        steps.chain(self.entries(from)).chain(self.exits(from))
    }

    fn forward(&self, node: Node) -> f64 {
        self.planes.forward(node.t, node.u)
    }

    fn backward(&self, node: Node) -> f64 {
        self.planes.backward(node.t, node.u)
    }

    fn total(&self) -> f64 {
        self.planes.total()
    }
}

impl<P: Planes> Graph<'_, P> {
    /// Where a step leads from a cell; `None` where it leaves the lattice.
    fn target(&self, from: Node, step: Step) -> Option<Node> {
        let to = Node { t: from.t + step.frames, u: from.u + step.labels };
        let lands = if to.t < self.frames { to.u <= self.labels } else { step.may_end && to.t == self.frames && to.u == self.labels };
        lands.then_some(to)
    }

    fn entries(&self, from: Node) -> impl Iterator<Item = Way> + '_ {
        let weight = self.arcs.entry.filter(|_| from == Node::START);
        let arc = self.arcs.steps.len();
        weight.into_iter().flat_map(move |weight| (1..self.frames).map(move |t| Way { from, arc, weight, to: Node { t, u: 0 } }))
    }

    fn exits(&self, from: Node) -> Option<Way> {
        let (weight, exit) = self.arcs.exit?;
        let to = Node { t: if exit == Exit::End { self.frames } else { self.frames - 1 }, u: self.labels };
        // Cells outside of a band have no way on, exits neither.
        let leaves = from.u == self.labels && from.t + 1 < self.frames && self.planes.backward(from.t, from.u) > f64::NEG_INFINITY;
        leaves.then_some(Way { from, arc: self.arcs.steps.len() + 1, weight, to })
    }

    /// Labels that an arc emits.
    pub fn labels_of(&self, way: &Way) -> usize {
        way.to.u - way.from.u
    }
}
