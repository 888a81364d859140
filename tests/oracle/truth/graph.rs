//! A lattice laid out edge by edge.

/// One arc at one cell.
#[derive(Clone, Debug)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    /// Index in the arcs of the kind; an entry is one more than the last, an exit two more.
    pub arc: usize,
    /// Frame of the cell it leaves.
    pub frame: usize,
    /// Position of the label that it emits.
    pub emits: Option<usize>,
    /// Frames it takes.
    pub frames: usize,
    /// In nats.
    pub weight: f64,
    /// What the weight reads: of each list, the log of the summed probabilities at these places.
    pub reads: Vec<Vec<usize>>,
}

/// Edges in the order of the nodes they leave; every edge leads to a later node.
pub struct Graph {
    pub nodes: usize,
    pub start: usize,
    pub end: usize,
    pub edges: Vec<Edge>,
}

pub fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = (a.max(b), a.min(b));
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

impl Graph {
    pub fn new(nodes: usize, start: usize, end: usize, mut edges: Vec<Edge>) -> Self {
        assert!(edges.iter().all(|edge| edge.from < edge.to && edge.to < nodes), "an edge that leads nowhere, or back");
        edges.sort_by_key(|edge| edge.from);
        Self { nodes, start, end, edges }
    }
}
