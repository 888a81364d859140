//! What the forward and backward variables say of all paths together.

use super::graph::{Graph, Node, Planes, Way};

/// An arc of a cell, given that a path is there.
pub(super) struct Turn {
    pub way: Way,
    /// Of all paths through the cell, the part that takes the arc: log2 of its probability.
    pub log2: f64,
}

impl<P: Planes> Graph<'_, P> {
    /// Probability that a path takes an arc of a cell.
    pub fn occupancy(&self, way: &Way) -> f64 {
        let before = self.planes.forward(way.from.t, way.from.u) - self.planes.total();
        // Variables are rounded: beyond 1 is 1.
        (before + way.weight + self.onward(way.to)).exp2().min(1.0)
    }

    /// How paths go on from a cell; probabilities sum to 1.
    pub fn turns(&self, from: Node, turns: &mut Vec<Turn>) {
        turns.clear();
        turns.extend(self.ways(from).map(|way| Turn { log2: way.weight + self.onward(way.to), way }));
        turns.retain(|turn| turn.log2 > f64::NEG_INFINITY);
        let peak = turns.iter().map(|turn| turn.log2).fold(f64::NEG_INFINITY, f64::max);
        let sum = peak + turns.iter().map(|turn| (turn.log2 - peak).exp2()).sum::<f64>().log2();
        turns.iter_mut().for_each(|turn| turn.log2 -= sum);
    }

    /// [T, U + 1, arcs].
    pub fn occupancies(&self) -> Vec<f64> {
        let arcs = self.arcs.count();
        let mut occupancies = vec![0.0; self.cells() * arcs];
        for (node, occupancies) in self.nodes().zip(occupancies.chunks_exact_mut(arcs)) {
            if self.is_visited(node) {
                for way in self.ways(node) {
                    occupancies[way.arc] += self.occupancy(&way);
                }
            }
        }
        occupancies
    }

    /// Whether paths come by with a probability that f64 tells from 0: most cells of a trained model need no further look.
    fn is_visited(&self, node: Node) -> bool {
        let through = self.planes.forward(node.t, node.u) + self.planes.backward(node.t, node.u);
        through - self.planes.total() > -1075.0
    }

    /// Of the paths, in nats: the entropy of each turn, by the chain rule. (Cost and weights would cancel.)
    pub fn entropy(&self) -> f64 {
        let mut turns = Vec::new();
        let mut bits = 0.0;
        for node in self.nodes().filter(|&node| self.is_visited(node)) {
            self.turns(node, &mut turns);
            if turns.len() > 1 {
                bits -= turns.iter().map(|turn| self.occupancy(&turn.way) * turn.log2).sum::<f64>();
            }
        }
        bits * std::f64::consts::LN_2
    }

    /// Mean frame of each label, [U].
    pub fn expected_frames(&self) -> Vec<f64> {
        // Mass and moment; divided, because rounded probabilities of many frames need not sum to 1.
        let mut sums = vec![(0.0, 0.0); self.labels];
        for node in self.nodes().filter(|&node| node.u < self.labels && self.is_visited(node)) {
            for way in self.ways(node).filter(|way| self.labels_of(way) == 1) {
                let occupancy = self.occupancy(&way);
                let (mass, moment) = &mut sums[node.u];
                *mass += occupancy;
                *moment += occupancy * node.t as f64;
            }
        }
        sums.into_iter().map(|(mass, moment)| moment / mass).collect()
    }
}
