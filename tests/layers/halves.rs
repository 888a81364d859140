//! Layers of f16: weights and x that are such numbers, h rounded to one at each step, all else in f32.

use crate::case::{Case, pairs};
use crate::common::{assert_close, shared_contexts};
use weft::dense::convert_blocking;
use weft::recurrent::{Cell, Level, Merge, RunOptions, Stack};
use weft::{DType, Error, Tensor};

/// Rounding h moves it by 2^-12 of itself; a step hands that on, divided by what it forgets.
const TOLERANCE: f64 = 2e-3;
/// Relative to the largest gradient of its kind.
const GRADIENT_TOLERANCE: f64 = 1e-2;

#[test]
fn every_cell_agrees_with_the_truth() {
    for (name, context) in shared_contexts() {
        for pair in pairs() {
            for sizes in [
                [1, 1, 1, 1],
                [7, 1, 3, 3],
                [7, 5, 31, 32],
                [7, 3, 33, 33],
                [5, 17, 16, 40],
                [3, 16, 64, 128],
                [9, 5, 3, 24],
                [12, 20, 16, 64],
            ] {
                Case::random(&pair, sizes, 1).half().check(&name, &context, TOLERANCE);
            }
        }
        // As large as where matrices are worth it, on cards that have them.
        Case::random(&pairs()[2], [9, 20, 8, 400], 1).half().check(&name, &context, TOLERANCE);
    }
}

#[test]
fn gradients_agree_with_the_truth() {
    for (name, context) in shared_contexts() {
        for pair in pairs() {
            for sizes in [[1, 1, 1, 1], [5, 2, 3, 5], [4, 9, 33, 32]] {
                Case::random(&pair, sizes, 3).half().check_gradients(&name, &context, GRADIENT_TOLERANCE);
            }
        }
        // Among many units, some stand so near the kink of a relu or a clip that rounding takes them across: those without.
        for pair in [Cell::lstm(), Cell::gru(), Cell::gru_reset_before()] {
            let pair = pairs().into_iter().find(|known| known.cell.name() == pair.name()).unwrap();
            Case::random(&pair, [9, 17, 40, 48], 3).half().check_gradients(&name, &context, GRADIENT_TOLERANCE);
        }
    }
}

#[test]
fn reverse_ragged_and_with_resets() {
    for (name, context) in shared_contexts() {
        for pair in pairs() {
            for reverse in [false, true] {
                // Units of any number, and of one that matrices take.
                for (frames, hidden) in [(7, 33), (9, 32)] {
                    let mut case = Case::random(&pair, [frames, 5, 3, hidden], 2).half();
                    case.problem.reverse = reverse;
                    case.problem.lengths = vec![frames, 0, 3, 1, 6];
                    case.problem.resets = vec![(0, 0), (3, 0), (2, 2), (0, 3), (5, 4), (6, 0)];
                    case.check(&name, &context, TOLERANCE);
                    case.check_gradients(&name, &context, GRADIENT_TOLERANCE);
                }
            }
        }
    }
}

/// y is f16, and h of the last state the same numbers; one frame at a time gives what all at once do.
#[test]
fn streaming_equals_the_whole() {
    for (name, context) in shared_contexts() {
        for pair in pairs().into_iter().filter(|pair| pair.cell.norms().input.is_none()) {
            let case = Case::random(&pair, [6, 2, 5, 9], 6).half();
            let layer = case.layer(&context);
            let x = case.x(&context).to_vec_blocking().unwrap();
            let (whole, last) = layer.forward_blocking(&case.x(&context), None, Some(&case.state(&context))).unwrap();
            assert_eq!(whole.dtype(), DType::F16);
            let whole = whole.to_vec_blocking().unwrap();
            assert_eq!(last.h_blocking().unwrap(), whole[5 * 18..], "{name} {}", case.pair.cell.name());
            let mut state = case.state(&context);
            let mut all = Vec::new();
            for frame in x.chunks_exact(10) {
                let frame = Tensor::from_slice(&context, &[1, 2, 5], frame).unwrap();
                let frame = convert_blocking(&frame, DType::F16).unwrap();
                let (y, next) = layer.forward_blocking(&frame, None, Some(&state)).unwrap();
                all.extend(y.to_vec_blocking().unwrap());
                state = next;
            }
            let expected: Vec<f64> = whole.iter().map(|&y| f64::from(y)).collect();
            assert_close(&format!("{name} {}", case.pair.cell.name()), &all, &expected, 0.0, 0.0);
        }
    }
}

