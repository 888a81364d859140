//! A batch before its joiner: run by the library, and solved in f64 by the truth of its lattice and the chain rule.

use crate::common::Lcg;
use crate::kinds::{BLANK, Row};
use crate::truth::{self, Reshape};
use weft::dense::{Activation, Linear};
use weft::joint::{Joiner, JointBatch, JointLoss, JointOutput, LinearGradients};
use weft::lattice::{Band, Lattices, Logits, LossBatch, Status, TransducerLoss, TransducerLossBuilder};
use weft::{Context, Tensor};

/// A layer on the host.
#[derive(Clone)]
pub struct Layer {
    pub sides: [usize; 2],
    pub weight: Vec<f32>,
    pub bias: Option<Vec<f32>>,
}

#[derive(Clone)]
pub struct Case {
    pub row: Row,
    /// T and U of each utterance.
    pub lengths: Vec<[usize; 2]>,
    pub targets: Vec<Vec<u32>>,
    pub weights: Vec<f32>,
    /// T, U1 of the tensors.
    pub padded: [usize; 2],
    pub hidden: usize,
    /// [N, T, E], [N, U1, P]; what lies beyond the lengths is NaN.
    pub encoder: Vec<f32>,
    pub predictor: Vec<f32>,
    /// Of the encoder, of the predictor, the last one.
    pub layers: [Option<Layer>; 3],
    pub activation: Activation,
    pub dropout: f32,
    pub seed: u64,
    pub limit: Option<u64>,
    /// Whether weights, and what is given, are f16.
    pub half: bool,
    /// First and last position of each frame; none of an utterance: no restriction.
    pub bands: Option<Vec<Vec<[u32; 2]>>>,
    /// Options of the loss; the truth knows none.
    pub options: fn(TransducerLossBuilder) -> TransducerLossBuilder,
}

/// Costs and gradients in f64: of the encoder's and the predictor's output, and of weight and bias of each layer.
pub struct Expected {
    pub costs: Vec<f64>,
    pub inputs: [Vec<f64>; 2],
    pub layers: [[Vec<f64>; 2]; 3],
}

impl Layer {
    pub fn random(numbers: &mut Lcg, [outputs, inputs]: [usize; 2], bias: bool) -> Self {
        let scale = 1.5 / (inputs as f32).sqrt();
        let weight = numbers.list(outputs * inputs, scale);
        Self { sides: [outputs, inputs], weight, bias: bias.then(|| numbers.list(outputs, 0.5)) }
    }

    fn upload(&self, context: &Context) -> Linear {
        Linear::new(context, self.sides, &self.weight, self.bias.as_deref()).unwrap()
    }

    fn apply(&self, x: &[f64]) -> Vec<f64> {
        let [_, inputs] = self.sides;
        let bias = |output: usize| self.bias.as_ref().map_or(0.0, |bias| bias[output].into());
        let dot = |line: &[f32]| line.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum::<f64>();
        self.weight.chunks(inputs).enumerate().map(|(output, line)| dot(line) + bias(output)).collect()
    }

    /// Adds to the gradients of weight and bias what a row gives, and gives that of what it was given.
    fn pull(&self, x: &[f64], d: &[f64], [d_weight, d_bias]: &mut [Vec<f64>; 2]) -> Vec<f64> {
        let [_, inputs] = self.sides;
        let mut d_x = vec![0.0; inputs];
        for (output, (&d, line)) in d.iter().zip(self.weight.chunks(inputs)).enumerate() {
            for (input, &w) in line.iter().enumerate() {
                d_weight[output * inputs + input] += d * x[input];
                d_x[input] += d * f64::from(w);
            }
            if !d_bias.is_empty() {
                d_bias[output] += d;
            }
        }
        d_x
    }
}

