//! Products within buffers: at any place, with room between the lines, in as many launches as the device's limits demand.
//! `WEFT_TEST_NO_GPU=1` is for machines without an adapter.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use super::Activation;
use super::column_sums::record_column_sums;
use super::gemm::{Form, Gemm};
use super::matrix::Matrix;
use super::scaled::{Scaled, record_scaled_columns, record_scaled_lines};
use super::split::{Scratch, record_split};
use crate::device::recording::{Binding, Command, Recording};
use crate::device::shader::{DenseColumnSumsParams, DenseGemmParams, Kernel};
use crate::device::{Caps, Context, ContextOptions};
use crate::error::Error;
use crate::tensor::{DType, Tensor};
use bytemuck::AnyBitPattern;
use half::f16;

const FORMS: [Form; 3] = [Form::Nt, Form::Nn, Form::Tn];

fn contexts() -> Vec<Context> {
    let mut contexts = vec![Context::cpu()];
    match Context::new_blocking(ContextOptions::from_env().with_shader_checks(true)) {
        Ok(context) => contexts.push(context),
        Err(error) if std::env::var("WEFT_TEST_NO_GPU").is_ok_and(|v| v == "1") => println!("{error}"),
        Err(error) => panic!("{error} (WEFT_TEST_NO_GPU=1 skips the GPU)"),
    }
    contexts
}

/// Numbers in [-1, 1) that are the same in f16.
fn number(seed: usize) -> f32 {
    (seed.wrapping_mul(2_654_435_761) >> 7 & 0x3ff) as f32 / 512.0 - 1.0
}

/// Lines and width of A, B and C.
fn shapes(form: Form, [m, n, k]: [u32; 3]) -> [[u32; 2]; 3] {
    let a = if form == Form::Tn { [k, m] } else { [m, k] };
    let b = if form == Form::Nt { [n, k] } else { [k, n] };
    [a, b, [m, n]]
}

/// A matrix that begins at `first` and leaves `gap` elements between its lines, in a tensor of numbers.
struct Placed {
    tensor: Tensor,
    values: Vec<f32>,
    first: usize,
    stride: usize,
}

impl Placed {
    fn new(context: &Context, [lines, width]: [u32; 2], first: usize, gap: usize, dtype: DType) -> Self {
        let stride = width as usize + gap;
        let values: Vec<f32> = (0..first + lines as usize * stride + 3).map(|place| number(place + first)).collect();
        let tensor = match dtype {
            DType::F16 => Tensor::from_f16(context, &[values.len()], &values.iter().map(|&v| f16::from_f32(v)).collect::<Vec<_>>()),
            _ => Tensor::from_slice(context, &[values.len()], &values),
        };
        Self { tensor: tensor.unwrap(), values, first, stride }
    }

    fn at(&self, line: usize, place: usize) -> f64 {
        f64::from(self.values[self.first + line * self.stride + place])
    }

    fn declare(&self, recording: &mut Recording, label: &'static str) -> Matrix {
        let buffer = recording.bound(label, self.tensor.window_bytes());
        Matrix { buffer, first: self.first as u64, stride: self.stride as u32, dtype: self.tensor.dtype() }
    }
}

/// Where matrices begin and the gaps between their lines, bias and addition, f16 of A and B.
#[derive(Clone, Copy, Debug)]
struct Setting {
    firsts: [usize; 3],
    gaps: [usize; 3],
    bias: bool,
    accumulates: bool,
    halves: [bool; 2],
    activations: [Activation; 2],
}

