//! One unit, one frame: numbers that a pocket calculator gives.

use crate::assert_near;
use crate::truth::{Activation, Cell, Norm, Problem};

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// One unit with one input: x, then weights and states by name. The rest is zero.
fn one(cell: Cell, x: f64, values: &[(&str, &[f64])]) -> Vec<f64> {
    let mut problem = Problem::new(cell, [1, 1, 1, 1]);
    problem.values.set("x", &[x]);
    for (name, numbers) in values {
        assert_eq!(problem.values.get(name).len(), numbers.len(), "{name}");
        problem.values.set(name, numbers);
    }
    let solution = problem.solve();
    assert_eq!(solution.y, solution.states[0]);
    solution.states.concat()
}

#[test]
fn rnn_and_ind_rnn() {
    let values: [(&str, &[f64]); 4] = [("weight_ih", &[2.0]), ("weight_hh", &[-3.0]), ("bias_ih", &[0.25]), ("h", &[0.5])];
    let pre: f64 = 2.0 * 0.75 + 0.25 - 1.5;
    assert_near("ind rnn", &one(Cell::ind_rnn(Activation::Tanh), 0.75, &values), &[pre.tanh()], 1e-15);
    assert_near("rnn", &one(Cell::rnn(Activation::Tanh), 0.75, &values), &[pre.tanh()], 1e-15);
    let values = [&values[..], &[("bias_hh", &[-1.0])]].concat();
    assert_near("rnn", &one(Cell::rnn(Activation::LeakyRelu(0.1)), 0.75, &values), &[0.1 * (pre - 1.0)], 1e-15);
}

#[test]
fn lstm_with_its_options() {
    // Rows i, f, g, o, each seen apart: weights of x, of h, biases.
    let values: Vec<(&str, &[f64])> = vec![
        ("weight_ih", &[0.1, 0.2, 0.3, 0.4]),
        ("weight_hh", &[1.0, -1.0, 2.0, 0.5]),
        ("bias_ih", &[0.01, 0.02, 0.03, 0.04]),
        ("bias_hh", &[0.5, 0.6, 0.7, 0.8]),
        ("h", &[0.5]),
        ("c", &[-2.0]),
    ];
    let [i, f, g, o] = [0.1 + 0.5 + 0.51, 0.2 - 0.5 + 0.62, 0.3 + 1.0 + 0.73, 0.4 + 0.25 + 0.84];
    let c = sigmoid(f) * -2.0 + sigmoid(i) * f64::tanh(g);
    assert_near("lstm", &one(Cell::lstm(), 1.0, &values), &[sigmoid(o) * c.tanh(), c], 1e-15);

    let cell = Cell { cell_clip: Some(0.3), ..Cell::lstm() };
    assert_near("cell clip", &one(cell, 1.0, &values), &[sigmoid(o) * f64::tanh(-0.3), -0.3], 1e-15);

    let cell = Cell { gate_clip: Some(0.4), ..Cell::lstm() };
    let clipped = sigmoid(0.32) * -2.0 + sigmoid(0.4) * f64::tanh(0.4);
    assert_near("gate clip", &one(cell, 1.0, &values), &[sigmoid(0.4) * clipped.tanh(), clipped], 1e-15);

    let cell = Cell { peepholes: true, ..Cell::lstm() };
    let mut with = values.clone();
    with.extend([("weight_ci", &[0.7][..]), ("weight_cf", &[-0.2]), ("weight_co", &[1.1])]);
    let c = sigmoid(f + 0.4) * -2.0 + sigmoid(i - 1.4) * f64::tanh(g);
    assert_near("peepholes", &one(cell, 1.0, &with), &[sigmoid(o + 1.1 * c) * c.tanh(), c], 1e-15);

    let cell = Cell { projection: Some(1), ..Cell::lstm() };
    let mut with = values.clone();
    with.push(("weight_hr", &[-4.0]));
    let c = sigmoid(f) * -2.0 + sigmoid(i) * f64::tanh(g);
    assert_near("projection", &one(cell, 1.0, &with), &[-4.0 * sigmoid(o) * c.tanh(), c], 1e-15);

    let cell = Cell { coupled: true, ..Cell::lstm() };
    let values: Vec<(&str, &[f64])> = vec![("weight_ih", &[0.1, 0.3, 0.4]), ("h", &[0.5]), ("c", &[-2.0])];
    let c = (1.0 - sigmoid(0.1)) * -2.0 + sigmoid(0.1) * f64::tanh(0.3);
    assert_near("coupled", &one(cell, 1.0, &values), &[sigmoid(0.4) * c.tanh(), c], 1e-15);
}

#[test]
fn gru_of_both_kinds() {
    let values: Vec<(&str, &[f64])> = vec![
        ("weight_ih", &[0.1, 0.2, 0.3]),
        ("weight_hh", &[1.0, -1.0, 2.0]),
        ("bias_ih", &[0.01, 0.02, 0.03]),
        ("bias_hh", &[0.5, 0.6, 0.7]),
        ("h", &[0.5]),
    ];
    let (r, z) = (sigmoid(0.11 + 1.0), sigmoid(0.22 + 0.1));
    let after = f64::tanh(0.33 + r * (1.0 + 0.7));
    assert_near("after", &one(Cell::gru(), 1.0, &values), &[(1.0 - z) * after + z * 0.5], 1e-15);
    let before = f64::tanh(0.33 + 2.0 * r * 0.5 + 0.7);
    assert_near("before", &one(Cell::gru_reset_before(), 1.0, &values), &[(1.0 - z) * before + z * 0.5], 1e-15);
}

