//! Twins of `shaders/lattice/*.wgsl`.

use super::Call;
use super::parallel::for_each_chunk;
use crate::lattice::{RowParams, Status, SweepParams};

/// `LOG_ZERO` of `shaders/shared/log_math.wgsl`.
const LOG_ZERO: f32 = -1e30;

fn is_log_zero(x: f32) -> bool {
    x <= 0.5 * LOG_ZERO
}

fn log_add(a: f32, b: f32) -> f32 {
    let (high, low) = (a.max(b), a.min(b));
    (high + (1.0 + (low - high).exp()).ln()).max(LOG_ZERO)
}

fn is_unusable(x: f32) -> bool {
    x.is_nan() || x == f32::INFINITY
}

/// A logit that arithmetic may touch.
fn finite_logit(x: f32) -> f32 {
    if is_unusable(x) { 0.0 } else { x.clamp(LOG_ZERO, -LOG_ZERO) }
}

/// Frames, labels and targets of the batch: frames [N], labels [N], targets [N, U1 - 1].
#[derive(Clone, Copy)]
struct Lengths<'a> {
    words: &'a [u32],
    utterances: usize,
    positions: usize,
}

impl Lengths<'_> {
    fn frames(&self, n: usize) -> usize {
        self.words[n] as usize
    }

    fn labels(&self, n: usize) -> usize {
        self.words[self.utterances + n] as usize
    }

    fn label(&self, n: usize, u: usize) -> usize {
        self.words[2 * self.utterances + n * (self.positions - 1) + u] as usize
    }
}

/// Where the rows of a window lie.
struct Rows {
    p: RowParams,
    /// Cells of a plane.
    plane: usize,
}

struct Row {
    /// In the batch.
    utterance: usize,
    /// In the chunk.
    slot: usize,
    t: usize,
    u: usize,
    cell: usize,
}

impl Rows {
    fn new(p: RowParams) -> Self {
        Self { p, plane: (p.frames as usize + p.positions as usize - 1) * p.positions as usize }
    }

    fn locate(&self, row: usize) -> Row {
        let (frames, positions) = (self.p.frames as usize, self.p.positions as usize);
        let flat = self.p.first_row as usize + row;
        let (u, t, slot) = (flat % positions, flat / positions % frames, flat / positions / frames);
        Row { utterance: self.p.first_utterance as usize + slot, slot, t, u, cell: (t + u) * positions + u }
    }

    fn lengths<'a>(&self, words: &'a [u32]) -> Lengths<'a> {
        Lengths { words, utterances: self.p.utterances as usize, positions: self.p.positions as usize }
    }
}

/// What the row pass knows of a row: blank, label, normaliser, and whether a logit was unusable.
#[derive(Clone, Copy, Default)]
struct RowArcs {
    arcs: Option<[f32; 3]>,
    unusable: bool,
}

/// Twin of `shaders/lattice/row.wgsl`.
pub(super) fn row(call: &mut Call<'_>) {
    let rows = Rows::new(call.params());
    let p = rows.p;
    let vocab = p.vocab as usize;
    let logits: &[f32] = &call.read(1)[p.shift as usize..];
    let lengths = rows.lengths(call.read(2));
    let arcs: &mut [f32] = call.write(3);
    let results: &mut [u32] = call.write(4);
    // In parallel into a list, then into the planes: neighbours in a plane are not neighbours here.
    let mut found = vec![RowArcs::default(); p.rows as usize];
    let positions = p.positions as usize;
    for_each_chunk(&mut found, positions, |piece, found| {
        for (i, found) in found.iter_mut().enumerate() {
            let number = piece * positions + i;
            let at = rows.locate(number);
            let (frames, labels) = (lengths.frames(at.utterance), lengths.labels(at.utterance));
            if at.t < frames && at.u <= labels {
                let label = (at.u < labels).then(|| lengths.label(at.utterance, at.u));
                *found = row_arcs(&logits[number * vocab..][..vocab], p.blank as usize, label);
            }
        }
    });
    for (number, found) in found.iter().enumerate() {
        let at = rows.locate(number);
        if found.unusable {
            results[at.utterance] |= Status::NonFinite as u32;
        }
        for (plane, &value) in found.arcs.iter().flatten().enumerate() {
            arcs[(3 * at.slot + plane) * rows.plane + at.cell] = value;
        }
    }
}

fn row_arcs(logits: &[f32], blank: usize, label: Option<usize>) -> RowArcs {
    let unusable = logits.iter().any(|&x| is_unusable(x));
    let peak = logits.iter().fold(LOG_ZERO, |peak, &x| peak.max(finite_logit(x)));
    if is_log_zero(peak) {
        return RowArcs { arcs: Some([LOG_ZERO, LOG_ZERO, 0.0]), unusable };
    }
    let normaliser = peak + logits.iter().map(|&x| (finite_logit(x) - peak).exp()).sum::<f32>().ln();
    let log_prob = |v: usize| (finite_logit(logits[v]) - normaliser).max(LOG_ZERO);
    RowArcs { arcs: Some([log_prob(blank), label.map_or(LOG_ZERO, log_prob), normaliser]), unusable }
}

/// One utterance in one direction, in the mirrored coordinates of `shaders/lattice/sweep.wgsl`.
struct Walk {
    backward: bool,
    frames: usize,
    labels: usize,
    positions: usize,
}

