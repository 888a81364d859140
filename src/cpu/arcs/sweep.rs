//! Twins of `shaders/lattice/arcs_sweep.wgsl` and of `arcs_short.wgsl`: the same recurrences, cell by cell.

use super::super::lattice::{Utterance, finish};
use super::{Exit, Kind, NEVER, anchor_at, arc_weight, beside_band, cell_at, word_at};
use crate::cpu::call::Call;
use crate::cpu::parallel::map_all;
use crate::cpu::scaled::{LOG2_NEVER, Scaled};
use crate::cpu::scores::LOG_ZERO;
use crate::device::shader::LatticeArcsSweepParams as Params;
use crate::lattice::CHUNK;

/// First anchor of what the sweep of short arcs leaves to the other one.
const LEFT: i32 = i32::MAX;

/// All utterances: this arithmetic leaves none.
pub(in crate::cpu) fn short(call: &mut Call<'_>) {
    walk(call, false);
}

pub(in crate::cpu) fn sweep(call: &mut Call<'_>) {
    let follows = call.constant("FOLLOWS") > 0.0;
    walk(call, follows);
}

/// Walks all utterances in all directions, or what was left.
fn walk(call: &mut Call<'_>, left: bool) {
    let (p, bands): (Params, bool) = (call.params(), call.has_flag("bands"));
    let batch: &[u32] = call.read(1);
    let words: &[u32] = call.read(2);
    let lattice: &mut [f32] = call.write(3);
    let anchors: &mut [i32] = call.write(4);
    let results: &mut [u32] = call.write(5);
    let directions = p.directions as usize;
    let utterance = |n: usize| Utterance::new(batch, n).with_bands(bands);
    let walker = |n: usize| Walker { utterance: utterance(n), kind: Kind::of(batch, n), words, cells: p.places };
    let is_wanted = |number: usize| {
        let utterance = utterance(p.first_utterance as usize + number / directions);
        !left || anchors[number % directions * (p.anchors as usize + 1) + utterance.first_anchor] == LEFT
    };
    let wanted: Vec<usize> = (0..p.count as usize * directions).filter(|&number| is_wanted(number)).collect();
    let walks = map_all(wanted.len(), |i| {
        let walker = walker(p.first_utterance as usize + wanted[i] / directions);
        if wanted[i] % directions == 1 { walker.backward() } else { walker.forward() }
    });
    for (&number, variables) in wanted.iter().zip(&walks) {
        let (n, direction) = (p.first_utterance as usize + number / directions, number % directions);
        let walker = walker(n);
        walker.store(
            variables,
            direction == 1,
            &mut lattice[direction * (p.places as usize + 1)..],
            &mut anchors[direction * (p.anchors as usize + 1)..],
        );
        if direction == 0 {
            finish(p.utterances as usize, walker.utterance.frames == 0, n, walker.total(variables), results);
        }
    }
}

/// One utterance; its variables lie frame by frame.
struct Walker<'a> {
    utterance: Utterance<'a>,
    kind: Kind,
    words: &'a [u32],
    cells: u32,
}

