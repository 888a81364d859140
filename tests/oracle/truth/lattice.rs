//! One utterance of one kind.

use super::rows::log_sum;
use super::{Arc, Edge, Exit, Graph, Kind, Paths, Pull, Reshape, Rows, Sweep, Token};

/// An end-of-sentence label that should not come late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eos {
    pub symbol: u32,
    pub penalty: f64,
}

/// Whether limits `[first, last]`, if there are any, allow `x` at `i`.
fn within(limits: &Option<Vec<[usize; 2]>>, i: usize, x: usize) -> bool {
    limits.as_ref().is_none_or(|all| (all[i][0]..=all[i][1]).contains(&x))
}

/// One utterance, without padding.
#[derive(Clone, Debug)]
pub struct Lattice {
    pub kind: Kind,
    pub frames: usize,
    pub vocab: usize,
    pub target: Vec<u32>,
    /// [T, U + 1, V + durations].
    pub input: Vec<f64>,
    /// lambda ((T - 1) / 2 - t) is added to every arc that takes a label at frame t.
    pub delay: f64,
    /// The same for the arcs that emit this label, on top.
    pub eos: Option<Eos>,
    /// Labels that may be out after 0..=T frames, `[first, last]` each: cells that nothing else leads to, or reads.
    pub bands: Option<Vec<[usize; 2]>>,
    /// Frames at which each label may be emitted, `[first, last]` each.
    pub windows: Option<Vec<[usize; 2]>>,
    /// Weight in the cost of the mean expected frame of the labels.
    pub latency: f64,
}

/// Cost and gradient.
#[derive(Clone, Debug)]
pub struct Solution {
    /// -log P(target), in nats.
    pub cost: f64,
    /// By the input.
    pub gradient: Vec<f64>,
    /// By the log-probabilities.
    pub by_log_probs: Vec<f64>,
}

impl Lattice {
    pub fn new(kind: Kind, [frames, vocab]: [usize; 2], target: Vec<u32>, input: Vec<f64>) -> Self {
        let lattice = Self { kind, frames, vocab, target, input, delay: 0.0, eos: None, bands: None, windows: None, latency: 0.0 };
        assert_eq!(lattice.input.len(), frames * lattice.positions() * lattice.channels(), "the input has another shape");
        lattice
    }

    fn positions(&self) -> usize {
        self.target.len() + 1
    }

    fn channels(&self) -> usize {
        self.vocab + self.kind.durations
    }

    pub fn rows(&self) -> Rows {
        Rows::new(&self.input, self.kind.head, self.vocab, self.kind.durations)
    }

    /// The node of a cell.
    fn cell(&self, t: usize, u: usize) -> usize {
        t * self.positions() + u
    }

    /// The node (T, U). An utterance without frames has it too, out of reach.
    fn terminal(&self) -> usize {
        (self.frames * self.positions()).max(1)
    }

    /// All edges.
    pub fn graph(&self) -> Graph {
        self.graph_of(&self.rows())
    }

    fn graph_of(&self, rows: &Rows) -> Graph {
        let mut edges = Vec::new();
        for t in 0..self.frames {
            for u in 0..self.positions() {
                let arcs = self.kind.arcs.iter().enumerate();
                edges.extend(arcs.filter_map(|(i, arc)| self.edge(rows, (t, u), i, arc)));
            }
        }
        self.entries_and_exits(&mut edges);
        Graph::new(self.terminal() + 1, 0, self.terminal(), edges)
    }

    /// An arc at a cell, if it leads anywhere.
    fn edge(&self, rows: &Rows, (t, u): (usize, usize), index: usize, arc: &Arc) -> Option<Edge> {
        let (to_t, to_u) = (t + arc.frames, u + arc.labels);
        let to = match to_t < self.frames {
            true if to_u < self.positions() => self.cell(to_t, to_u),
            false if arc.ends && to_t == self.frames && to_u + 1 == self.positions() => self.terminal(),
            _ => return None,
        };
        let emits = (arc.labels == 1).then_some(u);
        let reads_there = arc.then.is_none() || within(&self.bands, t, to_u);
        if !(within(&self.bands, to_t, to_u) && reads_there) || emits.is_some_and(|label| !within(&self.windows, label, t)) {
            return None;
        }
        let mut weight = arc.constant;
        let mut reads = Vec::new();
        self.token(arc.token, (t, u), &mut weight, &mut reads);
        if let Some(symbol) = arc.then {
            self.token(Token::Symbol(symbol), (t, to_u), &mut weight, &mut reads);
        }
        reads.extend(arc.duration.map(|channel| vec![self.cell(t, u) * self.channels() + self.vocab + channel]));
        if let Some(label) = emits {
            let earliness = (self.frames as f64 - 1.0) / 2.0 - t as f64;
            weight += self.delay * earliness;
            if let Some(eos) = self.eos.filter(|eos| arc.token == Token::Label && self.target[label] == eos.symbol) {
                weight += eos.penalty * earliness;
            }
        }
        weight += reads.iter().map(|read| log_sum(read.iter().map(|&i| rows.log_probs[i]))).sum::<f64>();
        Some(Edge { from: self.cell(t, u), to, arc: index, frame: t, emits, frames: arc.frames, weight, reads })
    }

