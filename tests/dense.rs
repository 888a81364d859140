//! Linear layers, on the CPU twin and on every variant of this machine's adapter, against f64.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Lcg, assert_close, contexts_with, shared_contexts};
use weft::dense::{Activation, Linear};
use weft::{Context, DType, Error, Tensor};

const ALL: [Activation; 4] = [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh];

/// f32 sums of up to 300 products of numbers below 1, in another order than the oracle's.
const TOLERANCE: f64 = 1e-5;

fn apply(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    }
}

struct Case {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    rows: usize,
    inputs: usize,
    outputs: usize,
}

impl Case {
    fn random([rows, inputs, outputs]: [usize; 3]) -> Self {
        let mut lcg = Lcg((rows * 10_007 + inputs * 101 + outputs) as u64);
        let (x, weight, bias) = (lcg.list(rows * inputs, 1.0), lcg.list(inputs * outputs, 1.0), lcg.list(outputs, 1.0));
        Self { x, weight, bias, rows, inputs, outputs }
    }

    fn run(&self, context: &Context, bias: bool, [before, after]: [Activation; 2]) -> Vec<f32> {
        let bias = bias.then_some(&*self.bias);
        let layer = Linear::new(context, [self.outputs, self.inputs], &self.weight, bias).unwrap().with_activations(before, after);
        let x = Tensor::from_slice(context, &[self.rows, self.inputs], &self.x).unwrap();
        let y = layer.forward_blocking(&x).unwrap();
        assert_eq!(y.shape(), [self.rows, self.outputs]);
        y.to_vec_blocking().unwrap()
    }

