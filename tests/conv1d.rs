//! conv1d against a plain f64 convolution, on every context.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Lcg, assert_close};
use weft::dense::{Activation, Conv1dOptions, conv1d_blocking};
use weft::{Context, Error, Tensor};

struct Case {
    batch: usize,
    channels_in: usize,
    length: usize,
    channels_out: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    bias: bool,
    activation: Activation,
}

/// What PyTorch documents, in f64.
fn oracle(case: &Case, x: &[f32], weight: &[f32], bias: &[f32]) -> (usize, Vec<f64>) {
    let length_out = (case.length + 2 * case.padding - case.kernel) / case.stride + 1;
    let mut y = Vec::new();
    for b in 0..case.batch {
        for n in 0..case.channels_out {
            for t in 0..length_out {
                let mut sum = if case.bias { f64::from(bias[n]) } else { 0.0 };
                for c in 0..case.channels_in {
                    for k in 0..case.kernel {
                        let at = (t * case.stride + k) as isize - case.padding as isize;
                        if at >= 0 && (at as usize) < case.length {
                            let xv = x[(b * case.channels_in + c) * case.length + at as usize];
                            sum += f64::from(weight[(n * case.channels_in + c) * case.kernel + k]) * f64::from(xv);
                        }
                    }
                }
                y.push(match case.activation {
                    Activation::Identity => sum,
                    Activation::Relu => sum.max(0.0),
                    Activation::Sigmoid => 1.0 / (1.0 + (-sum).exp()),
                    Activation::Tanh => sum.tanh(),
                });
            }
        }
    }
    (length_out, y)
}

#[test]
fn agrees_with_the_definition() {
    let case = |batch, channels_in, length, channels_out, kernel, stride, padding, bias, activation| Case {
        batch,
        channels_in,
        length,
        channels_out,
        kernel,
        stride,
        padding,
        bias,
        activation,
    };
    let cases = [
        case(1, 1, 1, 1, 1, 1, 0, false, Activation::Identity),
        // The network's own layers, few frames.
        case(3, 1, 640, 258, 256, 128, 0, false, Activation::Identity),
        case(3, 129, 4, 128, 3, 1, 1, true, Activation::Relu),
        case(3, 128, 4, 64, 3, 2, 1, true, Activation::Relu),
        case(2, 64, 1, 128, 3, 1, 1, true, Activation::Relu),
        // One more and one less than the tile in every direction.
        case(1, 17, 33, 33, 1, 1, 0, true, Activation::Tanh),
        case(31, 5, 9, 31, 3, 3, 2, true, Activation::Sigmoid),
        // Padding wider than the kernel: windows that touch nothing; a stride beyond the input.
        case(2, 3, 2, 4, 2, 5, 7, true, Activation::Identity),
        // Padding alone, and more outputs than the twin unrolls at a time.
        case(2, 3, 0, 5, 2, 1, 3, true, Activation::Sigmoid),
        case(2, 3, 150, 7, 4, 1, 2, true, Activation::Identity),
    ];
    let mut random = Lcg(7);
    for (name, gpu) in common::contexts() {
        for (index, case) in cases.iter().enumerate() {
            let depth = case.channels_in * case.kernel;
            let x = random.list(case.batch * case.channels_in * case.length, 1.0);
            let weight = random.list(case.channels_out * depth, 1.0);
            let bias = random.list(case.channels_out, 1.0);
            let (length_out, expected) = oracle(case, &x, &weight, &bias);
            let x = Tensor::from_slice(&gpu, &[case.batch, case.channels_in, case.length], &x).unwrap();
            let weight = Tensor::from_slice(&gpu, &[case.channels_out, case.channels_in, case.kernel], &weight).unwrap();
            let bias = case.bias.then(|| Tensor::from_slice(&gpu, &[case.channels_out], &bias).unwrap());
            let options = Conv1dOptions { stride: case.stride, padding: case.padding, activation: case.activation };
            let y = conv1d_blocking(&x, &weight, bias.as_ref(), &options).unwrap();
            assert_eq!(y.shape(), [case.batch, case.channels_out, length_out]);
            // Each step rounds a partial sum, at most about sqrt(depth), by 2^-25 of it at most, and
            // sqrt(depth) of such roundings do not cancel; twice that for the largest of thousands.
            let tolerance = depth as f64 / f64::from(1 << 24) + 1e-6;
            assert_close(&format!("{name}, case {index}"), &y.to_vec_blocking().unwrap(), &expected, tolerance, 0.0);
        }
    }
}

#[test]
fn bad_arguments_are_named() {
    let gpu = Context::cpu();
    let tensor = |shape: &[usize]| Tensor::zeros(&gpu, shape, weft::DType::F32).unwrap();
    let x = tensor(&[1, 2, 5]);
    let run = |x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, stride| {
        conv1d_blocking(x, weight, bias, &Conv1dOptions { stride, ..Conv1dOptions::default() }).unwrap_err()
    };
    assert!(matches!(run(&tensor(&[2, 5]), &tensor(&[3, 2, 3]), None, 1), Error::Shape { argument: "x", .. }));
    assert!(matches!(run(&x, &tensor(&[3, 4, 3]), None, 1), Error::Shape { argument: "weight", .. }));
    assert!(matches!(run(&tensor(&[1, 0, 5]), &tensor(&[3, 0, 3]), None, 1), Error::Shape { argument: "weight", .. }));
    assert!(matches!(run(&x, &tensor(&[3, 2, 3]), Some(&tensor(&[4])), 1), Error::Shape { argument: "bias", .. }));
    assert!(matches!(run(&x, &tensor(&[3, 2, 3]), None, 0), Error::Value { argument: "stride", .. }));
    assert!(matches!(run(&x, &tensor(&[3, 2, 6]), None, 1), Error::Value { argument: "kernel", .. }));
    assert!(matches!(run(&x, &tensor(&[3, 2, 0]), None, 1), Error::Value { argument: "kernel", .. }));
    let elsewhere = Tensor::zeros(&Context::cpu(), &[3, 2, 3], weft::DType::F32).unwrap();
    assert!(matches!(run(&x, &elsewhere, None, 1), Error::OtherContext { argument: "weight" }));
    // An empty batch is no error.
    let y = conv1d_blocking(&tensor(&[0, 2, 5]), &tensor(&[3, 2, 3]), None, &Conv1dOptions::default()).unwrap();
    assert_eq!(y.shape(), [0, 3, 3]);
}
