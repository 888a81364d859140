//! One step of each cell, from its equations, written here once more.

use crate::all::{ACTIVATIONS, Numbers, grus, lstms};
use weft::expr::Function;
use weft::recurrent::cells::{Activation, Cell, ForgetGate, InputNorm, LiGruOptions, Reset};

fn sigma(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// An activation, by its formula.
fn act(activation: Activation, x: f64) -> f64 {
    let f = f64::from;
    match activation {
        Activation::Identity => x,
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigma(x),
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu(a) => {
            if x > 0.0 {
                x
            } else {
                f(a) * x
            }
        }
        Activation::ThresholdedRelu(a) => {
            if x > f(a) {
                x
            } else {
                0.0
            }
        }
        Activation::Sin => x.sin(),
        Activation::HardSigmoid(a, b) => (f(a) * x + f(b)).clamp(0.0, 1.0),
        Activation::HardTanh => x.clamp(-1.0, 1.0),
        Activation::Affine(a, b) => f(a) * x + f(b),
        Activation::ScaledTanh(a, b) => f(a) * (f(b) * x).tanh(),
        Activation::Elu(a) => {
            if x > 0.0 {
                x
            } else {
                f(a) * x.exp_m1()
            }
        }
        Activation::Softplus => x.exp().ln_1p(),
        Activation::Softsign => x / (1.0 + x.abs()),
    }
}

fn clip(x: f64, bound: Option<f32>) -> f64 {
    bound.map_or(x, |bound| x.clamp(-f64::from(bound), f64::from(bound)))
}

/// x, r, s, p, m by lane; `n` is the input of that name.
struct Inputs {
    x: [f64; 4],
    r: [f64; 4],
    s: [f64; 4],
    p: [f64; 4],
    m: [f64; 4],
    n: f64,
}

/// Compares a function of a cell with its formula, at random places.
fn check(what: &str, cell: &Cell, function: &Function, expected: impl Fn(&Inputs) -> Vec<f64>) {
    let mut numbers = Numbers::new(11);
    for _ in 0..50 {
        let values: Vec<f64> = function.inputs().iter().map(|input| numbers.for_input(cell, input)).collect();
        let mut all = Inputs { x: [0.0; 4], r: [0.0; 4], s: [0.0; 4], p: [0.0; 4], m: [0.0; 4], n: 0.0 };
        for (name, &value) in function.inputs().iter().zip(&values) {
            let Some(lane) = name[1..].parse::<usize>().ok() else {
                all.n = value;
                continue;
            };
            let group = match &name[..1] {
                "x" => &mut all.x,
                "r" => &mut all.r,
                "s" => &mut all.s,
                "p" => &mut all.p,
                _ => &mut all.m,
            };
            group[lane] = value;
        }
        let (got, expected) = (function.eval(&values), expected(&all));
        assert_eq!(got.len(), expected.len(), "{what}");
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() <= 1e-12 * (1.0 + expected.abs()), "{what}: {got}, expected {expected}");
        }
    }
}

#[test]
fn vanilla_and_independent_units() {
    for (name, activation) in ACTIVATIONS {
        let cell = Cell::rnn(activation).unwrap();
        check(name, &cell, cell.update(), |u| vec![act(activation, u.x[0] + u.r[0])]);
        let cell = Cell::ind_rnn(activation).unwrap();
        check(name, &cell, cell.update(), |u| vec![act(activation, u.x[0] + u.p[0] * u.s[0])]);
    }
}

#[test]
fn lstms_with_every_option() {
    for (name, o) in lstms() {
        let cell = o.build().unwrap();
        // Places of the gates and peepholes, by their names.
        let lane = |gate: &str| cell.gates().iter().position(|known| known == gate);
        let weight = |param: &str| cell.params().iter().position(|known| known == param);
        assert_eq!((lane("forget").is_some(), weight("weight_co").is_some()), (!o.coupled, o.peepholes));
        let gate = |u: &Inputs, gate: &str, param: &str, c: f64| {
            let lane = lane(gate).unwrap();
            let peephole = weight(param).map_or(0.0, |place| u.p[place] * c);
            act(o.gates, clip(u.x[lane] + u.r[lane] + peephole, o.gate_clip))
        };
        let c_of = |u: &Inputs| {
            let c = u.s[1];
            let i = gate(u, "input", "weight_ci", c);
            let f = if o.coupled { 1.0 - i } else { gate(u, "forget", "weight_cf", c) };
            let lane = lane("cell").unwrap();
            let g = act(o.candidate, clip(u.x[lane] + u.r[lane], o.gate_clip));
            clip(f * c + i * g, o.cell_clip)
        };
        if o.layer_norm.is_none() {
            check(&name, &cell, cell.update(), |u| {
                let c = c_of(u);
                vec![gate(u, "output", "weight_co", c) * act(o.output, c), c]
            });
            assert!(cell.output().is_none());
        } else {
            check(&name, &cell, cell.update(), |u| vec![0.0, c_of(u)]);
            let output = &cell.output().unwrap().function;
            check(&name, &cell, output, |u| vec![gate(u, "output", "weight_co", u.s[1]) * act(o.output, u.n)]);
            let norms = cell.norms();
            assert_eq!(
                (norms.input, norms.recurrent.map(|norm| norm.span), norms.state.unwrap().0),
                (norms.recurrent.map(InputNorm::Layer), o.layer_norm, 1)
            );
        }
    }
}

