//! Lattices of bands: the memory of their cells, and what they give.

use crate::case::Case;
use crate::common::shared_contexts;
use crate::kinds::kinds;
use crate::rnnt;
use weft::Context;

/// `reach` positions beyond those that lie on the diagonal, on both sides.
pub fn diagonal(lengths: &[[usize; 2]], reach: usize) -> Vec<Vec<[u32; 2]>> {
    let range = |[frames, labels]: [usize; 2], t: usize| {
        let [first, last] = [t * labels / frames, ((t + 1) * labels).div_ceil(frames)];
        [first.saturating_sub(reach) as u32, (last + reach).min(labels) as u32]
    };
    lengths.iter().map(|&[frames, labels]| (0..frames).map(|t| range([frames, labels], t)).collect()).collect()
}

fn in_band(row: &crate::kinds::Row, lengths: &[[usize; 2]], reach: usize) -> Case {
    Case { bands: Some(diagonal(lengths, reach)), ..Case::new(row, lengths, [0, 4, 6], 5) }
}

fn rows(case: &Case, context: &Context) -> u64 {
    case.with(context, true, |loss, batch| loss.plan_batch(batch).unwrap().rows())
}

#[test]
fn every_kind() {
    let lengths = [[24, 20], [1, 0], [30, 26], [0, 4]];
    for row in kinds() {
        let case = in_band(&row, &lengths, 3);
        for (name, context) in shared_contexts() {
            assert_eq!(rows(&case, &context), 24 * 9 + 1 + 30 * 9, "{}", row.name);
            case.check(&format!("{}, {name}", row.name), &context);
        }
    }
}

/// Probabilities that the quick sweep cannot take: the careful one does.
#[test]
fn weights_of_nearly_nothing() {
    for row in kinds() {
        let mut case = in_band(&row, &[[24, 20], [17, 13]], 2);
        case.layers[2].as_mut().unwrap().weight.iter_mut().for_each(|w| *w *= 40.0);
        for (name, context) in shared_contexts() {
            case.check(&format!("{}, {name}", row.name), &context);
        }
    }
}

/// As long as utterances are, through the quick sweep.
#[test]
fn long_utterances() {
    for row in kinds().into_iter().filter(|row| ["RNN-T", "TDT 0 1 2 4", "multi-blank 2 3"].contains(&row.name)) {
        let case = in_band(&row, &[[188, 90], [150, 80]], 2);
        for (name, context) in shared_contexts() {
            case.check(&format!("{}, {name}", row.name), &context);
        }
    }
}

/// More columns than a workgroup has invocations.
#[test]
fn columns_in_blocks() {
    let case = in_band(&rnnt(), &[[40, 600], [3, 2]], 4);
    for (name, context) in shared_contexts() {
        case.check(&name, &context);
    }
}

/// Bands that go back and forth: paths do not, but some of their cells are none's.
#[test]
fn bands_that_turn_back() {
    let lengths = [[9, 12]];
    let band = vec![[0, 3], [1, 5], [0, 4], [3, 6], [2, 5], [4, 8], [3, 7], [6, 9], [8, 12]];
    let case = Case { bands: Some(vec![band]), ..Case::new(&rnnt(), &lengths, [0, 4, 6], 8) };
    for (name, context) in shared_contexts() {
        assert_eq!(rows(&case, &context), 9 * 5, "{name}");
        case.check(&name, &context);
    }
}

/// O(T R), whatever U.
#[test]
fn memory_is_that_of_the_band() {
    let context = Context::cpu();
    let workspace = |frames: usize, labels: usize, width: usize| {
        let begin = |t: usize| ((labels + 1 - width) * t / (frames - 1)) as u32;
        let band = (0..frames).map(|t| [begin(t), begin(t) + width as u32 - 1]).collect();
        let case = Case { bands: Some(vec![band]), ..Case::new(&rnnt(), &[[frames, labels]], [0, 0, 6], 5) };
        case.with(&context, true, |loss, batch| loss.plan_batch(batch).unwrap().workspace_bytes())
    };
    let one = workspace(100, 50, 5);
    assert_eq!([workspace(100, 99, 5), workspace(100, 200, 5)], [one; 2]);
    // Two pairs of words, and two variables and their anchors a cell; logits and the hidden layer of a row. What else grows are sums of parts;
    // and each buffer is up to an eighth larger than asked.
    let cell = 16 + 16 + 4 * (rnnt().vocab as u64 + 6);
    for (frames, width) in [(200, 5), (100, 10), (160, 9)] {
        let (all, cells) = (workspace(frames, 50, width), (frames * width - 500) as u64);
        let least = cell * cells - one / 8;
        assert!(
            (least..cell * cells + all / 8 + 2048).contains(&(all - one)),
            "T {frames}, R {width}: {all} B, {cells} cells more of {cell}"
        );
    }
}

/// Lattices of bands that are kept are those of all rows in these bands.
#[test]
fn kept() {
    let lengths = [[24, 20], [0, 3], [17, 13]];
    for row in kinds() {
        let case = in_band(&row, &lengths, 3);
        for (name, context) in shared_contexts() {
            let what = format!("{}, {name}", row.name);
            let lattices = case.with(&context, false, |loss, batch| loss.lattice_blocking(batch).unwrap());
            let whole = case.materialised(&context);
            for n in [0, 2] {
                let [got, expected] = [&lattices, &whole].map(|lattices| lattices.get(n).unwrap().occupancies());
                let got: Vec<f32> = got.iter().map(|&x| x as f32).collect();
                crate::common::assert_close(&format!("{what}: utterance {n}"), &got, &expected, 2e-5, 0.0);
                let [got, expected] = [&lattices, &whole].map(|lattices| lattices.get(n).unwrap().best_path().unwrap().log_prob);
                assert!((got - expected).abs() <= 1e-5 * expected.abs(), "{what}: utterance {n}: {got} {expected}");
            }
        }
    }
}
