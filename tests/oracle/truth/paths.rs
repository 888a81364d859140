//! Every path, one by one.

use super::{Edge, Graph, rows::log_sum};

/// One alignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Sum of the weights of its edges, in nats.
    pub score: f64,
    /// Indices in [`Graph::edges`].
    pub edges: Vec<usize>,
}

impl Path {
    /// Frame and duration of each label, in order.
    pub fn labels(&self, graph: &Graph) -> Vec<(usize, usize)> {
        let labels = self.edges.iter().map(|&e| &graph.edges[e]).filter(|edge| edge.emits.is_some());
        labels.map(|edge| (edge.frame, edge.frames)).collect()
    }
}

/// All paths of more than zero probability, best first.
pub struct Paths {
    pub all: Vec<Path>,
    pub cost: f64,
}

impl Paths {
    pub fn of(graph: &Graph) -> Self {
        let mut all = Vec::new();
        walk(graph, graph.start, &mut Path { score: 0.0, edges: Vec::new() }, &mut all);
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
        let cost = -log_sum(all.iter().map(|path| path.score));
        Self { all, cost }
    }

    /// P(path | target).
    pub fn posterior(&self, path: &Path) -> f64 {
        (path.score + self.cost).exp()
    }

    /// Expectation over the paths of a sum over their edges.
    pub fn expect(&self, graph: &Graph, value: impl Fn(usize, &Edge) -> f64) -> f64 {
        let of = |path: &Path| path.edges.iter().map(|&e| value(e, &graph.edges[e])).sum::<f64>();
        self.all.iter().map(|path| self.posterior(path) * of(path)).sum()
    }

    /// How often each edge is taken.
    pub fn occupancies(&self, graph: &Graph) -> Vec<f64> {
        let mut occupancies = vec![0.0; graph.edges.len()];
        for path in &self.all {
            for &e in &path.edges {
                occupancies[e] += self.posterior(path);
            }
        }
        occupancies
    }

    /// Of the paths, in nats.
    pub fn entropy(&self) -> f64 {
        self.all.iter().map(|path| -self.posterior(path) * (path.score + self.cost)).sum()
    }

    /// Expected frame of the label at this position.
    pub fn expected_frame(&self, graph: &Graph, label: usize) -> f64 {
        self.expect(graph, |_, edge| if edge.emits == Some(label) { edge.frame as f64 } else { 0.0 })
    }
}

fn walk(graph: &Graph, node: usize, path: &mut Path, all: &mut Vec<Path>) {
    if node == graph.end {
        all.push(path.clone());
        return;
    }
    let first = graph.edges.partition_point(|edge| edge.from < node);
    for (e, edge) in graph.edges.iter().enumerate().skip(first).take_while(|(_, edge)| edge.from == node) {
        if edge.weight == f64::NEG_INFINITY {
            continue;
        }
        let score = path.score;
        path.score += edge.weight;
        path.edges.push(e);
        walk(graph, edge.to, path, all);
        path.edges.pop();
        path.score = score;
    }
}
