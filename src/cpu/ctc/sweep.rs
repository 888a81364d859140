//! Twins of `shaders/lattice/ctc_sweep.wgsl` and of `ctc_floats.wgsl`.

use super::{COST, EXPONENT, MANTISSA, SEEN, STATES, STATUS};
use crate::cpu::call::Call;
use crate::cpu::parallel::map_all;
use crate::cpu::scaled::{EXPONENT_ZERO, Scaled};
use crate::cpu::status::{INFEASIBLE, NON_FINITE, OK};
use crate::device::shader::LatticeCtcSweepParams as Params;
use crate::lattice::{CHUNK, COLUMNS, CtcUtterance};

const STEPS: usize = CHUNK as usize;
const WIDE: usize = COLUMNS as usize;

/// One utterance in one direction; columns in the order of the target.
struct Walk<'a> {
    utterance: CtcUtterance<'a>,
    backward: bool,
    groups: usize,
    /// Weights of all rows of the utterance, from its first.
    arcs: &'a [u32],
    frames: &'a [u32],
}

/// What a walk leaves.
#[derive(Default)]
struct Walked {
    lattice: Vec<f32>,
    /// Anchors, or choices.
    anchors: Vec<i32>,
    total: Option<Scaled>,
}

/// A column between two steps: see the shader.
#[derive(Clone, Copy)]
struct Column {
    first: Scaled,
    label: Scaled,
    out: Scaled,
}

/// Anchor of what the sweep in floats leaves to the other one.
const LEFT: i32 = i32::MAX;

/// All utterances: this arithmetic leaves none.
pub(in crate::cpu) fn floats(call: &mut Call<'_>) {
    walk(call, false, false);
}

pub(in crate::cpu) fn sweep(call: &mut Call<'_>) {
    let [best, follows] = ["BEST", "FOLLOWS"].map(|name| call.constant(name) > 0.0);
    walk(call, best, follows);
}

/// Walks all utterances in all directions, or what was left.
fn walk(call: &mut Call<'_>, best: bool, left: bool) {
    let p: Params = call.params();
    let batch: &[u32] = call.read(1);
    let arcs: &[u32] = call.read(2);
    let frames: &[u32] = call.read(3);
    let lattice: &mut [f32] = call.write(4);
    let anchors: &mut [i32] = call.write(5);
    let results: &mut [u32] = call.write(6);
    let directions = p.directions as usize;
    let groups = p.groups as usize;
    let place = |utterance: &CtcUtterance<'_>| utterance.first_row - p.workspace_row as usize;
    let is_wanted = |&number: &usize| {
        let utterance = CtcUtterance::new(batch, p.first_utterance as usize + number / directions);
        let chunk = if p.kept == 1 { utterance.first_chunk - p.workspace_chunk as usize } else { number / directions };
        !left || anchors[WIDE * (number % directions * p.anchor_stride as usize + chunk * groups)] == LEFT
    };
    let wanted: Vec<usize> = (0..p.count as usize * directions).filter(is_wanted).collect();
    let walked = map_all(wanted.len(), |i| {
        let number = wanted[i];
        let utterance = CtcUtterance::new(batch, p.first_utterance as usize + number / directions);
        let row = place(&utterance);
        let walk = Walk {
            utterance,
            backward: number % directions == 1,
            groups,
            arcs: arcs.get(row * groups * WIDE..).unwrap_or_default(),
            frames: frames.get(2 * row..).unwrap_or_default(),
        };
        if best { walk.best() } else { walk.all(p.kept == 1) }
    });
    for (&number, walked) in wanted.iter().zip(walked) {
        let (n, direction) = (p.first_utterance as usize + number / directions, number % directions);
        let utterance = CtcUtterance::new(batch, n);
        let chunk = utterance.first_chunk - p.workspace_chunk as usize;
        let at = WIDE * (direction * p.anchor_stride as usize + chunk * groups);
        if p.kept == 1 {
            anchors[at..][..walked.anchors.len()].copy_from_slice(&walked.anchors);
            let at = WIDE * direction * p.lattice_stride as usize + STATES * place(&utterance) * groups;
            lattice[at..][..walked.lattice.len()].copy_from_slice(&walked.lattice);
        }
        if let Some(total) = walked.total {
            finish(results, p.utterances as usize, n, total);
        }
    }
}

fn finish(results: &mut [u32], all: usize, n: usize, total: Scaled) {
    let mantissa = total.m.max(1.0).log2();
    let (status, cost) = if results[SEEN * all + n] & NON_FINITE == NON_FINITE {
        (NON_FINITE, f32::NAN)
    } else if total.m == 0.0 {
        (INFEASIBLE, f32::INFINITY)
    } else {
        (OK, (-total.e as f32 - mantissa) * std::f32::consts::LN_2)
    };
    results[STATUS * all + n] = status;
    results[COST * all + n] = cost.to_bits();
    results[EXPONENT * all + n] = total.e as u32;
    results[MANTISSA * all + n] = mantissa.to_bits();
}