fn check(context: &Context, form: Form, sides @ [m, n, k]: [u32; 3], setting: Setting) {
    let [a_shape, b_shape, c_shape] = shapes(form, sides);
    let dtype = |half| if half { DType::F16 } else { DType::F32 };
    let a = Placed::new(context, a_shape, setting.firsts[0], setting.gaps[0], dtype(setting.halves[0]));
    let b = Placed::new(context, b_shape, setting.firsts[1], setting.gaps[1], dtype(setting.halves[1]));
    let c = Placed::new(context, c_shape, setting.firsts[2], setting.gaps[2], DType::F32);
    let bias_values: Vec<f32> = (0..n as usize + 5).map(number).collect();
    let bias = Tensor::from_slice(context, &[bias_values.len()], &bias_values).unwrap();

    let mut recording = Recording::new();
    let [a_matrix, b_matrix, c_matrix] = [(&a, "a"), (&b, "b"), (&c, "c")].map(|(placed, label)| placed.declare(&mut recording, label));
    let bias_buffer = recording.bound("bias", bias.bytes());
    let product = Gemm {
        form,
        sides,
        a: a_matrix,
        b: b_matrix,
        c: c_matrix,
        bias: setting.bias.then_some(Binding { buffer: bias_buffer, offset: 20, bytes: 4 * u64::from(n) }),
        accumulates: setting.accumulates,
        activations: setting.activations,
    };
    product.record(&mut recording, context.caps()).unwrap();
    assert_eq!(recording.dispatches() as u64, product.launches(context.caps()).unwrap());
    pollster::block_on(context.run(&recording, &[&a.tensor, &b.tensor, &c.tensor, &bias])).unwrap();

    let apply = |activation, x: f64| match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    };
    let [before, after] = setting.activations;
    let mut expected: Vec<f64> = c.values.iter().map(|&v| f64::from(v)).collect();
    for row in 0..m as usize {
        for column in 0..n as usize {
            let factors = |at| {
                let a = if form == Form::Tn { a.at(at, row) } else { a.at(row, at) };
                (apply(before, a), if form == Form::Nt { b.at(column, at) } else { b.at(at, column) })
            };
            let sum: f64 = (0..k as usize).map(factors).map(|(a, b)| a * b).sum();
            let value = apply(after, if setting.bias { sum + f64::from(bias_values[5 + column]) } else { sum });
            let cell = &mut expected[c.first + row * c.stride + column];
            *cell = if setting.accumulates { *cell + value } else { value };
        }
    }
    let off = 2e-6 * f64::from(k).sqrt().max(4.0);
    for (place, (got, expected)) in c.tensor.to_vec_blocking().unwrap().into_iter().zip(expected).enumerate() {
        let what = || format!("{}: {form:?} {sides:?} {setting:?}: [{place}]: {got}, expected {expected}", context.caps().adapter);
        assert!((f64::from(got) - expected).abs() <= off * (1.0 + expected.abs()), "{}", what());
    }
}

#[test]
fn matrices_at_any_place_with_room_between_their_lines() {
    let plain = Setting {
        firsts: [0; 3],
        gaps: [0; 3],
        bias: false,
        accumulates: false,
        halves: [false; 2],
        activations: [Activation::Identity; 2],
    };
    let settings = [
        // Room between lines that are read in fours.
        Setting { firsts: [4, 64, 200], gaps: [4, 8, 12], bias: true, ..plain },
        Setting { firsts: [1, 2, 3], accumulates: true, ..plain },
        Setting { gaps: [1, 0, 2], bias: true, accumulates: true, ..plain },
        Setting { firsts: [3, 77, 130], gaps: [3, 2, 1], activations: [Activation::Relu, Activation::Tanh], ..plain },
        // Halves in the middle of a word.
        Setting { firsts: [3, 5, 1], gaps: [1, 2, 0], halves: [true, true], ..plain },
        Setting { firsts: [8, 12, 4], gaps: [4, 0, 4], halves: [true, true], bias: true, ..plain },
    ];
    for context in contexts() {
        for form in FORMS {
            // Sums in parts have no bias and no activation.
            let settings = settings.map(|setting| match form {
                Form::Nt => setting,
                _ => Setting { bias: false, activations: [setting.activations[0], Activation::Identity], ..setting },
            });
            for setting in settings {
                check(&context, form, [36, 20, 44], setting);
            }
            check(&context, form, [7, 5, 900], settings[1]);
            check(&context, form, [68, 72, 900], settings[0]);
        }
        check(&context, Form::Nt, [36, 20, 44], Setting { activations: [Activation::Sigmoid, Activation::Relu], bias: true, ..plain });
    }
}

