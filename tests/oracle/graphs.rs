//! The edges of kinds that no published number pins down, against lists written from their definitions.

use crate::assert_near;
use crate::common::Lcg;
use crate::samples::{BLANK, lattice};
use crate::truth::{Exit, Kind, Lattice, end_windows};

const FRAMES: usize = 5;
const TARGET: [u32; 3] = [1, 2, 1];
const LABELS: usize = TARGET.len();
const END: usize = FRAMES * (LABELS + 1);

fn node(t: usize, u: usize) -> usize {
    t * (LABELS + 1) + u
}

/// (from, to) of the edges without any reads, sorted; and how many others there are.
fn free_edges(kind: Kind) -> (Vec<(usize, usize)>, usize) {
    let graph = lattice(&kind, FRAMES, &TARGET, &mut Lcg(1)).graph();
    let (free, others): (Vec<_>, Vec<_>) = graph.edges.iter().partition(|edge| edge.reads.is_empty());
    let mut free: Vec<_> = free.iter().map(|edge| (edge.from, edge.to)).collect();
    free.sort_unstable();
    (free, others.len())
}

/// Blanks of every cell, the last of the last column only; labels of every cell below the top.
const PLAIN: usize = (FRAMES - 1) * (LABELS + 1) + 1 + FRAMES * LABELS;

#[track_caller]
fn check(kind: Kind, mut expected: Vec<(usize, usize)>) {
    expected.sort_unstable();
    assert_eq!(free_edges(kind), (expected, PLAIN));
}

/// artbataev/uol_final min_rnnt/losses/star_transducer.py `get_grid`.
#[test]
fn star_skips_every_blank_but_the_last() {
    let cells = (0..FRAMES - 1).flat_map(|t| (0..=LABELS).map(move |u| (node(t, u), node(t + 1, u))));
    check(Kind::star(BLANK, -1.0), cells.collect());
}

/// artbataev/uol_final min_rnnt/losses/bypass_transducer.py `get_grid`.
#[test]
fn bypass_skips_every_label() {
    let cells = (0..FRAMES).flat_map(|t| (0..LABELS).map(move |u| (node(t, u), node(t, u + 1))));
    check(Kind::bypass(BLANK, -1.0), cells.collect());
}

/// NVIDIA/NeMo tests/collections/asr/k2/test_w_transducer.py `test_grid_schema`, both of its modes.
#[test]
fn w_enters_and_leaves_anywhere() {
    let entries = (1..FRAMES).map(|t| (0, node(t, 0)));
    for (exit, to) in [(Exit::LastCell, node(FRAMES - 1, LABELS)), (Exit::Terminal, END)] {
        let exits = (0..FRAMES - 1).map(|t| (node(t, LABELS), to));
        check(Kind::w(BLANK, -1.0, exit), entries.clone().chain(exits).collect());
    }
}

/// Mahadeokar et al. 2021 drop cells too where labels could no longer be emitted in their windows; no
/// path that keeps to the windows goes there.
#[test]
fn windows_on_labels_are_all_of_alignment_restriction() {
    let (ends, left, right) = ([1, 2, 4], 1, 1);
    let windows = end_windows(&ends, left, right, FRAMES);
    let plain = lattice(&Kind::rnnt(BLANK), FRAMES, &TARGET, &mut Lcg(1));
    let restricted = Lattice { windows: Some(windows.clone()), ..plain };
    let graph = restricted.graph();
    let kept = |from: usize| {
        let (t, u) = (from / (LABELS + 1), from % (LABELS + 1));
        (u == 0 || windows[u - 1][0] <= t) && (u == LABELS || t <= windows[u][1])
    };
    let occupancies = crate::truth::Sweep::of(&graph).occupancies();
    let (inside, outside): (Vec<_>, Vec<_>) = graph.edges.iter().zip(occupancies).partition(|(edge, _)| kept(edge.from));
    assert!(outside.iter().all(|&(_, occupied)| occupied == 0.0) && outside.len() == 5);
    assert_near("blanks", &[inside.iter().filter(|(edge, _)| edge.emits.is_none()).map(|(_, occupied)| occupied).sum()], &[5.0], 1e-12);
}
