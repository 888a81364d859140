//! Twin of `shaders/lattice/sweep.wgsl`: the same recurrences, cell by cell.

use super::Utterance;
use crate::cpu::call::Call;
use crate::cpu::parallel::map_all;
use crate::cpu::scaled::{EXPONENT_ZERO, Scaled};
use crate::cpu::status::{EMPTY, INFEASIBLE, NON_FINITE};
use crate::device::shader::LatticeSweepParams as SweepParams;

/// Variables of one utterance in one direction, ready to be stored.
struct Walked {
    /// (place, log2 of the earlier and of the later frame).
    pairs: Vec<(usize, [f32; 2])>,
    anchors: Vec<(usize, i32)>,
    total: Scaled,
}

pub(in crate::cpu) fn sweep(call: &mut Call<'_>) {
    let p: SweepParams = call.params();
    let label_frames = call.constant("LABEL_FRAMES") as usize;
    let batch: &[u32] = call.read(1);
    let arcs: &[[u32; 4]] = call.read(2);
    let lattice: &mut [[f32; 2]] = call.write(3);
    let anchors: &mut [i32] = call.write(4);
    let results: &mut [u32] = call.write(5);
    let directions = p.directions as usize;
    let walks = map_all(p.count as usize * directions, |number| {
        let utterance = Utterance::new(batch, p.first_utterance as usize + number / directions);
        walk_one(&utterance, arcs, label_frames, number % directions == 1)
    });
    for (number, walked) in walks.into_iter().enumerate() {
        let (n, direction) = (p.first_utterance as usize + number / directions, number % directions);
        for (place, pair) in walked.pairs {
            lattice[direction * (p.places as usize + 1) + place] = pair;
        }
        for (place, anchor) in walked.anchors {
            anchors[direction * (p.anchors as usize + 1) + place] = anchor;
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
fn walk_one(utterance: &Utterance<'_>, arcs: &[[u32; 4]], label_frames: usize, backward: bool) -> Walked {
    let (frames, labels) = (utterance.frames, utterance.labels);
    let mut walked = Walked { pairs: Vec::new(), anchors: Vec::new(), total: Scaled::ZERO };
    if frames == 0 {
        return walked;
    }
    let weight = |t: usize, u: usize, arc: usize| Scaled::weight(arcs[utterance.place_at(t, u)][2 * (t % 2) + arc]);
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

/// Stores a column relative to anchors, of which each chunk of steps has one.
fn store(utterance: &Utterance<'_>, column: &[Scaled], u: usize, backward: bool, walked: &mut Walked) {
    let pairs = utterance.lines;
    let j = if backward { utterance.labels - u } else { u };
    let value = |t: usize| if t < utterance.frames { column[t] } else { Scaled::ZERO };
    let mut anchor = 0;
    for step in 0..pairs {
        let pair = if backward { pairs - 1 - step } else { step };
        let k = step + j;
        let place = utterance.anchor_at(k, j);
        if walked.anchors.last().is_none_or(|&(last, _)| last != place) || step == 0 {
            let first = value(2 * pair + usize::from(backward));
            anchor = if first.e > EXPONENT_ZERO { first.e } else { 0 };
            walked.anchors.push((place, anchor));
        }
        let (early, late) = (value(2 * pair), value(2 * pair + 1));
        walked.pairs.push((utterance.place_at(2 * pair, u), [early.log2(anchor), late.log2(anchor)]));
    }
}