#[test]
fn large_tiles() {
    // So many cells that a GPU is busy with tiles of 128 x 128.
    let plain = Setting {
        firsts: [0; 3],
        gaps: [0; 3],
        bias: false,
        accumulates: false,
        halves: [false; 2],
        activations: [Activation::Identity; 2],
    };
    for context in contexts() {
        for form in FORMS {
            check(&context, form, [1412, 1532, 12], plain);
            check(&context, form, [1411, 1531, 9], Setting { accumulates: true, bias: form == Form::Nt, ..plain });
        }
    }
}

/// m x n of A and B by the device's matrices in halves, whose lines differ by powers of ten, and the same in f64.
fn check_split((context, caps): (&Context, &Caps), form: Form, [m, n, k]: [u32; 3], [accumulates, bias]: [bool; 2], gap: usize) {
    let [a_shape, b_shape, c_shape] = shapes(form, [m, n, k]);
    // Of each row of C, and of each column, another size.
    let size = |place: usize| 10f32.powi((place % 21) as i32 - 10);
    let tensor = |[lines, width]: [u32; 2], is_side: bool| {
        let stride = width as usize + gap;
        let value = |place: usize| {
            let (line, column) = (place / stride, place % stride);
            number(3 * place + line) * (1.0 + number(place) * 1e-4) * size(if is_side { line } else { column })
        };
        let values: Vec<f32> = (0..8 + lines as usize * stride).map(|place| if place < 8 { f32::NAN } else { value(place - 8) }).collect();
        (Tensor::from_slice(context, &[values.len()], &values).unwrap(), values, stride)
    };
    let (a, a_values, a_stride) = tensor(a_shape, form != Form::Tn);
    let (b, b_values, b_stride) = tensor(b_shape, form == Form::Nt);
    let (c, c_values, c_stride) = tensor(c_shape, true);
    let bias_values: Vec<f32> = (0..n as usize).map(|n| number(n) * size(n)).collect();
    let bias_tensor = Tensor::from_slice(context, &[n as usize], &bias_values).unwrap();
    let mut recording = Recording::new();
    let matrices = [(&a, a_stride), (&b, b_stride), (&c, c_stride)].map(|(tensor, stride)| {
        let buffer = recording.bound("matrix", tensor.window_bytes());
        Matrix { buffer, first: 8, stride: stride as u32, dtype: DType::F32 }
    });
    let bias_buffer = recording.bound("bias", bias_tensor.bytes());
    let product = Gemm {
        form,
        sides: [m, n, k],
        a: matrices[0],
        b: matrices[1],
        c: matrices[2],
        bias: bias.then_some(Binding { buffer: bias_buffer, offset: 0, bytes: 4 * u64::from(n) }),
        accumulates,
        activations: [Activation::Identity; 2],
    };
    record_split(&product, form == Form::Nn, &mut recording, caps, &mut Scratch::default()).unwrap();
    let is_split = recording.pipelines.iter().any(|key| key.shader.kernel == Kernel::DenseGemmSplit);
    assert_eq!(is_split, caps.matrices.is_some() && gap.is_multiple_of(4), "{form:?}");
    pollster::block_on(context.run(&recording, &[&a, &b, &c, &bias_tensor])).unwrap();
    let out = c.to_vec_blocking().unwrap();
    let at = |values: &[f32], stride: usize, line: usize, column: usize| f64::from(values[8 + line * stride + column]);
    let mut worst = 0.0f64;
    for row in 0..m as usize {
        for (column, &bias_value) in bias_values.iter().enumerate() {
            let factors = |i: usize| {
                let a = if form == Form::Tn { at(&a_values, a_stride, i, row) } else { at(&a_values, a_stride, row, i) };
                (a, if form == Form::Nt { at(&b_values, b_stride, column, i) } else { at(&b_values, b_stride, i, column) })
            };
            let (mut sum, mut all) = (0.0, 0.0);
            for (a, b) in (0..k as usize).map(factors) {
                sum += a * b;
                all += (a * b).abs();
            }
            let before = at(&c_values, c_stride, row, column);
            let more = if accumulates { before } else { 0.0 } + if bias { f64::from(bias_value) } else { 0.0 };
            let scale = all + more.abs();
            worst = worst.max((at(&out, c_stride, row, column) - sum - more).abs() / scale.max(f64::MIN_POSITIVE));
        }
    }
    // Of the sum of the magnitudes, whatever the size of a row or a column: the roundings of f32, which sums of one sign pile up where
    // nothing keeps them short.
    let off = if is_split && context.device().is_some() { 2e-6 } else { 1e-6 + 4e-9 * f64::from(k) };
    assert!(worst < off, "{form:?} {m} {n} {k}: {worst:e}");
    println!("{} {form:?} {m} x {n} x {k}: {worst:.1e}", context.caps().adapter);
}

