//! Connectionist temporal classification (Graves et al. 2006): frame-synchronous over 2U + 1 states.

use super::{Edge, Graph, Head, Path, Pull, Reshape, Rows, Solution, Sweep};

/// One utterance, without padding.
#[derive(Clone, Debug)]
pub struct Ctc {
    pub blank: u32,
    pub head: Head,
    pub frames: usize,
    pub vocab: usize,
    pub target: Vec<u32>,
    /// [T, V].
    pub input: Vec<f64>,
}

/// Frames of a label in an alignment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub first: usize,
    pub frames: usize,
}

impl Ctc {
    pub fn new(blank: u32, [frames, vocab]: [usize; 2], target: Vec<u32>, input: Vec<f64>) -> Self {
        assert_eq!(input.len(), frames * vocab, "the input has another shape");
        Self { blank, head: Head::Softmax, frames, vocab, target, input }
    }

    pub fn states(&self) -> usize {
        2 * self.target.len() + 1
    }

    /// Blanks stand at even states, labels at odd ones.
    pub fn symbol(&self, state: usize) -> u32 {
        if state.is_multiple_of(2) { self.blank } else { self.target[state / 2] }
    }

    pub fn rows(&self) -> Rows {
        Rows::new(&self.input, self.head, self.vocab, 0)
    }

    pub fn graph(&self) -> Graph {
        self.graph_of(&self.rows())
    }

    fn graph_of(&self, rows: &Rows) -> Graph {
        let states = self.states();
        let node = |t: usize, s: usize| 1 + t * states + s;
        let end = 1 + self.frames * states;
        let step = |from: usize, before: Option<usize>, t: usize, s: usize| {
            let place = t * self.vocab + self.symbol(s) as usize;
            let emits = (s % 2 == 1 && before != Some(s)).then_some(s / 2);
            Edge { from, to: node(t, s), arc: 0, frame: t, emits, frames: 1, weight: rows.log_probs[place], reads: vec![vec![place]] }
        };
        let finish = |from| Edge { from, to: end, arc: 1, frame: self.frames, emits: None, frames: 0, weight: 0.0, reads: Vec::new() };
        let mut edges = Vec::new();
        if self.frames == 0 {
            edges.extend(self.target.is_empty().then(|| finish(0)));
            return Graph::new(end + 1, 0, end, edges);
        }
        edges.extend((0..states.min(2)).map(|s| step(0, None, 0, s)));
        for t in 1..self.frames {
            for s in 0..states {
                let skips = s % 2 == 1 && s + 2 < states && self.symbol(s) != self.symbol(s + 2);
                let next = [Some(s), Some(s + 1).filter(|&s| s < states), skips.then_some(s + 2)];
                edges.extend(next.into_iter().flatten().map(|to| step(node(t - 1, s), Some(s), t, to)));
            }
        }
        edges.extend((states.saturating_sub(2)..states).map(|s| finish(node(self.frames - 1, s))));
        Graph::new(end + 1, 0, end, edges)
    }

    /// Cost by trying every string of T symbols.
    pub fn enumerate(&self) -> f64 {
        let rows = self.rows();
        let strings = self.vocab.pow(self.frames as u32);
        let probability = |string: usize| {
            let symbols: Vec<u32> = (0..self.frames as u32).map(|t| (string / self.vocab.pow(t) % self.vocab) as u32).collect();
            let places = symbols.iter().enumerate().map(|(t, &v)| t * self.vocab + v as usize);
            let probability: f64 = places.map(|i| rows.log_probs[i].exp()).product();
            if self.collapse(&symbols) == self.target { probability } else { 0.0 }
        };
        -(0..strings).map(probability).sum::<f64>().ln()
    }

    /// Repeats merged, then blanks dropped.
    fn collapse(&self, symbols: &[u32]) -> Vec<u32> {
        let mut merged = symbols.to_vec();
        merged.dedup();
        merged.retain(|&symbol| symbol != self.blank);
        merged
    }

    /// Cost and gradient by forward and backward variables.
    pub fn solve(&self) -> Solution {
        let rows = self.rows();
        let graph = self.graph_of(&rows);
        let sweep = Sweep::of(&graph);
        let pulls: Vec<f64> = sweep.occupancies().into_iter().map(|occupied| -occupied).collect();
        let pull = Pull { graph: &graph, rows: &rows, tokens: self.vocab, channels: self.vocab };
        let plain = Reshape::default();
        Solution { cost: sweep.cost, gradient: pull.by_input(&pulls, &plain), by_log_probs: pull.by_log_probs(&pulls, &plain) }
    }

    /// Frames of each label along a path.
    pub fn spans(&self, graph: &Graph, path: &Path) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for edge in path.edges.iter().map(|&e| &graph.edges[e]).filter(|edge| edge.arc == 0) {
            let on_label = (edge.to - 1) % self.states() % 2 == 1;
            match (edge.emits, spans.last_mut()) {
                (Some(_), _) => spans.push(Span { first: edge.frame, frames: 1 }),
                (None, Some(span)) if on_label => span.frames += 1,
                _ => {}
            }
        }
        spans
    }
}
