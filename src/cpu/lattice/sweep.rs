//! Twin of `shaders/lattice/sweep.wgsl`: the same recurrences, cell by cell, with the arithmetic of its careful walk.

use super::Utterance;
use super::quads::FRAMES;
use crate::cpu::call::Call;
use crate::cpu::parallel::map_all;
use crate::cpu::scaled::{EXPONENT_ZERO, Scaled};
use crate::cpu::status::{EMPTY, INFEASIBLE, NON_FINITE};
use crate::device::shader::LatticeSweepParams as SweepParams;

/// Exponents that a word holds.
const MOST: i32 = 0x2000_0000;

/// Variables of one utterance in one direction, ready to be stored.
struct Walked {
    /// Places; log2 of their frames; and what they are relative to.
    quads: Vec<(usize, [f32; FRAMES], i32)>,
    total: Scaled,
}

pub(in crate::cpu) fn sweep(call: &mut Call<'_>) {
    let p: SweepParams = call.params();
    let label_frames = call.constant("LABEL_FRAMES") as usize;
    let batch: &[u32] = call.read(1);
    let arcs: &[[u32; FRAMES]] = call.read(2);
    let lattice: &mut [[f32; FRAMES]] = call.write(3);
    let anchors: &mut [i32] = call.write(4);
    let results: &mut [u32] = call.write(5);
    let directions = p.directions as usize;
    let walks = map_all(p.count as usize * directions, |number| {
        let utterance = Utterance::new(batch, p.first_utterance as usize + number / directions);
        walk_one(&utterance, arcs, p.places as usize, label_frames, number % directions == 1)
    });
    for (number, walked) in walks.into_iter().enumerate() {
        let (n, direction) = (p.first_utterance as usize + number / directions, number % directions);
        let first = direction * (p.anchors as usize);
        for (place, quad, relative_to) in walked.quads {
            lattice[first + place] = quad;
            anchors[first + place] = relative_to;
        }
        if direction == 0 {
            finish(p.utterances as usize, Utterance::new(batch, n).frames == 0, n, walked.total, results);
        }
    }
}

/// Results of utterance n, of `all`.
pub(in crate::cpu) fn finish(all: usize, empty: bool, n: usize, total: Scaled, results: &mut [u32]) {
    let total = total.tidy();
    let rest = if total.m > 0.0 { total.m.log2() } else { 0.0 };
    let (status, cost) = match results[n] & NON_FINITE {
        _ if empty => (EMPTY, f32::INFINITY),
        NON_FINITE => (NON_FINITE, f32::NAN),
        _ if total.m == 0.0 => (INFEASIBLE, f32::INFINITY),
        status => (status, -std::f32::consts::LN_2 * (total.e as f32 + rest)),
    };
    results[n] = status;
    results[all + n] = cost.to_bits();
    let usable = total.m > 0.0 && !empty;
    results[2 * all + n] = if usable { total.e as u32 } else { 0 };
    results[3 * all + n] = rest.to_bits();
}

/// Columns in order; each keeps what it gives to the next.
fn walk_one(utterance: &Utterance<'_>, arcs: &[[u32; FRAMES]], places: usize, label_frames: usize, backward: bool) -> Walked {
    let (frames, labels) = (utterance.frames, utterance.labels);
    let mut walked = Walked { quads: Vec::new(), total: Scaled::ZERO };
    if frames == 0 {
        return walked;
    }
    let weight = |t: usize, u: usize, arc: usize| Scaled::weight(arcs[arc * places + utterance.quad_at(t, u)][t % FRAMES]);
    // come[t]: what the column before gives to frame t; one frame more for the end.
    let mut come = vec![Scaled::ZERO; frames + 1];
    for j in 0..=labels {
        let u = if backward { labels - j } else { j };
        let mut give = vec![Scaled::ZERO; frames + 1];
        let mut column = vec![Scaled::ZERO; frames + 1];
        let mut carry = if j == 0 { Scaled::ONE } else { Scaled::ZERO };
        if backward {
            column[frames] = carry;
            for t in (0..frames).rev() {
                let label = if u < labels { come[t + label_frames].mul(weight(t, u, 1)) } else { Scaled::ZERO };
                carry = carry.mul(weight(t, u, 0)).add(label).tidy();
                column[t] = carry;
            }
            give.copy_from_slice(&column);
        } else {
            for t in 0..frames {
                column[t] = carry.add(come[t]).tidy();
                carry = column[t].mul(weight(t, u, 0));
                if u < labels {
                    give[t + label_frames] = column[t].mul(weight(t, u, 1)).tidy();
                }
            }
            // A label may end the lattice if it takes a frame.
            column[frames] = carry.add(come[frames]);
        }
        if j == labels {
            walked.total = column[if backward { 0 } else { frames }];
        }
        store(utterance, &column, u, backward, &mut walked);
        come = give;
    }
    walked
}

/// Stores the quads of a column, relative to their first frame in the order of the walk; behind its last frame comes the end.
fn store(utterance: &Utterance<'_>, column: &[Scaled], u: usize, backward: bool, walked: &mut Walked) {
    for first in (0..utterance.frames).step_by(FRAMES) {
        let quad = &column[first..utterance.frames.min(first + FRAMES)];
        let reference = if backward { quad.last() } else { quad.first() };
        let e = reference.map_or(0, |x| if x.e > EXPONENT_ZERO { x.e.clamp(-MOST, MOST) } else { 0 });
        let mut logs = [0.0; FRAMES];
        logs.iter_mut().zip(quad.iter().chain(std::iter::repeat(&column[utterance.frames]))).for_each(|(log, x)| *log = x.log2(e));
        walked.quads.push((utterance.quad_at(first, u), logs, 2 * e + 1));
    }
}