#[test]
fn products_of_f32_by_matrices_of_halves() {
    // The twin is that of every variant, which a plan for the CPU does not take.
    let twin = |matrices| Caps { matrices, max_workgroup_bytes: 49_152, ..Context::cpu().caps().clone() };
    let mut all: Vec<(Context, Caps)> = contexts().into_iter().map(|context| (context.clone(), context.caps().clone())).collect();
    all.extend([Some(16), Some(8)].map(|matrices| (Context::cpu(), twin(matrices))));
    for (context, caps) in all {
        let on = (&context, &caps);
        for form in FORMS {
            check_split(on, form, [400, 512, 264], [false, form == Form::Nt], 0);
            check_split(on, form, [300, 512, 520], [true, false], 4);
            check_split(on, form, [1_032, 132, 2_180], [form == Form::Tn, false], 0);
            check_split(on, form, [272, 1_032, 132], [false, false], 1);
        }
    }
}

/// A line that is not finite, or all zeros, is that in C, and leaves the others what they are.
#[test]
fn lines_of_halves_stay_to_themselves() {
    for context in contexts() {
        let [m, n, k] = [130usize, 512, 256];
        let run = |bad: bool| {
            let mut a: Vec<f32> = (0..m * k).map(number).collect();
            a[5 * k..6 * k].fill(0.0);
            if bad {
                a[7 * k + 3] = f32::NAN;
                a[9 * k + 4] = f32::INFINITY;
                a[11 * k] = 1e38;
            }
            let b: Vec<f32> = (0..n * k).map(|place| number(place + 9)).collect();
            let [a, b] = [(a, m), (b, n)].map(|(values, lines)| Tensor::from_slice(&context, &[lines, k], &values).unwrap());
            let c = Tensor::empty(&context, &[m, n], DType::F32).unwrap();
            let mut recording = Recording::new();
            let [a_matrix, b_matrix, c_matrix] = [&a, &b, &c].map(|tensor| {
                let buffer = recording.bound("matrix", tensor.window_bytes());
                Matrix { buffer, first: 0, stride: tensor.shape()[1] as u32, dtype: DType::F32 }
            });
            let sides = [m, n, k].map(|side| side as u32);
            let activations = [Activation::Identity; 2];
            let (a_, b_, c_) = (a_matrix, b_matrix, c_matrix);
            let product = Gemm { form: Form::Nt, sides, a: a_, b: b_, c: c_, bias: None, accumulates: false, activations };
            record_split(&product, true, &mut recording, context.caps(), &mut Scratch::default()).unwrap();
            pollster::block_on(context.run(&recording, &[&a, &b, &c])).unwrap();
            c.to_vec_blocking().unwrap()
        };
        let (good, bad) = (run(false), run(true));
        assert!(good[5 * n..6 * n].iter().all(|&x| x == 0.0));
        for (row, (good, bad)) in good.chunks_exact(n).zip(bad.chunks_exact(n)).enumerate() {
            match row {
                7 | 9 => assert!(bad.iter().all(|x| !x.is_finite()), "{row}"),
                11 => assert!(bad.iter().all(|x| x.is_finite()), "{row}"),
                _ => assert_eq!(good, bad, "{row}"),
            }
        }
    }
}

