//! Batches at their ends: nobody, nothing, numbers that are none.

use crate::case::Case;
use crate::common::shared_contexts;
use crate::kinds::{Row, kinds};
use crate::{LENGTHS, rnnt};
use weft::lattice::Status;

#[test]
fn nobody_and_nothing() {
    for (name, context) in shared_contexts() {
        for lengths in [&[][..], &[[0, 0]], &[[0, 3], [0, 0]], &[[1, 0]]] {
            for widths in [[3, 4, 5], [0, 0, 5], [0, 0, 0]] {
                Case::new(&rnnt(), lengths, widths, 1).check(&format!("{lengths:?} {widths:?}, {name}"), &context);
            }
        }
    }
}

#[test]
fn one_symbol() {
    let row = Row { vocab: 1, kind: weft::lattice::Kind::rnnt(weft::lattice::Blank(0)), truth: crate::truth::Kind::rnnt(0), ..rnnt() };
    let mut case = Case::new(&row, &[[3, 0], [1, 0]], [2, 2, 4], 2);
    case.targets = vec![Vec::new(); 2];
    for (name, context) in shared_contexts() {
        case.check(&format!("V 1, {name}"), &context);
    }
}

fn rnnt_of(vocab: usize) -> Row {
    Row { vocab, kind: weft::lattice::Kind::rnnt(weft::lattice::Blank(1)), truth: crate::truth::Kind::rnnt(1), ..rnnt() }
}

/// One label, and more than a launch has workgroups; each in as little memory as will do.
#[test]
fn small_and_large_vocabularies() {
    let lengths = [[3, 2], [2, 0], [0, 1], [1, 3]];
    for (vocab, lengths) in [(2, &lengths[..]), (3, &lengths), (100_000, &[[1, 1], [1, 0]])] {
        let case = Case::new(&rnnt_of(vocab), lengths, [2, 3, 3], 6);
        for case in [case.clone(), case.in_halves()] {
            for (name, context) in shared_contexts() {
                let what = format!("V {vocab}, f16 {}, {name}", case.half);
                case.check(&what, &context);
                let refused =
                    Case { limit: Some(1), ..case.clone() }.with(&context, true, |loss, batch| loss.plan_batch(batch).err().unwrap());
                let weft::Error::LimitExceeded { need, .. } = refused else { panic!("{what}: {refused}") };
                let least = Case { limit: Some(need), ..case.clone() };
                // Of few symbols, what launches take is more than their rows.
                let rows = least.with(&context, true, |loss, batch| loss.plan_batch(batch).unwrap().tile_rows());
                assert!(vocab < 1000 || rows == 1, "{what}: {rows} rows");
                least.check(&what, &context);
                let less = Case { limit: Some(need - 1), ..case.clone() };
                assert!(less.with(&context, true, |loss, batch| loss.plan_batch(batch).is_err()), "{what}");
            }
        }
    }
}

/// Of wider ranges than there are positions all are taken; narrower ones than reach the end are as wide as they must be.
#[test]
fn ranges_of_any_width() {
    let lengths = [[10, 4], [3, 6], [1, 5], [0, 2], [7, 0], [25, 13]];
    let simple = Case::new(&rnnt(), &lengths, [0, 0, 0], 4);
    for (name, context) in shared_contexts() {
        let lattices = simple.with(&context, false, |loss, batch| loss.lattice_blocking(batch).unwrap());
        for width in [0, 1, 2, 3, 1000] {
            let bands = lattices.map(|lattice| lattice.prune(width).ranges().to_vec());
            for (band, [frames, labels]) in bands.iter().zip(lengths) {
                let reach = |width: usize| frames.saturating_sub(1) * (width - 1) + width > labels;
                let least = (width.max(1)..=labels).find(|&width| reach(width)).unwrap_or(labels + 1);
                assert!(band.len() == frames && band.iter().all(|[first, last]| (last - first + 1) as usize == least), "{name}: {band:?}");
            }
            let case = Case { bands: Some(bands), ..Case::new(&rnnt(), &lengths, [3, 4, 8], 5) };
            case.check(&format!("ranges of {width}, {name}"), &context);
        }
    }
}