/// Directions side by side, in f16 between the levels; and a stack has one type.
#[test]
fn stacks_stay_in_halves() {
    for (name, context) in shared_contexts() {
        let lstm = &pairs()[2];
        let of = |sizes, seed| Case::random(lstm, sizes, seed).half();
        let cases = [of([5, 2, 3, 9], 1), of([5, 2, 3, 9], 2), of([5, 2, 18, 4], 3)];
        let [forward, reverse, top] = cases.each_ref().map(|case| case.layer(&context));
        let levels = vec![Level::both(forward.clone(), reverse.clone()), Level::one(top.clone())];
        let stack = Stack::new(levels, Merge::Concat).unwrap();
        let x = cases[0].x(&context);
        let (y, _, _) = stack.run_blocking(&x, &[], &RunOptions::default()).unwrap();
        assert_eq!(y.dtype(), DType::F16);
        let both = [forward, reverse.reversed()].map(|layer| layer.forward_blocking(&x, None, None).unwrap().0.to_vec_blocking().unwrap());
        let joined: Vec<f32> = both[0].chunks(9).zip(both[1].chunks(9)).flat_map(|(a, b)| [a, b].concat()).collect();
        let joined = convert_blocking(&Tensor::from_slice(&context, &[5, 2, 18], &joined).unwrap(), DType::F16).unwrap();
        let (expected, _) = top.forward_blocking(&joined, None, None).unwrap();
        assert_eq!(y.to_vec_blocking().unwrap(), expected.to_vec_blocking().unwrap(), "{name}");

        let wide = Case::random(lstm, [5, 2, 4, 3], 4).layer(&context);
        let error = Stack::new(vec![Level::one(top), Level::one(wide)], Merge::Concat).unwrap_err();
        assert!(matches!(&error, Error::Value { argument: "levels", .. }), "{error}");
    }
}

#[test]
fn the_type_of_x_is_that_of_the_layer() {
    for (_, context) in shared_contexts() {
        let case = Case::random(&pairs()[2], [2, 1, 3, 4], 1);
        let wide = case.layer(&context);
        let half = wide.to_f16_blocking().unwrap();
        let x = case.x(&context);
        let short = convert_blocking(&x, DType::F16).unwrap();
        for (layer, x) in [(&half, &x), (&wide, &short)] {
            let error = layer.forward_blocking(x, None, None).unwrap_err();
            assert!(matches!(&error, Error::Value { argument: "x", .. }), "{error}");
        }
        assert_eq!([wide.dtype(), half.dtype()], [DType::F32, DType::F16]);
        let dy = Tensor::zeros(&context, &[2, 1, 4], DType::F16).unwrap();
        let (_, _, tape) = half.train_blocking(&short, &Default::default()).unwrap();
        let error = half.backward_blocking(&tape, &dy, None).unwrap_err();
        assert!(matches!(&error, Error::Value { argument: "dy", .. }), "{error}");
    }
}

/// Ties go to even, small numbers to multiples of 2^-24, large ones to the largest; the same on every device.
#[test]
fn conversions_round_to_nearest() {
    let values = [
        0.0,
        -0.0,
        1.0,
        1.0 + 1.0 / 2048.0,
        1.0 + 3.0 / 2048.0,
        -1.000_976_6,
        0.1,
        65_504.0,
        65_519.0,
        65_520.0,
        -1e9,
        6.1e-5,
        6.0e-5,
        3e-8,
        2.9e-8,
        -1e-7,
        0.333_333_34,
    ];
    let expected: Vec<f32> = values.iter().map(|&x: &f32| half::f16::from_f32(x.clamp(-65_504.0, 65_504.0)).to_f32()).collect();
    for (name, context) in shared_contexts() {
        for count in [1, 2, values.len()] {
            let x = Tensor::from_slice(&context, &[count], &values[..count]).unwrap();
            let half = convert_blocking(&x, DType::F16).unwrap();
            assert_eq!(half.to_vec_blocking().unwrap(), expected[..count], "{name}");
            assert_eq!(convert_blocking(&half, DType::F32).unwrap().to_vec_blocking().unwrap(), expected[..count], "{name}");
        }
    }
}