/// The params of the launches of some kernels, with their windows.
fn launches<P: AnyBitPattern>(recording: &Recording, kernels: &[Kernel]) -> Vec<(P, Vec<Binding>, u64)> {
    let dispatches = recording.commands.iter().filter_map(|command| match command {
        Command::Dispatch(dispatch) if kernels.contains(&dispatch.shader.kernel) => Some(dispatch),
        _ => None,
    });
    let launch = |dispatch: &crate::device::recording::Dispatch| {
        let params = &recording.uniforms[dispatch.params as usize..][..size_of::<P>()];
        (bytemuck::pod_read_unaligned(params), recording.sets[dispatch.set.0].clone(), dispatch.work)
    };
    dispatches.map(launch).collect()
}

#[test]
fn much_work_is_cut_into_launches_that_cover_everything_once() {
    let tight = Caps { max_binding_bytes: 2_000_000, ..Caps::portable() };
    let software =
        Caps { kind: crate::device::DeviceKind::Software, max_buffer_bytes: 1 << 33, max_binding_bytes: 1 << 30, ..Caps::portable() };
    let roomy = Caps { max_buffer_bytes: 1 << 34, max_binding_bytes: 1 << 31, ..Caps::portable() };
    for caps in [&tight, &software, &roomy] {
        for form in FORMS {
            for sides @ [m, n, k] in [[70_001, 130, 90], [40, 300, 70_003], [5_000, 600, 640], [3, 1, 1], [129, 64, 0]] {
                let mut recording = Recording::new();
                let [a, b, c] = shapes(form, sides).map(|[lines, width]| {
                    let bytes = 4 * u64::from(lines) * u64::from(width) + 12;
                    let buffer = recording.bound("matrix", bytes.max(16));
                    Matrix { buffer, first: 3, stride: width, dtype: DType::F32 }
                });
                let product = Gemm { form, sides, a, b, c, bias: None, accumulates: false, activations: [Activation::Identity; 2] };
                if let Err(error) = product.record(&mut recording, caps) {
                    let [_, [b_lines, b_width], _] = shapes(form, sides);
                    let stays = if form == Form::Tn { m * n } else { b_lines * b_width };
                    assert!(matches!(error, Error::LimitExceeded { .. }) && 4 * u64::from(stays) + 268 > caps.max_binding_bytes, "{error}");
                    continue;
                }
                assert_eq!(recording.dispatches() as u64, product.launches(caps).unwrap());
                for binding in recording.sets.iter().flatten() {
                    assert!(binding.bytes <= caps.max_binding_bytes && binding.offset % caps.storage_alignment == 0);
                    assert!(binding.offset + binding.bytes <= recording.buffers[binding.buffer.0].bytes.next_multiple_of(4));
                }
                for key in &recording.pipelines {
                    let constant =
                        |name| key.constants.iter().find(|(known, _)| *known == name).map_or(0.0, |&(_, bits)| f64::from_bits(bits));
                    let bytes = 64.0 * (constant("ROWS_EACH") + constant("COLUMNS_EACH")) * constant("DEPTH");
                    assert!(bytes <= f64::from(caps.max_workgroup_bytes), "{key:?}");
                }
                let (mut done, mut previous) = (0, None);
                for (params, windows, work) in launches::<DenseGemmParams>(&recording, &[Kernel::DenseGemm, Kernel::DenseGemmThin]) {
                    assert_eq!(params.columns, n);
                    assert!(
                        work <= caps.submit_work() || params.rows <= 128 || (form == Form::Tn && params.depth <= 32),
                        "{sides:?}: {work}"
                    );
                    let (count, whole) = if form == Form::Tn { (params.depth, params.rows) } else { (params.rows, params.depth) };
                    assert_eq!(whole, if form == Form::Tn { m } else { k });
                    let a_begin = windows[0].offset / 4 + u64::from(params.a_first);
                    if count > 0 && whole > 0 {
                        assert_eq!(a_begin, 3 + u64::from(done) * u64::from(params.a_stride), "{form:?} {sides:?}");
                    }
                    assert!(params.parts == 1 || form != Form::Nt);
                    assert!(u64::from(params.part_depth) * u64::from(params.parts) >= u64::from(params.depth));
                    assert!(params.part_depth % 32 == 0 && params.part_depth * (params.parts - 1) < params.depth.max(1));
                    assert_eq!(params.accumulates != 0, params.parts == 1 && form == Form::Tn && previous.is_some());
                    previous = Some(params);
                    done += count;
                }
                assert_eq!(done, if form == Form::Tn { k } else { m }, "{form:?} {sides:?}");
                let work = u64::from(m) * u64::from(n) * u64::from(k);
                assert!(recording.dispatches() as u64 >= work / caps.submit_work(), "{form:?} {sides:?}");
            }
        }
        for [rows, columns] in [[0, 5], [1, 1], [70_001, 130], [300_000, 3]] {
            let mut recording = Recording::new();
            let x = recording.bound("x", 4 * u64::from(rows) * u64::from(columns) + 12);
            let out = recording.bound("out", 4 * u64::from(columns) + 12);
            let matrix = |buffer| Matrix { buffer, first: 3, stride: columns, dtype: DType::F32 };
            record_column_sums(&mut recording, caps, matrix(x), [rows, columns], matrix(out), false).unwrap();
            let mut done = 0;
            for (params, windows, work) in launches::<DenseColumnSumsParams>(&recording, &[Kernel::DenseColumnSums]) {
                assert!(work <= caps.submit_work() && windows[0].bytes <= caps.max_binding_bytes);
                assert!(params.rows == 0 || windows[0].offset / 4 + u64::from(params.x_first) == 3 + u64::from(done * columns));
                assert!(params.part_rows * params.parts >= params.rows && params.part_rows * (params.parts - 1) < params.rows.max(1));
                done += params.rows;
            }
            assert_eq!(done, rows);
        }
    }
}