#[test]
fn li_gru_min_gru_and_qrnn() {
    // Candidate first, then the gate.
    let values: Vec<(&str, &[f64])> = vec![("weight_ih", &[3.0, 0.2]), ("weight_hh", &[-1.0, 0.4]), ("h", &[0.5])];
    let z = sigmoid(0.2 + 0.2);
    assert_near("li gru", &one(Cell::li_gru(), 1.0, &values), &[z * 0.5 + (1.0 - z) * 2.5], 1e-15);
    let values: Vec<(&str, &[f64])> = vec![("weight_ih", &[0.2, 3.0]), ("h", &[0.5])];
    let z = sigmoid(0.2);
    assert_near("min gru", &one(Cell::min_gru(), 1.0, &values), &[(1.0 - z) * 0.5 + z * 3.0], 1e-15);
    let values: Vec<(&str, &[f64])> = vec![("weight_ih", &[0.2, 0.3, 0.4]), ("h", &[9.0]), ("c", &[-0.5])];
    let c = sigmoid(0.3) * -0.5 + (1.0 - sigmoid(0.3)) * f64::tanh(0.2);
    assert_near("qrnn", &one(Cell::qrnn(), 1.0, &values), &[sigmoid(0.4) * c, c], 1e-15);
}

#[test]
fn s_lstm_without_its_stabiliser() {
    // h is a ratio that the stabiliser m leaves alone; c and n are relative to exp(m).
    let values: Vec<(&str, &[f64])> = vec![("weight_ih", &[0.4, -0.7, 0.9, 0.2]), ("c", &[0.6]), ("n", &[1.5]), ("m", &[0.3])];
    let (i, f) = (f64::exp(0.4), sigmoid(-0.7));
    let c = f * 0.6 * f64::exp(0.3) + i * f64::tanh(0.9);
    let n = f * 1.5 * f64::exp(0.3) + i;
    let got = one(Cell::s_lstm(), 1.0, &values);
    assert_near("s lstm", &got[..1], &[sigmoid(0.2) * c / n], 1e-14);
    assert_near("s lstm", &[got[1] * got[3].exp(), got[2] * got[3].exp()], &[c, n], 1e-14);
    let cell = Cell { exponential_forget: true, ..Cell::s_lstm() };
    let (c, n) = (f64::exp(-0.7 + 0.3) * 0.6 + i * f64::tanh(0.9), f64::exp(-0.7 + 0.3) * 1.5 + i);
    assert_near("exponential", &one(cell, 1.0, &values)[..1], &[sigmoid(0.2) * c / n], 1e-14);
    // At first there is nothing to be remembered: h is what comes in.
    let first = [values[0], ("c", &[5.0][..]), ("m", &[900.0])];
    assert_near("first", &one(Cell::s_lstm(), 1.0, &first), &[sigmoid(0.2) * f64::tanh(0.9), f64::tanh(0.9), 1.0, 0.4], 1e-14);
    // Far beyond what exp can hold.
    let mut far = values.clone();
    far[0] = ("weight_ih", &[1000.0, -7.0, 0.9, 0.2]);
    assert_near("far", &one(Cell::s_lstm(), 1.0, &far)[..1], &[sigmoid(0.2) * f64::tanh(0.9)], 1e-14);
}

#[test]
fn norms() {
    // Three rows of one frame; the layer norm of 1, 2, 6 is (-2, -1, 3) / sqrt(14 / 3 + eps).
    let mut problem = Problem::new(Cell { norm_ih: Some(Norm::LAYER), ..Cell::rnn(Activation::Identity) }, [1, 1, 1, 3]);
    problem.values.set("x", &[1.0]);
    problem.values.set("weight_ih", &[1.0, 2.0, 6.0]);
    problem.values.set("norm_ih.weight", &[1.0, 1.0, 10.0]);
    problem.values.set("bias_ih", &[0.5, 0.0, 0.0]);
    let s = (14.0 / 3.0 + 1e-5f64).sqrt();
    assert_near("layer norm", &problem.solve().y, &[-2.0 / s + 0.5, -1.0 / s, 30.0 / s], 1e-14);

    // Three frames of two sequences: 1, 2, 6. Padding holds what must not count.
    let mut problem = Problem::new(Cell { norm_ih: Some(Norm::BATCH), ..Cell::rnn(Activation::Identity) }, [2, 2, 1, 1]);
    problem.lengths = vec![2, 1];
    problem.values.set("x", &[1.0, 2.0, 6.0, f64::NAN]);
    problem.values.set("weight_ih", &[1.0]);
    let solution = problem.solve();
    assert_near("batch norm", &solution.y, &[-2.0 / s, -1.0 / s, 3.0 / s, 0.0], 1e-14);
    let statistics = &solution.statistics[0];
    assert_near("statistics", &[statistics.mean[0], statistics.variance[0]], &[3.0, 14.0 / 3.0], 1e-14);

    // The norm of c is of what goes out; c itself stays.
    let mut problem = Problem::new(Cell { norm_c: Some(Norm::LAYER), ..Cell::lstm() }, [1, 1, 1, 3]);
    problem.values.set("c", &[2.0, 4.0, 12.0]);
    problem.values.set("norm_c.bias", &[0.0, 0.5, 0.0]);
    let solution = problem.solve();
    assert_near("c", &solution.states[1], &[1.0, 2.0, 6.0], 1e-14);
    let h = [-2.0 / s, -1.0 / s + 0.5, 3.0 / s].map(|x: f64| 0.5 * x.tanh());
    assert_near("h", &solution.y, &h, 1e-14);
}
