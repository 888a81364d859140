//! Twin of `shaders/lattice/arcs_latency.wgsl`.

use super::super::lattice::{Log2, Utterance};
use super::{Exit, Kind, anchor_at, arc_log2, beside_band, cell_at, word_at};
use crate::cpu::call::Call;
use crate::cpu::parallel::map_all;
use crate::cpu::scaled::LOG2_NEVER;
use crate::cpu::status::OK;
use crate::device::shader::LatticeArcsLatencyParams as Params;

/// By how many frames a label is late that is emitted in (t, u), against labels spread evenly.
pub(super) fn lateness(utterance: &Utterance<'_>, t: usize, u: usize) -> f32 {
    let each = utterance.frames as f32 / utterance.labels.max(1) as f32;
    t as f32 + 0.5 - (u as f32 + 0.5) * each
}

pub(in crate::cpu) fn latency(call: &mut Call<'_>) {
    let (p, bands): (Params, bool) = (call.params(), call.has_flag("bands"));
    let batch: &[u32] = call.read(1);
    let arcs: &[u32] = call.read(2);
    let anchors: &[i32] = call.read(3);
    let lattice: &mut [f32] = call.write(4);
    let results: &mut [u32] = call.write(5);
    let directions = p.directions as usize;
    let plane = p.places as usize + 1;
    let (variables, means) = lattice.split_at_mut(2 * plane);
    let utterance = |n: usize| Utterance::new(batch, n).with_bands(bands);
    let walker = |n: usize| Walker { p: &p, utterance: utterance(n), kind: Kind::of(batch, n), arcs, anchors, variables };
    let walks = map_all(p.count as usize * directions, |number| {
        let walker = walker(p.first_utterance as usize + number / directions);
        if number % directions == 0 { walker.onward() } else { walker.so_far() }
    });
    for (number, walk) in walks.iter().enumerate() {
        let (n, direction) = (p.first_utterance as usize + number / directions, number % directions);
        let Walker { utterance, kind, .. } = walker(n);
        for (place, &mean) in walk.iter().enumerate() {
            let (t, u) = (place / utterance.columns(), place % utterance.columns());
            if !bands || utterance.allows(t, u) {
                means[direction * plane + cell_at(&utterance, t, u)] = mean;
            }
        }
        if bands {
            means[direction * plane + beside_band(&utterance)] = 0.0;
        }
        if direction == 0 && utterance.labels > 0 && results[n] == OK {
            let late = walk[0] / utterance.labels as f32;
            let latency = late + 0.5 * (utterance.frames as f32 - 1.0);
            let cost = &mut results[p.utterances as usize + n];
            *cost = (f32::from_bits(*cost) + kind.latency * latency).to_bits();
        }
    }
}

/// One utterance; its means lie frame by frame.
struct Walker<'a> {
    p: &'a Params,
    utterance: Utterance<'a>,
    kind: Kind,
    arcs: &'a [u32],
    anchors: &'a [i32],
    variables: &'a [f32],
}

/// Shares and what they bring.
#[derive(Default)]
struct Mean {
    shares: f32,
    sum: f32,
}

impl Mean {
    fn add(&mut self, share: f32, value: f32) {
        self.shares += share;
        self.sum += share * value;
    }

    /// Rounded shares need not sum to 1.
    fn get(&self) -> f32 {
        if self.shares > 0.0 { self.sum / self.shares.max(1e-37) } else { 0.0 }
    }
}

/// What an arc of log2 weight w from or to another cell brings to a variable.
fn share(whole: Log2, w: f32, other: Log2) -> f32 {
    ((other.e.wrapping_sub(whole.e)) as f32 + (w + (other.x - whole.x))).clamp(-1e4, 1.0).exp2()
}

impl Walker<'_> {
    fn forward(&self, t: usize, u: usize) -> Log2 {
        Log2 { e: self.anchors[anchor_at(&self.utterance, false, t, u)], x: self.variables[cell_at(&self.utterance, t, u)] }
    }

    fn backward(&self, t: usize, u: usize) -> Log2 {
        let Self { p, utterance, .. } = self;
        let anchor = anchor_at(utterance, true, t, u);
        Log2 { e: self.anchors[p.anchors as usize + 1 + anchor], x: self.variables[p.places as usize + 1 + cell_at(utterance, t, u)] }
    }

    fn weight(&self, t: usize, u: usize, arc: usize) -> f32 {
        arc_log2(self.arcs[word_at(self.p.places, cell_at(&self.utterance, t, u), arc)])
    }

    fn onward(&self) -> Vec<f32> {
        let (frames, labels) = (self.utterance.frames, self.utterance.labels);
        let mut means = vec![0.0; frames * (labels + 1)];
        for (t, u) in (0..frames).rev().flat_map(|t| (0..=labels).rev().map(move |u| (t, u))) {
            let whole = self.backward(t, u);
            let mut mean = Mean::default();
            for (a, arc) in self.kind.arcs.iter().enumerate() {
                let (to_t, to_u) = (t + arc.frames, u + arc.labels);
                let late = if arc.labels == 1 { lateness(&self.utterance, t, u) } else { 0.0 };
                if to_t < frames && to_u <= labels {
                    let after: f32 = means[to_t * (labels + 1) + to_u];
                    mean.add(share(whole, self.weight(t, u, a), self.backward(to_t, to_u)), late + after);
                } else if arc.may_end && (to_t, to_u) == (frames, labels) {
                    mean.add(share(whole, self.weight(t, u, a), Log2 { e: 0, x: 0.0 }), late);
                }
            }
            if self.kind.entry > LOG2_NEVER && (t, u) == (0, 0) {
                for t in 1..frames {
                    mean.add(share(whole, self.kind.entry, self.backward(t, 0)), means[t * (labels + 1)]);
                }
            }
            means[t * (labels + 1) + u] = mean.get();
        }
        means
    }

    fn so_far(&self) -> Vec<f32> {
        let (frames, labels) = (self.utterance.frames, self.utterance.labels);
        let mut means: Vec<f32> = vec![0.0; frames * (labels + 1)];
        for (t, u) in (0..frames).flat_map(|t| (0..=labels).map(move |u| (t, u))) {
            let whole = self.forward(t, u);
            let mut mean = Mean::default();
            for (a, arc) in self.kind.arcs.iter().enumerate() {
                if let (Some(t), Some(u)) = (t.checked_sub(arc.frames), u.checked_sub(arc.labels)) {
                    let late = if arc.labels == 1 { lateness(&self.utterance, t, u) } else { 0.0 };
                    mean.add(share(whole, self.weight(t, u, a), self.forward(t, u)), means[t * (labels + 1) + u] + late);
                }
            }
            if self.kind.exit_to == Exit::LastFrame && u == labels && t + 1 == frames {
                // Cells outside of a band have no way on, exits neither.
                for t in (0..t).filter(|&t| self.backward(t, u).x >= LOG2_NEVER) {
                    mean.add(share(whole, self.kind.exit, self.forward(t, u)), means[t * (labels + 1) + u]);
                }
            }
            means[t * (labels + 1) + u] = mean.get();
        }
        means
    }
}