#[test]
fn matrices_of_the_device_serve_halves_whatever_the_rows() {
    let caps = |matrices, max_workgroup_bytes| Caps { matrices: Some(matrices), max_workgroup_bytes, ..Caps::portable() };
    let (large, small) = (16, 8);
    let shader = |caps: &Caps, form, sides, dtypes: [DType; 2], first| {
        let mut recording = Recording::new();
        let matrices = shapes(form, sides).map(|[lines, width]| {
            let buffer = recording.bound("matrix", 4 * u64::from(lines) * u64::from(width) + 16);
            Matrix { buffer, first, stride: width, dtype: DType::F32 }
        });
        let [a, b] = [0, 1].map(|place| Matrix { dtype: dtypes[place], ..matrices[place] });
        let product = Gemm { form, sides, a, b, c: matrices[2], bias: None, accumulates: false, activations: [Activation::Identity; 2] };
        product.record(&mut recording, caps).unwrap();
        recording.pipelines[0].shader.name
    };
    let halves = [DType::F16; 2];
    for rows in [4, 64, 8_000] {
        assert_eq!(shader(&caps(large, 49_152), Form::Nt, [rows, 64, 40], halves, 4), "dense_gemm_coop_nt");
        assert_eq!(shader(&caps(large, 49_152), Form::Tn, [rows, 64, 40], halves, 0), "dense_gemm_coop_tn");
        assert_eq!(shader(&caps(small, 16_384), Form::Nn, [rows, 64, 40], halves, 4), "dense_gemm_coop_side8_nn");
    }
    for rows in [20, 64, 8_000] {
        // Too little workgroup memory; f32; lines that cannot be read in fours; a beginning that cannot.
        assert_eq!(shader(&caps(large, 32_768), Form::Nt, [rows, 64, 40], halves, 4), "dense_gemm_pack4_f16");
        assert_eq!(shader(&caps(large, 49_152), Form::Nt, [rows, 64, 40], [DType::F32; 2], 4), "dense_gemm_pack4");
        assert_eq!(shader(&caps(large, 49_152), Form::Nt, [rows, 64, 40], [DType::F32, DType::F16], 4), "dense_gemm_pack4_f16");
        assert_eq!(shader(&caps(large, 49_152), Form::Nt, [rows, 64, 41], halves, 4), "dense_gemm_f16");
        assert_eq!(shader(&caps(large, 49_152), Form::Nt, [rows, 64, 40], halves, 6), "dense_gemm_f16");
    }
}

