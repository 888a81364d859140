//! Cells of the library beside those of the truth, and a problem solved by both.

use crate::common::{assert_close, difference};
use crate::truth::{self, Problem, Pull, Values};
use weft::recurrent::cells::{Activation, Cell, ForgetGate, LstmOptions};
use weft::recurrent::{Gradients, Layer, LayerWeights, RunOptions, State, TrainOptions};
use weft::{Context, Result, Tensor};

/// A cell of the library, and its truth.
#[derive(Clone)]
pub struct Pair {
    pub cell: Cell,
    pub truth: truth::Cell,
}

/// Every cell that layers run.
pub fn pairs() -> Vec<Pair> {
    let pair = |cell, truth| Pair { cell, truth };
    let lstm = LstmOptions::default();
    let clipped = truth::Cell { gate_clip: Some(0.4), cell_clip: Some(0.3), ..truth::Cell::lstm() };
    vec![
        pair(Cell::rnn(Activation::Tanh).unwrap(), truth::Cell::rnn(truth::Activation::Tanh)),
        pair(Cell::rnn(Activation::Relu).unwrap(), truth::Cell::rnn(truth::Activation::Relu)),
        pair(Cell::lstm(), truth::Cell::lstm()),
        pair(LstmOptions { peepholes: true, ..lstm }.build().unwrap(), truth::Cell { peepholes: true, ..truth::Cell::lstm() }),
        pair(
            LstmOptions { peepholes: true, coupled: true, ..lstm }.build().unwrap(),
            truth::Cell { peepholes: true, coupled: true, ..truth::Cell::lstm() },
        ),
        pair(LstmOptions { gate_clip: Some(0.4), cell_clip: Some(0.3), ..lstm }.build().unwrap(), clipped),
        pair(Cell::gru(), truth::Cell::gru()),
        pair(Cell::li_gru(), truth::Cell::li_gru()),
        pair(Cell::ind_rnn(Activation::Tanh).unwrap(), truth::Cell::ind_rnn(truth::Activation::Tanh)),
        pair(Cell::s_lstm(ForgetGate::Sigmoid), truth::Cell::s_lstm()),
        pair(Cell::min_gru(false), truth::Cell::min_gru()),
        pair(Cell::qrnn(), truth::Cell::qrnn()),
    ]
}

/// What a problem gives on a device: y, and all states, as in [`truth::Solution`].
pub struct Given {
    pub y: Vec<f32>,
    pub states: Vec<Vec<f32>>,
}

pub struct Case {
    pub pair: Pair,
    pub problem: Problem,
}

impl Case {
    /// T, N, I, H.
    pub fn random(pair: &Pair, sizes: [usize; 4], seed: u64) -> Self {
        Self { pair: pair.clone(), problem: Problem::random(pair.truth, sizes, seed) }
    }

    pub fn layer(&self, context: &Context) -> Layer {
        let p = &self.problem;
        let all = |name: &str| p.values.0.get(name).map(|_| p.values.f32(name)).unwrap_or_default();
        let [weight_ih, weight_hh, bias_ih, bias_hh] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(all);
        let has_product = !self.pair.cell.recurrent().is_empty();
        let parameters: Vec<(String, Vec<f32>)> = self.pair.cell.params().iter().map(|name| (name.clone(), all(name))).collect();
        let parameters: Vec<(&str, &[f32])> = parameters.iter().map(|(name, values)| (&**name, &**values)).collect();
        let weights = LayerWeights {
            input_size: p.inputs,
            hidden_size: p.hidden,
            weight_ih: &weight_ih,
            weight_hh: if has_product { &weight_hh } else { &[] },
            bias: p.values.0.contains_key("bias_ih").then_some((&bias_ih[..], &bias_hh[..])),
            parameters: &parameters,
        };
        let layer = Layer::new(context, &self.pair.cell, &weights).unwrap();
        if p.reverse { layer.reversed() } else { layer }
    }

    pub fn x(&self, context: &Context) -> Tensor {
        let p = &self.problem;
        Tensor::from_slice(context, &[p.frames, p.batch, p.inputs], &p.values.f32("x")).unwrap()
    }

    pub fn state(&self, context: &Context) -> State {
        let p = &self.problem;
        let names = self.pair.truth.states();
        let values: Vec<f32> = names.iter().flat_map(|name| p.values.f32(name)).collect();
        State::of(Tensor::from_slice(context, &[names.len(), p.batch, p.hidden], &values).unwrap()).unwrap()
    }