/// PCG4D, as published.
fn random_word(numbers: [u32; 4]) -> u32 {
    let mut v = numbers.map(|n| n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let mix = |[x, y, z, w]: [u32; 4]| {
        let add = |a: u32, b: u32, c: u32| a.wrapping_add(b.wrapping_mul(c));
        [add(x, y, w), add(y, z, x), add(z, x, y), add(w, y, z)]
    };
    v = mix(v).map(|n| n ^ (n >> 16));
    mix(v)[0]
}

impl Case {
    /// Widths: E, P and H; 0 for E or P: no projection. H 0: logits are a sum.
    pub fn new(row: &Row, lengths: &[[usize; 2]], [e, p, h]: [usize; 3], seed: u64) -> Self {
        let mut numbers = Lcg(seed);
        let channels = row.channels();
        let hidden = if h == 0 { channels } else { h };
        let side = |side: usize| lengths.iter().map(|length| length[side]).max().unwrap_or(0);
        // One more than anybody needs.
        let padded = [side(0) + 1, side(1) + 2];
        let symbols = row.labels();
        let targets =
            lengths.iter().enumerate().map(|(n, &[_, labels])| (0..labels).map(|u| symbols[(n + u / 2 + u % 2) % symbols.len()]).collect());
        let layers =
            [(e > 0 && h > 0).then_some([hidden, e]), (p > 0 && h > 0).then_some([hidden, p]), (h > 0).then_some([channels, hidden])];
        let widths = [layers[0].map_or(hidden, |sides| sides[1]), layers[1].map_or(hidden, |sides| sides[1])];
        let mut filled = |length: usize, width: usize, is_there: &dyn Fn(usize, usize) -> bool| {
            let mut all = Vec::new();
            for n in 0..lengths.len() {
                for place in 0..length {
                    let line = numbers.list(width, 1.5);
                    all.extend(line.into_iter().map(|x| if is_there(n, place) { x } else { f32::NAN }));
                }
            }
            all
        };
        let encoder = filled(padded[0], widths[0], &|n, t| t < lengths[n][0]);
        let predictor = filled(padded[1], widths[1], &|n, u| u <= lengths[n][1]);
        let targets = targets.collect();
        let layers = layers.map(|sides| sides.map(|sides| Layer::random(&mut numbers, sides, sides[1] % 2 == 1 || sides[0] == channels)));
        Self {
            row: row.clone(),
            lengths: lengths.to_vec(),
            targets,
            weights: lengths.iter().enumerate().map(|(n, _)| [1.0, -2.0, 0.5, 0.25][n % 4]).collect(),
            padded,
            hidden,
            encoder,
            predictor,
            layers,
            activation: if h == 0 { Activation::Identity } else { Activation::Tanh },
            dropout: 0.0,
            seed: 7,
            limit: None,
            half: false,
            bands: None,
            options: |builder| builder,
        }
    }

    fn width(&self, side: usize) -> usize {
        self.layers[side].as_ref().map_or(self.hidden, |layer| layer.sides[1])
    }

    fn input(&self, side: usize) -> &[f32] {
        if side == 0 { &self.encoder } else { &self.predictor }
    }

    /// A row of an input, and what the joiner adds up of it.
    fn projected(&self, side: usize, n: usize, place: usize) -> [Vec<f64>; 2] {
        let width = self.width(side);
        let x: Vec<f64> = self.input(side)[(n * self.padded[side] + place) * width..][..width].iter().map(|&x| x.into()).collect();
        let sum = self.layers[side].as_ref().map_or_else(|| x.clone(), |layer| layer.apply(&x));
        [x, sum]
    }

    fn activate(&self, x: f64) -> [f64; 2] {
        match self.activation {
            Activation::Identity => [x, 1.0],
            Activation::Relu => [x.max(0.0), f64::from(u8::from(x > 0.0))],
            Activation::Sigmoid => {
                let y = 1.0 / (1.0 + (-x).exp());
                [y, y * (1.0 - y)]
            }
            Activation::Tanh => [x.tanh(), 1.0 - x.tanh().powi(2)],
        }
    }

    /// Rows of the utterances before this one. Dropout is not tested with bands, whose rows are others.
    fn rows_before(&self, n: usize) -> usize {
        self.lengths[..n].iter().map(|&[frames, labels]| frames * (labels + 1)).sum()
    }

    fn factor(&self, row: usize, column: usize) -> f64 {
        let drop = (f64::from(self.dropout) * 4_294_967_296.0) as u32;
        if random_word([self.seed as u32, row as u32, column as u32, 3]) < drop { 0.0 } else { 1.0 / (1.0 - f64::from(self.dropout)) }
    }

    /// The hidden layer of a cell, its derivative, and the logits.
    fn cell(&self, n: usize, frame: &[f64], position: &[f64], row: usize) -> [Vec<f64>; 3] {
        let both = frame.iter().zip(position).enumerate().map(|(column, (e, p))| {
            let factor = if self.dropout > 0.0 { self.factor(self.rows_before(n) + row, column) } else { 1.0 };
            self.activate(e + p).map(|x| x * factor)
        });
        let (hidden, slope): (Vec<f64>, Vec<f64>) = both.map(|[x, slope]| (x, slope)).unzip();
        let logits = self.layers[2].as_ref().map_or_else(|| hidden.clone(), |layer| layer.apply(&hidden));
        [hidden, slope, logits]
    }

    /// [T, U + 1, C] of an utterance.
    fn logits(&self, n: usize) -> Vec<f64> {
        let [frames, labels] = self.lengths[n];
        let positions: Vec<Vec<f64>> = (0..=labels).map(|u| self.projected(1, n, u)[1].clone()).collect();
        let mut logits = Vec::new();
        for t in 0..frames {
            let [_, frame] = self.projected(0, n, t);
            for (u, position) in positions.iter().enumerate() {
                let [_, _, row] = self.cell(n, &frame, position, t * (labels + 1) + u);
                logits.extend(row);
            }
        }
        logits
    }

    fn lattice(&self, n: usize) -> truth::Lattice {
        let ([frames, labels], logits) = (self.lengths[n], self.logits(n));
        let band = self.bands.as_ref().map(|bands| &bands[n]).filter(|band| !band.is_empty());
        let bands = band.map(|band| band.iter().map(|range| range.map(|u| u as usize)).chain([[0, labels]]).collect());
        truth::Lattice { bands, ..truth::Lattice::new(self.row.truth.clone(), [frames, self.row.vocab], self.targets[n].clone(), logits) }
    }

    /// The weighted sum of the costs that are finite.
    pub fn total(&self) -> f64 {
        let costs = (0..self.lengths.len()).map(|n| f64::from(self.weights[n]) * self.lattice(n).solve().cost);
        costs.filter(|cost| cost.is_finite()).sum()
    }

    pub fn solve(&self) -> Expected {
        self.chained(|n| {
            let solution = self.lattice(n).solve_with(&Reshape { weight: self.weights[n].into(), ..Reshape::default() });
            (solution.cost, solution.gradient)
        })
    }

    /// What follows from the cost of each utterance, and its gradients [T, U + 1, C], times its weight.
    fn chained(&self, of: impl Fn(usize) -> (f64, Vec<f64>)) -> Expected {
        let layer = |layer: &Option<Layer>| {
            let none = || vec![0.0; 0];
            let sides = layer.as_ref().map_or([0, 0], |layer| layer.sides);
            let bias = layer.as_ref().filter(|layer| layer.bias.is_some()).map_or_else(none, |layer| vec![0.0; layer.sides[0]]);
            [vec![0.0; sides[0] * sides[1]], bias]
        };
        let mut out = Expected {
            costs: Vec::new(),
            inputs: [vec![0.0; self.encoder.len()], vec![0.0; self.predictor.len()]],
            layers: [0, 1, 2].map(|place| layer(&self.layers[place])),
        };
        for (n, &[frames, labels]) in self.lengths.iter().enumerate() {
            let (cost, gradient) = of(n);
            out.costs.push(cost);
            if !cost.is_finite() {
                continue;
            }
            let sides =
                [(0, frames), (1, labels + 1)].map(|(side, count)| (0..count).map(|at| self.projected(side, n, at)).collect::<Vec<_>>());
            let mut d_sums = [frames, labels + 1].map(|count| vec![vec![0.0; self.hidden]; count]);
            for (row, d_logits) in gradient.chunks(self.row.channels()).enumerate() {
                let (t, u) = (row / (labels + 1), row % (labels + 1));
                let [hidden, slope, _] = self.cell(n, &sides[0][t][1], &sides[1][u][1], row);
                let d_hidden = match &self.layers[2] {
                    Some(layer) => layer.pull(&hidden, d_logits, &mut out.layers[2]),
                    None => d_logits.to_vec(),
                };
                for (column, (d, slope)) in d_hidden.iter().zip(&slope).enumerate() {
                    d_sums[0][t][column] += d * slope;
                    d_sums[1][u][column] += d * slope;
                }
            }
            for side in 0..2 {
                let width = self.width(side);
                for (place, d) in d_sums[side].iter().enumerate() {
                    let d_x = match &self.layers[side] {
                        Some(layer) => layer.pull(&sides[side][place][0], d, &mut out.layers[side]),
                        None => d.clone(),
                    };
                    out.inputs[side][(n * self.padded[side] + place) * width..][..width].copy_from_slice(&d_x);
                }
            }
        }
        out
    }

    /// The same in f16, of numbers that are such.
    pub fn in_halves(mut self) -> Self {
        let round = |list: &mut Vec<f32>| list.iter_mut().for_each(|x| *x = weft::f16::from_f32(*x).to_f32());
        round(&mut self.encoder);
        round(&mut self.predictor);
        self.layers.iter_mut().flatten().for_each(|layer| round(&mut layer.weight));
        Self { half: true, ..self }
    }

    /// What [`errors`](Self::errors) may be. In f16 the hidden layer and the gradients of logits have eleven digits.
    fn tolerances(&self) -> [f64; 2] {
        if self.half { [2e-3, 4e-3] } else { [1e-5, 2e-5] }
    }

    pub fn joiner(&self, context: &Context) -> Joiner {
        let [encoder, predictor, output] = [0, 1, 2].map(|place| self.layers[place].as_ref().map(|layer| layer.upload(context)));
        let joiner = match output {
            Some(output) => Joiner::new(encoder, predictor, output).unwrap().with_activation(self.activation).unwrap(),
            None => Joiner::additive(context),
        };
        if self.half { joiner.to_f16_blocking().unwrap() } else { joiner }
    }

    /// Calls `f` with the loss and the batch.
    pub fn with<R>(&self, context: &Context, gradients: bool, f: impl FnOnce(&JointLoss, &JointBatch<'_>) -> R) -> R {
        let mut builder = self.builder(gradients);
        if let Some(limit) = self.limit {
            builder = builder.workspace_limit(limit);
        }
        let loss = JointLoss::new(&self.joiner(context), builder).unwrap().with_dropout(self.dropout).unwrap();
        let tensor = |side: usize, values: &[f32]| {
            let shape = [self.lengths.len(), self.padded[side], self.width(side)];
            if self.half {
                let halves: Vec<weft::f16> = values.iter().map(|&x| weft::f16::from_f32(x)).collect();
                return Tensor::from_f16(context, &shape, &halves).unwrap();
            }
            Tensor::from_slice(context, &shape, values).unwrap()
        };
        let (encoder, predictor) = (tensor(0, &self.encoder), tensor(1, &self.predictor));
        let (targets, [frames, labels]) = self.padded_targets();
        let batch = JointBatch::new(&encoder, &predictor, &targets, &frames, &labels).weights(&self.weights).seed(self.seed);
        let bands = self.library_bands();
        f(&loss, &bands.as_ref().map_or_else(|| batch.clone(), |bands| batch.clone().bands(bands)))
    }

    fn builder(&self, gradients: bool) -> TransducerLossBuilder {
        (self.options)(TransducerLoss::of(self.row.kind.clone()).gradients(gradients))
    }

    fn library_bands(&self) -> Option<Vec<Band>> {
        self.bands.clone().map(|bands| bands.into_iter().map(Band::new).collect())
    }

    /// [N, most labels], and lengths of frames and labels.
    fn padded_targets(&self) -> (Vec<u32>, [Vec<u32>; 2]) {
        let widest = self.targets.iter().map(Vec::len).max().unwrap_or(0);
        let padding =
            |target: &Vec<u32>| target.iter().copied().chain(std::iter::repeat_n(BLANK, widest - target.len())).collect::<Vec<_>>();
        let lengths = [0, 1].map(|side| self.lengths.iter().map(|length| length[side] as u32).collect::<Vec<_>>());
        (self.targets.iter().flat_map(padding).collect(), lengths)
    }

    pub fn run(&self, context: &Context, gradients: bool) -> JointOutput {
        self.with(context, gradients, |loss, batch| loss.run_blocking(batch).unwrap())
    }

    /// Calls `f` with the loss of all logits, made on the host, and the batch.
    fn with_logits<R>(&self, context: &Context, gradients: bool, f: impl FnOnce(&TransducerLoss, &LossBatch<'_>) -> R) -> R {
        let logits: Vec<f32> = (0..self.lengths.len()).flat_map(|n| self.logits(n)).map(|x| x as f32).collect();
        let rows = logits.len() / self.row.channels();
        let logits = Tensor::from_slice(context, &[rows, self.row.channels()], &logits).unwrap();
        let (targets, [frames, labels]) = self.padded_targets();
        let loss = self.builder(gradients).build(context).unwrap();
        let batch = LossBatch::new(Logits::packed(&logits), &targets, &frames, &labels).weights(&self.weights).seed(self.seed);
        let bands = self.library_bands();
        f(&loss, &bands.as_ref().map_or_else(|| batch.clone(), |bands| batch.clone().bands(bands)))
    }

    /// Kept lattices of all logits.
    pub fn materialised(&self, context: &Context) -> Lattices {
        self.with_logits(context, false, |loss, batch| loss.lattice_blocking(batch).unwrap())
    }

    /// Runs and compares everything with what follows from the costs, and the gradients of all logits, that the library gives for these.
    #[track_caller]
    pub fn check_with_logits(&self, what: &str, context: &Context) {
        let out = self.with_logits(context, true, |loss, batch| loss.run_blocking(batch).unwrap());
        let gradients = out.gradients[0].to_vec_blocking().unwrap();
        let expected = self.chained(|n| {
            let [frames, labels] = self.lengths[n];
            let row = self.row.channels();
            let own = &gradients[self.rows_before(n) * row..][..frames * (labels + 1) * row];
            (out.costs[n].into(), own.iter().map(|&x| x.into()).collect())
        });
        let [cost, gradient] = self.errors(what, context, &expected);
        assert!(cost <= 1e-5, "{what}: costs are off by {cost:e}");
        assert!(gradient <= 1e-5, "{what}: gradients are off by {gradient:e}");
    }

    /// Runs and compares everything with the truth.
    #[track_caller]
    pub fn check(&self, what: &str, context: &Context) {
        self.checked(what, context);
    }

    /// The [errors](Self::errors), none of which is beyond its tolerance.
    #[track_caller]
    pub fn checked(&self, what: &str, context: &Context) -> [f64; 2] {
        let errors @ [cost, gradient] = self.errors(what, context, &self.solve());
        let [most_cost, most_gradient] = self.tolerances();
        assert!(cost <= most_cost, "{what}: costs are off by {cost:e}");
        assert!(gradient <= most_gradient, "{what}: gradients are off by {gradient:e}");
        errors
    }

    /// Errors of costs, relative, or absolute where the cost is below 1; and of gradients, over the largest of a tensor, or the largest
    /// weight. Fails for what is wrong beyond numbers.
    #[track_caller]
    fn errors(&self, what: &str, context: &Context, expected: &Expected) -> [f64; 2] {
        let out = self.run(context, true);
        let nan_is_infinite = |x: f64| if x.is_nan() { f64::INFINITY } else { x };
        let mut off = [0.0f64; 2];
        for (n, &cost) in expected.costs.iter().enumerate() {
            let status = match () {
                () if self.lengths[n][0] == 0 => Status::Empty,
                () if cost.is_infinite() => Status::Infeasible,
                () => Status::Ok,
            };
            assert_eq!(out.status[n], status, "{what}: utterance {n}");
            if status == Status::Ok {
                off[0] = off[0].max(nan_is_infinite((f64::from(out.costs[n]) - cost).abs() / cost.abs().max(1.0)));
            } else {
                assert_eq!(out.costs[n], f32::INFINITY, "{what}: utterance {n}");
            }
        }
        let gradients = out.gradients.unwrap();
        let weight = self.weights.iter().fold(0.0f64, |most, w| most.max(w.abs().into()));
        let mut compare = |name: &str, got: &Tensor, expected: &[f64]| {
            let got = got.to_vec_blocking().unwrap();
            assert_eq!(got.len(), expected.len(), "{what}: gradient of {name}");
            let most = expected.iter().fold(weight, |most, x| most.max(x.abs()));
            let most = if most == 0.0 { 1.0 } else { most };
            let each = got.iter().zip(expected).map(|(&got, expected)| nan_is_infinite((f64::from(got) - expected).abs() / most));
            off[1] = each.fold(off[1], f64::max);
        };
        compare("the encoder's output", &gradients.encoder, &expected.inputs[0]);
        compare("the predictor's output", &gradients.predictor, &expected.inputs[1]);
        let weights = [&gradients.weights.encoder, &gradients.weights.predictor, &gradients.weights.output];
        for ((name, got), [weight, bias]) in ["encoder", "predictor", "output"].into_iter().zip(weights).zip(&expected.layers) {
            let Some(LinearGradients { weight: got, bias: got_bias }) = got else {
                assert!(weight.is_empty(), "{what}: gradients of {name}");
                continue;
            };
            compare(&format!("{name}.weight"), got, weight);
            match got_bias {
                Some(got) => compare(&format!("{name}.bias"), got, bias),
                None => assert!(bias.is_empty(), "{what}: gradient of {name}.bias"),
            }
        }
        // Without gradients the costs are the same bits.
        let bits = |costs: &[f32]| costs.iter().map(|cost| cost.to_bits()).collect::<Vec<_>>();
        let alone = self.run(context, false);
        assert!(alone.gradients.is_none());
        assert_eq!(bits(&alone.costs), bits(&out.costs), "{what}: costs alone");
        off
    }
}
