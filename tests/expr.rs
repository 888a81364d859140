//! Expressions: values, simplification, derivatives by finite differences, and texts that naga takes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::difference;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use weft::expr::{FUNCTIONS, Function, Scratch, Value};
use weft::{Error, Result};

type Op = for<'g> fn(Value<'g>, Value<'g>) -> Value<'g>;

type Reference = fn(f64, f64) -> f64;

/// Every operation, with the same in Rust's f64, and whether it needs a positive a.
const OPS: [(&str, Op, Reference, bool); 22] = [
    ("add", |a, b| a + b, |a, b| a + b, false),
    ("sub", |a, b| a - b, |a, b| a - b, false),
    ("mul", |a, b| a * b, |a, b| a * b, false),
    ("div", |a, b| b / a, |a, b| b / a, true),
    ("neg", |a, b| -a * b, |a, b| -a * b, false),
    ("min", |a, b| a.min(b), f64::min, false),
    ("max", |a, b| a.max(b), f64::max, false),
    ("exp", |a, _| a.exp(), |a, _| a.exp(), false),
    ("log", |a, _| a.log(), |a, _| a.ln(), true),
    ("sqrt", |a, _| a.sqrt(), |a, _| a.sqrt(), true),
    ("tanh", |a, _| a.tanh(), |a, _| a.tanh(), false),
    ("sigmoid", |a, _| a.sigmoid(), |a, _| 1.0 / (1.0 + (-a).exp()), false),
    ("softplus", |a, _| a.softplus(), |a, _| a.exp().ln_1p(), false),
    ("sin", |a, _| a.sin(), |a, _| a.sin(), false),
    ("cos", |a, _| a.cos(), |a, _| a.cos(), false),
    ("abs", |a, b| a.abs() * b, |a, b| a.abs() * b, false),
    ("sign", |a, b| a.sign() * b, |a, b| a.signum() * b, false),
    ("relu", |a, _| a.relu(), |a, _| a.max(0.0), false),
    ("clamp", |a, _| a.clamp(-0.5, 2.0), |a, _| a.clamp(-0.5, 2.0), false),
    ("less", |a, b| a.less(b, a * a, 3.0), |a, b| if a < b { a * a } else { 3.0 }, false),
    ("left numbers", |a, b| 2.0 * a + (1.0 - b) / (0.5 + a), |a, b| 2.0 * a + (1.0 - b) / (0.5 + a), true),
    ("reuse", |a, b| (a * b + 1.0) * (a * b + 1.0), |a, b| (a * b + 1.0).powi(2), false),
];

fn function(op: Op) -> Function {
    Function::new(["a", "b"], |[a, b]| vec![("y", op(a, b))]).unwrap()
}

/// Points without a tie of any operation above.
fn points(positive: bool) -> Vec<[f64; 2]> {
    let a = [-7.25, -2.3, -0.7, -0.13, 0.11, 0.4, 0.93, 3.1, 9.7, 30.0];
    let a = a.iter().filter(|&&a| !positive || a > 0.0);
    a.flat_map(|&a| [-1.37, 0.21, 2.6].map(|b| [a, b])).collect()
}

#[test]
fn values_are_those_of_f64() {
    for (name, op, expected, positive) in OPS {
        let f = function(op);
        for [a, b] in points(positive) {
            let (got, expected) = (f.eval(&[a, b])[0], expected(a, b));
            assert!((got - expected).abs() <= 1e-13 * (1.0 + expected.abs()), "{name}({a}, {b}): {got}, expected {expected}");
        }
    }
}

#[test]
fn derivatives_are_finite_differences() {
    for (name, op, _, positive) in OPS {
        let f = function(op);
        let gradient = f.derivative(&["a", "b"]).unwrap();
        assert_eq!(gradient.inputs(), ["a", "b", "d_y"]);
        assert_eq!(gradient.outputs(), ["d_a", "d_b"]);
        for point in points(positive) {
            let got = gradient.eval(&[point[0], point[1], 1.7]);
            for (index, &got) in got.iter().enumerate() {
                let at = |step: f64| {
                    let mut moved = point;
                    moved[index] += step;
                    f.eval(&moved)[0]
                };
                // Fourth order, so that e^30 is differentiated as well.
                let step = 1e-3;
                let slope = (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step))) / (12.0 * step);
                assert!(
                    (got - 1.7 * slope).abs() <= 1e-7 * (1.0 + slope.abs()),
                    "{name} at {point:?}, d{index}: {got} against {}",
                    1.7 * slope
                );
            }
        }
    }
}

