//! Joiners fused with the loss, on the CPU twins and on the adapter of this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;

#[path = "../oracle/truth/mod.rs"]
mod truth;

#[path = "../lattice/kinds.rs"]
#[allow(dead_code, reason = "each test crate uses its part")]
mod kinds;

mod bad_input;
mod bands;
mod case;
mod conformance;
mod degenerate;
mod options;
mod proofs;
mod smoothed;
mod sums;

use case::Case;
use common::shared_contexts;
use kinds::{Row, kinds};
use weft::dense::Activation;

const LENGTHS: [[usize; 2]; 6] = [[5, 3], [4, 0], [1, 1], [0, 2], [6, 2], [2, 3]];

fn rnnt() -> Row {
    kinds().swap_remove(0)
}

#[test]
fn every_activation_with_and_without_projections() {
    for activation in [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh] {
        for [e, p] in [[0, 0], [3, 0], [0, 4], [7, 2]] {
            let case = Case { activation, ..Case::new(&rnnt(), &LENGTHS, [e, p, 5], 3) };
            for (name, context) in shared_contexts() {
                case.check(&format!("{activation:?}, E {e}, P {p}, {name}"), &context);
            }
        }
    }
}

/// Sides around workgroups, words of four, and tiles of the products.
#[test]
fn sides() {
    let lengths = [[9, 4], [17, 1]];
    for hidden in [1, 2, 4, 31, 64, 65, 130] {
        for vocab in [5, 8, 33, 70] {
            let row = Row { vocab, ..rnnt() };
            let case = Case::new(&row, &lengths, [hidden % 7, 4, hidden], hidden as u64);
            for (name, context) in shared_contexts() {
                case.check(&format!("H {hidden} V {vocab}, {name}"), &context);
            }
        }
    }
}

/// Products that devices with matrices make by them, in either type.
#[test]
fn wide_layers() {
    let row = Row { vocab: 520, ..rnnt() };
    let case = Case::new(&row, &[[19, 7], [3, 0], [0, 2], [11, 4]], [8, 0, 264], 5);
    for (name, context) in shared_contexts() {
        case.check(&format!("f32, {name}"), &context);
        case.clone().in_halves().check(&format!("f16, {name}"), &context);
    }
}

#[test]
fn dropped_numbers_are_the_same_in_all_passes() {
    for probability in [0.1, 0.75] {
        let case = Case { dropout: probability, ..Case::new(&rnnt(), &LENGTHS, [3, 0, 24], 5) };
        for (name, context) in shared_contexts() {
            case.check(&format!("dropout {probability}, {name}"), &context);
            let other = Case { seed: 8, ..case.clone() };
            assert_ne!(other.run(&context, false).costs[0], case.run(&context, false).costs[0], "{name}: another seed");
        }
    }
}

/// f16, with sides that matrices take and others; weights that would leave the gradients of logits without digits, or without an end.
#[test]
fn halves() {
    for [h, v] in [[8, 8], [16, 12], [5, 7], [64, 64], [33, 6]] {
        let row = Row { vocab: v, ..rnnt() };
        let plain = Case::new(&row, &[[9, 4], [5, 0], [0, 1], [7, 3]], [h % 5, 4, h], h as u64).in_halves();
        for factor in [1.0, 1e-6, 3e4] {
            let mut case = plain.clone();
            case.weights.iter_mut().for_each(|weight| *weight *= factor);
            for (name, context) in shared_contexts() {
                case.check(&format!("f16, H {h}, V {v}, weights x {factor}, {name}"), &context);
            }
        }
    }
}