impl Walk {
    fn cell(&self, k: usize, j: usize) -> usize {
        if self.backward { (self.frames + self.labels - 1 - k) * self.positions + self.labels - j } else { k * self.positions + j }
    }

    fn run(&self, blank: &[f32], label: &[f32], lattice: &mut [f32]) {
        let from = usize::from(!self.backward);
        let mut x = vec![LOG_ZERO; self.labels + 1];
        x[0] = 0.0;
        for k in 0..self.frames + self.labels {
            // From the last column down: the one before still holds the step before.
            for j in (k.saturating_sub(self.frames - 1)..=k.min(self.labels)).rev() {
                let stay = if self.backward || k > j { x[j] + blank[self.cell(k - from, j)] } else { x[j] };
                let come = if j > 0 { x[j - 1] + label[self.cell(k - from, j - from)] } else { LOG_ZERO };
                x[j] = log_add(stay, come);
                lattice[self.cell(k, j)] = x[j];
            }
        }
    }
}

/// Twin of `shaders/lattice/sweep.wgsl`.
pub(super) fn sweep(call: &mut Call<'_>) {
    let p: SweepParams = call.params();
    let lengths = Lengths { words: call.read(1), utterances: p.utterances as usize, positions: p.positions as usize };
    let arcs: &[f32] = call.read(2);
    let lattice: &mut [f32] = call.write(3);
    let results: &mut [u32] = call.write(4);
    let (directions, first) = (p.directions as usize, p.first_utterance as usize);
    let plane = (p.frames as usize + p.positions as usize - 1) * p.positions as usize;
    let walk = |slot: usize, backward| Walk {
        backward,
        frames: lengths.frames(first + slot),
        labels: lengths.labels(first + slot),
        positions: p.positions as usize,
    };
    let used = p.chunk as usize * directions * plane;
    for_each_chunk(&mut lattice[..used], plane, |number, lattice| {
        let slot = number / directions;
        let arcs = &arcs[3 * slot * plane..];
        let walk = walk(slot, number % directions == 1);
        if walk.frames > 0 {
            walk.run(&arcs[..plane], &arcs[plane..2 * plane], lattice);
        }
    });
    for slot in 0..p.chunk as usize {
        let walk = walk(slot, false);
        let mut status = results[first + slot];
        let mut cost = f32::INFINITY;
        if walk.frames == 0 {
            status = Status::Empty as u32;
        } else {
            let last = walk.cell(walk.frames + walk.labels - 1, walk.labels);
            let total = lattice[directions * slot * plane + last] + arcs[3 * slot * plane + last];
            if status == Status::NonFinite as u32 {
                cost = f32::NAN;
            } else if is_log_zero(total) {
                status = Status::Infeasible as u32;
            } else {
                cost = -total;
            }
        }
        results[first + slot] = status;
        results[p.utterances as usize + first + slot] = cost.to_bits();
    }
}

/// Twin of `shaders/lattice/gradient.wgsl`.
pub(super) fn gradient(call: &mut Call<'_>) {
    let rows = Rows::new(call.params());
    let p = rows.p;
    let vocab = p.vocab as usize;
    let logits: &[f32] = &call.read(1)[p.shift as usize..];
    let lengths = rows.lengths(call.read(2));
    let arcs: &[f32] = call.read(3);
    let lattice: &[f32] = call.read(4);
    let results: &[u32] = call.read(5);
    let gradients: &mut [f32] = call.write(6);
    let gradients = &mut gradients[p.shift as usize..][..p.rows as usize * vocab];
    for_each_chunk(gradients, vocab, |number, gradients| {
        let at = rows.locate(number);
        let (frames, labels) = (lengths.frames(at.utterance), lengths.labels(at.utterance));
        if at.t >= frames || at.u > labels || results[at.utterance] != Status::Ok as u32 {
            return gradients.fill(0.0);
        }
        let arcs = |plane: usize| arcs[(3 * at.slot + plane) * rows.plane + at.cell];
        let forward = lattice[2 * at.slot * rows.plane + at.cell];
        let backward = |step: usize| lattice[(2 * at.slot + 1) * rows.plane + at.cell + step];
        let cost = f32::from_bits(results[p.utterances as usize + at.utterance]);
        let next = p.positions as usize;
        let after_blank = if at.t + 1 < frames {
            backward(next)
        } else if at.u == labels {
            0.0
        } else {
            LOG_ZERO
        };
        let occupied_blank = ((forward + after_blank) + (arcs(0) + cost)).exp();
        let (mut label, mut occupied_label) = (vocab, 0.0);
        if at.u < labels {
            label = lengths.label(at.utterance, at.u);
            occupied_label = ((forward + backward(next + 1)) + (arcs(1) + cost)).exp();
        }
        let occupied = occupied_blank + occupied_label;
        if occupied <= 0.0 {
            return gradients.fill(0.0);
        }
        let normaliser = arcs(2);
        for (v, (gradient, &x)) in gradients.iter_mut().zip(&logits[number * vocab..]).enumerate() {
            let p_v = (finite_logit(x) - normaliser).exp();
            *gradient = if v == p.blank as usize {
                occupied_label * p_v - occupied_blank * (1.0 - p_v)
            } else if v == label {
                occupied_blank * p_v - occupied_label * (1.0 - p_v)
            } else {
                occupied * p_v
            };
        }
    });
}
