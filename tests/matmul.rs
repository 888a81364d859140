//! Products of matrices, on the CPU twin and on every variant of this machine's adapter, against f64.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Lcg, assert_close, contexts_with, shared_contexts};
use half::f16;
use weft::dense::{Form, column_sums_blocking, matmul_blocking, matmul_into_blocking};
use weft::{Context, DType, Error, Tensor};

const FORMS: [Form; 3] = [Form::Nt, Form::Nn, Form::Tn];

/// The contexts whose kernels differ: variants with subgroups multiply otherwise than plain ones only where the device has matrices.
fn contexts() -> Vec<(String, Context)> {
    let differs = |(name, context): &(String, Context)| !name.contains("Subgroups") || context.caps().matrices.is_some();
    shared_contexts().into_iter().filter(differs).collect()
}

/// f32 sums of k products of numbers below 1, in another order than the oracle's: the error grows as the root of k.
fn tolerance(k: usize) -> f64 {
    1e-6 * (k as f64).sqrt().max(4.0)
}

/// A matrix as it is given: rounded to its type.
struct Factor {
    shape: [usize; 2],
    values: Vec<f32>,
    half: bool,
}

impl Factor {
    fn random(shape: [usize; 2], half: bool, seed: u64) -> Self {
        let values = Lcg(seed).list(shape[0] * shape[1], 1.0);
        let rounded = |v: f32| if half { f16::from_f32(v).to_f32() } else { v };
        Self { shape, values: values.into_iter().map(rounded).collect(), half }
    }

    fn upload(&self, context: &Context) -> Tensor {
        if self.half {
            let values: Vec<f16> = self.values.iter().map(|&v| f16::from_f32(v)).collect();
            return Tensor::from_f16(context, &self.shape, &values).unwrap();
        }
        Tensor::from_slice(context, &self.shape, &self.values).unwrap()
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        f64::from(self.values[row * self.shape[1] + column])
    }
}

struct Case {
    form: Form,
    sides: [usize; 3],
    a: Factor,
    b: Factor,
}

impl Case {
    fn random(form: Form, sides @ [m, n, k]: [usize; 3], [a_half, b_half]: [bool; 2]) -> Self {
        let seed = (m * 1_000_003 + n * 1009 + k) as u64;
        let a = Factor::random(if form == Form::Tn { [k, m] } else { [m, k] }, a_half, seed);
        let b = Factor::random(if form == Form::Nt { [n, k] } else { [k, n] }, b_half, seed + 1);
        Self { form, sides, a, b }
    }

    fn expected(&self) -> Vec<f64> {
        let [m, n, k] = self.sides;
        let a = |row, at| if self.form == Form::Tn { self.a.at(at, row) } else { self.a.at(row, at) };
        let b = |at, column| if self.form == Form::Nt { self.b.at(column, at) } else { self.b.at(at, column) };
        (0..m * n).map(|cell| (0..k).map(|at| a(cell / n, at) * b(at, cell % n)).sum()).collect()
    }

    fn run(&self, context: &Context) -> Vec<f32> {
        let c = matmul_blocking(self.form, &self.a.upload(context), &self.b.upload(context)).unwrap();
        assert_eq!(c.shape(), [self.sides[0], self.sides[1]]);
        c.to_vec_blocking().unwrap()
    }

