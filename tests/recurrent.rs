//! LSTM and GRU, on the CPU twin and on every variant of this machine's adapter, against an f64
//! oracle, values of another implementation, and each other.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Lcg, assert_close, contexts_with, shared_contexts};
use std::sync::OnceLock;
use weft::recurrent::{Cell, Layer, LayerWeights, State};
use weft::{Context, DType, Error, Tensor};

/// Against the oracle, relative to the largest |h|: f32 sums of up to 260 terms, 20 frames deep, and
/// exp within a few units in the last place (WGSL allows 3 + 2|x|).
const TOLERANCE: f64 = 1e-5;

/// A whole case, on the host.
#[derive(Clone)]
struct Case {
    frames: usize,
    batch: usize,
    inputs: usize,
    hidden: usize,
    x: Vec<f32>,
    weight_ih: Vec<f32>,
    weight_hh: Vec<f32>,
    bias: Option<(Vec<f32>, Vec<f32>)>,
    lengths: Option<Vec<usize>>,
    /// h, then c for an LSTM: [S, N, H].
    state: Option<Vec<f32>>,
}

struct LstmCell;
struct GruCell;

/// Which cell a generic test runs.
trait TestCell {
    const GATES: usize;
    const STATES: usize;
    fn cell() -> Cell;
    /// New (h, c) of one unit from input projection, recurrent product and old (h, c).
    fn update(x: &[f64], u: &[f64], h: f64, c: f64) -> (f64, f64);
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl TestCell for LstmCell {
    const GATES: usize = 4;
    const STATES: usize = 2;
    fn cell() -> Cell {
        Cell::lstm()
    }
    fn update(x: &[f64], u: &[f64], _h: f64, c: f64) -> (f64, f64) {
        let (i, f, g, o) = (logistic(x[0] + u[0]), logistic(x[1] + u[1]), (x[2] + u[2]).tanh(), logistic(x[3] + u[3]));
        let c = f * c + i * g;
        (o * c.tanh(), c)
    }
}

impl TestCell for GruCell {
    const GATES: usize = 3;
    const STATES: usize = 1;
    fn cell() -> Cell {
        Cell::gru()
    }
    fn update(x: &[f64], u: &[f64], h: f64, _c: f64) -> (f64, f64) {
        let (r, z) = (logistic(x[0] + u[0]), logistic(x[1] + u[1]));
        let n = (x[2] + r * u[2]).tanh();
        ((1.0 - z) * n + z * h, 0.0)
    }
}

impl Case {
    /// Random, with the weights of PyTorch's initialisation and biases; no lengths, no state.
    fn random<C: TestCell>(frames: usize, batch: usize, inputs: usize, hidden: usize) -> Self {
        let mut lcg = Lcg((frames * 1_000_003 + batch * 10_007 + inputs * 101 + hidden) as u64);
        let rows = C::GATES * hidden;
        let scale = 1.0 / (hidden as f32).sqrt();
        Self {
            frames,
            batch,
            inputs,
            hidden,
            x: lcg.list(frames * batch * inputs, 1.0),
            weight_ih: lcg.list(rows * inputs, scale),
            weight_hh: lcg.list(rows * hidden, scale),
            bias: Some((lcg.list(rows, scale), lcg.list(rows, scale))),
            lengths: None,
            state: None,
        }
    }

    fn with_state<C: TestCell>(mut self) -> Self {
        self.state = Some(Lcg(7).list(C::STATES * self.batch * self.hidden, 1.0));
        self
    }

    fn with_lengths(mut self, lengths: &[usize]) -> Self {
        self.lengths = Some(lengths.to_vec());
        self
    }

    fn layer<C: TestCell>(&self, context: &Context) -> Layer {
        let weights = LayerWeights {
            input_size: self.inputs,
            hidden_size: self.hidden,
            weight_ih: &self.weight_ih,
            weight_hh: &self.weight_hh,
            bias: self.bias.as_ref().map(|(ih, hh)| (&**ih, &**hh)),
            parameters: &[],
        };
        Layer::new(context, &C::cell(), &weights).unwrap()
    }

