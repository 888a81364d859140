//! What the loss must be, in f64 and without any cleverness: the sum over all paths by enumeration,
//! and a forward-backward for lattices that have too many of them.

/// One utterance, without padding.
pub struct Utterance {
    /// [T, U + 1, V].
    pub logits: Vec<f64>,
    pub frames: usize,
    pub vocab: usize,
    pub target: Vec<u32>,
    pub blank: u32,
}

/// Cost and its gradient by the logits [T, U + 1, V].
pub struct Solution {
    pub cost: f64,
    pub gradient: Vec<f64>,
}

impl Utterance {
    fn positions(&self) -> usize {
        self.target.len() + 1
    }

    fn row(&self, t: usize, u: usize) -> &[f64] {
        &self.logits[(t * self.positions() + u) * self.vocab..][..self.vocab]
    }

    /// log softmax(row)[v]; -inf throughout a row of -inf.
    fn log_prob(&self, t: usize, u: usize, v: u32) -> f64 {
        let row = self.row(t, u);
        let peak = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if peak == f64::NEG_INFINITY {
            return peak;
        }
        row[v as usize] - peak - row.iter().map(|x| (x - peak).exp()).sum::<f64>().ln()
    }

    fn blank_at(&self, t: usize, u: usize) -> f64 {
        self.log_prob(t, u, self.blank)
    }

    fn label_at(&self, t: usize, u: usize) -> f64 {
        self.target.get(u).map_or(f64::NEG_INFINITY, |&label| self.log_prob(t, u, label))
    }

    /// Cost by walking every path.
    pub fn enumerate(&self) -> f64 {
        fn probability(of: &Utterance, t: usize, u: usize) -> f64 {
            let last = t + 1 == of.frames;
            let mut sum = match (last, u == of.target.len()) {
                (true, true) => of.blank_at(t, u).exp(),
                (true, false) => 0.0,
                (false, _) => of.blank_at(t, u).exp() * probability(of, t + 1, u),
            };
            if u < of.target.len() {
                sum += of.label_at(t, u).exp() * probability(of, t, u + 1);
            }
            sum
        }
        if self.frames == 0 { f64::INFINITY } else { -probability(self, 0, 0).ln() }
    }

    /// Gradient of [`enumerate`](Self::enumerate) by central differences.
    pub fn differences(&mut self) -> Vec<f64> {
        const STEP: f64 = 1e-5;
        (0..self.logits.len())
            .map(|i| {
                let x = self.logits[i];
                self.logits[i] = x + STEP;
                let above = self.enumerate();
                self.logits[i] = x - STEP;
                let below = self.enumerate();
                self.logits[i] = x;
                (above - below) / (2.0 * STEP)
            })
            .collect()
    }

    /// Cost and gradient by forward and backward variables.
    pub fn solve(&self) -> Solution {
        let (frames, positions) = (self.frames, self.positions());
        let mut gradient = vec![0.0; self.logits.len()];
        if frames == 0 {
            return Solution { cost: f64::INFINITY, gradient };
        }
        let at = |t: usize, u: usize| t * positions + u;
        let cells = || (0..frames).flat_map(|t| (0..positions).map(move |u| (t, u)));
        let (mut blank, mut label) = (vec![0.0; frames * positions], vec![0.0; frames * positions]);
        for (t, u) in cells() {
            (blank[at(t, u)], label[at(t, u)]) = (self.blank_at(t, u), self.label_at(t, u));
        }
        let mut forward = vec![0.0; frames * positions];
        for (t, u) in cells().skip(1) {
            let stay = if t > 0 { forward[at(t - 1, u)] + blank[at(t - 1, u)] } else { f64::NEG_INFINITY };
            let come = if u > 0 { forward[at(t, u - 1)] + label[at(t, u - 1)] } else { f64::NEG_INFINITY };
            forward[at(t, u)] = log_add(stay, come);
        }
        // One frame and one position more than the lattice: log 0, but for the end.
        let mut backward = vec![f64::NEG_INFINITY; (frames + 1) * (positions + 1)];
        let after = |t: usize, u: usize| t * (positions + 1) + u;
        backward[after(frames, positions - 1)] = 0.0;
        for t in (0..frames).rev() {
            for u in (0..positions).rev() {
                let stay = blank[at(t, u)] + backward[after(t + 1, u)];
                let come = label[at(t, u)] + backward[after(t, u + 1)];
                backward[after(t, u)] = log_add(stay, come);
            }
        }
        let total = backward[0];
        if total == f64::NEG_INFINITY {
            return Solution { cost: f64::INFINITY, gradient };
        }
        for (t, u) in cells() {
            let stay = (forward[at(t, u)] + blank[at(t, u)] + backward[after(t + 1, u)] - total).exp();
            let come = (forward[at(t, u)] + label[at(t, u)] + backward[after(t, u + 1)] - total).exp();
            let label = self.target.get(u).copied();
            let row = &mut gradient[at(t, u) * self.vocab..][..self.vocab];
            if stay + come > 0.0 {
                scatter(row, |v| self.log_prob(t, u, v).exp(), (self.blank, stay), label.map(|label| (label, come)));
            }
        }
        Solution { cost: -total, gradient }
    }
}

/// d cost / d logits of a row, from the occupancies of its two arcs.
pub fn scatter(row: &mut [f64], softmax: impl Fn(u32) -> f64, blank: (u32, f64), label: Option<(u32, f64)>) {
    let occupied = blank.1 + label.map_or(0.0, |label| label.1);
    for (v, gradient) in row.iter_mut().enumerate() {
        *gradient = softmax(v as u32) * occupied;
    }
    for (v, occupied) in [Some(blank), label].into_iter().flatten() {
        row[v as usize] -= occupied;
    }
}

fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = (a.max(b), a.min(b));
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// The forward-backward against the enumeration and its differences: an oracle must earn its name.
#[test]
fn forward_backward_agrees_with_enumeration() {
    let mut numbers = crate::common::Lcg(1);
    for (frames, target, blank) in
        [(1, vec![], 0), (4, vec![], 2), (1, vec![1, 2, 1], 0), (4, vec![1, 2], 0), (3, vec![0, 0, 3], 2), (5, vec![2, 1, 3], 0)]
    {
        let vocab = 4;
        let logits = numbers.list(frames * (target.len() + 1) * vocab, 3.0).into_iter().map(f64::from).collect();
        let mut utterance = Utterance { logits, frames, vocab, target, blank };
        let solution = utterance.solve();
        assert!((solution.cost - utterance.enumerate()).abs() < 1e-12);
        for (exact, difference) in solution.gradient.iter().zip(utterance.differences()) {
            assert!((exact - difference).abs() < 1e-8, "{exact} {difference}");
        }
    }
}
