//! The reference itself: its gradients are those of its costs, by finite differences.

use crate::case::Case;
use crate::kinds::{Row, kinds};
use crate::{LENGTHS, rnnt};
use weft::dense::Activation;

/// Largest difference of a slope of the costs and the gradient that the reference gives, over places of everything that has one.
fn off(case: &Case) -> f64 {
    const STEP: f32 = 1.0 / 1024.0;
    let expected = case.solve();
    let slope = |change: &dyn Fn(&mut Case, f32)| {
        let at = |step: f32| {
            let mut case = case.clone();
            change(&mut case, step);
            case.total()
        };
        (8.0 * (at(STEP) - at(-STEP)) - (at(2.0 * STEP) - at(-2.0 * STEP))) / (12.0 * f64::from(STEP))
    };
    let mut worst: f64 = 0.0;
    let mut compare = |name: &str, gradients: &[f64], change: &dyn Fn(&mut Case, usize, f32)| {
        for (place, gradient) in gradients.iter().enumerate().step_by(3) {
            let off = (slope(&|case, step| change(case, place, step)) - gradient).abs();
            assert!(!off.is_nan(), "{name}");
            worst = worst.max(off);
        }
    };
    compare("encoder", &expected.inputs[0], &|case, place, step| case.encoder[place] += step);
    compare("predictor", &expected.inputs[1], &|case, place, step| case.predictor[place] += step);
    for layer in 0..3 {
        let [weight, bias] = &expected.layers[layer];
        compare("weight", weight, &|case, place, step| case.layers[layer].as_mut().unwrap().weight[place] += step);
        compare("bias", bias, &|case, place, step| case.layers[layer].as_mut().unwrap().bias.as_mut().unwrap()[place] += step);
    }
    worst
}

/// Coarse numbers, so that a step is added to them exactly.
fn coarse(mut case: Case) -> Case {
    let round = |list: &mut Vec<f32>| list.iter_mut().for_each(|x| *x = (*x * 256.0).round() / 256.0);
    round(&mut case.encoder);
    round(&mut case.predictor);
    for layer in case.layers.iter_mut().flatten() {
        round(&mut layer.weight);
        layer.bias.as_mut().into_iter().for_each(round);
    }
    case
}

#[test]
fn gradients_of_every_kind() {
    for row in kinds() {
        let off = off(&coarse(Case::new(&row, &LENGTHS[..3], [3, 2, 3], 1)));
        assert!(off < 2e-8, "{}: {off:e}", row.name);
    }
}

#[test]
fn gradients_of_every_form() {
    let lengths = &LENGTHS[..2];
    let form = |widths: [usize; 3]| coarse(Case::new(&rnnt(), lengths, widths, 2));
    for (name, case) in [
        ("a sum", form([0, 0, 0])),
        ("no projections", form([0, 0, 4])),
        ("sigmoid", Case { activation: Activation::Sigmoid, ..form([3, 2, 4]) }),
        ("dropout", Case { dropout: 0.5, ..form([3, 2, 6]) }),
    ] {
        let off = off(&case);
        assert!(off < 2e-8, "{name}: {off:e}");
    }
}

/// What these tests would find: a gradient that is another one's.
#[test]
fn a_wrong_gradient_is_seen() {
    let row: Row = rnnt();
    let case = coarse(Case::new(&row, &LENGTHS[..1], [3, 2, 3], 1));
    let expected = case.solve();
    let other = Case { activation: Activation::Sigmoid, ..case }.solve();
    let worst = expected.inputs[0].iter().zip(&other.inputs[0]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst > 1e-3, "{worst:e}");
}
