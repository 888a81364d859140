//! Every shape that some kernel treats in its own way, against the f64 truth.

use crate::common::assert_close;
use crate::truth::Head;
use crate::{BLANK, Batch, Gradients, Kind, Pair, Status, all_kinds, contexts, multi_blank, tdt};

/// Vocabularies around the packing and around every change of LANES.
#[test]
fn vocabularies() {
    for vocab in [6, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 129, 257, 513, 1025, 2049] {
        Batch::random(vocab as u64, &multi_blank(), [2, 3, 3, vocab + 2]).check(&format!("multi-blank, V {vocab}"));
        Batch::random(vocab as u64, &tdt(&[0, 1, 2]), [2, 3, 3, vocab]).check(&format!("tdt, V {vocab}"));
    }
}

/// Two symbols, and one: nothing but blanks.
#[test]
fn smallest_vocabularies() {
    let tdt = |blank| Pair::new(Kind::tdt(crate::Blank(blank), &[0, 1, 2]).unwrap(), Head::Softmax, 0.0, 3);
    Batch::random(1, &tdt(1), [2, 5, 3, 2]).check("V 2");
    Batch::random(1, &tdt(0), [2, 5, 1, 1]).check("V 1");
}

/// Label counts around workgroups and blocks of columns.
#[test]
fn widths() {
    for positions in [31, 32, 33, 63, 64, 65, 129, 255, 256, 257, 300, 513, 600] {
        Batch::random(positions as u64, &tdt(&[0, 1, 2]), [1, 3, positions, 6]).check(&format!("tdt, U1 {positions}"));
        Batch::random(positions as u64, &multi_blank(), [1, 10, positions, 7]).check(&format!("multi-blank, U1 {positions}"));
    }
    for (name, pair) in all_kinds() {
        Batch::random(3, &pair, [1, 12, 530, 7]).check(&format!("{name}, two blocks"));
    }
}

/// Frame counts around the steps that are kept, that share an anchor, and that are loaded ahead.
#[test]
fn frames() {
    for frames in [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 24, 33] {
        for positions in [1, 2, 9, 40] {
            Batch::random(frames as u64, &multi_blank(), [1, frames, positions, 7])
                .check(&format!("multi-blank, T {frames} U1 {positions}"));
            Batch::random(frames as u64, &tdt(&[0, 1, 4]), [1, frames, positions, 6]).check(&format!("tdt, T {frames} U1 {positions}"));
        }
    }
}

/// More durations than a cell's words are loaded ahead of; more lanes than the row needs.
#[test]
fn many_durations() {
    let durations: Vec<u32> = (0..24).collect();
    Batch::random(5, &tdt(&durations), [2, 30, 6, 6]).check("24 durations");
    let durations: Vec<u32> = (0..90).collect();
    Batch::random(6, &tdt(&durations), [1, 100, 3, 6]).check("90 durations");
}

/// Arcs that cross more steps than the workgroup keeps.
#[test]
fn long_arcs() {
    let kind = Kind::multi_blank(BLANK, &[(0, 40), (4, 150)]).unwrap();
    let pair = Pair::new(kind, Head::Softmax, 0.0, 0);
    Batch::random(7, &pair, [2, 200, 5, 7]).with_lengths(&[200, 151], &[4, 3]).check("big blanks of 40 and 150");
    let pair = tdt(&[0, 1, 60, 100]);
    Batch::random(8, &pair, [1, 160, 200, 6]).check("durations of 60 and 100");
}

/// Kinds whose labels take a frame have no path for more labels than frames.
#[test]
fn more_labels_than_frames() {
    let constrained = Pair::new(Kind::constrained(BLANK), Head::Softmax, 0.0, 0);
    let batch = Batch::random(9, &constrained, [3, 4, 7, 6]).with_lengths(&[4, 4, 4], &[6, 4, 5]);
    batch.check("constrained");
    for (name, context) in contexts() {
        assert_eq!(batch.run(context).status, [Status::Infeasible, Status::Ok, Status::Infeasible], "{name}");
    }
    Batch::random(10, &tdt(&[1, 2]), [2, 4, 6, 6]).with_lengths(&[4, 4], &[5, 3]).check("tdt without 0");
}

/// Magnitudes that no f32 probability holds.
#[test]
fn large_scores() {
    for (name, pair) in all_kinds() {
        for scale in [20.0, 300.0, 5e3] {
            let mut batch = Batch::random(11, &pair, [2, 6, 4, 8]);
            batch.scores.iter_mut().for_each(|x| *x *= scale);
            let (costs, _) = batch.solve();
            for (other, context) in contexts() {
                let out = batch.run(context);
                assert_close(&format!("{name}, scale {scale} on {other}"), &out.costs, &costs, 1e-4, 5e-6);
                assert!(out.gradients.iter().all(|g| g.is_finite()), "{name}");
            }
        }
    }
}

/// A few hundred diagonals: what adds up over them.
#[test]
fn long_lattices() {
    Batch::random(12, &tdt(&[0, 1, 2, 3, 4]), [1, 300, 61, 9]).check("tdt, T 300 U1 61");
    Batch::random(13, &multi_blank(), [1, 300, 61, 10]).check("multi-blank, T 300 U1 61");
}

/// The costs of a loss without gradients are the same bits.
#[test]
fn costs_alone_are_the_same_costs() {
    for (name, pair) in all_kinds() {
        let batch = Batch::random(14, &pair, [3, 9, 5, 8]).with_lengths(&[9, 3, 0], &[4, 4, 1]);
        for (other, context) in contexts() {
            let alone = batch.try_run(context, Gradients::None).unwrap();
            let both = batch.run(context);
            assert!(alone.gradients.is_empty());
            assert_eq!((crate::bits(&alone.costs), alone.status), (crate::bits(&both.costs), both.status), "{name} on {other}");
        }
    }
}