impl Walk<'_> {
    fn row(&self, k: usize) -> usize {
        if self.backward { self.utterance.frames - 1 - k } else { k }
    }

    fn weights(&self, k: usize) -> (Scaled, &[u32]) {
        let row = self.row(k);
        (Scaled::weight(self.frames[2 * row]), &self.arcs[row * self.groups * WIDE..])
    }

    /// Whether label u may follow the one before without a blank between them.
    fn may_skip(&self, u: usize) -> bool {
        let label = |u: usize| self.utterance.target.get(u);
        label(u) != u.checked_sub(1).and_then(label)
    }

    fn start(&self) -> Vec<Column> {
        let zero = Column { first: Scaled::ZERO, label: Scaled::ZERO, out: Scaled::ZERO };
        let mut columns = vec![zero; self.utterance.columns()];
        let first = if self.backward { self.utterance.labels } else { 0 };
        columns[first].first = Scaled::ONE;
        columns[first].out = if self.backward { Scaled::ONE } else { Scaled::ZERO };
        columns
    }

    /// What column u is given.
    fn before(&self, columns: &[Column], u: usize) -> Scaled {
        let from = if self.backward { Some(u + 1) } else { u.checked_sub(1) };
        from.and_then(|from| columns.get(from)).map_or(Scaled::ZERO, |column| column.out)
    }

    fn order(&self, columns: usize) -> Box<dyn Iterator<Item = usize>> {
        // Against the walk: what a column is given must still be that of the step before.
        if self.backward { Box::new(0..columns) } else { Box::new((0..columns).rev()) }
    }

    fn all(&self, kept: bool) -> Walked {
        let (frames, labels) = (self.utterance.frames, self.utterance.labels);
        let mut columns = self.start();
        let skips: Vec<bool> = (0..columns.len()).map(|u| self.may_skip(u)).collect();
        let mut walked = Walked::default();
        if kept {
            walked.lattice.resize(frames * self.groups * STATES, 0.0);
            walked.anchors.resize(frames.div_ceil(STEPS) * self.groups * WIDE, 0);
        }
        let mut anchors = vec![0; columns.len()];
        for k in 0..frames {
            if k % STEPS == 0 {
                tidy(&mut columns);
                anchors = self.anchors(&columns);
                if kept {
                    walked.anchors[k / STEPS * self.groups * WIDE..][..anchors.len()].copy_from_slice(&anchors);
                }
            }
            let (blank, weights) = self.weights(k);
            for u in self.order(columns.len()) {
                let (c, before, weight) = (columns[u], self.before(&columns, u), Scaled::weight(weights[u]));
                let stored;
                (columns[u], stored) = if self.backward {
                    let entered = c.label.add(before);
                    let (label, blanks) = (entered.mul(weight), c.first.mul(blank));
                    let both = blanks.add(label);
                    (Column { first: both, label, out: if skips[u] { both } else { blanks } }, [c.first, entered])
                } else {
                    let both = c.first.add(before);
                    let first = both.mul(blank);
                    let label = c.label.add(if skips[u] { both } else { c.first }).mul(weight);
                    (Column { first, label, out: label }, [first, label])
                };
                if kept {
                    let at = (self.row(k) * self.groups + u / WIDE) * STATES + u % WIDE;
                    for (part, x) in stored.into_iter().enumerate() {
                        walked.lattice[at + part * WIDE] = x.log2(anchors[u]);
                    }
                }
            }
        }
        if !self.backward {
            // In no frames: all of the blank before the first label.
            let last = labels.checked_sub(1).map_or(Scaled::ZERO, |u| columns[u].label);
            walked.total = Some(columns[labels].first.tidy().add(last.tidy()).tidy());
        }
        walked
    }

    /// The larger exponent of each column; empty columns have that of the one before.
    fn anchors(&self, columns: &[Column]) -> Vec<i32> {
        let mut anchors: Vec<i32> = columns.iter().map(|c| c.first.e.max(c.label.e)).collect();
        let mut before = EXPONENT_ZERO;
        for i in 0..anchors.len() {
            let u = if self.backward { anchors.len() - 1 - i } else { i };
            if anchors[u] <= EXPONENT_ZERO {
                anchors[u] = before;
            }
            before = anchors[u];
        }
        anchors.iter().map(|&a| if a <= EXPONENT_ZERO { 0 } else { a }).collect()
    }

    /// Choices of the best path into every state, and of the state after the last frame.
    fn best(&self) -> Walked {
        if self.utterance.frames == 0 {
            return Walked::default();
        }
        let mut columns = self.start();
        let steps = self.utterance.frames + 1;
        let mut choices = vec![0u32; steps.div_ceil(STEPS) * self.groups * WIDE];
        for k in 0..steps {
            if k % STEPS == 0 {
                tidy(&mut columns);
            }
            // After the last frame only the choice matters.
            let (blank, weights) = self.weights(k.min(self.utterance.frames - 1));
            for u in self.order(columns.len()) {
                let (c, before) = (columns[u], self.before(&columns, u));
                let from_label = less(c.first, before);
                let first = if from_label { before } else { c.first };
                let skips = from_label && self.may_skip(u);
                let other = if skips { before } else { c.first };
                let moves = less(c.label, other);
                let label = if moves { other } else { c.label }.mul(Scaled::weight(weights[u]));
                columns[u] = Column { first: first.mul(blank), label, out: label };
                let way = if moves { 2 << u32::from(skips) } else { 0 };
                choices[k / STEPS * self.groups * WIDE + u] |= (u32::from(from_label) | way) << (4 * (k % STEPS));
            }
        }
        Walked { anchors: choices.into_iter().map(|word| word as i32).collect(), ..Default::default() }
    }
}

fn tidy(columns: &mut [Column]) {
    for c in columns {
        *c = Column { first: c.first.tidy(), label: c.label.tidy(), out: c.out.tidy() };
    }
}

/// Whether b is the greater.
fn less(a: Scaled, b: Scaled) -> bool {
    let d = (a.e - b.e).clamp(-127, 127);
    let shrink = |n: i32| if n >= 127 { 0.0 } else { (-n as f32).exp2() };
    if d < 0 { a.m * shrink(-d) < b.m } else { a.m < b.m * shrink(d) }
}
