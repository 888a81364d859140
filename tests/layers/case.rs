//! Cells of the library beside those of the truth, and a problem solved by both.

use crate::common::{assert_close, difference};
use crate::truth::{self, Problem, Pull, Values};
use weft::dense::convert_blocking;
use weft::recurrent::cells::{Activation, BatchNorm, Cell, ForgetGate, InputNorm, LiGruOptions, LstmOptions, NormSpan};
use weft::recurrent::{Gradients, Layer, LayerWeights, RunOptions, State, Tier, TrainOptions};
use weft::{Context, DType, Result, Tensor};

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
    let gate_norm = Some(truth::Norm::Layer { eps: 1e-5, each_gate: true });
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
        pair(Cell::gru_reset_before(), truth::Cell::gru_reset_before()),
        pair(Cell::li_gru(), truth::Cell::li_gru()),
        pair(Cell::ind_rnn(Activation::Tanh).unwrap(), truth::Cell::ind_rnn(truth::Activation::Tanh)),
        pair(Cell::s_lstm(ForgetGate::Sigmoid), truth::Cell::s_lstm()),
        pair(Cell::min_gru(false), truth::Cell::min_gru()),
        pair(Cell::qrnn(), truth::Cell::qrnn()),
        pair(Cell::sli_gru(), truth::Cell::sli_gru()),
        pair(LiGruOptions { layer_norm: true, affine: true, ..LiGruOptions::default() }.build().unwrap(), truth::Cell::sli_gru()),
        pair(Cell::layer_norm_lstm(), truth::Cell::layer_norm_lstm()),
        pair(
            LstmOptions { layer_norm: Some(NormSpan::Gate), peepholes: true, ..lstm }.build().unwrap(),
            truth::Cell { peepholes: true, norm_ih: gate_norm, norm_hh: gate_norm, ..truth::Cell::layer_norm_lstm() },
        ),
        pair(batch_normed(false, false), truth::Cell { norm_ih: Some(truth::Norm::RUNNING), ..truth::Cell::li_gru() }),
        pair(batch_normed(true, true), truth::Cell { norm_ih: Some(truth::Norm::RUNNING), ..truth::Cell::sli_gru() }),
        pair(Cell::layer_norm_gru(), truth::Cell::layer_norm_gru()),
    ]
}

/// SpeechBrain's LiGRU or SLi-GRU with its batch norm. The truth of these in training is that of [`Case::trained`].
pub fn batch_normed(layer_norm: bool, affine: bool) -> Cell {
    let input_norm = Some(InputNorm::Batch(BatchNorm::SPEECHBRAIN));
    LiGruOptions { layer_norm, affine, input_norm, ..LiGruOptions::default() }.build().unwrap()
}

/// What a problem gives on a device: y, and all states, as in [`truth::Solution`].
pub struct Given {
    pub y: Vec<f32>,
    pub states: Vec<Vec<f32>>,
}

#[derive(Clone)]
pub struct Case {
    pub pair: Pair,
    pub problem: Problem,
    /// Of h, and of all other states.
    pub zoneout: [f32; 2],
    /// Units see those of their own head only.
    pub heads: usize,
    pub weight_dropout: f32,
    /// What is asked to run the steps.
    pub tier: Option<Tier>,
    /// Of f16: then x and the weights of both products are such numbers.
    pub half: bool,
}

impl Case {
    /// T, N, I, H.
    pub fn random(pair: &Pair, sizes: [usize; 4], seed: u64) -> Self {
        let mut problem = Problem::random(pair.truth, sizes, seed);
        if pair.cell.norms().recurrent.is_some_and(|norm| !norm.gain) {
            problem.values.get_mut("norm_hh.weight").fill(1.0);
        }
        Self { pair: pair.clone(), problem, zoneout: [0.0; 2], heads: 1, weight_dropout: 0.0, tier: None, half: false }
    }

    /// Numbers of the recurrent weight that a layer keeps: those within blocks.
    fn kept(&self, weight_hh: &[f64]) -> Vec<f32> {
        let hidden = self.problem.hidden;
        let size = hidden / self.heads;
        let within = |&(i, _): &(usize, &f64)| self.heads == 1 || i / hidden % hidden / size == i % hidden / size;
        weight_hh.iter().enumerate().filter(within).map(|(_, &x)| x as f32).collect()
    }

    /// The same in f16, with x and weights rounded to that.
    pub fn half(mut self) -> Self {
        for name in ["x", "weight_ih", "weight_hh"] {
            if self.problem.values.0.contains_key(name) {
                self.problem.values.get_mut(name).iter_mut().for_each(|x| *x = half::f16::from_f64(*x).to_f64());
            }
        }
        self.half = true;
        self
    }

