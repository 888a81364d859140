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
