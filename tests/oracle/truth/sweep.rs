//! Forward and backward variables, and what follows from them.

use super::{Edge, Graph, log_add};

/// A swept graph.
pub struct Sweep<'a> {
    graph: &'a Graph,
    /// log of the summed weight of all ways from the start to each node.
    pub forward: Vec<f64>,
    /// ... and from there to the end.
    pub backward: Vec<f64>,
    /// +inf where no path has any probability.
    pub cost: f64,
}

impl<'a> Sweep<'a> {
    pub fn of(graph: &'a Graph) -> Self {
        let mut forward = vec![f64::NEG_INFINITY; graph.nodes];
        forward[graph.start] = 0.0;
        for edge in &graph.edges {
            forward[edge.to] = log_add(forward[edge.to], forward[edge.from] + edge.weight);
        }
        let mut backward = vec![f64::NEG_INFINITY; graph.nodes];
        backward[graph.end] = 0.0;
        for edge in graph.edges.iter().rev() {
            backward[edge.from] = log_add(backward[edge.from], edge.weight + backward[edge.to]);
        }
        let cost = -backward[graph.start];
        Self { graph, forward, backward, cost }
    }

    /// How often each edge is taken; zero throughout where the cost is not finite.
    pub fn occupancies(&self) -> Vec<f64> {
        let of = |edge: &Edge| (self.forward[edge.from] + edge.weight + self.backward[edge.to] + self.cost).exp();
        self.graph.edges.iter().map(|edge| if self.cost.is_finite() { of(edge) } else { 0.0 }).collect()
    }

    /// Of the paths, in nats; 0 where there are none.
    pub fn entropy(&self) -> f64 {
        let taken = self.occupancies().into_iter().zip(&self.graph.edges).filter(|&(occupied, _)| occupied > 0.0);
        let scores: f64 = taken.map(|(occupied, edge)| occupied * edge.weight).sum();
        if self.cost.is_finite() { -self.cost - scores } else { 0.0 }
    }

    /// Expected frame of the label at this position.
    pub fn expected_frame(&self, label: usize) -> f64 {
        let edges = self.occupancies().into_iter().zip(&self.graph.edges);
        edges.filter(|(_, edge)| edge.emits == Some(label)).map(|(occupied, edge)| occupied * edge.frame as f64).sum()
    }

    /// Derivative of the expectation of a path's summed values by each edge's weight: the covariance
    /// of that sum with whether the edge is taken.
    pub fn covariances(&self, value: impl Fn(&Edge) -> f64) -> Vec<f64> {
        let graph = self.graph;
        // Means over the ways to a node, and from it on.
        let (mut before, mut after) = (vec![0.0; graph.nodes], vec![0.0; graph.nodes]);
        for edge in &graph.edges {
            let share = (self.forward[edge.from] + edge.weight - self.forward[edge.to]).exp();
            if share > 0.0 {
                before[edge.to] += share * (before[edge.from] + value(edge));
            }
        }
        for edge in graph.edges.iter().rev() {
            let share = (edge.weight + self.backward[edge.to] - self.backward[edge.from]).exp();
            if share > 0.0 {
                after[edge.from] += share * (value(edge) + after[edge.to]);
            }
        }
        let mean = after[graph.start];
        let edges = self.occupancies().into_iter().zip(&graph.edges);
        let given = |edge: &Edge| before[edge.from] + value(edge) + after[edge.to];
        edges.map(|(occupied, edge)| if occupied > 0.0 { occupied * (given(edge) - mean) } else { 0.0 }).collect()
    }
}
