//! What the forward and backward variables say of all paths together.

use super::graph::{Graph, Node, Planes, Trellis, Way};

/// An arc of a node, given that a path is there.
pub(in crate::lattice) struct Turn {
    pub way: Way,
    /// Of all paths through the node, the part that takes the arc: log2 of its probability.
    pub log2: f64,
}

/// Probability that a path takes an arc.
pub(in crate::lattice) fn occupancy<G: Trellis>(graph: &G, way: &Way) -> f64 {
    let before = graph.forward(way.from) - graph.total();
    // Variables are rounded: beyond 1 is 1.
    (before + way.weight + graph.onward(way.to)).exp2().min(1.0)
}

/// How paths go on from a node; probabilities sum to 1.
pub(in crate::lattice) fn turns<G: Trellis>(graph: &G, from: Node, turns: &mut Vec<Turn>) {
    turns.clear();
    turns.extend(graph.ways(from).map(|way| Turn { log2: way.weight + graph.onward(way.to), way }));
    turns.retain(|turn| turn.log2 > f64::NEG_INFINITY);
    let peak = turns.iter().map(|turn| turn.log2).fold(f64::NEG_INFINITY, f64::max);
    let sum = peak + turns.iter().map(|turn| (turn.log2 - peak).exp2()).sum::<f64>().log2();
    turns.iter_mut().for_each(|turn| turn.log2 -= sum);
}

/// Whether paths come by with a probability that f64 tells from 0: most nodes of a trained model need no further look.
pub(in crate::lattice) fn is_visited<G: Trellis>(graph: &G, node: Node) -> bool {
    graph.forward(node) + graph.backward(node) - graph.total() > -1075.0
}

/// Of the paths, in nats: the entropy of each turn, by the chain rule. (Cost and weights would cancel.)
pub(in crate::lattice) fn entropy<G: Trellis>(graph: &G) -> f64 {
    let mut here = Vec::new();
    let mut bits = 0.0;
    for node in graph.nodes().filter(|&node| is_visited(graph, node)) {
        turns(graph, node, &mut here);
        if here.len() > 1 {
            bits -= here.iter().map(|turn| occupancy(graph, &turn.way) * turn.log2).sum::<f64>();
        }
    }
    bits * std::f64::consts::LN_2
}

/// log2 of the probability of a path among all, and of its weight.
pub(in crate::lattice) fn log2_of<G: Trellis>(graph: &G, path: &[Way]) -> (f64, f64) {
    let mut here = Vec::new();
    let mut posterior = 0.0;
    for way in path {
        turns(graph, way.from, &mut here);
        let turn = here.iter().find(|turn| (turn.way.arc, turn.way.to) == (way.arc, way.to));
        posterior += turn.map_or(f64::NEG_INFINITY, |turn| turn.log2);
    }
    // From the end, as the search for the best sums: the same rounding, hence the same order.
    (posterior, path.iter().rev().fold(0.0, |sum, way| way.weight + sum))
}

impl<P: Planes> Graph<'_, P> {
    /// [T, U + 1, arcs].
    pub fn occupancies(&self) -> Vec<f64> {
        let arcs = self.arcs.count();
        let mut occupancies = vec![0.0; self.cells() * arcs];
        for (node, occupancies) in self.nodes().zip(occupancies.chunks_exact_mut(arcs)) {
            if is_visited(self, node) {
                for way in self.ways(node) {
                    occupancies[way.arc] += occupancy(self, &way);
                }
            }
        }
        occupancies
    }

    /// Probability that a path goes through each cell, [T, U + 1].
    pub fn visits(&self) -> Vec<f64> {
        self.nodes().map(|node| (self.forward(node) + self.backward(node) - self.total()).exp2().min(1.0)).collect()
    }

    /// Whether every arc that emits a label takes a frame.
    pub fn labels_take_frames(&self) -> bool {
        self.arcs.steps.iter().all(|step| step.labels == 0 || step.frames > 0)
    }

    /// Mean frame of each label, [U].
    pub fn expected_frames(&self) -> Vec<f64> {
        // Mass and moment; divided, because rounded probabilities of many frames need not sum to 1.
        let mut sums = vec![(0.0, 0.0); self.labels];
        for node in self.nodes().filter(|&node| node.u < self.labels && is_visited(self, node)) {
            for way in self.ways(node).filter(|way| self.labels_of(way) == 1) {
                let occupancy = occupancy(self, &way);
                let (mass, moment) = &mut sums[node.u];
                *mass += occupancy;
                *moment += occupancy * node.t as f64;
            }
        }
        sums.into_iter().map(|(mass, moment)| moment / mass).collect()
    }
}