/// Bands with few positions a frame: rows of no other cells are made. With more, rows of all cells.
#[test]
fn bands_leave_rows_out() {
    let lengths = [[14, 17], [20, 25], [0, 3], [9, 2], [12, 20]];
    for row in kinds().into_iter().filter(|row| row.labels_stay()) {
        for (reach, is_pruned) in [(1, true), (4, true), (20, false)] {
            let mut case = Case::new(&row, &lengths, [3, 4, 8], reach.into());
            let range = |[frames, labels]: [usize; 2], t: usize| {
                let low = ((t * labels) / frames).saturating_sub(reach as usize / 2) as u32;
                // As wide as it must be, and one more in every third frame.
                let high = ((t + 1) * labels).div_ceil(frames) as u32 + reach / 2 + u32::from(t.is_multiple_of(3));
                // What lies beyond the labels does not count.
                [low, if t.is_multiple_of(5) { high } else { high.min(labels as u32) }]
            };
            let band = |(n, &[frames, labels]): (usize, &[usize; 2])| match n {
                // No restriction.
                3 => Vec::new(),
                _ => (0..frames).map(|t| range([frames, labels], t)).collect(),
            };
            case.bands = Some(lengths.iter().enumerate().map(band).collect());
            let all: usize = lengths.iter().map(|[frames, labels]| frames * (labels + 1)).sum();
            for (name, context) in shared_contexts() {
                let what = format!("bands of {reach}, {}, {name}", row.name);
                let refused =
                    Case { limit: Some(1), ..case.clone() }.with(&context, true, |loss, batch| loss.plan_batch(batch).err().unwrap());
                let weft::Error::LimitExceeded { need, .. } = refused else { panic!("{what}: {refused}") };
                for limit in [None, Some(need)] {
                    let case = Case { limit, ..case.clone() };
                    let rows = case.with(&context, true, |loss, batch| loss.plan_batch(batch).unwrap().rows()) as usize;
                    assert_eq!(2 * rows <= all, is_pruned, "{what}: {rows} of {all} rows");
                    case.check(&what, &context);
                }
            }
        }
    }
}

/// Lattices without logits: those of the same logits, and bands from a sum of frames and positions for a joiner with layers.
#[test]
fn kept_lattices_prune_another_joiner() {
    let lengths = [[30, 14], [22, 17], [0, 2], [1, 0]];
    let simple = Case::new(&rnnt(), &lengths, [0, 0, 0], 4);
    for (name, context) in shared_contexts() {
        let lattices = simple.with(&context, false, |loss, batch| loss.lattice_blocking(batch).unwrap());
        let alone = simple.run(&context, false);
        assert_eq!((bits(&lattices.output().costs), &lattices.output().status), (bits(&alone.costs), &alone.status), "{name}");
        let whole = simple.materialised(&context);
        for (n, &[frames, labels]) in lengths.iter().enumerate() {
            let [got, expected] = [&lattices, &whole].map(|lattices| lattices.get(n).unwrap().occupancies());
            let got: Vec<f32> = got.iter().map(|&x| x as f32).collect();
            common::assert_close(&format!("{name}: occupancies of utterance {n}"), &got, &expected, 1e-5, 0.0);
            assert_eq!(got.len(), if frames == 0 { 0 } else { frames * (labels + 1) * 2 });
        }
        let bands = lattices.map(|lattice| lattice.prune(4).ranges().to_vec());
        let case = Case { bands: Some(bands), ..Case::new(&rnnt(), &lengths, [3, 4, 8], 5) };
        let rows = case.with(&context, true, |loss, batch| loss.plan_batch(batch).unwrap().rows());
        assert_eq!(rows, 4 * (30 + 22) + 1, "{name}");
        case.check(&format!("pruned, {name}"), &context);
    }
}

/// The least workspace that works is named, is enough, and gives the same.
#[test]
fn within_any_limit() {
    for row in kinds().into_iter().take(6) {
        let case = Case::new(&row, &[[20, 4], [13, 6], [0, 1], [31, 0], [7, 9]], [3, 4, 8], 9);
        for (name, context) in shared_contexts() {
            let refused = Case { limit: Some(1), ..case.clone() }.with(&context, true, |loss, batch| loss.plan_batch(batch).err().unwrap());
            let weft::Error::LimitExceeded { need, have: 1, .. } = refused else { panic!("{refused}") };
            let all = case.with(&context, true, |loss, batch| loss.plan_batch(batch).unwrap());
            assert!(need < all.workspace_bytes(), "{need} {}", all.workspace_bytes());
            let costs = bits(&case.run(&context, false).costs);
            for limit in [need, (need + all.workspace_bytes()) / 2] {
                let case = Case { limit: Some(limit), ..case.clone() };
                let plan = case.with(&context, true, |loss, batch| loss.plan_batch(batch).unwrap());
                assert!(plan.workspace_bytes() <= limit && plan.tiles() > 1, "{limit}: {plan}");
                case.check(&format!("{limit} B, {}, {name}", row.name), &context);
                assert_eq!(bits(&case.run(&context, true).costs), costs, "{limit} B, {}, {name}: costs in other tiles", row.name);
            }
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}