/// A matrix of which some lines and columns are far larger than others, some are zero, and one number each is infinite or none.
fn uneven(lines: usize, width: usize) -> Vec<f32> {
    let size = |line: usize, column: usize| match (line % 5, column % 7) {
        (3, _) | (_, 4) => 0.0,
        (row, 2) => 1e-30 * 10f32.powi(row as i32 * 4 - 6),
        (row, _) => 10f32.powi(row as i32 * 4 - 9),
    };
    let mut values: Vec<f32> = (0..lines * width).map(|place| number(place + 3) * size(place / width, place % width)).collect();
    values[width / 2] = f32::INFINITY;
    if let Some(last) = values.last_mut() {
        *last = f32::NAN;
    }
    values
}

/// By lines (0) or columns (1): the bits of the f16, and what undoes the powers. x begins at 8, with eight more to a line.
fn scaled(context: &Context, values: &[f32], [lines, width]: [u32; 2], by: usize) -> (Vec<f16>, Vec<f32>) {
    let mut placed = vec![77.0; 8];
    for line in values.chunks_exact(width as usize) {
        placed.extend_from_slice(line);
        placed.extend([1e30; 8]);
    }
    let x = Tensor::from_slice(context, &[placed.len()], &placed).unwrap();
    let halves = Tensor::zeros(context, &[values.len()], DType::F16).unwrap();
    let count = [lines, width][by] as usize;
    let [factors, largest] = [0; 2].map(|_| Tensor::zeros(context, &[width.max(count as u32) as usize], DType::F32).unwrap());
    let mut recording = Recording::new();
    let all = [("x", &x), ("halves", &halves), ("factors", &factors), ("largest", &largest)];
    let [x_buffer, halves_buffer, factors_buffer, largest_buffer] = all.map(|(name, tensor)| recording.bound(name, tensor.window_bytes()));
    let matrix = Matrix { buffer: x_buffer, first: 8, stride: width + 8, dtype: DType::F32 };
    let Scaled { halves: out, factors: given } = match by {
        0 => record_scaled_lines(&mut recording, context.caps(), matrix, [lines, width], [halves_buffer, factors_buffer]).unwrap(),
        _ => {
            let buffers = [halves_buffer, factors_buffer, largest_buffer];
            record_scaled_columns(&mut recording, context.caps(), matrix, [lines, width], buffers).unwrap()
        }
    };
    assert_eq!((out.stride, out.dtype, given.bytes), (width, DType::F16, 4 * count as u64));
    pollster::block_on(context.run(&recording, &[&x, &halves, &factors, &largest])).unwrap();
    let halves = halves.to_vec_blocking().unwrap().into_iter().map(f16::from_f32).collect();
    (halves, factors.to_vec_blocking().unwrap()[..count].to_vec())
}

