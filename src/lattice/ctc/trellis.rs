//! The lattice of one utterance, in f64 on the host.

use crate::lattice::align::{Node, Trellis, Way, weight_log2};

/// Frames by states. Node t of 1..=T and u of 0..=2 U is state u in frame t - 1; the start comes before them, and T + 1 is the end.
/// An arc weighs what the state that it leaves emits.
pub(super) struct CtcTrellis {
    frames: usize,
    states: usize,
    /// Whether a label may be followed by the next one at once, [U].
    skips: Vec<bool>,
    /// log2 of the probabilities of what states emit, [T, 2 U + 1].
    emissions: Vec<f64>,
    /// By places.
    forward: Vec<f64>,
    backward: Vec<f64>,
}

/// The weights of one utterance, in words.
pub(super) struct Words<'a> {
    /// Of labels, `stride` a frame.
    pub labels: &'a [u32],
    pub stride: usize,
    /// Of the blank and of something else, two a frame.
    pub frames: &'a [u32],
}

impl CtcTrellis {
    pub fn new(target: &[u32], words: &Words<'_>) -> Self {
        let states = 2 * target.len() + 1;
        let frames = words.frames.len() / 2;
        let mut emissions = vec![0.0; frames * states];
        for (t, row) in emissions.chunks_exact_mut(states).enumerate() {
            let blank = weight_log2(words.frames[2 * t]);
            for (s, x) in row.iter_mut().enumerate() {
                *x = if s % 2 == 0 { blank } else { weight_log2(words.labels[t * words.stride + s / 2]) };
            }
        }
        let skips = target.iter().zip(&target[1.min(target.len())..]).map(|(label, next)| label != next).chain([false]).collect();
        let mut trellis = Self { frames, states, skips, emissions, forward: Vec::new(), backward: Vec::new() };
        (trellis.forward, trellis.backward) = (trellis.sweep_forward(), trellis.sweep_backward());
        trellis
    }

    fn sweep_forward(&self) -> Vec<f64> {
        let mut forward = vec![f64::NEG_INFINITY; self.cells()];
        forward[0] = 0.0;
        for node in self.nodes() {
            let before = forward[self.place(node)];
            for way in self.ways(node).filter(|way| !self.is_end(way.to)) {
                let to = &mut forward[self.place(way.to)];
                *to = log2_add(*to, before + way.weight);
            }
        }
        forward
    }

    fn sweep_backward(&self) -> Vec<f64> {
        let mut backward = vec![f64::NEG_INFINITY; self.cells()];
        for node in self.nodes().rev() {
            let after = |way: &Way| way.weight + if self.is_end(way.to) { 0.0 } else { backward[self.place(way.to)] };
            backward[self.place(node)] = self.ways(node).fold(f64::NEG_INFINITY, |sum, way| log2_add(sum, after(&way)));
        }
        backward
    }

    /// T, 2 U + 1.
    pub fn sides(&self) -> [usize; 2] {
        [self.frames, self.states]
    }

    /// Posterior probability of a state in a frame.
    pub fn posterior(&self, t: usize, state: usize) -> f64 {
        let node = Node { t: t + 1, u: state };
        (self.forward(node) + self.backward(node) - self.total()).exp2().min(1.0)
    }

    /// States and frames that an arc from a node may lead to: from, below.
    fn moves(&self, from: Node) -> (usize, usize) {
        if from.t == 0 {
            return (0, self.states.min(2));
        }
        let skips = from.u % 2 == 1 && self.skips[from.u / 2];
        (from.u, (from.u + if skips { 3 } else { 2 }).min(self.states))
    }
}

impl Trellis for CtcTrellis {
    fn cells(&self) -> usize {
        1 + self.frames * self.states
    }

    fn place(&self, node: Node) -> usize {
        if node.t == 0 { 0 } else { 1 + (node.t - 1) * self.states + node.u }
    }

    fn is_end(&self, node: Node) -> bool {
        node.t == self.frames + 1
    }

    fn nodes(&self) -> impl DoubleEndedIterator<Item = Node> {
        std::iter::once(Node::START).chain((1..=self.frames).flat_map(|t| (0..self.states).map(move |u| Node { t, u })))
    }

    fn ways(&self, from: Node) -> impl Iterator<Item = Way> {
        let weight = if from.t == 0 { 0.0 } else { self.emissions[self.place(from) - 1] };
        // The end is one node, to which the last two states lead; without frames the start, if there is nothing to say.
        let ends = from.t == self.frames;
        let leaves = from.u + 2 >= self.states && (from.t > 0 || self.states == 1);
        let (first, end) = if ends { (0, usize::from(leaves)) } else { self.moves(from) };
        // Those that move on come first: of paths as good as each other it is theirs that is best.
        let ways = (first..end).rev().map(move |u| Way { from, arc: u - first, weight, to: Node { t: from.t + 1, u } });
        ways.filter(move |_| weight > f64::NEG_INFINITY)
    }

    fn forward(&self, node: Node) -> f64 {
        self.forward[self.place(node)]
    }

    fn backward(&self, node: Node) -> f64 {
        self.backward[self.place(node)]
    }

    fn total(&self) -> f64 {
        self.backward[0]
    }
}

fn log2_add(a: f64, b: f64) -> f64 {
    let (high, low) = (a.max(b), a.min(b));
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp2().ln_1p() * std::f64::consts::LOG2_E }
}