#[test]
fn a_derivative_can_be_differentiated() {
    let f = Function::new(["x"], |[x]| vec![("y", x.tanh() * x)]).unwrap();
    let second = f.derivative(&["x"]).unwrap().derivative(&["x"]).unwrap();
    let x = 0.4f64;
    let (t, slope) = (x.tanh(), 1.0 - x.tanh().powi(2));
    let expected = 2.0 * slope - 2.0 * x * t * slope;
    assert!((second.eval(&[x, 1.0, 1.0])[0] - expected).abs() < 1e-12);
}

#[test]
fn ties_and_kinks_have_the_slopes_that_the_docs_name() {
    let slope = |op: Op, a: f64, b: f64| {
        let d = function(op).derivative(&["a", "b"]).unwrap().eval(&[a, b, 1.0]);
        [d[0], d[1]]
    };
    assert_eq!(slope(|a, b| a.max(b), 2.0, 2.0), [1.0, 0.0]);
    assert_eq!(slope(|a, b| a.min(b), 2.0, 2.0), [1.0, 0.0]);
    assert_eq!(slope(|a, _| a.relu(), 0.0, 0.0)[0], 0.0);
    assert_eq!(slope(|a, _| a.max(0.0), 0.0, 0.0)[0], 1.0);
    assert_eq!(slope(|a, _| a.abs(), 0.0, 0.0)[0], 0.0);
    for (a, expected) in [(-1.0, 0.0), (-0.5, 0.0), (0.0, 1.0), (2.0, 0.0), (3.0, 0.0)] {
        assert_eq!(slope(|a, _| a.clamp(-0.5, 2.0), a, 0.0)[0], expected, "clamp at {a}");
    }
    assert_eq!(slope(|a, b| a.less(b, a, b), 1.0, 1.0), [0.0, 1.0]);
    assert_eq!(slope(|a, _| a.softplus(), 0.0, 0.0)[0], 0.5);
}

#[test]
fn what_is_constant_or_neutral_is_not_computed() {
    let count = |op: Op| function(op).operations();
    let nothing: [Op; 13] = [
        |a, _| a + 0.0,
        |a, _| 0.0 + a,
        |a, _| a - 0.0,
        |a, _| a * 1.0,
        |a, _| a / 1.0,
        |a, _| -(-a),
        |a, b| a + b * 0.0,
        |a, b| a + 0.0 / b,
        |a, _| a - a,
        |a, _| a.constant(2.0).exp() * 3.0 - 1.0,
        |a, b| a.constant(1.0).less(2.0, a, b),
        |a, b| a.less(b, a, a),
        |a, _| a.max(a),
    ];
    for (place, op) in nothing.into_iter().enumerate() {
        assert_eq!(count(op), 0, "[{place}]");
    }
    let one: [Op; 6] = [|a, b| a + -b, |a, b| a - -b, |a, b| -a + b, |a, b| -(b - a), |a, _| a * -1.0, |a, b| (a * b).max(b * a)];
    for (place, op) in one.into_iter().enumerate() {
        assert_eq!(count(op), 1, "[{place}]");
    }
    assert_eq!(count(|a, b| (a + b).tanh() * (b + a).tanh()), 3);
    // An output may be an input, or a number.
    let f = Function::new(["a"], |[a]| vec![("same", a), ("two", a.constant(2.0))]).unwrap();
    assert_eq!(f.eval(&[5.0]), [5.0, 2.0]);
}