#[test]
fn grus_with_every_option() {
    for (name, o) in grus() {
        let cell = o.build().unwrap();
        let gate = |u: &Inputs, lane: usize| act(o.gates, clip(u.x[lane] + u.r[lane], o.gate_clip));
        check(&name, &cell, cell.update(), |u| {
            let product = if o.reset == Reset::After { gate(u, 0) * u.r[2] } else { u.r[2] };
            let n = act(o.candidate, clip(u.x[2] + product, o.gate_clip));
            let z = gate(u, 1);
            vec![(1.0 - z) * n + z * u.s[0]]
        });
        assert_eq!((cell.mid().is_some(), cell.second()), (o.reset == Reset::Before, usize::from(o.reset == Reset::Before)));
        if let Some(mid) = cell.mid() {
            check(&name, &cell, &mid.function, |u| vec![gate(u, 0) * u.s[0]]);
        }
        assert_eq!(cell.norms().recurrent.map(|norm| norm.span), o.layer_norm);
    }
}

#[test]
fn light_grus() {
    for (name, candidate) in ACTIVATIONS {
        for layer_norm in [false, true] {
            let cell = LiGruOptions { candidate, layer_norm, ..LiGruOptions::default() }.build().unwrap();
            check(name, &cell, cell.update(), |u| {
                let candidate = act(candidate, u.x[0] + u.r[0]) * u.m[0];
                let z = sigma(u.x[1] + u.r[1]);
                vec![z * u.s[0] + (1.0 - z) * candidate]
            });
            assert_eq!(cell.gates(), ["candidate", "update"]);
            assert_eq!(cell.norms().recurrent.is_some(), layer_norm);
        }
    }
}

#[test]
fn exponential_lstms() {
    for forget in [ForgetGate::Sigmoid, ForgetGate::Exponential] {
        let cell = Cell::s_lstm(forget);
        check("sLSTM", &cell, cell.update(), |u| {
            let a = |lane: usize| u.x[lane] + u.r[lane];
            let f = if forget == ForgetGate::Sigmoid { sigma(a(1)) } else { a(1).exp() };
            let m = (f.ln() + u.s[3]).max(a(0));
            let (i, f) = ((a(0) - m).exp(), (f.ln() + u.s[3] - m).exp());
            let (c, n) = (f * u.s[1] + i * a(2).tanh(), f * u.s[2] + i);
            vec![sigma(a(3)) * c / n, c, n, m]
        });
    }
}

/// The stabiliser of the sLSTM changes nothing: h is that of c = Σ f..f i z over n = Σ f..f i, without one.
#[test]
fn the_stabiliser_of_an_s_lstm_cancels() {
    let cell = Cell::s_lstm(ForgetGate::Exponential);
    let mut numbers = Numbers::new(23);
    let mut state = [0.0; 4];
    let (mut c, mut n) = (0.0, 0.0);
    for frame in 0..50 {
        let x: [f64; 4] = std::array::from_fn(|_| 2.0 * numbers.next());
        let update = cell.update().eval(&[x, [0.0; 4], state].concat());
        state.copy_from_slice(&update);
        (c, n) = (x[1].exp() * c + x[0].exp() * x[2].tanh(), x[1].exp() * n + x[0].exp());
        let expected = sigma(x[3]) * c / n;
        assert!((state[0] - expected).abs() < 1e-12, "frame {frame}: {}, expected {expected}", state[0]);
    }
}

/// With sigmoid forget gates, the first frame of an empty unit has h = σ(o) tanh(z), be i as small as it may.
#[test]
fn an_empty_s_lstm_begins_with_its_input() {
    let cell = Cell::s_lstm(ForgetGate::Sigmoid);
    for i in [-1e4, 0.0, 1e4] {
        let update = cell.update().eval(&[i, 3.0, 0.7, 0.2]);
        assert!((update[0] - sigma(0.2) * 0.7f64.tanh()).abs() < 1e-12);
        assert_eq!((update[2], update[3]), (1.0, i));
    }
}