    /// With the first states of the problem.
    pub fn run(&self, context: &Context) -> Result<Given> {
        let state = self.state(context);
        let options = RunOptions { lengths: Some(&self.problem.lengths), state: Some(&state), resets: &self.problem.resets };
        let (y, state, _) = self.layer(context).run_blocking(&self.x(context), &options)?;
        Ok(self.given(&y, &state))
    }

    pub fn given(&self, y: &Tensor, state: &State) -> Given {
        let count = self.pair.truth.states().len();
        Given { y: y.to_vec_blocking().unwrap(), states: (0..count).map(|number| state.read_blocking(number).unwrap()).collect() }
    }

    pub fn check(&self, name: &str, context: &Context, tolerance: f64) {
        let expected = self.problem.solve();
        let given = self.run(context).unwrap();
        let what = format!("{name} {} {:?}", self.pair.cell.name(), self.sizes());
        assert_close(&format!("{what}: y"), &given.y, &expected.y, tolerance, tolerance);
        for (number, (state, expected)) in given.states.iter().zip(&expected.states).enumerate() {
            assert_close(&format!("{what}: state {number}"), state, expected, tolerance, tolerance);
        }
    }

    pub fn sizes(&self) -> [usize; 4] {
        let p = &self.problem;
        [p.frames, p.batch, p.inputs, p.hidden]
    }

    /// Forward in training, then backward.
    pub fn train(&self, context: &Context, pull: &Pull) -> Result<(Given, Gradients)> {
        let p = &self.problem;
        let layer = self.layer(context);
        let state = self.state(context);
        let mask: Option<Vec<f32>> = p.mask.as_ref().map(|mask| mask.iter().map(|&m| m as f32).collect());
        let run = RunOptions { lengths: Some(&p.lengths), state: Some(&state), resets: &p.resets };
        let options = TrainOptions { run, mask: mask.as_deref(), ..TrainOptions::default() };
        let (y, last, tape) = layer.train_blocking(&self.x(context), &options)?;
        let narrow = |values: &[f64]| -> Vec<f32> { values.iter().map(|&v| v as f32).collect() };
        let dy = Tensor::from_slice(context, y.shape(), &narrow(&pull.y))?;
        let d_state: Vec<f32> = pull.states.iter().flat_map(|state| narrow(state)).collect();
        let d_state = State::of(Tensor::from_slice(context, last.tensor().shape(), &d_state)?)?;
        let gradients = layer.backward_blocking(&tape, &dy, Some(&d_state))?;
        Ok((self.given(&y, &last), gradients))
    }

    pub fn check_gradients(&self, name: &str, context: &Context, tolerance: f64) {
        let p = &self.problem;
        let pull = p.random_pull(5);
        let expected = p.gradients(&pull);
        let (given, gradients) = self.train(context, &pull).unwrap();
        let what = format!("{name} {} {:?}", self.pair.cell.name(), self.sizes());
        assert_close(&format!("{what}: y in training"), &given.y, &p.solve().y, 1e-5, 1e-5);
        let read = |tensor: &Tensor| tensor.to_vec_blocking().unwrap();
        let mut all = vec![
            ("x".to_owned(), read(gradients.x.as_ref().unwrap())),
            ("weight_ih".to_owned(), read(&gradients.weight_ih)),
            ("bias_ih".to_owned(), read(&gradients.bias_ih)),
        ];
        let units = read(&gradients.units);
        let rows = self.pair.cell.recurrent().len();
        if rows > 0 {
            all.push(("weight_hh".to_owned(), read(&gradients.weight_hh)));
            all.push(("bias_hh".to_owned(), units[..rows * p.hidden].to_vec()));
        }
        for (number, name) in self.pair.cell.params().iter().enumerate() {
            all.push((name.clone(), units[(rows + number) * p.hidden..][..p.hidden].to_vec()));
        }
        for (number, name) in self.pair.truth.states().iter().enumerate() {
            all.push(((*name).to_owned(), gradients.state.read_blocking(number).unwrap()));
        }
        for (part, got) in &all {
            compare(&what, part, got, &expected, tolerance);
        }
    }
}

/// Relative to the largest gradient of its kind.
fn compare(what: &str, part: &str, got: &[f32], expected: &Values, tolerance: f64) {
    let Some(expected) = expected.0.get(part) else { return };
    let largest = expected.iter().fold(1e-3f64, |most, x| most.max(x.abs()));
    if let Some(message) = difference(got, expected, tolerance * largest, 0.0) {
        panic!("{what}: gradient of {part} {message}");
    }
}