#[test]
fn lanes_are_the_f64_values_in_f32() {
    for (name, op, _, positive) in OPS {
        let f = function(op);
        let gradient = f.derivative(&["a", "b"]).unwrap();
        // One block, a part of one, several with a rest.
        for lanes in [1, 63, 64, 65, 200] {
            let a: Vec<f32> =
                (0..lanes).map(|lane| ((lane * 37 % 101) as f32 - 50.3) / 6.0).map(|a| if positive { a.abs() + 0.01 } else { a }).collect();
            let b: Vec<f32> = (0..lanes).map(|lane| ((lane * 53 % 97) as f32 - 48.1) / 30.0).collect();
            let d = vec![0.7f32; lanes];
            let mut scratch = Scratch::default();
            let mut y = vec![f32::NAN; lanes];
            f.eval_lanes(&[&a, &b], &mut [&mut y], &mut scratch);
            let (mut d_a, mut d_b) = (vec![f32::NAN; lanes], vec![f32::NAN; lanes]);
            gradient.eval_lanes(&[&a, &b, &d], &mut [&mut d_a, &mut d_b], &mut scratch);
            for lane in 0..lanes {
                let [a, b, d] = [a[lane], b[lane], d[lane]].map(f64::from);
                let expected = [f.eval(&[a, b]), gradient.eval(&[a, b, d])].concat();
                let got = [y[lane], d_a[lane], d_b[lane]];
                if let Some(difference) = difference(&got, &expected, 1e-6, 1e-6) {
                    panic!("{name}({a}, {b}), lane {lane} of {lanes}: {difference}");
                }
            }
        }
    }
}

#[test]
fn functions_of_one_argument_are_total_and_exact_to_some_bits() {
    let ops: [(&str, Op); 9] = [
        ("exp", |a, _| a.exp()),
        ("log", |a, _| a.log()),
        ("sqrt", |a, _| a.sqrt()),
        ("tanh", |a, _| a.tanh()),
        ("sigmoid", |a, _| a.sigmoid()),
        ("softplus", |a, _| a.softplus()),
        ("sin", |a, _| a.sin()),
        ("cos", |a, _| a.cos()),
        ("sign", |a, _| a.sign()),
    ];
    let mut arguments = vec![0.0, -0.0, f32::MIN_POSITIVE, f32::MAX, f32::MIN, 1e-30, -1e-30, 87.9, 88.1, -86.9, -87.1, 1e6, -1e6];
    arguments.extend((0..40_000).map(|step| (step as f32 - 20_000.0) / 2.0));
    arguments.extend((0..40_000).map(|step| (step as f32 - 20_000.0) / 1_999.0));
    arguments.extend((-120..120).map(|power| 1.37 * 2f32.powi(power)));
    for (name, op) in ops {
        let f = function(op);
        let mut y = vec![f32::NAN; arguments.len()];
        f.eval_lanes(&[&arguments], &mut [&mut y], &mut Scratch::default());
        for (&x, &y) in arguments.iter().zip(&y) {
            assert!(y.is_finite(), "{name}({x}) = {y}");
            let expected = f.eval(&[f64::from(x)])[0];
            let circular = matches!(name, "sin" | "cos");
            if circular && x.abs() > 1e4 {
                assert!(y.abs() <= 1.0);
                continue;
            }
            // Angles have the rounding of their turns, softplus that of 1 + e^x; subnormal results are 0.
            let (absolute, relative) = if circular || name == "softplus" { (2e-7, 4e-7) } else { (2e-38, 4e-7) };
            assert!((f64::from(y) - expected).abs() <= absolute + relative * expected.abs(), "{name}({x}) = {y}, expected {expected}");
        }
    }
    let mut y = [0.0; 1];
    for (name, op) in ops {
        function(op).eval_lanes(&[&[f32::NAN]], &mut [&mut y], &mut Scratch::default());
        assert!(y[0].is_nan() || matches!(name, "sin" | "cos") && y[0].abs() <= 1.0, "{name}(NaN) = {}", y[0]);
    }
}

#[test]
fn a_bad_lane_spoils_no_other() {
    let f = function(|a, b| (a * b).tanh() + a.exp());
    let (mut a, b) = (vec![0.3f32; 150], vec![0.2f32; 150]);
    let run = |a: &[f32]| {
        let mut y = vec![0.0; 150];
        f.eval_lanes(&[a, &b], &mut [&mut y], &mut Scratch::default());
        y
    };
    let clean = run(&a);
    a[77] = f32::NAN;
    let spoilt = run(&a);
    assert!(spoilt[77].is_nan());
    assert!((0..150).filter(|&lane| lane != 77).all(|lane| clean[lane].to_bits() == spoilt[lane].to_bits()));
}