    /// y, and the state [S, N, H], both from the device.
    fn run<C: TestCell>(&self, context: &Context) -> (Vec<f32>, Vec<f32>) {
        let layer = self.layer::<C>(context);
        let x = Tensor::from_slice(context, &[self.frames, self.batch, self.inputs], &self.x).unwrap();
        let state = self.state.as_ref().map(|state| {
            let tensor = Tensor::from_slice(context, &[C::STATES, self.batch, self.hidden], state).unwrap();
            State::of(tensor).unwrap()
        });
        let (y, state) = layer.forward_blocking(&x, self.lengths.as_deref(), state.as_ref()).unwrap();
        assert_eq!(y.shape(), [self.frames, self.batch, self.hidden]);
        (y.to_vec_blocking().unwrap(), state.tensor().to_vec_blocking().unwrap())
    }

    /// The same in f64, by plain loops, one sequence after the other.
    fn oracle<C: TestCell>(&self) -> (Vec<f64>, Vec<f64>) {
        let (inputs, hidden, plane) = (self.inputs, self.hidden, self.batch * self.hidden);
        let bias =
            |side: usize, row: usize| self.bias.as_ref().map_or(0.0, |(ih, hh)| f64::from(if side == 0 { ih[row] } else { hh[row] }));
        let mut y = vec![0.0; self.frames * plane];
        let mut state: Vec<f64> = match &self.state {
            Some(state) => state.iter().map(|&v| f64::from(v)).collect(),
            None => vec![0.0; C::STATES * plane],
        };
        for n in 0..self.batch {
            let length = self.lengths.as_ref().map_or(self.frames, |lengths| lengths[n]);
            for t in 0..length {
                let x = &self.x[(t * self.batch + n) * inputs..][..inputs];
                let h: Vec<f64> = state[n * hidden..][..hidden].to_vec();
                // Row by row of a matrix: bias + row · vector.
                let product = |side: usize, matrix: &[f32], vector: &[f64]| -> Vec<f64> {
                    let rows = matrix.chunks_exact(vector.len()).enumerate();
                    rows.map(|(row, w)| bias(side, row) + w.iter().zip(vector).map(|(&w, v)| f64::from(w) * v).sum::<f64>()).collect()
                };
                let x: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
                let projected = product(0, &self.weight_ih, &x);
                let recurrent = product(1, &self.weight_hh, &h);
                for unit in 0..hidden {
                    let gates = |all: &[f64]| -> Vec<f64> { (0..C::GATES).map(|g| all[g * hidden + unit]).collect() };
                    let at = n * hidden + unit;
                    let c = if C::STATES > 1 { state[plane + at] } else { 0.0 };
                    let (h, c) = C::update(&gates(&projected), &gates(&recurrent), h[unit], c);
                    state[at] = h;
                    if C::STATES > 1 {
                        state[plane + at] = c;
                    }
                    y[t * plane + at] = h;
                }
            }
        }
        (y, state)
    }

