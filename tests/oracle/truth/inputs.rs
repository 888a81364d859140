//! Inputs: the generator of burn's tests, and padded batches.

use super::{Head, Kind, Lattice};

/// sin((11 b + 7 t + 13 u + 3 v) / 10)
pub fn sine(b: usize, t: usize, u: usize, v: usize) -> f64 {
    ((11 * b + 7 * t + 13 * u + 3 * v) as f64 * 0.1).sin()
}

/// [`sine`] over [T, U1, V] of utterance `b`.
pub fn sines(b: usize, [frames, positions, channels]: [usize; 3]) -> Vec<f64> {
    let row = |i: usize| (0..channels).map(move |v| sine(b, i / positions, i % positions, v));
    (0..frames * positions).flat_map(row).collect()
}

/// A padded batch [N, T, U1, C] of which each utterance has a part: C channels, `targets` [N, U1 - 1].
pub struct Padded {
    pub shape: [usize; 4],
    pub input: Vec<f64>,
    pub targets: Vec<u32>,
    /// First frame and first label, `[N]`.
    pub begins: Vec<[usize; 2]>,
    /// Frames and labels from there, `[N]`.
    pub lengths: Vec<[usize; 2]>,
}

impl Padded {
    /// Flat index of a row of utterance `n`, by its own frames and positions.
    fn row(&self, n: usize, t: usize, u: usize) -> usize {
        let [_, frames, positions, channels] = self.shape;
        let [t0, u0] = self.begins[n];
        ((n * frames + t0 + t) * positions + u0 + u) * channels
    }

    /// One utterance, without padding.
    pub fn lattice(&self, n: usize, kind: &Kind) -> Lattice {
        let [_, _, positions, channels] = self.shape;
        let [frames, labels] = self.lengths[n];
        let rows = (0..frames).flat_map(|t| (0..=labels).map(move |u| (t, u)));
        let input = rows.flat_map(|(t, u)| &self.input[self.row(n, t, u)..][..channels]).copied().collect();
        let target = self.targets[n * (positions - 1) + self.begins[n][1]..][..labels].to_vec();
        Lattice::new(kind.clone(), [frames, channels - kind.durations], target, input)
    }

    /// Gradients of all utterances in the layout of the input; zero where no utterance is.
    pub fn scatter(&self, gradients: &[Vec<f64>]) -> Vec<f64> {
        let channels = self.shape[3];
        let mut padded = vec![0.0; self.input.len()];
        for (n, gradient) in gradients.iter().enumerate() {
            for (i, row) in gradient.chunks(channels).enumerate() {
                let positions = self.lengths[n][1] + 1;
                let to = self.row(n, i / positions, i % positions);
                padded[to..to + channels].copy_from_slice(row);
            }
        }
        padded
    }
}

/// Of [T, U1, V] only the blank and the next label, [T, U1, 2]; `none` where there is no next label.
pub fn gather(lattice: &Lattice, blank: u32, values: &[f64], none: f64) -> Vec<f64> {
    let positions = lattice.target.len() + 1;
    let rows = values.chunks(lattice.vocab).enumerate();
    rows.flat_map(|(i, row)| [row[blank as usize], lattice.target.get(i % positions).map_or(none, |&v| row[v as usize])]).collect()
}

/// The same RNN-T lattice over gathered log-probabilities: blank 0, all labels 1.
pub fn gathered(lattice: &Lattice, blank: u32) -> Lattice {
    let kind = Kind { head: Head::LogProbs, ..Kind::rnnt(0) };
    let input = gather(lattice, blank, &lattice.rows().log_probs, f64::NEG_INFINITY);
    Lattice::new(kind, [lattice.frames, 2], vec![1; lattice.target.len()], input)
}
