//! The best path, by dynamic programming from the end.

use super::graph::{Node, Trellis, Way};

/// log2 weights of the best way from each node to the end, in the order of their places; -inf where there is none. 8 B a node.
pub(in crate::lattice) struct Best(Vec<f64>);

impl Best {
    pub fn of<G: Trellis>(graph: &G) -> Self {
        let mut best = Self(vec![f64::NEG_INFINITY; graph.cells()]);
        for node in graph.nodes().rev() {
            let scores = graph.ways(node).map(|way| best.through(graph, &way));
            best.0[graph.place(node)] = scores.fold(f64::NEG_INFINITY, f64::max);
        }
        best
    }

    /// Weight of an arc and of the best way from where it leads.
    pub fn through<G: Trellis>(&self, graph: &G, way: &Way) -> f64 {
        way.weight + if graph.is_end(way.to) { 0.0 } else { self.0[graph.place(way.to)] }
    }

    /// What the best way from a cell begins with: of equally good arcs the first of the kind.
    pub fn way<G: Trellis>(&self, graph: &G, node: Node) -> Option<Way> {
        let score = self.0[graph.place(node)];
        graph.ways(node).find(|way| score > f64::NEG_INFINITY && self.through(graph, way) >= score)
    }

    /// The best path; `None` if no path has a probability above zero.
    pub fn path<G: Trellis>(&self, graph: &G) -> Option<Vec<Way>> {
        let mut path = Vec::new();
        let mut node = Node::START;
        while !graph.is_end(node) {
            let way = self.way(graph, node)?;
            path.push(way);
            node = way.to;
        }
        Some(path)
    }
}
