//! Lattices of millions of cells. f64 walks them in planes.

use crate::Batch;
use crate::contexts;
use crate::truth::{Planes, Step};
use weft::Context;
use weft::lattice::{Blank, Kind, Status};

/// Frames of a label; the library's kind.
fn kinds() -> [(usize, Kind); 2] {
    [(0, Kind::rnnt(Blank(0))), (1, Kind::monotonic(Blank(0)))]
}

/// log softmax of the rows of one utterance.
fn log_probs(batch: &Batch) -> Vec<f64> {
    let row = |row: &[f32]| {
        let total = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
        row.iter().map(move |&x| f64::from(x) - total).collect::<Vec<_>>()
    };
    batch.logits.chunks(batch.shape[3]).flat_map(row).collect()
}

fn with_planes<R>(
    batch: &Batch,
    label_frames: usize,
    log_probs: &[f64],
    f: impl FnOnce(Planes<'_, &dyn Fn(usize, usize, usize) -> f64>) -> R,
) -> R {
    let [_, frames, positions, vocab] = batch.shape;
    let steps = [Step { frames: 1, labels: 0, ends: true }, Step { frames: label_frames, labels: 1, ends: label_frames > 0 }];
    let weight = |arc: usize, t: usize, u: usize| {
        let symbol = if arc == 0 { 0 } else { batch.targets.get(u).copied().unwrap_or_default() };
        log_probs[(t * positions + u) * vocab + symbol as usize]
    };
    f(Planes { steps: &steps, frames, labels: positions - 1, weight: &weight })
}

/// Relative error of the cost alone.
#[track_caller]
fn check_cost(shape: [usize; 4], (name, context): &(String, Context), expected: f64, kind: &Kind, batch: &Batch) {
    let out = batch.try_run_kind(kind.clone(), context, false).unwrap();
    let error = (f64::from(out.costs[0]) - expected).abs() / expected;
    println!("cost of {shape:?} on {name}: {} for {expected}, off by {error:.1e}", out.costs[0]);
    assert_eq!(out.status, [Status::Ok]);
    assert!(error < 5e-6, "{shape:?} on {name}: {} for {expected}", out.costs[0]);
}

#[track_caller]
fn check_costs(shape: [usize; 4]) {
    let batch = Batch::random(shape[1] as u64, shape, 0);
    let log_probs = log_probs(&batch);
    for (label_frames, kind) in kinds() {
        let expected = with_planes(&batch, label_frames, &log_probs, |planes| planes.cost());
        for context in contexts() {
            check_cost(shape, context, expected, &kind, &batch);
        }
    }
}

#[test]
fn twenty_thousand_frames() {
    check_costs([1, 20_000, 101, 3]);
}

#[test]
fn two_thousand_labels() {
    check_costs([1, 2000, 2001, 3]);
}

#[test]
fn ten_million_cells() {
    check_costs([1, 20_000, 501, 2]);
    check_costs([1, 5000, 2001, 2]);
}

/// Compares the gradients of one utterance on every context.
#[track_caller]
fn check_gradients(batch: &Batch, label_frames: usize, kind: &Kind, most: f64) {
    let [_, _, positions, vocab] = batch.shape;
    let log_probs = log_probs(batch);
    let (_, occupied) = with_planes(batch, label_frames, &log_probs, |planes| planes.occupancies());
    let mut expected = Vec::with_capacity(log_probs.len());
    for (cell, row) in log_probs.chunks(vocab).enumerate() {
        let (blank, label) = (occupied[0][cell], occupied[1][cell]);
        let target = batch.targets.get(cell % positions).copied();
        expected.extend(row.iter().enumerate().map(|(v, l)| {
            let own = if v == 0 { blank } else { 0.0 } + if Some(v as u32) == target { label } else { 0.0 };
            l.exp() * (blank + label) - own
        }));
    }
    for (name, context) in contexts() {
        let got = batch.run_kind(kind.clone(), context).gradients;
        let error = got.iter().zip(&expected).map(|(&g, e)| (f64::from(g) - e).abs()).fold(0.0, f64::max);
        println!("gradient of {:?}, labels of {label_frames} frames, on {name}: off by {error:.1e}", batch.shape);
        assert!(error < most, "{name}: off by {error}");
    }
}

/// T U = 450,000. In the log domain f32 is off by 1e-2 here.
#[test]
fn gradients_of_450_000_cells() {
    let batch = Batch::random(5, [1, 1500, 301, 4], 0);
    for (label_frames, kind) in kinds() {
        check_gradients(&batch, label_frames, &kind, 1e-5);
    }
}

/// Two bundles of paths of the same weight, of which each is 2^-650 of what lies beside it in the same frames and columns: the
/// one on the way, the other at its end. Floats that share an exponent lose one of them.
#[test]
fn paths_beside_much_likelier_beginnings() {
    for between in [1, 3, 6] {
        let (frames, labels) = (between + 1, 20);
        let mut batch = Batch::random(3, [1, frames, labels + 1, 3], 0);
        batch.targets = vec![1; labels];
        for (cell, row) in batch.logits.chunks_mut(3).enumerate() {
            let (t, u) = (cell / (labels + 1), cell % (labels + 1));
            let likely = (t == 0) == (u >= labels / 2) && u < labels;
            row.copy_from_slice(&[0.0, if likely { 45.0 } else { -45.0 }, -60.0]);
        }
        let cost = with_planes(&batch, 0, &log_probs(&batch), |planes| planes.cost());
        for context in contexts() {
            check_cost(batch.shape, context, cost, &Kind::rnnt(Blank(0)), &batch);
        }
        check_gradients(&batch, 0, &Kind::rnnt(Blank(0)), 1e-5);
    }
}