#[test]
fn missing_inputs_are_0_and_missing_outputs_are_not_written() {
    let f = Function::new(["a", "b"], |[a, b]| vec![("sum", a + b), ("difference", a - b)]).unwrap();
    let mut y = [9.0f32; 4];
    f.eval_lanes(&[&[1.0, 2.0, 3.0]], &mut [&mut y], &mut Scratch::default());
    assert_eq!(y, [1.0, 2.0, 3.0, 9.0]);
    assert_eq!(f.eval(&[1.0]), [1.0, 1.0]);
}

/// A module with a function `f` of a and b.
fn module(f: &Function) -> String {
    let text = f.wgsl(&["a", "b"]);
    format!("{FUNCTIONS}\nfn f(a: f32, b: f32) -> f32 {{\n{}    return {};\n}}\n", text.statements, text.outputs[0])
}

fn accepted(text: &str) -> naga::Module {
    let module = naga::front::wgsl::parse_str(text).unwrap_or_else(|error| panic!("{}\n{text}", error.emit_to_string(text)));
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}\n{text}", error.emit_to_string(text)));
    module
}

#[test]
fn naga_takes_every_text() {
    for (_, op, ..) in OPS {
        accepted(&module(&function(op)));
        accepted(&module(&function(op).derivative(&["a"]).unwrap()).replace("d_y", "b"));
    }
}

#[test]
fn numbers_keep_their_bits_in_texts() {
    let numbers = [0.1, -0.2, 1.0 / 6.0, 1.5, -3.0, 16_777_217.0, f32::MAX, f32::MIN_POSITIVE, std::f32::consts::PI, 1e-30, 123_456.79];
    for number in numbers {
        let f = Function::new(["a", "b"], |[a, _]| vec![("y", a.max(number))]).unwrap();
        let module = accepted(&module(&f));
        let (_, function) = module.functions.iter().find(|(_, function)| function.name.as_deref() == Some("f")).unwrap();
        let literals: Vec<f32> = function
            .expressions
            .iter()
            .filter_map(|(_, expression)| match expression {
                naga::Expression::Literal(naga::Literal::F32(value)) => Some(*value),
                _ => None,
            })
            .collect();
        assert!(literals.iter().any(|literal| literal.to_bits() == number.to_bits()), "{number}: {literals:?}");
    }
}

#[test]
fn bad_functions_are_errors() {
    fn refused(result: Result<Function>) -> (&'static str, String) {
        match result {
            Err(Error::Value { argument, value, .. }) => (argument, value),
            other => panic!("{other:?}"),
        }
    }
    let one = |number: f32| Function::new(["a"], move |[a]| vec![("y", a * number)]);
    assert!(one(f32::MAX).is_ok());
    assert_eq!(refused(one(f32::NAN)), ("constant", "NaN".to_owned()));
    assert_eq!(refused(one(f32::INFINITY)), ("constant", "inf".to_owned()));
    assert_eq!(refused(Function::new(["a"], |[a]| vec![("y", a + a.constant(1.0) / 0.0)])), ("constant", "inf".to_owned()));
    assert_eq!(refused(Function::new(["a"], |_| vec![])).0, "outputs");
    assert_eq!(refused(Function::new(["a", ""], |[a, _]| vec![("y", a)])), ("inputs", "[1] = \"\"".to_owned()));
    assert_eq!(refused(Function::new(["a", "a"], |[a, _]| vec![("y", a)])), ("inputs", "[1] = \"a\"".to_owned()));
    assert_eq!(refused(Function::new(["a"], |[a]| vec![("y", a), ("y", a)])).0, "outputs");
    let f = one(2.0).unwrap();
    assert_eq!(refused(f.derivative(&["b"])), ("wrt", "b".to_owned()));
    assert_eq!(refused(f.derivative(&[])).0, "wrt");
}