    fn check(&self, name: &str, context: &Context, bias: bool, [before, after]: [Activation; 2]) {
        let mut expected = Vec::with_capacity(self.rows * self.outputs);
        for x in self.x.chunks_exact(self.inputs) {
            for (n, weight) in self.weight.chunks_exact(self.inputs).enumerate() {
                let sum: f64 = x.iter().zip(weight).map(|(&x, &w)| apply(before, f64::from(x)) * f64::from(w)).sum();
                expected.push(apply(after, if bias { sum + f64::from(self.bias[n]) } else { sum }));
            }
        }
        let what = format!("{name}: {} x {} -> {}, bias {bias}, {before:?} {after:?}:", self.rows, self.inputs, self.outputs);
        assert_close(&what, &self.run(context, bias, [before, after]), &expected, TOLERANCE, TOLERANCE);
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn odd_shapes() {
    // Sides at and around the tiles: 16 or 64 rows, 64 outputs, 16 deep.
    let shapes = [
        [1, 1, 1],
        [1, 129, 512],
        [2, 16, 64],
        [15, 17, 63],
        [17, 15, 65],
        [63, 3, 2],
        [64, 16, 64],
        [65, 33, 130],
        [130, 300, 1],
        [200, 1, 3],
    ];
    for (name, context) in shared_contexts() {
        for (index, shape) in shapes.into_iter().enumerate() {
            Case::random(shape).check(&name, &context, index % 2 == 0, [Activation::Identity; 2]);
            Case::random(shape).check(&name, &context, index % 2 == 1, [Activation::Identity; 2]);
        }
    }
}

#[test]
fn activations_on_either_side() {
    for (name, context) in shared_contexts() {
        for before in ALL {
            for after in ALL {
                Case::random([3, 20, 70]).check(&name, &context, true, [before, after]);
            }
        }
        // Far out and very near to 0: no overflow, and no digit lost by cancellation.
        let inputs = [-1e4, -100.0, -44.5, -20.0, -0.25, -1e-4, -1e-7, 0.0, 1e-7, 1e-4, 0.2, 0.249, 0.251, 1.0, 9.0, 44.5, 100.0, 1e4];
        for activation in ALL {
            let layer = Linear::new(&context, [1, 1], &[1.0], None).unwrap().with_activations(Activation::Identity, activation);
            let x = Tensor::from_slice(&context, &[inputs.len(), 1], &inputs).unwrap();
            let y = layer.forward_blocking(&x).unwrap().to_vec_blocking().unwrap();
            let expected: Vec<f64> = inputs.iter().map(|&x| apply(activation, f64::from(x))).collect();
            // Relative: WGSL's exp is good to 3 + 2|x| units of 2^-24, at |x| = 20 that is 2.6e-6.
            // Absolute: what exp rounds to zero.
            assert_close(&format!("{name}: {activation:?}"), &y, &expected, 1e-12, 3e-6);
        }
    }
}

#[test]
fn a_row_is_the_same_in_any_batch() {
    for (name, context) in shared_contexts() {
        let case = Case::random([100, 37, 70]);
        let many = case.run(&context, true, [Activation::Identity, Activation::Tanh]);
        let single = Case { x: case.x[99 * 37..].to_vec(), rows: 1, ..Case::random([100, 37, 70]) };
        let one = single.run(&context, true, [Activation::Identity, Activation::Tanh]);
        assert_eq!(bits(&many[99 * 70..]), bits(&one), "{name}");
    }
}

#[test]
fn a_nan_stays_in_its_row() {
    for (name, context) in shared_contexts() {
        let mut case = Case::random([70, 19, 66]);
        let clean = case.run(&context, true, [Activation::Identity; 2]);
        case.x[33 * 19 + 5] = f32::NAN;
        case.x[34 * 19] = f32::INFINITY;
        let dirty = case.run(&context, true, [Activation::Identity; 2]);
        for row in (0..70).filter(|row| !(33..35).contains(row)) {
            assert_eq!(bits(&clean[row * 66..][..66]), bits(&dirty[row * 66..][..66]), "{name}: row {row}");
        }
    }
}

#[test]
fn windows_do_not_change_the_result() {
    let limit = 6_000;
    let whole = shared_contexts();
    let cut = contexts_with(|options| options.with_max_binding_bytes(limit));
    for ((name, whole), (_, cut)) in whole.iter().zip(&cut) {
        // That plans heed the limit is tested beside them.
        assert_eq!(cut.caps().max_binding_bytes, limit, "{name}");
        for shape in [[300, 7, 33], [150, 45, 9]] {
            let case = Case::random(shape);
            let expected = case.run(whole, true, [Activation::Identity; 2]);
            assert_eq!(bits(&expected), bits(&case.run(cut, true, [Activation::Identity; 2])), "{name}");
        }
    }
}

#[test]
fn any_leading_sides_and_no_rows() {
    for (name, context) in shared_contexts() {
        let layer = Linear::new(&context, [2, 3], &[1.0, 0.0, 0.0, 0.0, 0.0, 2.0], Some(&[0.5, 0.0])).unwrap();
        assert_eq!((layer.inputs(), layer.outputs()), (3, 2));
        let x = Tensor::from_slice(&context, &[3], &[1.0, 2.0, 3.0]).unwrap();
        let y = layer.forward_blocking(&x).unwrap();
        assert_eq!((y.shape(), y.to_vec_blocking().unwrap()), (&[2][..], vec![1.5, 6.0]), "{name}");
        let y = layer.forward_blocking(&Tensor::zeros(&context, &[4, 1, 2, 3], DType::F32).unwrap()).unwrap();
        assert_eq!((y.shape(), y.to_vec_blocking().unwrap()), (&[4, 1, 2, 2][..], [0.5, 0.0].repeat(8)), "{name}");
        let y = layer.forward_blocking(&Tensor::zeros(&context, &[5, 0, 3], DType::F32).unwrap()).unwrap();
        assert_eq!((y.shape(), y.to_vec_blocking().unwrap()), (&[5, 0, 2][..], vec![]), "{name}");
    }
}

#[test]
fn bad_input_is_named() {
    for (name, context) in shared_contexts() {
        let refused = |shape, weight: &[f32], bias: Option<&[f32]>| Linear::new(&context, shape, weight, bias).unwrap_err();
        let error = refused([2, 3], &[0.0; 5], None);
        assert!(matches!(error, Error::Shape { argument: "weight", .. }) && error.to_string().contains("[2, 3]"), "{name}: {error}");
        let error = refused([2, 3], &[0.0; 6], Some(&[0.0; 3]));
        assert!(matches!(error, Error::Shape { argument: "bias", .. }), "{name}: {error}");
        assert!(matches!(refused([0, 3], &[], None), Error::Value { argument: "outputs", .. }), "{name}");
        assert!(matches!(refused([2, 0], &[], None), Error::Value { argument: "inputs", .. }), "{name}");
        let layer = Linear::new(&context, [2, 3], &[0.0; 6], None).unwrap();
        let error = layer.forward_blocking(&Tensor::zeros(&context, &[3, 2], DType::F32).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Shape { argument: "x", .. }) && error.to_string().contains("[3, 2]"), "{name}: {error}");
        let error = layer.forward_blocking(&Tensor::zeros(&context, &[3, 3], DType::U32).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Value { argument: "x", .. }), "{name}: {error}");
        let error = layer.forward_blocking(&Tensor::zeros(&Context::cpu(), &[3, 3], DType::F32).unwrap()).unwrap_err();
        assert!(matches!(error, Error::OtherContext { argument: "x" }), "{name}: {error}");
    }
    for (name, context) in contexts_with(|options| options.with_max_binding_bytes(6_000)) {
        let error = Linear::new(&context, [50, 40], &[0.0; 2000], None).unwrap_err();
        assert!(matches!(error, Error::LimitExceeded { what: "weight, bytes", need: 8000, have: 6000, .. }), "{name}: {error}");
        let layer = Linear::new(&context, [1500, 1], &[0.0; 1500], None).unwrap();
        let error = layer.forward_blocking(&Tensor::zeros(&context, &[1, 1], DType::F32).unwrap()).unwrap_err();
        assert!(matches!(error, Error::LimitExceeded { what: "one row, bytes", .. }), "{name}: {error}");
    }
}

#[test]
fn weights_from_a_file() {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let (weight, bias): (Vec<u8>, Vec<u8>) = (
        [1f32, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|v| v.to_le_bytes()).collect(),
        [7f32, 8.0].iter().flat_map(|v| v.to_le_bytes()).collect(),
    );
    let view = |shape: &[usize], data| TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap();
    let tensors = [
        ("a.weight", view(&[2, 3], &weight)),
        ("a.bias", view(&[2], &bias)),
        ("b.weight", view(&[3, 2], &weight)),
        ("b.bias", view(&[2], &bias)),
        ("c.weight", view(&[6], &weight)),
    ];
    let file = weft::Weights::from_bytes(serialize(tensors, None).unwrap()).unwrap();
    let cpu = Context::cpu();
    let layer = Linear::load(&cpu, &file, "a").unwrap();
    let x = Tensor::from_slice(&cpu, &[1, 3], &[1.0, 0.0, -1.0]).unwrap();
    assert_eq!(layer.forward_blocking(&x).unwrap().to_vec_blocking().unwrap(), [5.0, 6.0]);
    for (prefix, parts) in
        [("b", ["b.bias", "[2]", "[3]"]), ("c", ["c.weight", "[6]", "outputs"]), ("d", ["d.weight", "a.weight", "c.weight"])]
    {
        let said = Linear::load(&cpu, &file, prefix).unwrap_err().to_string();
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}