/// Bands that no path of the kind stays in are refused.
#[test]
fn bands_without_a_path() {
    for (name, context) in shared_contexts() {
        for band in [vec![[0, 0], [2, 3], [2, 3]], vec![[0, 1], [0, 1], [0, 2]], vec![[0, 3], [0, 3]]] {
            let case = Case { bands: Some(vec![band.clone()]), ..Case::new(&rnnt(), &[[3, 3]], [3, 4, 8], 5) };
            let error = case.with(&context, true, |loss, batch| loss.run_blocking(batch).err().unwrap());
            let is_of_bands = match &error {
                weft::Error::Value { argument, .. } | weft::Error::Shape { argument, .. } => *argument == "bands",
                _ => false,
            };
            assert!(is_of_bands, "{name}, {band:?}: {error}");
        }
    }
}

#[test]
fn what_is_no_number_in_bands() {
    let lengths = [[14, 11], [16, 13], [12, 10]];
    let good = Case { bands: Some(crate::bands::diagonal(&lengths, 1)), ..Case::new(&rnnt(), &lengths, [3, 0, 6], 3) };
    for (name, context) in shared_contexts() {
        let clean = good.run(&context, true);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut case = good.clone();
            case.encoder[(good.padded[0] + 7) * 3] = bad;
            let out = case.run(&context, true);
            assert_eq!(out.status, [Status::Ok, Status::NonFinite, Status::Ok], "{name}: {bad}");
            for n in [0, 2] {
                assert_eq!(out.costs[n].to_bits(), clean.costs[n].to_bits(), "{name}: {bad}: cost of utterance {n}");
            }
            let [got, was] = [&out, &clean].map(|out| out.gradients.as_ref().unwrap().encoder.to_vec_blocking().unwrap());
            let size = good.padded[0] * 3;
            for (n, (got, was)) in got.chunks(size).zip(was.chunks(size)).enumerate() {
                if n == 1 {
                    assert!(got.iter().all(|&g| g == 0.0), "{name}: {bad}: a gradient of the bad one");
                } else {
                    assert_eq!(crate::bits(got), crate::bits(was), "{name}: {bad}: gradients of utterance {n}");
                }
            }
        }
    }
}

/// Nothing is dropped with a probability of 0. With bands the same numbers are dropped in tiles of any size.
#[test]
fn dropout_of_nothing_and_in_bands() {
    let lengths = [[14, 11], [16, 13]];
    let plain = Case::new(&rnnt(), &lengths, [3, 0, 6], 3);
    let dropped = Case { bands: Some(crate::bands::diagonal(&lengths, 1)), dropout: 0.4, ..plain.clone() };
    for (name, context) in shared_contexts() {
        let none = plain.run(&context, true);
        let zero = plain.with(&context, true, |loss, batch| loss.clone().with_dropout(0.0).unwrap().run_blocking(batch).unwrap());
        let list = |out: &weft::joint::JointOutput| crate::bits(&out.gradients.as_ref().unwrap().encoder.to_vec_blocking().unwrap());
        assert_eq!((crate::bits(&none.costs), list(&none)), (crate::bits(&zero.costs), list(&zero)), "{name}");

        let all = dropped.run(&context, true);
        let refused = Case { limit: Some(1), ..dropped.clone() }.with(&context, true, |loss, batch| loss.plan_batch(batch).err().unwrap());
        let weft::Error::LimitExceeded { need, .. } = refused else { panic!("{name}: {refused}") };
        let tiles = Case { limit: Some(need), ..dropped.clone() }.run(&context, true);
        assert_eq!(crate::bits(&tiles.costs), crate::bits(&all.costs), "{name}");
        assert_ne!(crate::bits(&all.costs), crate::bits(&Case { dropout: 0.0, ..dropped.clone() }.run(&context, true).costs), "{name}");
    }
}

