//! The functions of every cell, in f64 over sequences, against the truth, which was written without them.

use crate::all::{grus, lstms};
use crate::pairs::{Pair, gru, lstm, pairs};
use crate::truth::Problem;
use weft::recurrent::cells::{Cell, InputNorm, Norm, NormSpan};

const HIDDEN: usize = 3;

/// Row by row of a matrix.
fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(vector.len()).map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
}

fn normalised(norm: Option<Norm>, rows: &[f64], gain: &[f64]) -> Vec<f64> {
    let Some(norm) = norm else { return rows.to_vec() };
    let span = if norm.span == NormSpan::Whole { rows.len() } else { HIDDEN };
    let of = |part: &[f64]| -> Vec<f64> {
        let mean = part.iter().sum::<f64>() / span as f64;
        let variance = part.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / span as f64;
        part.iter().map(|v| (v - mean) / (variance + f64::from(norm.eps)).sqrt()).collect()
    };
    rows.chunks_exact(span).flat_map(of).zip(gain).map(|(v, g)| v * g).collect()
}

/// The cells here have no batch norm.
fn layer_norm(norm: Option<InputNorm>) -> Option<Norm> {
    norm.map(|norm| match norm {
        InputNorm::Layer(norm) => norm,
        InputNorm::Batch(norm) => panic!("{norm:?}"),
    })
}

/// All states after each frame of the only sequence, [T][S][H].
fn run(cell: &Cell, problem: &Problem) -> Vec<Vec<Vec<f64>>> {
    let value = |name: &str| problem.values.get(name);
    let of = |name: &str| problem.values.0.get(name).map_or(&[][..], |numbers| numbers);
    let biased = |rows: Vec<f64>, bias: &[f64]| -> Vec<f64> { rows.iter().zip(bias).map(|(a, b)| a + b).collect() };
    let norms = cell.norms();
    let mut states: Vec<Vec<f64>> = cell.states().iter().map(|name| value(name).to_vec()).collect();
    let mut all = Vec::new();
    for frame in value("x").chunks_exact(problem.inputs) {
        let x = biased(normalised(layer_norm(norms.input), &product(value("weight_ih"), frame), of("norm_ih.weight")), value("bias_ih"));
        let rows = cell.recurrent().len();
        let first = (rows - cell.second()) * HIDDEN;
        let mut r = Vec::new();
        if rows > 0 {
            let products = product(value("weight_hh"), &states[0]);
            r = biased(normalised(norms.recurrent, &products, of("norm_hh.weight")), value("bias_hh"));
        }
        // x, r, s, p, m of one unit, as the functions take them.
        let inputs = |unit: usize, r: &[f64], states: &[Vec<f64>]| -> Vec<f64> {
            let lane = |rows: &[f64], count: usize| (0..count).map(|gate| rows[gate * HIDDEN + unit]).collect::<Vec<_>>();
            let mut all = [lane(&x, cell.gates().len()), lane(r, rows)].concat();
            all.extend(states.iter().map(|state| state[unit]));
            all.extend(cell.params().iter().map(|name| value(name)[unit]));
            all.extend(cell.masks().iter().map(|_| problem.mask.as_ref().unwrap()[unit]));
            all
        };
        if let Some(mid) = cell.mid() {
            r[first..].fill(0.0);
            let between: Vec<f64> = (0..HIDDEN).map(|unit| mid.function.eval(&inputs(unit, &r, &states))[0]).collect();
            let second = product(&value("weight_hh")[first * HIDDEN..], &between);
            r[first..].copy_from_slice(&biased(second, &value("bias_hh")[first..]));
        }
        let mut new = vec![vec![0.0; HIDDEN]; states.len()];
        for unit in 0..HIDDEN {
            let updated = cell.update().eval(&inputs(unit, &r, &states));
            new.iter_mut().zip(updated).for_each(|(state, value)| state[unit] = value);
        }
        if let (Some(output), Some((state, norm))) = (cell.output(), norms.state) {
            let seen = biased(normalised(Some(norm), &new[state], value("norm_c.weight")), value("norm_c.bias"));
            let given = |unit: usize| output.function.eval(&[inputs(unit, &r, &new), vec![seen[unit]]].concat())[0];
            new[0] = (0..HIDDEN).map(given).collect();
        }
        states = new;
        all.push(states.clone());
    }
    all
}

fn compare(name: &str, cell: &Cell, problem: &Problem) {
    let (got, expected) = (run(cell, problem), problem.solve());
    for (t, states) in got.iter().enumerate() {
        for (state, all) in states.iter().zip(&expected.all) {
            for (a, b) in state.iter().zip(&all[t * HIDDEN..]) {
                // Constants such as eps and α are f32 in the library.
                assert!((a - b).abs() < 1e-6 * b.abs().max(1.0), "{name}, frame {t}: got {a}, expected {b}");
            }
        }
    }
}

#[test]
fn cells_are_those_of_the_truth() {
    let all = pairs();
    assert!(all.len() > 40);
    for Pair { name, cell, truth } in &all {
        assert_eq!(cell.gates().len(), truth.gates(), "{name}");
        assert_eq!(cell.states(), truth.states(), "{name}");
        let mut problem = Problem::random(*truth, [5, 1, 2, HIDDEN], 21);
        problem.mask = (!cell.masks().is_empty()).then(|| vec![0.0, 2.0, 1.5]);
        compare(name, cell, &problem);
        // A first state of zeros, which is another case to an sLSTM.
        for state in truth.states() {
            problem.values.get_mut(state).fill(0.0);
        }
        compare(name, cell, &problem);
    }
}

#[test]
fn every_combination_of_options_too() {
    for (name, options) in lstms() {
        compare(&name, &options.build().unwrap(), &Problem::random(lstm(options), [3, 1, 2, HIDDEN], 22));
    }
    for (name, options) in grus() {
        compare(&name, &options.build().unwrap(), &Problem::random(gru(options), [3, 1, 2, HIDDEN], 23));
    }
}