    pub fn layer(&self, context: &Context) -> Layer {
        let p = &self.problem;
        let all = |name: &str| p.values.0.get(name).map(|_| p.values.f32(name)).unwrap_or_default();
        let [weight_ih, bias_ih, bias_hh] = ["weight_ih", "bias_ih", "bias_hh"].map(all);
        let weight_hh = p.values.0.get("weight_hh").map(|weight| self.kept(weight)).unwrap_or_default();
        let has_product = !self.pair.cell.recurrent().is_empty();
        let parameters: Vec<(String, Vec<f32>)> = self.parameters().into_iter().map(|name| (name.clone(), self.parameter(&name))).collect();
        let parameters: Vec<(&str, &[f32])> = parameters.iter().map(|(name, values)| (&**name, &**values)).collect();
        let weights = LayerWeights {
            input_size: p.inputs,
            hidden_size: p.hidden,
            weight_ih: &weight_ih,
            weight_hh: if has_product { &weight_hh } else { &[] },
            bias: p.values.0.contains_key("bias_ih").then_some((&bias_ih[..], &bias_hh[..])),
            parameters: &parameters,
        };
        let [h, others] = self.zoneout;
        let cell = &self.pair.cell;
        let layer = match self.pair.truth.projection {
            Some(_) => Layer::projected(context, cell, &weights, &p.values.f32("weight_hr")),
            None if self.heads > 1 => Layer::block_diagonal(context, cell, &weights, self.heads),
            None => Layer::new(context, cell, &weights),
        };
        let layer = layer.unwrap().with_zoneout(h, others).unwrap().with_tier(self.tier);
        let layer = if self.half { layer.to_f16_blocking().unwrap() } else { layer };
        if p.reverse { layer.reversed() } else { layer }
    }

    /// Names of the parameters and norms, as layers ask for them.
    fn parameters(&self) -> Vec<String> {
        LayerWeights::parameters_of(&self.pair.cell).into_iter().map(|(name, _)| name).collect()
    }

    /// Its value; what the truth leaves to the bias is zero.
    fn parameter(&self, name: &str) -> Vec<f32> {
        let p = &self.problem;
        match p.values.0.get(name) {
            Some(_) => p.values.f32(name),
            None if name == "norm_hh.bias" => vec![0.0; self.pair.cell.recurrent().len() * p.hidden],
            None => vec![f32::from(u8::from(name.ends_with("_var"))); self.pair.cell.gates().len() * p.hidden],
        }
    }

    pub fn x(&self, context: &Context) -> Tensor {
        let p = &self.problem;
        let x = Tensor::from_slice(context, &[p.frames, p.batch, p.inputs], &p.values.f32("x")).unwrap();
        if self.half { convert_blocking(&x, DType::F16).unwrap() } else { x }
    }

    pub fn state(&self, context: &Context) -> State {
        let p = &self.problem;
        self.state_of(context, self.pair.truth.states().iter().map(|name| p.values.f32(name)).collect())
    }

