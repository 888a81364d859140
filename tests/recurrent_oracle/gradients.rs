//! Gradients of every cell and option against central differences.

use crate::assert_values;
use crate::truth::{Activation, Cell, Direction, Merge, Norm, Problem, Pull, Stack, Values};

/// Every cell, and every option of it.
fn cells() -> Vec<(String, Cell)> {
    use Activation::*;
    let mut all: Vec<(String, Cell)> = Vec::new();
    let mut add = |name: &str, cell: Cell| all.push((name.to_owned(), cell));
    let activations = [
        Identity,
        Tanh,
        Sigmoid,
        Relu,
        LeakyRelu(0.1),
        Sin,
        HardSigmoid(0.2, 0.5),
        HardTanh(-0.3, 0.4),
        Affine(0.7, -0.1),
        Elu(0.8),
        Softplus,
        Softsign,
        ThresholdedRelu(0.2),
        ScaledTanh(0.9, 1.3),
        PositiveHalf,
    ];
    for activation in activations {
        add(&format!("rnn {activation:?}"), Cell::rnn(activation));
    }
    add("rnn clip", Cell { gate_clip: Some(0.4), ..Cell::rnn(Tanh) });
    let lstm = Cell::lstm();
    add("lstm", lstm);
    add("lstm without bias", Cell { bias: false, ..lstm });
    add("lstm peepholes", Cell { peepholes: true, ..lstm });
    add("lstm coupled", Cell { coupled: true, ..lstm });
    add("lstm coupled peepholes", Cell { coupled: true, peepholes: true, ..lstm });
    add("lstm projection", Cell { projection: Some(2), ..lstm });
    add("lstm cell clip", Cell { cell_clip: Some(0.3), ..lstm });
    add("lstm gate clip", Cell { gate_clip: Some(0.3), ..lstm });
    add("lstm activations", Cell { gate: HardSigmoid(0.2, 0.5), candidate: Softsign, output: Identity, ..lstm });
    add("lstm norms, each gate", {
        let norm = Some(Norm::Layer { eps: 1e-3, each_gate: true });
        Cell { norm_ih: norm, norm_hh: norm, norm_c: Some(Norm::LAYER), ..lstm }
    });
    add("layer norm lstm", Cell::layer_norm_lstm());
    add("rnn projection", Cell { projection: Some(2), ..Cell::rnn(Tanh) });
    add("s lstm projection", Cell { projection: Some(2), ..Cell::s_lstm() });
    add("layer norm lstm, projection", Cell { projection: Some(2), ..Cell::layer_norm_lstm() });
    for (name, gru) in [("gru", Cell::gru()), ("gru reset before", Cell::gru_reset_before())] {
        add(name, gru);
        add(&format!("{name}, options"), Cell { gate: HardSigmoid(0.2, 0.5), candidate: Relu, gate_clip: Some(0.5), ..gru });
    }
    add("layer norm gru", Cell::layer_norm_gru());
    add("li gru", Cell::li_gru());
    add("li gru batch norm", Cell { norm_ih: Some(Norm::BATCH), ..Cell::li_gru() });
    add("li gru running statistics", Cell { norm_ih: Some(Norm::RUNNING), ..Cell::li_gru() });
    add("sli gru", Cell { norm_ih: Some(Norm::BATCH), ..Cell::sli_gru() });
    add("ind rnn", Cell::ind_rnn(Relu));
    add("s lstm", Cell::s_lstm());
    add("s lstm, exponential", Cell { exponential_forget: true, ..Cell::s_lstm() });
    add("min gru", Cell::min_gru());
    add("min gru, positive", Cell { candidate: PositiveHalf, ..Cell::min_gru() });
    add("qrnn", Cell::qrnn());
    all
}

#[test]
fn of_every_cell() {
    for (name, cell) in cells() {
        let problem = Problem::random(cell, [4, 2, 3, 3], 1);
        let pull = problem.random_pull(2);
        assert_values(&name, &problem.gradients(&pull), &problem.differences(&pull), 1e-6);
    }
}

#[test]
fn of_every_cell_with_everything_at_once() {
    for (name, cell) in cells() {
        let mut problem = Problem::random(cell, [5, 3, 2, 3], 3);
        problem.lengths = vec![4, 0, 5];
        problem.reverse = true;
        problem.resets = vec![(2, 0), (3, 2)];
        problem.mask = Some((0..9).map(|i| if i % 4 == 0 { 0.0 } else { 1.25 }).collect());
        if cell.has_product() {
            problem.weight_mask = Some((0..problem.values.get("weight_hh").len()).map(|i| if i % 5 == 0 { 0.0 } else { 1.25 }).collect());
        }
        let zoneout = |width: usize, step: usize| (0..15 * width).map(|i| if i % step == 0 { 1.0 } else { 0.25 }).collect::<Vec<f64>>();
        let widths = cell.states().iter().map(|name| cell.width(name, 3));
        problem.zoneout = widths.enumerate().map(|(s, width)| (s != 1).then(|| zoneout(width, 3 + s))).collect();
        let pull = problem.random_pull(4);
        assert_values(&name, &problem.gradients(&pull), &problem.differences(&pull), 1e-6);
    }
}

#[test]
fn of_stacks() {
    for (merge, shared) in [(Merge::Concat, false), (Merge::Sum, false), (Merge::Concat, true)] {
        let mut stack = Stack::new(Cell::gru(), 2, Direction::Both, [3, 2, 2, 2]);
        stack.merge = merge;
        stack.shared = shared;
        stack.lengths = vec![3, 2];
        stack.between[0] = Some((0..6 * stack.outputs()).map(|i| (i % 3) as f64).collect());
        for (name, shape) in stack.shapes() {
            stack.values.set(&name, &vec![0.0; shape.iter().product()]);
            stack.values.fill(&name, 5, 0.7);
        }
        let solution = stack.solve();
        let ones = |numbers: &[f64]| (0..numbers.len()).map(|i| (i as f64).sin()).collect::<Vec<f64>>();
        let pull = Pull { y: ones(&solution.y), states: solution.states.iter().map(|s| ones(s)).collect() };
        let pulled = |values: Values| -> f64 {
            let solution = Stack { values, ..stack.clone() }.solve();
            let all = solution.y.iter().chain(solution.states.iter().flatten());
            all.zip(pull.y.iter().chain(pull.states.iter().flatten())).map(|(a, b)| a * b).sum()
        };
        let mut expected = stack.values.clone();
        for (name, numbers) in &mut expected.0 {
            for (i, slot) in numbers.iter_mut().enumerate() {
                let moved = |by: f64| {
                    let mut values = stack.values.clone();
                    values.get_mut(name)[i] += by;
                    pulled(values)
                };
                *slot = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            }
        }
        assert_values(&format!("{merge:?} {shared}"), &stack.gradients(&pull), &expected, 1e-8);
    }
}