/// Whatever the others are, a number is off by 2^-11 of itself, or by 2^-39 of the largest of its line, or column.
#[test]
fn every_line_and_every_column_has_its_own_power_of_two() {
    for sides @ [lines, width] in [[1, 4], [3, 8], [70, 132], [200, 64], [33, 1100]] {
        let values = uneven(lines as usize, width as usize);
        for by in 0..2 {
            let mut first = None;
            for context in contexts() {
                let (halves, factors) = scaled(&context, &values, sides, by);
                let side = |place: usize| [place / width as usize, place % width as usize][by];
                let mut largest = vec![0f32; factors.len()];
                for (place, x) in values.iter().enumerate().filter(|(_, x)| x.is_finite()) {
                    largest[side(place)] = largest[side(place)].max(x.abs());
                }
                for (place, (x, half)) in values.iter().zip(&halves).enumerate() {
                    let (factor, largest) = (factors[side(place)], largest[side(place)]);
                    assert!(factor > 0.0 && factor.is_normal() && factor.to_bits() & 0x7f_ffff == 0, "{factor}");
                    if !x.is_finite() {
                        assert_eq!((half.is_nan(), half.is_infinite()), (x.is_nan(), x.is_infinite()));
                        continue;
                    }
                    let off = (half.to_f64() * f64::from(factor) - f64::from(*x)).abs();
                    let most = f64::from(x.abs()) / 2048.0 + f64::from(largest) * 2f64.powi(-39);
                    assert!(off <= most, "{}: {sides:?} {by} [{place}]: {x}, {half} x {factor}", context.caps().adapter);
                }
                let bits: Vec<u16> = halves.iter().map(|half| half.to_bits()).collect();
                let (expected, same) = first.get_or_insert((bits.clone(), factors.clone()));
                assert!(*expected == bits && *same == factors, "{}: {sides:?} {by}", context.caps().adapter);
            }
        }
    }
}

/// The product of such a matrix has every row multiplied by its own factor, in parts and in one, over what is there or added to it.
#[test]
fn products_with_factors_for_their_rows() {
    for context in contexts() {
        for (form, sides @ [m, n, k]) in [
            (Form::Nn, [12, 20, 16]),
            (Form::Nn, [140, 24, 1000]),
            (Form::Tn, [20, 12, 40]),
            (Form::Tn, [132, 24, 1000]),
            (Form::Tn, [5, 7, 30]),
        ] {
            for accumulates in [false, true] {
                let [a_shape, b_shape, c_shape] = shapes(form, sides);
                let [a, b] = [a_shape, b_shape].map(|shape| Placed::new(&context, shape, 0, 0, DType::F16));
                let c = Placed::new(&context, c_shape, 4, 0, DType::F32);
                let values: Vec<f32> = (0..m as usize + 3).map(|row| 2f32.powi(row as i32 % 40 - 20)).collect();
                let factors = Tensor::from_slice(&context, &[values.len()], &values).unwrap();
                let mut recording = Recording::new();
                let [a_matrix, b_matrix, c_matrix] =
                    [(&a, "a"), (&b, "b"), (&c, "c")].map(|(placed, label)| placed.declare(&mut recording, label));
                let buffer = recording.bound("factors", factors.bytes());
                let activations = [Activation::Identity; 2];
                let product = Gemm { form, sides, a: a_matrix, b: b_matrix, c: c_matrix, bias: None, accumulates, activations };
                let rows = Binding { buffer, offset: 12, bytes: 4 * u64::from(m) };
                product.record_with_factors(&mut recording, context.caps(), rows, &mut None).unwrap();
                pollster::block_on(context.run(&recording, &[&a.tensor, &b.tensor, &c.tensor, &factors])).unwrap();
                let got = c.tensor.to_vec_blocking().unwrap();
                for row in 0..m as usize {
                    for column in 0..n as usize {
                        let a_at = |at| if form == Form::Tn { a.at(at, row) } else { a.at(row, at) };
                        let sum: f64 = (0..k as usize).map(|at| a_at(at) * b.at(at, column)).sum();
                        let factor = f64::from(values[row + 3]);
                        let expected = factor * sum + if accumulates { c.at(row, column) } else { 0.0 };
                        let off = (f64::from(got[c.first + row * c.stride + column]) - expected).abs();
                        let most = 2e-5 * factor * f64::from(k).sqrt() + if accumulates { 1e-7 * (1.0 + expected.abs()) } else { 0.0 };
                        assert!(off <= most, "{}: {form:?} {sides:?} [{row}, {column}] off by {off}", context.caps().adapter);
                    }
                }
            }
        }
    }
}