/// What is no number spoils its utterance alone: the others keep their bits, and the weights the gradients of a batch without it.
#[test]
fn what_is_no_number_stays_in_its_utterance() {
    let good = Case::new(&rnnt(), &LENGTHS, [3, 5, 6], 3);
    for (name, context) in shared_contexts() {
        let clean = good.run(&context, true);
        for (side, bad) in [(0, f32::NAN), (0, f32::INFINITY), (1, f32::NEG_INFINITY), (1, f32::NAN)] {
            let mut case = good.clone();
            let width = [3, 5][side];
            let input = if side == 0 { &mut case.encoder } else { &mut case.predictor };
            // Utterance 4 of six.
            let own = 4 * case.padded[side] * width;
            input[own + width] = bad;
            let out = case.run(&context, true);
            assert_eq!(out.status[4], Status::NonFinite, "{name}: {bad} on side {side}");
            let gradients = out.gradients.unwrap();
            let clean_gradients = clean.gradients.as_ref().unwrap();
            for (part, (got, was)) in
                [(&gradients.encoder, &clean_gradients.encoder), (&gradients.predictor, &clean_gradients.predictor)].into_iter().enumerate()
            {
                let (got, was) = (got.to_vec_blocking().unwrap(), was.to_vec_blocking().unwrap());
                let size = case.padded[part] * [3, 5][part];
                for n in 0..LENGTHS.len() {
                    let (got, was) = (&got[n * size..][..size], &was[n * size..][..size]);
                    if n == 4 {
                        assert!(got.iter().all(|&g| g == 0.0), "{name}: {bad} on side {part}: a gradient of the bad one");
                    } else {
                        assert_eq!(crate::bits(got), crate::bits(was), "{name}: {bad} on side {part}: gradients of utterance {n}");
                        assert_eq!(out.costs[n].to_bits(), clean.costs[n].to_bits(), "{name}: cost of utterance {n}");
                    }
                }
            }
            // As if it weighed nothing.
            let mut without = good.clone();
            without.weights[4] = 0.0;
            let expected = without.solve();
            let got = gradients.weights.output.unwrap().weight.to_vec_blocking().unwrap();
            crate::common::assert_close(&format!("{name}: {bad}: output.weight"), &got, &expected.layers[2][0], 2e-5, 1e-5);
            let got = gradients.weights.encoder.unwrap().weight.to_vec_blocking().unwrap();
            crate::common::assert_close(&format!("{name}: {bad}: encoder.weight"), &got, &expected.layers[0][0], 2e-5, 1e-5);
        }
    }
}

/// -inf masks symbols where logits are a sum.
#[test]
fn masked_symbols() {
    for row in kinds().into_iter().take(2) {
        let mut case = Case::new(&row, &LENGTHS[..2], [0, 0, 0], 4);
        let width = case.hidden;
        // No label of the targets.
        let symbol =
            (0..row.vocab).find(|&v| v as u32 != crate::kinds::BLANK && case.targets.iter().flatten().all(|&y| y != v as u32)).unwrap();
        case.encoder.iter_mut().skip(symbol).step_by(width).for_each(|x| *x = f32::NEG_INFINITY);
        for (name, context) in shared_contexts() {
            case.check(&format!("masked, {}, {name}", row.name), &context);
        }
    }
}

#[test]
fn the_same_bits_again() {
    let case = Case { dropout: 0.3, ..Case::new(&rnnt(), &LENGTHS, [3, 5, 6], 5) };
    for (name, context) in shared_contexts() {
        let all = || {
            let gradients = case.run(&context, true).gradients.unwrap();
            let weight = gradients.weights.output.unwrap().weight.to_vec_blocking().unwrap();
            [gradients.encoder.to_vec_blocking().unwrap(), gradients.predictor.to_vec_blocking().unwrap(), weight]
                .map(|list| crate::bits(&list))
        };
        assert_eq!(all(), all(), "{name}");
    }
}