    /// What a token adds to an arc: places it reads, or a constant.
    fn token(&self, token: Token, (t, u): (usize, usize), weight: &mut f64, reads: &mut Vec<Vec<usize>>) {
        let wildcard = self.kind.wildcard;
        let wild = |label: Option<&u32>| wildcard.is_some_and(|wildcard| label == Some(&wildcard.symbol));
        let place = |symbol: u32| self.cell(t, u) * self.channels() + symbol as usize;
        let read = match token {
            Token::None => return,
            Token::Symbol(_) if u > 0 && wild(self.target.get(u - 1)) => {
                *weight += wildcard.map_or(0.0, |wildcard| wildcard.stay);
                return;
            }
            Token::Label if wild(self.target.get(u)) => return,
            Token::Symbol(symbol) => vec![place(symbol)],
            Token::Label => vec![place(self.target[u])],
            Token::Others { blank } => {
                (0..self.vocab as u32).filter(|&v| v != blank && Some(&v) != self.target.get(u)).map(place).collect()
            }
        };
        *weight -= self.kind.sigma;
        reads.push(read);
    }

    fn entries_and_exits(&self, edges: &mut Vec<Edge>) {
        let arcs = self.kind.arcs.len();
        let labels = self.target.len();
        let plain = |from, to, arc, frame, frames, weight| Edge { from, to, arc, frame, emits: None, frames, weight, reads: Vec::new() };
        if let Some(weight) = self.kind.entry {
            let frames = (1..self.frames).filter(|&t| within(&self.bands, t, 0));
            edges.extend(frames.map(|t| plain(0, self.cell(t, 0), arcs, 0, t, weight)));
        }
        if let Some((weight, exit)) = self.kind.exit {
            for t in 0..self.frames.saturating_sub(1) {
                let (to, end) = match exit {
                    Exit::LastCell => (self.cell(self.frames - 1, labels), self.frames - 1),
                    Exit::Terminal => (self.terminal(), self.frames),
                };
                edges.push(plain(self.cell(t, labels), to, arcs + 1, t, end - t, weight));
            }
        }
    }

    /// Cost by walking every path.
    pub fn enumerate(&self) -> f64 {
        Paths::of(&self.graph()).cost
    }

    /// Cost and gradient by forward and backward variables.
    pub fn solve(&self) -> Solution {
        self.solve_with(&Reshape::default())
    }

    /// [`solve`](Self::solve), the gradient reshaped. By the log-probabilities it is neither clamped
    /// nor weighted.
    pub fn solve_with(&self, reshape: &Reshape) -> Solution {
        let rows = self.rows();
        let graph = self.graph_of(&rows);
        let sweep = Sweep::of(&graph);
        let labels = self.target.len();
        let each = if labels == 0 { 0.0 } else { self.latency / labels as f64 };
        let late: f64 = (0..labels).map(|label| sweep.expected_frame(label)).sum();
        let later = sweep.covariances(|edge| edge.emits.map_or(0.0, |_| edge.frame as f64));
        let pulls: Vec<f64> = sweep.occupancies().into_iter().zip(later).map(|(occupied, later)| each * later - occupied).collect();
        let pull = self.pull(&graph, &rows);
        let (gradient, by_log_probs) = (pull.by_input(&pulls, reshape), pull.by_log_probs(&pulls, reshape));
        Solution { cost: sweep.cost + each * late, gradient, by_log_probs }
    }

    pub fn pull<'a>(&self, graph: &'a Graph, rows: &'a Rows) -> Pull<'a> {
        Pull { graph, rows, tokens: self.vocab, channels: self.channels() }
    }

    /// Summed expected frames of all labels, and the gradient of that sum by the input.
    pub fn latency(&self) -> (f64, Vec<f64>) {
        let rows = self.rows();
        let graph = self.graph_of(&rows);
        let sweep = Sweep::of(&graph);
        let by_weights = sweep.covariances(|edge| edge.emits.map_or(0.0, |_| edge.frame as f64));
        let latency = (0..self.target.len()).map(|label| sweep.expected_frame(label)).sum();
        (latency, self.pull(&graph, &rows).by_input(&by_weights, &Reshape::default()))
    }
}