#[test]
fn cells_without_recurrent_products() {
    let cell = Cell::qrnn();
    check("QRNN", &cell, cell.update(), |u| {
        let c = sigma(u.x[1]) * u.s[1] + (1.0 - sigma(u.x[1])) * u.x[0].tanh();
        vec![sigma(u.x[2]) * c, c]
    });
    for positive in [false, true] {
        let cell = Cell::min_gru(positive);
        check("minGRU", &cell, cell.update(), |u| {
            let v = u.x[1];
            let candidate = match positive {
                true if v >= 0.0 => v + 0.5,
                true => sigma(v),
                false => v,
            };
            vec![(1.0 - sigma(u.x[0])) * u.s[0] + sigma(u.x[0]) * candidate]
        });
        assert!(cell.recurrent().is_empty());
    }
}

/// relu6(x + 3) / 6 is PyTorch's, max(0, min(1, 0.2 x + 0.5)) ONNX's and Keras 2's, and CAIMAN-ASR has 1/2 + x/8.
#[test]
fn hard_sigmoids_of_libraries() {
    let of = |activation: Activation, x: f64| {
        let f = Function::new(["x"], |[x]| vec![("y", activation.of(x))]).unwrap();
        [f.eval(&[x])[0], f.derivative(&["x"]).unwrap().eval(&[x, 1.0])[0]]
    };
    for step in -80..=80 {
        let x = f64::from(step) / 16.0;
        let near = |got: [f64; 2], y: f64, slope: f64| (got[0] - y).abs() < 1e-6 && (got[1] - slope).abs() < 1e-6;
        let inside = |y: f64, slope: f64| if y > 0.0 && y < 1.0 { slope } else { 0.0 };
        let pytorch = (x + 3.0).clamp(0.0, 6.0) / 6.0;
        assert!(near(of(Activation::HARD_SIGMOID_PYTORCH, x), pytorch, inside(pytorch, 1.0 / 6.0)), "{x}");
        let caiman = (0.5 + x / 8.0).clamp(0.0, 1.0);
        assert!(near(of(Activation::HARD_SIGMOID_CAIMAN, x), caiman, inside(caiman, 0.125)), "{x}");
        let onnx = (0.2 * x + 0.5).clamp(0.0, 1.0);
        assert!(near(of(Activation::HARD_SIGMOID_ONNX, x), onnx, inside(onnx, 0.2)), "{x}");
        assert!(near(of(Activation::HardTanh, x), x.clamp(-1.0, 1.0), if x.abs() < 1.0 { 1.0 } else { 0.0 }), "{x}");
    }
    // What differs at 0 between formulas that agree elsewhere.
    assert_eq!(of(Activation::Relu, 0.0)[1], 0.0);
    assert_eq!(of(Activation::Softplus, 0.0)[1], 0.5);
    assert_eq!(of(Activation::Elu(0.5), 0.0)[1], 0.5);
    assert_eq!(of(Activation::Softsign, 0.0)[1], 1.0);
    assert_eq!(of(Activation::LeakyRelu(0.25), 0.0)[1], 0.25);
}

/// Names, orders and counts that loaders go by.
#[test]
fn shapes() {
    fn shape(cell: &Cell) -> String {
        let list = |names: &[String]| names.join(" ");
        let [gates, recurrent, states, params] = [cell.gates(), cell.recurrent(), cell.states(), cell.params()].map(list);
        format!("{}: {gates} | {recurrent} | {states} | {params} | {}", cell.name(), cell.second())
    }
    let gates = "input forget cell output";
    assert_eq!(shape(&Cell::lstm()), format!("LSTM: {gates} | {gates} | h c |  | 0"));
    assert_eq!(shape(&Cell::layer_norm_lstm()), format!("layer-norm LSTM: {gates} | {gates} | h c |  | 0"));
    assert_eq!(shape(&Cell::gru()), "GRU: reset update new | reset update new | h |  | 0");
    assert_eq!(shape(&Cell::gru_reset_before()), "GRU, reset before: reset update new | reset update new | h |  | 1");
    assert_eq!(shape(&Cell::sli_gru()), "SLi-GRU: candidate update | candidate update | h |  | 0");
    assert_eq!(shape(&Cell::s_lstm(ForgetGate::Sigmoid)), format!("sLSTM: {gates} | {gates} | h c n m |  | 0"));
    assert_eq!(shape(&Cell::ind_rnn(Activation::Relu).unwrap()), "IndRNN: hidden |  | h | weight_hh | 0");
    assert_eq!(shape(&Cell::qrnn()), "QRNN: candidate forget output |  | h c |  | 0");
    assert_eq!(Cell::li_gru().masks(), ["candidate"]);
}