impl Walker<'_> {
    fn cell(&self, t: usize, u: usize) -> usize {
        t * self.utterance.columns() + u
    }

    fn weight(&self, t: usize, u: usize, arc: usize) -> Scaled {
        arc_weight(self.words[word_at(self.cells, cell_at(&self.utterance, t, u), arc)])
    }

    fn entry(&self) -> Scaled {
        free_weight(self.kind.entry, true)
    }

    fn exit(&self, to: Exit) -> Scaled {
        free_weight(self.kind.exit, self.kind.exit_to == to)
    }

    /// Whether the band allows a cell; a cell that it does not has no arcs.
    fn allows(&self, t: usize, u: usize) -> bool {
        self.utterance.allows(t, u)
    }

    fn forward(&self) -> Vec<Scaled> {
        let (frames, labels) = (self.utterance.frames, self.utterance.labels);
        let mut variables = vec![Scaled::ZERO; frames * (labels + 1)];
        let mut left = Scaled::ZERO;
        for (t, u) in (0..frames).flat_map(|t| (0..=labels).map(move |u| (t, u))) {
            let mut sum = if (t, u) == (0, 0) { Scaled::ONE } else { Scaled::ZERO };
            for (a, arc) in self.kind.arcs.iter().enumerate() {
                if let (Some(t), Some(u)) = (t.checked_sub(arc.frames), u.checked_sub(arc.labels)) {
                    sum = sum.add(variables[self.cell(t, u)].mul(self.weight(t, u, a))).tidy();
                }
            }
            if u == 0 && t > 0 && self.allows(t, u) {
                sum = sum.add(self.entry());
            }
            if u == labels && self.allows(t, u) {
                if t + 1 == frames {
                    sum = sum.add(left.mul(self.exit(Exit::LastFrame)));
                }
                left = left.add(sum.tidy()).tidy();
            }
            variables[self.cell(t, u)] = sum.tidy();
        }
        variables
    }

    fn backward(&self) -> Vec<Scaled> {
        let (frames, labels) = (self.utterance.frames, self.utterance.labels);
        let mut variables = vec![Scaled::ZERO; frames * (labels + 1)];
        for (t, u) in (0..frames).rev().flat_map(|t| (0..=labels).rev().map(move |u| (t, u))) {
            let mut sum = Scaled::ZERO;
            for (a, arc) in self.kind.arcs.iter().enumerate() {
                let (to_t, to_u) = (t + arc.frames, u + arc.labels);
                let after = match to_t < frames {
                    true if to_u <= labels => variables[self.cell(to_t, to_u)],
                    false if arc.may_end && (to_t, to_u) == (frames, labels) => Scaled::ONE,
                    _ => continue,
                };
                sum = sum.add(after.mul(self.weight(t, u, a))).tidy();
            }
            if u == labels && t + 1 < frames && self.allows(t, u) {
                sum = sum.add(self.exit(Exit::End)).add(self.exit(Exit::LastFrame).mul(variables[self.cell(frames - 1, labels)]));
            }
            if (t, u) == (0, 0) && self.allows(t, u) {
                let later = (1..frames).map(|t| variables[self.cell(t, 0)]);
                sum = sum.add(later.fold(Scaled::ZERO, |sum, x| sum.add(x).tidy()).mul(self.entry()));
            }
            variables[self.cell(t, u)] = sum.tidy();
        }
        variables
    }

    /// What all arcs to the end bring.
    fn total(&self, forward: &[Scaled]) -> Scaled {
        let (frames, labels) = (self.utterance.frames, self.utterance.labels);
        let mut total = Scaled::ZERO;
        for (a, arc) in self.kind.arcs.iter().enumerate().filter(|(_, arc)| arc.may_end && arc.frames > 0) {
            if let (Some(t), Some(u)) = (frames.checked_sub(arc.frames), labels.checked_sub(arc.labels)) {
                total = total.add(forward[self.cell(t, u)].mul(self.weight(t, u, a))).tidy();
            }
        }
        for t in (0..frames.saturating_sub(1)).filter(|&t| self.allows(t, labels)) {
            total = total.add(forward[self.cell(t, labels)].mul(self.exit(Exit::End))).tidy();
        }
        total
    }

    /// Relative to anchors: the first variable above zero of some frames of a column.
    fn store(&self, variables: &[Scaled], backward: bool, lattice: &mut [f32], anchors: &mut [i32]) {
        let (frames, labels) = (self.utterance.frames, self.utterance.labels);
        if self.utterance.bands {
            for (t, u) in (0..frames).flat_map(|t| (0..=labels).map(move |u| (t, u))).filter(|&(t, u)| self.allows(t, u)) {
                let (x, place) = (variables[self.cell(t, u)], cell_at(&self.utterance, t, u));
                anchors[place] = if x.m > 0.0 { x.e } else { 0 };
                lattice[place] = x.log2(anchors[place]);
            }
            let place = beside_band(&self.utterance);
            (lattice[place], anchors[place]) = (LOG_ZERO, 0);
            return;
        }
        for j in 0..=labels {
            let mut anchor = None;
            for s in 0..frames {
                let (t, u) = if backward { (frames - 1 - s, labels - j) } else { (s, j) };
                let x = variables[self.cell(t, u)];
                if s % CHUNK as usize == 0 {
                    anchor = None;
                }
                if anchor.is_none() {
                    anchor = (x.m > 0.0).then_some(x.e);
                    anchors[anchor_at(&self.utterance, backward, t, u)] = anchor.unwrap_or(0);
                }
                lattice[cell_at(&self.utterance, t, u)] = x.log2(anchor.unwrap_or(0));
            }
        }
    }
}

/// Weight of arcs from or to any frame, if there are any.
fn free_weight(log2_weight: f32, there: bool) -> Scaled {
    if there && log2_weight >= LOG2_NEVER { Scaled::exp2(log2_weight, 0) } else { NEVER }
}