    fn check(&self, name: &str, context: &Context, expected: &[f64]) {
        let off = tolerance(self.sides[2]);
        let what = format!("{name}: {:?} {:?}, halves {:?}:", self.form, self.sides, [self.a.half, self.b.half]);
        assert_close(&what, &self.run(context), expected, off, off);
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn any_sides_in_any_form() {
    // At and around tiles of 16, 64 and 128, and depths of 16 and 32; multiples of four, and not.
    let sides = [
        [1, 1, 1],
        [1, 64, 32],
        [2, 36, 260],
        [3, 17, 5],
        [4, 4, 4],
        [15, 65, 31],
        [16, 60, 33],
        [17, 63, 16],
        [17, 64, 1],
        [32, 3, 64],
        [64, 64, 64],
        [65, 129, 36],
        [127, 4, 100],
        [128, 128, 128],
        [129, 127, 7],
        [200, 132, 260],
    ];
    for form in FORMS {
        for sides in sides {
            let case = Case::random(form, sides, [false; 2]);
            let expected = case.expected();
            for (name, context) in contexts() {
                case.check(&name, &context, &expected);
            }
        }
    }
}

#[test]
fn halves_of_either_factor() {
    for form in FORMS {
        for halves in [[true, false], [false, true], [true, true]] {
            // Whole tiles of matrices and pieces of them; in parts where the form lets them be.
            for sides in [[1, 1, 1], [3, 17, 5], [16, 64, 40], [68, 132, 36], [65, 67, 33], [128, 192, 64], [72, 136, 520]] {
                let case = Case::random(form, sides, halves);
                let expected = case.expected();
                for (name, context) in contexts() {
                    case.check(&name, &context, &expected);
                }
            }
        }
    }
}

#[test]
fn nothing_to_sum_and_nothing_to_write() {
    for (name, context) in contexts() {
        for form in FORMS {
            for sides in [[0, 0, 0], [0, 5, 3], [5, 0, 3], [0, 0, 7]] {
                assert!(Case::random(form, sides, [false; 2]).run(&context).is_empty(), "{name}: {form:?} {sides:?}");
            }
            assert_eq!(Case::random(form, [3, 2, 0], [false; 2]).run(&context), [0.0; 6], "{name}: {form:?}");
        }
    }
}

#[test]
fn a_long_sum_has_the_same_bits_twice() {
    let case = Case::random(Form::Tn, [9, 20, 20_000], [false; 2]);
    let expected = case.expected();
    for (name, context) in contexts() {
        case.check(&name, &context, &expected);
        assert_eq!(bits(&case.run(&context)), bits(&case.run(&context)), "{name}");
    }
    for form in [Form::Nt, Form::Nn] {
        let case = Case::random(form, [5, 9, 20_000], [false; 2]);
        let expected = case.expected();
        for (name, context) in contexts() {
            case.check(&name, &context, &expected);
        }
    }
}

#[test]
fn added_to_what_is_there() {
    for form in FORMS {
        for sides @ [m, n, k] in [[5, 7, 9], [68, 8, 1200], [3, 4, 0]] {
            let case = Case::random(form, sides, [false; 2]);
            let before = Lcg(7).list(m * n, 1.0);
            let expected: Vec<f64> = case.expected().iter().zip(&before).map(|(sum, &before)| sum + f64::from(before)).collect();
            for (name, context) in contexts() {
                let c = Tensor::from_slice(&context, &[m, n], &before).unwrap();
                matmul_into_blocking(form, &case.a.upload(&context), &case.b.upload(&context), &c, true).unwrap();
                let off = tolerance(k);
                assert_close(&format!("{name}: {form:?} {sides:?}"), &c.to_vec_blocking().unwrap(), &expected, off, off);
            }
        }
    }
}

#[test]
fn a_row_is_the_same_whatever_the_others_are() {
    for (name, context) in contexts() {
        let many = || Case::random(Form::Nt, [150, 132, 1077], [false; 2]);
        let (all, values) = (many().run(&context), many().a.values);
        for rows in [1, 13, 20, 70] {
            let a = Factor { shape: [rows, 1077], values: values[..rows * 1077].to_vec(), half: false };
            let few = Case { sides: [rows, 132, 1077], a, ..many() };
            assert_eq!(bits(&all[..rows * 132]), bits(&few.run(&context)), "{name}: {rows} rows");
        }
    }
}

#[test]
fn windows_of_any_size() {
    let whole = contexts();
    let cut = contexts_with(|options| options.with_max_binding_bytes(6_000));
    for ((name, whole), (_, cut)) in whole.iter().zip(&cut) {
        for form in FORMS {
            for sides in [[300, 33, 7], [300, 20, 12], [7, 33, 300], [12, 20, 300]] {
                let case = Case::random(form, sides, [false; 2]);
                // What must be in one window.
                let stays = if form == Form::Tn { sides[0] } else { sides[2] } * sides[1] * 4;
                if stays > 5_000 {
                    let error = matmul_blocking(form, &case.a.upload(cut), &case.b.upload(cut)).unwrap_err();
                    assert!(matches!(error, Error::LimitExceeded { .. }), "{name}: {error}");
                    continue;
                }
                if form != Form::Nt {
                    case.check(name, cut, &case.expected());
                } else {
                    assert_eq!(bits(&case.run(whole)), bits(&case.run(cut)), "{name}: {form:?} {sides:?}");
                }
            }
        }
    }
}

#[test]
fn sums_of_columns() {
    for [rows, columns] in [[0, 3], [1, 1], [3, 70], [17, 64], [63, 65], [5000, 3], [1000, 130]] {
        let x = Factor::random([rows, columns], false, 5);
        let expected: Vec<f64> = (0..columns).map(|n| (0..rows).map(|m| x.at(m, n)).sum()).collect();
        let cut = contexts_with(|options| options.with_max_binding_bytes(6_000));
        for (name, context) in contexts().into_iter().chain(cut) {
            let sums = || column_sums_blocking(&x.upload(&context)).unwrap().to_vec_blocking().unwrap();
            assert_close(&format!("{name}: [{rows}, {columns}]"), &sums(), &expected, tolerance(rows), tolerance(rows));
            assert_eq!(bits(&sums()), bits(&sums()), "{name}");
        }
    }
    let nothing = column_sums_blocking(&Tensor::zeros(&Context::cpu(), &[4, 0], DType::F32).unwrap()).unwrap();
    assert!(nothing.is_empty());
}

#[test]
fn bad_input_is_named() {
    for (name, context) in contexts() {
        let tensor = |shape: &[usize], dtype| Tensor::zeros(&context, shape, dtype).unwrap();
        let (a, b) = (tensor(&[3, 4], DType::F32), tensor(&[5, 4], DType::F32));
        let error = matmul_blocking(Form::Nn, &a, &b).unwrap_err();
        assert!(matches!(error, Error::Shape { argument: "b", .. }) && error.to_string().contains("[4, n]"), "{name}: {error}");
        let error = matmul_blocking(Form::Tn, &a, &b).unwrap_err();
        assert!(matches!(error, Error::Shape { argument: "b", .. }) && error.to_string().contains("[3, n]"), "{name}: {error}");
        let error = matmul_blocking(Form::Nt, &tensor(&[3], DType::F32), &b).unwrap_err();
        assert!(matches!(error, Error::Shape { argument: "a", .. }), "{name}: {error}");
        let error = matmul_blocking(Form::Nt, &a, &tensor(&[5, 4], DType::U32)).unwrap_err();
        assert!(matches!(error, Error::Value { argument: "b", .. }), "{name}: {error}");
        let into = |c: &Tensor| matmul_into_blocking(Form::Nt, &a, &b, c, false).unwrap_err();
        assert!(matches!(into(&tensor(&[5, 3], DType::F32)), Error::Shape { argument: "c", .. }), "{name}");
        assert!(matches!(into(&tensor(&[3, 5], DType::F16)), Error::Value { argument: "c", .. }), "{name}");
        let square = tensor(&[4, 4], DType::F32);
        let error = matmul_into_blocking(Form::Nn, &square, &square.clone(), &square, true).unwrap_err();
        assert!(matches!(error, Error::Value { argument: "c", .. }), "{name}: {error}");
        let elsewhere = Tensor::zeros(&Context::cpu(), &[5, 4], DType::F32).unwrap();
        let error = matmul_blocking(Form::Nt, &a, &elsewhere).unwrap_err();
        assert!(matches!(error, Error::OtherContext { argument: "b" }), "{name}: {error}");
        assert!(matches!(column_sums_blocking(&tensor(&[3], DType::F32)), Err(Error::Shape { argument: "x", .. })), "{name}");
    }
}