    #[track_caller]
    fn check<C: TestCell>(&self, name: &str, context: &Context) {
        let (y, state) = self.run::<C>(context);
        let (expected_y, expected_state) = self.oracle::<C>();
        let largest = |values: &[f64]| values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let what = format!("{name}: {} gates, T {} N {} I {} H {}:", C::GATES, self.frames, self.batch, self.inputs, self.hidden);
        assert_close(&format!("{what} y"), &y, &expected_y, TOLERANCE * largest(&expected_y), 0.0);
        assert_close(&format!("{what} state"), &state, &expected_state, TOLERANCE * largest(&expected_state), 0.0);
    }
}

/// Bytes that a kernel sees at once on the contexts of `small_windows`.
const SMALL_WINDOW: u64 = 5_000;

/// The shared contexts, with little to be seen of a buffer at once.
fn small_windows() -> Vec<(String, Context)> {
    static SHARED: OnceLock<Vec<(String, Context)>> = OnceLock::new();
    SHARED.get_or_init(|| contexts_with(|options| options.with_max_binding_bytes(SMALL_WINDOW))).clone()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Runs a generic test for both cells.
macro_rules! both_cells {
    ($($test:ident),* $(,)?) => {
        $(
            mod $test {
                #[test]
                fn lstm() {
                    super::generic::$test::<super::LstmCell>();
                }
                #[test]
                fn gru() {
                    super::generic::$test::<super::GruCell>();
                }
            }
        )*
    };
}

both_cells!(
    agrees_with_the_oracle,
    ragged_batches_and_nan_padding,
    streaming_is_the_same_as_all_at_once,
    long_input_in_stretches_is_the_same,
    a_batch_is_the_same_as_its_sequences,
    twice_the_same_bits,
    saturated_gates_stay_finite,
    nothing_to_do,
    bad_input_is_named,
    a_given_state_is_not_changed,
);

mod generic {
    use super::*;

    pub fn agrees_with_the_oracle<C: TestCell>() {
        let cases = [
            // T, N, I, H: each side at and around the sizes of lanes (32), units (8) and tiles (16, 64).
            (1, 1, 1, 1),
            (7, 1, 3, 3),
            (20, 3, 1, 31),
            (7, 5, 31, 32),
            (7, 3, 33, 33),
            (1, 5, 130, 128),
            (7, 1, 128, 130),
            (20, 1, 32, 8),
            (2, 9, 3, 9),
            (1, 70, 5, 7),
            (3, 17, 128, 3),
            // Enough workgroups for eight sequences in each.
            (2, 123, 2, 70),
        ];
        for (name, context) in shared_contexts() {
            for (index, &(frames, batch, inputs, hidden)) in cases.iter().enumerate() {
                let mut case = Case::random::<C>(frames, batch, inputs, hidden);
                case.check::<C>(&name, &context);
                if index % 2 == 0 {
                    case.bias = None;
                }
                case.with_state::<C>().check::<C>(&name, &context);
            }
        }
    }

    pub fn ragged_batches_and_nan_padding<C: TestCell>() {
        for (name, context) in shared_contexts() {
            for lengths in [vec![7, 0, 3, 1, 6], vec![0, 0, 0, 0, 0], vec![7, 7, 7, 7, 7], vec![2, 7, 0, 0, 5]] {
                let mut case = Case::random::<C>(7, 5, 3, 33).with_lengths(&lengths).with_state::<C>();
                let plain = case.run::<C>(&context);
                for (row, x) in case.x.chunks_exact_mut(3).enumerate() {
                    if row / 5 >= lengths[row % 5] {
                        x.copy_from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
                    }
                }
                case.check::<C>(&name, &context);
                let padded = case.run::<C>(&context);
                assert_eq!(bits(&plain.0), bits(&padded.0), "{name} {lengths:?}: y");
                assert_eq!(bits(&plain.1), bits(&padded.1), "{name} {lengths:?}: state");
                for (at, &y) in padded.0.iter().enumerate() {
                    let (t, n) = (at / (5 * 33), at / 33 % 5);
                    assert!(t < lengths[n] || y.to_bits() == 0, "{name} {lengths:?}: y of padding is {y}");
                }
            }
        }
    }

    pub fn streaming_is_the_same_as_all_at_once<C: TestCell>() {
        for (name, context) in shared_contexts() {
            for (batch, hidden) in [(1, 33), (3, 16)] {
                let case = Case::random::<C>(7, batch, 5, hidden).with_state::<C>();
                let (whole_y, whole_state) = case.run::<C>(&context);
                for pieces in [&[1; 7][..], &[2, 1, 4], &[3, 0, 4]] {
                    let layer = case.layer::<C>(&context);
                    let first = Tensor::from_slice(&context, &[C::STATES, batch, hidden], case.state.as_ref().unwrap()).unwrap();
                    let mut state = State::of(first).unwrap();
                    let (mut y, mut at) = (Vec::new(), 0);
                    for &frames in pieces {
                        let x = &case.x[at * batch * 5..][..frames * batch * 5];
                        let x = Tensor::from_slice(&context, &[frames, batch, 5], x).unwrap();
                        let (part, next) = layer.forward_blocking(&x, None, Some(&state)).unwrap();
                        y.extend(part.to_vec_blocking().unwrap());
                        state = next;
                        at += frames;
                    }
                    assert_eq!(bits(&y), bits(&whole_y), "{name} {pieces:?}: y");
                    assert_eq!(bits(&state.tensor().to_vec_blocking().unwrap()), bits(&whole_state), "{name} {pieces:?}: state");
                }
            }
        }
    }

    pub fn long_input_in_stretches_is_the_same<C: TestCell>() {
        // The weights of 17 units just fit. 18 or fewer frames a stretch, whose windows begin anywhere
        // between the multiples of the alignment.
        let whole = shared_contexts();
        let cut = small_windows();
        for ((name, whole), (_, cut)) in whole.iter().zip(&cut) {
            for (batch, inputs) in [(3, 5), (1, 13), (9, 1)] {
                let case = Case::random::<C>(20, batch, inputs, 17).with_lengths(&[20, 9, 15, 0, 1, 2, 19, 20, 12][..batch]);
                let (y, state) = case.run::<C>(whole);
                let (cut_y, cut_state) = case.run::<C>(cut);
                assert_eq!(bits(&y), bits(&cut_y), "{name}: y");
                assert_eq!(bits(&state), bits(&cut_state), "{name}: state");
            }
            let stretches = |context| {
                let printed = Case::random::<C>(20, 9, 1, 17).layer::<C>(context).plan(20, 9).unwrap().to_string();
                printed.lines().filter(|line| line.contains("dense_gemm")).count()
            };
            assert_eq!((stretches(whole), stretches(cut) > 2), (1, true), "{name}: {} stretches", stretches(cut));
        }
    }

    pub fn a_batch_is_the_same_as_its_sequences<C: TestCell>() {
        for (name, context) in shared_contexts() {
            let ten = Case::random::<C>(5, 10, 17, 19).with_lengths(&[5, 4, 3, 0, 5, 1, 2, 5, 5, 4]);
            // As many as share workgroups by eights; the first and last few will do.
            let many = Case::random::<C>(2, 124, 2, 70).with_lengths(&[2, 1].repeat(62));
            for (case, picks) in [(ten, (0..10).collect()), (many, vec![0, 7, 8, 119, 120, 123])] {
                let case = case.with_state::<C>();
                let (y, state) = case.run::<C>(&context);
                for n in picks {
                    let column = |values: &[f32], width: usize| -> Vec<f32> {
                        values.chunks_exact(width).skip(n).step_by(case.batch).flatten().copied().collect()
                    };
                    let single = Case {
                        batch: 1,
                        x: column(&case.x, case.inputs),
                        lengths: case.lengths.as_ref().map(|lengths| vec![lengths[n]]),
                        state: case.state.as_ref().map(|state| column(state, case.hidden)),
                        ..case.clone()
                    };
                    let (single_y, single_state) = single.run::<C>(&context);
                    // A single sequence is summed by more invocations: not the same bits.
                    let wide = |values: Vec<f32>| -> Vec<f64> { values.into_iter().map(f64::from).collect() };
                    assert_close(&format!("{name}: y of sequence {n}"), &column(&y, case.hidden), &wide(single_y), 1e-6, 1e-6);
                    assert_close(&format!("{name}: state of sequence {n}"), &column(&state, case.hidden), &wide(single_state), 1e-6, 1e-6);
                }
            }
        }
    }

    pub fn twice_the_same_bits<C: TestCell>() {
        for (name, context) in shared_contexts() {
            let case = Case::random::<C>(9, 6, 20, 70).with_lengths(&[9, 1, 5, 0, 8, 9]);
            let (first, second) = (case.run::<C>(&context), case.run::<C>(&context));
            assert_eq!(bits(&first.0), bits(&second.0), "{name}");
            assert_eq!(bits(&first.1), bits(&second.1), "{name}");
        }
    }

    pub fn saturated_gates_stay_finite<C: TestCell>() {
        for (name, context) in shared_contexts() {
            for value in [100.0, -100.0, 1e4, -1e4] {
                let mut case = Case::random::<C>(5, 2, 3, 9);
                case.weight_ih.fill(value / 3.0);
                case.x.fill(1.0);
                case.x[4] = -1.0;
                let (y, state) = case.run::<C>(&context);
                let (expected_y, expected_state) = case.oracle::<C>();
                // Absolute: a closed gate leaves 1e-15 in f64 and nothing in f32. |c| is at most T.
                assert_close(&format!("{name} {value}: y"), &y, &expected_y, TOLERANCE, 0.0);
                assert_close(&format!("{name} {value}: state"), &state, &expected_state, 5.0 * TOLERANCE, 0.0);
            }
        }
    }

    pub fn nothing_to_do<C: TestCell>() {
        for (name, context) in shared_contexts() {
            let (y, state) = Case::random::<C>(0, 3, 2, 5).with_state::<C>().run::<C>(&context);
            assert!(y.is_empty(), "{name}");
            assert_eq!(state, Case::random::<C>(0, 3, 2, 5).with_state::<C>().state.unwrap(), "{name}: no frames, same state");
            let (y, state) = Case::random::<C>(0, 3, 2, 5).run::<C>(&context);
            assert_eq!((y, state), (Vec::new(), vec![0.0; C::STATES * 15]), "{name}");
            for lengths in [None, Some(Vec::new())] {
                let (y, state) = Case { lengths, ..Case::random::<C>(4, 0, 2, 5) }.run::<C>(&context);
                assert!(y.is_empty() && state.is_empty(), "{name}");
            }
        }
    }

    pub fn bad_input_is_named<C: TestCell>() {
        for (name, context) in shared_contexts() {
            let case = Case::random::<C>(4, 2, 3, 5);
            let weights = LayerWeights {
                input_size: 3,
                hidden_size: 5,
                weight_ih: &case.weight_ih,
                weight_hh: &case.weight_hh,
                bias: case.bias.as_ref().map(|(ih, hh)| (&**ih, &**hh)),
                parameters: &[],
            };
            let refused = |weights: &LayerWeights<'_>| Layer::new(&context, &C::cell(), weights).unwrap_err();
            let rows = C::GATES * 5;

            let error = refused(&LayerWeights { hidden_size: 6, ..weights });
            assert!(matches!(error, Error::Shape { argument: "weight_ih", .. }), "{name}: {error}");
            assert!(error.to_string().contains(&format!("[{}, 3]", C::GATES * 6)), "{name}: {error}");
            let error = refused(&LayerWeights { weight_hh: &case.weight_hh[1..], ..weights });
            assert!(matches!(error, Error::Shape { argument: "weight_hh", .. }), "{name}: {error}");
            let error = refused(&LayerWeights { bias: Some((&case.weight_ih[..rows], &[])), ..weights });
            assert!(matches!(error, Error::Shape { argument: "bias_hh", .. }), "{name}: {error}");
            let error = refused(&LayerWeights { input_size: 0, weight_ih: &[], ..weights });
            assert!(matches!(error, Error::Value { argument: "input_size", .. }), "{name}: {error}");
            let error = refused(&LayerWeights { hidden_size: 0, weight_ih: &[], weight_hh: &[], bias: None, ..weights });
            assert!(matches!(error, Error::Value { argument: "hidden_size", .. }), "{name}: {error}");

            let layer = Layer::new(&context, &C::cell(), &weights).unwrap();
            let x = Tensor::from_slice(&context, &[4, 2, 3], &case.x).unwrap();
            let fails = |x: &Tensor, lengths: Option<&[usize]>, state: Option<&State>| {
                let error = layer.forward_blocking(x, lengths, state).unwrap_err();
                // A refused call leaves the layer and its context as they were.
                layer.forward_blocking(&Tensor::from_slice(&context, &[1, 1, 3], &[0.0; 3]).unwrap(), None, None).unwrap();
                error
            };
            let error = fails(&x.reshape(&[4, 3, 2]).unwrap(), None, None);
            assert!(matches!(error, Error::Shape { argument: "x", .. }) && error.to_string().contains("[4, 3, 2]"), "{name}: {error}");
            let error = fails(&x.reshape(&[8, 3]).unwrap(), None, None);
            assert!(matches!(error, Error::Shape { argument: "x", .. }), "{name}: {error}");
            let error = fails(&Tensor::zeros(&context, &[4, 2, 3], DType::U32).unwrap(), None, None);
            assert!(matches!(error, Error::Value { argument: "x", .. }), "{name}: {error}");
            let error = fails(&x, Some(&[4]), None);
            assert!(matches!(error, Error::Shape { argument: "lengths", .. }), "{name}: {error}");
            let error = fails(&x, Some(&[4, 5]), None);
            assert!(matches!(error, Error::Length { argument: "lengths", utterance: 1, length: 5, max: 4 }), "{name}: {error}");
            let error = fails(&x, None, Some(&State::zeros(&context, &C::cell(), 3, 5).unwrap()));
            assert!(matches!(error, Error::Shape { argument: "state", .. }) && error.to_string().contains("3, 5"), "{name}: {error}");
            let error = fails(&x, None, Some(&State::zeros(&context, &C::cell(), 2, 6).unwrap()));
            assert!(matches!(error, Error::Shape { argument: "state", .. }), "{name}: {error}");
            let elsewhere = Context::cpu();
            let error = fails(&Tensor::from_slice(&elsewhere, &[4, 2, 3], &case.x).unwrap(), None, None);
            assert!(matches!(error, Error::OtherContext { argument: "x" }), "{name}: {error}");

            let error = fails(&x, None, Some(&State::of(Tensor::zeros(&context, &[3, 2, 5], DType::F32).unwrap()).unwrap()));
            assert!(matches!(error, Error::Shape { argument: "state", .. }), "{name}: {error}");
            let error = State::of(Tensor::zeros(&context, &[2, 5], DType::F32).unwrap()).unwrap_err();
            assert!(matches!(error, Error::Shape { argument: "state", .. }), "{name}: {error}");
            let error = State::of(Tensor::zeros(&context, &[C::STATES, 2, 5], DType::U32).unwrap()).unwrap_err();
            assert!(matches!(error, Error::Value { argument: "state", .. }), "{name}: {error}");
        }
        for (name, context) in small_windows() {
            // 60 sequences: one frame of their projections is 60 * G * 17 * 4 B.
            let layer = Case::random::<C>(1, 1, 5, 17).layer::<C>(&context);
            let x = Tensor::zeros(&context, &[2, 60, 5], DType::F32).unwrap();
            let error = layer.forward_blocking(&x, None, None).unwrap_err();
            let need = 60 * C::GATES as u64 * 17 * 4;
            assert!(matches!(error, Error::LimitExceeded { need: n, have: SMALL_WINDOW, .. } if n == need), "{name}: {error}");
            let wide = Case::random::<C>(1, 1, 5, 40);
            let weights = LayerWeights {
                input_size: 5,
                hidden_size: 40,
                weight_ih: &wide.weight_ih,
                weight_hh: &wide.weight_hh,
                bias: None,
                parameters: &[],
            };
            let error = Layer::new(&context, &C::cell(), &weights).unwrap_err();
            assert!(matches!(error, Error::LimitExceeded { what: "weight_hh, bytes", .. }), "{name}: {error}");
        }
    }

    pub fn a_given_state_is_not_changed<C: TestCell>() {
        for (name, context) in shared_contexts() {
            for frames in [1, 2, 5] {
                let case = Case::random::<C>(frames, 2, 3, 5);
                let layer = case.layer::<C>(&context);
                let x = Tensor::from_slice(&context, &[frames, 2, 3], &case.x).unwrap();
                let given = State::zeros(&context, &C::cell(), 2, 5).unwrap();
                let (once, _) = layer.forward_blocking(&x, None, Some(&given)).unwrap();
                let (again, _) = layer.forward_blocking(&x, None, Some(&given)).unwrap();
                let (without, _) = layer.forward_blocking(&x, None, None).unwrap();
                assert_eq!(given.tensor().to_vec_blocking().unwrap(), vec![0.0; C::STATES * 10], "{name}");
                let once = once.to_vec_blocking().unwrap();
                assert_eq!(bits(&once), bits(&again.to_vec_blocking().unwrap()), "{name}");
                assert_eq!(bits(&once), bits(&without.to_vec_blocking().unwrap()), "{name}: no state is a state of zeros");
            }
        }
    }
}

/// Numbers that a script in any language can repeat: sin(step * i + start).
fn wave(n: usize, scale: f64, step: f64, start: f64) -> Vec<f32> {
    (0..n).map(|i| (scale * f64::from((step * i as f64 + start).sin() as f32)) as f32).collect()
}

/// The case of the known values: T 3, N 2, I 2, H 3, lengths 3 and 2, first states, two biases.
fn wave_case<C: TestCell>() -> Case {
    let rows = C::GATES * 3;
    let mut state = wave(6, 0.5, 0.9, 0.2);
    if C::STATES > 1 {
        state.extend(wave(6, 1.0, 1.1, 0.3));
    }
    Case {
        frames: 3,
        batch: 2,
        inputs: 2,
        hidden: 3,
        x: wave(12, 1.0, 0.7, 0.1),
        weight_ih: wave(rows * 2, 1.0, 1.3, 0.4),
        weight_hh: wave(rows * 3, 1.0, 1.7, 0.5),
        bias: Some((wave(rows, 0.3, 2.1, 0.6), wave(rows, 0.3, 2.3, 0.7))),
        lengths: Some(vec![3, 2]),
        state: Some(state),
    }
}

/// Computed by onnxruntime 1.31.1 (CPU) on the same numbers, gates reordered to ONNX's i, o, f, c.
#[test]
fn lstm_gives_known_values() {
    let y = [
        0.115442298,
        0.285080999,
        0.0151447,
        -0.364676207,
        -0.339961201,
        -0.060957599,
        0.270831406,
        -0.042793501,
        -0.00782,
        -0.247220606,
        -0.0729772,
        -0.026848299,
        0.354424685,
        -0.058306001,
        -0.139437795,
        0.0,
        0.0,
        0.0,
    ];
    let h = [0.354424685, -0.058306001, -0.139437795, -0.247220606, -0.0729772, -0.026848299];
    let c = [0.513382614, -0.145466298, -0.263409913, -0.322851986, -0.657132626, -0.0361057];
    for (name, context) in shared_contexts() {
        let (got, state) = wave_case::<LstmCell>().run::<LstmCell>(&context);
        // The known values are rounded to 7 places.
        assert_close(&format!("{name}: y"), &got, &y, 1e-6, 0.0);
        assert_close(&format!("{name}: h"), &state[..6], &h, 1e-6, 0.0);
        assert_close(&format!("{name}: c"), &state[6..], &c, 1e-6, 0.0);
    }
}

/// As above; gates reordered to ONNX's z, r, h, linear_before_reset = 1.
#[test]
fn gru_gives_known_values() {
    let y = [
        0.046596602,
        0.600459397,
        0.0045575,
        -0.046070699,
        0.106893003,
        -0.399266601,
        0.396443605,
        -0.0077937,
        -0.0109334,
        0.563699603,
        -0.041549399,
        -0.486213595,
        0.34653759,
        0.0142819,
        -0.397688389,
        0.0,
        0.0,
        0.0,
    ];
    let h = [0.34653759, 0.0142819, -0.397688389, 0.563699603, -0.041549399, -0.486213595];
    for (name, context) in shared_contexts() {
        let (got, state) = wave_case::<GruCell>().run::<GruCell>(&context);
        assert_close(&format!("{name}: y"), &got, &y, 1e-6, 0.0);
        assert_close(&format!("{name}: h"), &state, &h, 1e-6, 0.0);
    }
}

#[test]
fn gates_by_hand() {
    for (name, context) in shared_contexts() {
        // Biases alone, one gate opened at a time: c = σ(f) c + σ(i) tanh(g), h = σ(o) tanh(c).
        let mut case = Case::random::<LstmCell>(1, 1, 1, 1);
        case.weight_ih.fill(0.0);
        case.weight_hh.fill(0.0);
        case.bias = Some((vec![0.0, 0.5, 2.0, -1.0], vec![0.25, 0.0, 0.0, 0.0]));
        case.state = Some(vec![9.0, 0.5]);
        let c = logistic(0.5) * 0.5 + logistic(0.25) * 2f64.tanh();
        let (y, state) = case.run::<LstmCell>(&context);
        assert_close(&name, &state, &[logistic(-1.0) * c.tanh(), c], 1e-6, 0.0);
        assert_eq!(y[0], state[0]);
        // bias_hn is inside of the reset gate, bias_in is not.
        let mut case = Case::random::<GruCell>(1, 1, 1, 1);
        case.weight_ih.fill(0.0);
        case.weight_hh.fill(0.0);
        case.bias = Some((vec![0.5, -0.25, 0.3], vec![0.0, 0.0, 0.8]));
        case.state = Some(vec![0.9]);
        let (r, z) = (logistic(0.5), logistic(-0.25));
        let (_, state) = case.run::<GruCell>(&context);
        assert_close(&name, &state, &[(1.0 - z) * (0.3 + r * 0.8).tanh() + z * 0.9], 1e-6, 0.0);
    }
}

#[test]
fn states_read_back_by_name() {
    for (name, context) in shared_contexts() {
        let case = wave_case::<LstmCell>();
        let tensor = Tensor::from_slice(&context, &[2, 2, 3], case.state.as_ref().unwrap()).unwrap();
        let state = State::of(tensor).unwrap();
        assert_eq!(state.h_blocking().unwrap(), wave(6, 0.5, 0.9, 0.2), "{name}");
        assert_eq!(state.read_blocking(1).unwrap(), wave(6, 1.0, 1.1, 0.3), "{name}");
        assert_eq!(state.batch(), 2);
        assert!(matches!(state.read_blocking(2), Err(Error::Value { argument: "number", .. })));
        assert_eq!(State::zeros(&context, &Cell::gru(), 4, 2).unwrap().h_blocking().unwrap(), [0.0; 8]);
    }
}

#[test]
fn a_plan_can_be_printed() {
    let case = Case::random::<GruCell>(6, 2, 3, 5);
    let printed = case.layer::<GruCell>(&Context::cpu()).plan(6, 2).unwrap().to_string();
    assert_eq!(printed.lines().filter(|line| line.contains("dispatch cell_step")).count(), 6, "{printed}");
    assert_eq!(printed.lines().filter(|line| line.contains("dispatch dense_gemm")).count(), 1, "{printed}");
}

mod loading {
    use super::*;
    use safetensors::tensor::{Dtype, TensorView, serialize};
    use weft::Weights;

    /// A file of f32 tensors of a LSTM with I 2, H 3.
    fn file(tensors: &[(&str, &[usize])]) -> Weights {
        let data: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, shape)| wave(shape.iter().product(), 1.0, 0.3, shape[0] as f64).iter().flat_map(|v| v.to_le_bytes()).collect())
            .collect();
        let views =
            tensors.iter().zip(&data).map(|((name, shape), data)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap()));
        Weights::from_bytes(serialize(views.collect::<Vec<_>>(), None).unwrap()).unwrap()
    }

    #[test]
    fn names_with_prefix_without_and_with_pytorch_suffix() {
        let cpu = Context::cpu();
        for (prefix, names) in [
            ("encoder.0", ["encoder.0.weight_ih", "encoder.0.weight_hh", "encoder.0.bias_ih", "encoder.0.bias_hh"]),
            ("", ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]),
            ("rnn", ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0"]),
        ] {
            let shapes: [&[usize]; 4] = [&[12, 2], &[12, 3], &[12], &[12]];
            let tensors: Vec<_> = names.into_iter().zip(shapes).collect();
            let weights = file(&tensors);
            let loaded = Layer::load(&cpu, &Cell::lstm(), &weights, prefix).unwrap();
            assert_eq!((loaded.input_size(), loaded.hidden_size()), (2, 3));
            let case = Case {
                weight_ih: weights.get(names[0]).unwrap(),
                weight_hh: weights.get(names[1]).unwrap(),
                bias: Some((weights.get(names[2]).unwrap(), weights.get(names[3]).unwrap())),
                ..wave_case::<LstmCell>()
            };
            let x = Tensor::from_slice(&cpu, &[3, 2, 2], &case.x).unwrap();
            let (y, _) = loaded.forward_blocking(&x, None, None).unwrap();
            let (expected, _) = Case { lengths: None, state: None, ..case }.run::<LstmCell>(&cpu);
            assert_eq!(y.to_vec_blocking().unwrap(), expected);
            // Without its biases it is a layer without biases.
            assert!(Layer::load(&cpu, &Cell::lstm(), &file(&tensors[..2]), prefix).is_ok());
        }
    }

    #[test]
    fn wrong_files_are_named() {
        let cpu = Context::cpu();
        let said = |tensors: &[(&str, &[usize])]| {
            let error = Layer::load(&cpu, &Cell::lstm(), &file(tensors), "a").unwrap_err();
            assert!(matches!(error, Error::Weights { .. }), "{error}");
            error.to_string()
        };
        assert!(said(&[("b.weight_hh", &[12, 3])]).contains("a.weight_hh"));
        assert!(said(&[("a.weight_hh", &[12, 3])]).contains("a.weight_ih"));
        let text = said(&[("a.weight_hh", &[9, 3]), ("a.weight_ih", &[9, 2])]);
        assert!(text.contains("a.weight_hh") && text.contains("[9, 3]") && text.contains("[4 H, H]"), "{text}");
        let text = said(&[("a.weight_hh", &[12, 3]), ("a.weight_ih", &[9, 2])]);
        assert!(text.contains("a.weight_ih") && text.contains("[9, 2]") && text.contains("[4 H, I]"), "{text}");
        let text = said(&[("a.weight_hh", &[36]), ("a.weight_ih", &[12, 2])]);
        assert!(text.contains("a.weight_hh") && text.contains("[36]"), "{text}");
        let text = said(&[("a.weight_hh", &[12, 3]), ("a.weight_ih", &[12, 2]), ("a.bias_ih", &[12])]);
        assert!(text.contains("a.bias_hh"), "{text}");
        let text = said(&[("a.weight_hh", &[12, 3]), ("a.weight_ih", &[12, 2]), ("a.bias_ih", &[12]), ("a.bias_hh", &[3])]);
        assert!(text.contains("a.bias_hh") && text.contains("[3]") && text.contains("[12]"), "{text}");
        // The weights of an LSTM are no GRU's.
        let lstm = file(&[("a.weight_hh", &[12, 3]), ("a.weight_ih", &[12, 2])]);
        assert!(Layer::load(&cpu, &Cell::gru(), &lstm, "a").unwrap_err().to_string().contains("GRU"));
    }
}