/// All gradients of a call; those of x by sequences.
fn gradients(case: &Case, context: &weft::Context, dy: &[f32]) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let p = &case.problem;
    let layer = case.layer(context);
    let [_, plan] = layer.plan_training(p.frames, p.batch).unwrap();
    assert_eq!(plan.to_string().contains("dense_gemm_coop"), context.caps().matrices.is_some(), "{plan}");
    let (_, _, tape) = layer.train_blocking(&case.x(context), &Default::default()).unwrap();
    let dy = Tensor::from_slice(context, &[p.frames, p.batch, p.hidden], dy).unwrap();
    let given = layer.backward_blocking(&tape, &dy, None).unwrap();
    let dx = given.x.unwrap().to_vec_blocking().unwrap();
    let of = |n: usize| dx.chunks_exact(p.inputs).skip(n).step_by(p.batch).flatten().copied().collect();
    let weights = [&given.weight_ih, &given.bias_ih, &given.weight_hh, &given.units].map(|tensor| tensor.to_vec_blocking().unwrap());
    ((0..p.batch).map(of).collect(), weights.into())
}

fn bits(values: &[Vec<f32>]) -> Vec<Vec<u32>> {
    values.iter().map(|values| values.iter().map(|x| x.to_bits()).collect()).collect()
}

/// No loss has to be scaled: gradients of 2^-30 and of 2^14 are those of 1, times that, to the last bit; and of one sequence among others
/// of another size too. A sequence whose gradients are no numbers leaves the gradients of x of all others their bits.
#[test]
fn gradients_of_any_size_keep_their_bits() {
    for (name, context) in shared_contexts() {
        for pair in pairs() {
            let norms = pair.cell.norms();
            if norms.input.is_some() {
                continue;
            }
            let [frames, batch, hidden] = [6, 3, 16];
            let case = Case::random(&pair, [frames, batch, 8, hidden], 2).half();
            let what = format!("{name} {}", pair.cell.name());
            let dy: Vec<f32> = (0..frames * batch * hidden).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 300.0).collect();
            let (dx, weights) = gradients(&case, &context, &dy);
            for power in [-30, 14] {
                let scale = 2f32.powi(power);
                let scaled = |all: &[Vec<f32>]| bits(&all.iter().map(|x| x.iter().map(|x| x * scale).collect()).collect::<Vec<_>>());
                let all: Vec<f32> = dy.iter().map(|d| d * scale).collect();
                let got = gradients(&case, &context, &all);
                assert_eq!(bits(&got.0), scaled(&dx), "{what}: dx of 2^{power}");
                assert_eq!(bits(&got.1), scaled(&weights), "{what}: weights of 2^{power}");

                let one: Vec<f32> = dy.iter().enumerate().map(|(i, d)| if i / hidden % batch == 1 { d * scale } else { *d }).collect();
                let mut expected = bits(&dx);
                expected[1] = scaled(&dx[1..2]).remove(0);
                assert_eq!(bits(&gradients(&case, &context, &one).0), expected, "{what}: one sequence of 2^{power}");
            }
            for bad in [f32::NAN, f32::INFINITY] {
                let mut spoilt = dy.clone();
                spoilt[2 * batch * hidden + hidden + 3] = bad;
                let (spoilt_dx, spoilt_weights) = gradients(&case, &context, &spoilt);
                assert_eq!(bits(&spoilt_dx[..1]), bits(&dx[..1]), "{what}: {bad}");
                assert_eq!(bits(&spoilt_dx[2..]), bits(&dx[2..]), "{what}: {bad}");
                // And does not pass for a number.
                assert!(spoilt_dx[1].iter().any(|x| !x.is_finite()) && spoilt_weights[0].iter().any(|x| !x.is_finite()), "{what}: {bad}");
            }
        }
    }
}
