//! Utterances without a path, or with nothing to tell: statuses, and nothing that panics.

use crate::Batch;
use crate::common::shared_contexts;
use crate::truth;
use weft::lattice::{Blank, Kind, Lattice, Status};

fn assert_nothing(what: &str, lattice: &Lattice<'_>, status: Status) {
    assert_eq!(lattice.status(), status, "{what}");
    assert_eq!((lattice.best_path(), lattice.entropy()), (None, None), "{what}");
    assert!(lattice.k_best(3).is_empty() && lattice.sample(3, 0).is_empty(), "{what}");
    assert!(lattice.occupancies().is_empty() && lattice.expected_frames().is_empty(), "{what}");
}

#[test]
fn utterances_without_paths() {
    let mut batch = Batch::rnnt(21, [5, 4, 3, 4]).with_lengths(&[4, 0, 4, 4, 4], &[2, 2, 2, 2, 2]);
    let clean = batch.clone();
    batch.row(2, 3, 2).fill(f32::NEG_INFINITY);
    batch.row(3, 1, 1)[2] = f32::NAN;
    for (name, context) in shared_contexts() {
        let (lattices, good) = (batch.lattices(&context), clean.lattices(&context));
        let get = |n: usize| lattices.get(n).unwrap();
        assert_nothing(&name, &get(1), Status::Empty);
        assert_nothing(&name, &get(2), Status::Infeasible);
        assert_nothing(&name, &get(3), Status::NonFinite);
        assert_eq!(get(1).shape(), [0, 3, 2]);
        for n in [0, 4] {
            let neighbour = good.get(n).unwrap();
            assert_eq!(get(n).k_best(5), neighbour.k_best(5), "{name}");
            assert_eq!(get(n).occupancies(), neighbour.occupancies(), "{name}");
            assert_eq!(get(n).sample(5, 1), neighbour.sample(5, 1), "{name}");
        }
    }
}

/// More labels than frames, where each takes one.
#[test]
fn infeasible_for_the_kind() {
    let batch = Batch::random(22, Kind::monotonic(Blank(0)), truth::Kind::modified(0), [2, 4, 4, 4]).with_lengths(&[2, 4], &[3, 3]);
    for (name, context) in shared_contexts() {
        let lattices = batch.lattices(&context);
        assert_nothing(&name, &lattices.get(0).unwrap(), Status::Infeasible);
        assert!(lattices.get(1).unwrap().best_path().is_some(), "{name}");
    }
}

/// No labels: one path of blanks.
#[test]
fn no_labels() {
    let batch = Batch::rnnt(23, [1, 5, 1, 4]);
    for (name, context) in shared_contexts() {
        let lattices = batch.lattices(&context);
        let lattice = lattices.get(0).unwrap();
        let best = lattice.best_path().unwrap();
        assert_eq!((best.path.len(), best.emissions.len(), best.log_posterior), (5, 0, 0.0), "{name}");
        assert!((best.log_prob + f64::from(lattices.output().costs[0])).abs() < 1e-5, "{name}");
        assert_eq!(lattice.k_best(9), std::slice::from_ref(&best), "{name}");
        assert_eq!(lattice.sample(2, 5), [best.clone(), best], "{name}");
        assert_eq!((lattice.entropy(), lattice.expected_frames().len()), (Some(0.0), 0), "{name}");
    }
}

#[test]
fn batches_of_nothing() {
    for (name, context) in shared_contexts() {
        assert!(Batch::rnnt(1, [0, 4, 3, 4]).lattices(&context).is_empty(), "{name}");
        let lattices = Batch::rnnt(1, [2, 0, 3, 4]).lattices(&context);
        for n in 0..2 {
            assert_nothing(&name, &lattices.get(n).unwrap(), Status::Empty);
        }
        assert_eq!(lattices.map(|lattice| lattice.index()), [0, 1]);
    }
}