    /// Of all states, h first.
    fn state_of(&self, context: &Context, mut values: Vec<Vec<f32>>) -> State {
        let p = &self.problem;
        let h = self.pair.truth.projection.map(|outputs| (outputs, values.remove(0)));
        let others = Tensor::from_slice(context, &[values.len(), p.batch, p.hidden], &values.concat()).unwrap();
        match h {
            Some((outputs, h)) => State::projected(Tensor::from_slice(context, &[p.batch, outputs], &h).unwrap(), others).unwrap(),
            None => State::of(others).unwrap(),
        }
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

    /// Norms divide by deviations, which may be small where a span has few numbers, and what is rounded grows with that.
    pub fn loosened(&self, tolerance: f64) -> f64 {
        let norms = self.pair.cell.norms();
        let has_norms = norms.input.is_some() || norms.recurrent.is_some() || norms.state.is_some();
        if has_norms { 4.0 * tolerance } else { tolerance }
    }

    pub fn check(&self, name: &str, context: &Context, tolerance: f64) {
        let tolerance = self.loosened(tolerance);
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
        let options = TrainOptions { run, mask: mask.as_deref(), weight_dropout: self.weight_dropout, seed: 7, ..TrainOptions::default() };
        let (y, last, tape) = layer.train_blocking(&self.x(context), &options)?;
        let narrow = |values: &[f64]| -> Vec<f32> { values.iter().map(|&v| v as f32).collect() };
        let dy = Tensor::from_slice(context, y.shape(), &narrow(&pull.y))?;
        let d_state = self.state_of(context, pull.states.iter().map(|state| narrow(state)).collect());
        let gradients = layer.backward_blocking(&tape, &dy, Some(&d_state))?;
        Ok((self.given(&y, &last), gradients))
    }

    /// The problem in training, where a batch norm takes the statistics of the batch.
    pub fn trained(&self) -> Problem {
        let mut problem = self.problem.clone();
        if let Some(truth::Norm::Running { eps }) = problem.cell.norm_ih {
            problem.cell.norm_ih = Some(truth::Norm::Batch { eps });
        }
        problem
    }

    pub fn check_gradients(&self, name: &str, context: &Context, tolerance: f64) {
        let p = &self.trained();
        let pull = p.random_pull(5);
        let mut expected = p.gradients(&pull);
        self.keep(&mut expected);
        let (given, gradients) = self.train(context, &pull).unwrap();
        let what = format!("{name} {} {:?}", self.pair.cell.name(), self.sizes());
        let solution = p.solve();
        let near = self.loosened(tolerance / 2.0);
        assert_close(&format!("{what}: y in training"), &given.y, &solution.y, near, near);
        for (part, got) in &self.named(&gradients) {
            compare(&what, part, got, &expected, self.loosened(tolerance));
        }
    }

    /// Gradients by the names that they have in the truth.
    fn named(&self, gradients: &Gradients) -> Vec<(String, Vec<f32>)> {
        let p = &self.problem;
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
        if let Some(weight_hr) = &gradients.weight_hr {
            all.push(("weight_hr".to_owned(), read(weight_hr)));
        }
        let mut first = rows * p.hidden;
        for name in self.parameters() {
            if let ("norm_ih.weight", Some(gain)) = (&*name, &gradients.norm_ih) {
                all.push((name, read(gain)));
            } else if !name.starts_with("norm_ih") && name != "norm_hh.bias" {
                let count = p.values.get(&name).len();
                all.push((name, units[first..][..count].to_vec()));
                first += count;
            }
        }
        assert_eq!(first, units.len());
        for (number, name) in self.pair.truth.states().iter().enumerate() {
            all.push(((*name).to_owned(), gradients.state.read_blocking(number).unwrap()));
        }
        all
    }

    /// Leaves of the truth's gradients what a layer has.
    fn keep(&self, expected: &mut Values) {
        if let Some(weight_hh) = expected.0.get_mut("weight_hh") {
            *weight_hh = self.kept(weight_hh).into_iter().map(f64::from).collect();
        }
    }

    /// Largest error of what a call gives, relative to the largest number of its kind.
    pub fn forward_error(&self, context: &Context) -> Result<f64> {
        Ok(self.run(context)?.error(&self.problem.solve()))
    }

    /// Likewise of a call in training and of its gradients.
    pub fn training_error(&self, context: &Context) -> Result<f64> {
        let trained = self.trained();
        let pull = trained.random_pull(5);
        let (given, gradients) = self.train(context, &pull)?;
        let mut expected = trained.gradients(&pull);
        self.keep(&mut expected);
        let of = |(part, got): &(String, Vec<f32>)| expected.0.get(&**part).map_or(0.0, |expected| error(got, expected));
        Ok(self.named(&gradients).iter().map(of).fold(given.error(&trained.solve()), f64::max))
    }
}

impl Given {
    fn error(&self, truth: &truth::Solution) -> f64 {
        let states = self.states.iter().zip(&truth.states);
        states.map(|(got, expected)| error(got, expected)).fold(error(&self.y, &truth.y), f64::max)
    }
}

/// The largest difference, relative to the largest number; a NaN is infinitely far.
fn error(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(1e-3f64, |most, x| most.max(x.abs()));
    let off = got.iter().zip(expected).map(|(&g, &e)| (f64::from(g) - e).abs() / largest);
    off.fold(0.0, |most, off| if off.is_nan() { f64::INFINITY } else { most.max(off) })
}

/// Relative to the largest gradient of its kind.
fn compare(what: &str, part: &str, got: &[f32], expected: &Values, tolerance: f64) {
    let Some(expected) = expected.0.get(part) else { return };
    let largest = expected.iter().fold(1e-3f64, |most, x| most.max(x.abs()));
    if let Some(message) = difference(got, expected, tolerance * largest, 0.0) {
        panic!("{what}: gradient of {part} {message}");
    }
}
