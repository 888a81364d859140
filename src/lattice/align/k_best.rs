//! The best paths, in order, by recursive enumeration (Jiménez & Marzal 1999, "Computing the k shortest paths: a new algorithm
//! and an experimental comparison"), from the end instead of from the start.
//!
//! The next best way from a cell is the best of: the way that the last one found continues with, made worse by one rank; and
//! the ways that were candidates before. So each further path touches the cells of one path only.

use super::graph::{Node, Trellis, Way};
use super::viterbi::Best;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A way from some cell to the end: an arc, then the way of this rank from where it leads.
#[derive(Clone, Copy, Debug)]
struct Tail {
    /// log2 weight of both.
    score: f64,
    way: Way,
    rank: usize,
}

/// Better ones are greater. Of equals, earlier arcs and lower ranks.
impl Ord for Tail {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |tail: &Self| Reverse((tail.way.arc, tail.way.to.t, tail.rank));
        self.score.total_cmp(&other.score).then_with(|| key(self).cmp(&key(other)))
    }
}

impl PartialOrd for Tail {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Tail {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Tail {}

/// What is known of a cell that some path asked for more than its best way.
#[derive(Default)]
struct Ranked {
    /// Best first.
    tails: Vec<Tail>,
    candidates: BinaryHeap<Tail>,
    /// There are no more.
    exhausted: bool,
}

/// The paths of a lattice that have a probability above zero, best first, each once.
///
/// O((T + U) (A + log k)) time and O(T + U) memory for the k-th, and 12 B a cell.
pub(in crate::lattice) struct KBest<'g, G> {
    graph: &'g G,
    best: Best,
    nodes: Vec<Ranked>,
    /// Of each cell, its place among the nodes, from 1; 0 for those that no path asked for more.
    places: Vec<u32>,
    /// Paths given so far.
    count: usize,
}

impl<G: Trellis> Iterator for KBest<'_, G> {
    type Item = Vec<Way>;

    fn next(&mut self) -> Option<Vec<Way>> {
        let path = match self.count {
            0 => self.best.path(self.graph)?,
            rank => self.extend().then(|| self.path(rank))??,
        };
        self.count += 1;
        Some(path)
    }
}

impl<'g, G: Trellis> KBest<'g, G> {
    pub fn of(graph: &'g G) -> Self {
        Self { graph, best: Best::of(graph), nodes: Vec::new(), places: vec![0; graph.cells()], count: 0 }
    }

    /// Finds one more way from the start. From the cells of the last one found, down to the first that has what is needed, and
    /// back: a recursion on the heap, as paths are thousands of cells long.
    fn extend(&mut self) -> bool {
        let mut chain = Vec::new();
        let mut node = Node::START;
        loop {
            let place = &mut self.places[self.graph.place(node)];
            if *place == 0 {
                self.nodes.push(Ranked::of(self.graph, &self.best, node));
                *place = self.nodes.len() as u32;
            }
            let ranked = &self.nodes[*place as usize - 1];
            let last = ranked.tails.last().copied().filter(|_| !ranked.exhausted);
            let Some(last) = last else { break };
            chain.push(last);
            if self.graph.is_end(last.way.to) || self.tail(last.way.to, last.rank + 1).is_some() {
                break;
            }
            node = last.way.to;
        }
        let mut found = false;
        for last in chain.into_iter().rev() {
            let next = self.tail(last.way.to, last.rank + 1);
            let next = next.map(|tail| Tail { score: last.way.weight + tail.score, rank: last.rank + 1, ..last });
            if let Some(place) = self.known(last.way.from) {
                let ranked = &mut self.nodes[place];
                ranked.candidates.extend(next);
                let tail = ranked.candidates.pop();
                found = tail.is_some();
                ranked.exhausted = !found;
                ranked.tails.extend(tail);
            }
        }
        found
    }

    /// A way of a cell that has been asked for more than its best one.
    fn tail(&self, node: Node, rank: usize) -> Option<Tail> {
        self.nodes[self.known(node)?].tails.get(rank).copied()
    }

    /// Where what is known of a cell stands.
    fn known(&self, node: Node) -> Option<usize> {
        if self.graph.is_end(node) { None } else { (self.places[self.graph.place(node)] as usize).checked_sub(1) }
    }

    /// A path that has been found.
    fn path(&self, rank: usize) -> Option<Vec<Way>> {
        let mut path = Vec::new();
        let (mut node, mut rank) = (Node::START, rank);
        while !self.graph.is_end(node) {
            let (way, onward) = match self.tail(node, rank) {
                Some(tail) => (tail.way, tail.rank),
                None => (self.best.way(self.graph, node)?, 0),
            };
            path.push(way);
            (node, rank) = (way.to, onward);
        }
        Some(path)
    }
}

impl Ranked {
    /// The best way from a cell, and the candidates for the second: the best of each other arc.
    fn of<G: Trellis>(graph: &G, best: &Best, node: Node) -> Self {
        let tail = |way: Way| Tail { score: best.through(graph, &way), way, rank: 0 };
        let mut candidates: BinaryHeap<Tail> = graph.ways(node).map(tail).filter(|tail| tail.score > f64::NEG_INFINITY).collect();
        Self { tails: candidates.pop().into_iter().collect(), candidates, exhausted: false }
    }
}
