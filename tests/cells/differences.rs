//! Derivatives against finite differences, by every input of every function.

use crate::all::{Numbers, cells, pairs};

#[test]
fn derivatives_are_finite_differences() {
    let mut compared = 0;
    for (name, cell) in cells() {
        let mut numbers = Numbers::new(7);
        for (part, pair) in pairs(&cell) {
            let (function, gradient) = (&pair.function, &pair.gradient);
            let d_names: Vec<String> = function.outputs().iter().map(|output| format!("d_{output}")).collect();
            assert_eq!(gradient.inputs(), [function.inputs(), &d_names].concat());
            let free: Vec<usize> = (0..function.inputs().len()).filter(|&place| !function.inputs()[place].starts_with('m')).collect();
            let names: Vec<String> = free.iter().map(|&place| format!("d_{}", function.inputs()[place])).collect();
            assert_eq!(gradient.outputs(), names);
            for trial in 0..40 {
                let inputs: Vec<f64> = function.inputs().iter().map(|input| numbers.for_input(&cell, input)).collect();
                let d: Vec<f64> = function.outputs().iter().map(|_| numbers.next()).collect();
                let got = gradient.eval(&[&inputs[..], &d].concat());
                let loss = |place: usize, step: f64| {
                    let mut moved = inputs.clone();
                    moved[place] += step;
                    function.eval(&moved).iter().zip(&d).map(|(y, d)| y * d).sum::<f64>()
                };
                for (&place, &got) in free.iter().zip(&got) {
                    let input = &function.inputs()[place];
                    let step = 1e-6;
                    let expected = (loss(place, step) - loss(place, -step)) / (2.0 * step);
                    let off = (got - expected).abs();
                    assert!(off <= 1e-7 * (1.0 + expected.abs()), "{name} {part} d_{input}, trial {trial}: {got}, expected {expected}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 50_000, "{compared}");
}

/// A function that ignores an input has no slope there: a forgotten term would pass the test above if it were
/// forgotten in the function as well.
#[test]
fn every_input_counts() {
    for (name, cell) in cells() {
        let used: Vec<String> = pairs(&cell)
            .iter()
            .flat_map(|(_, pair)| {
                let function = &pair.function;
                let mut numbers = Numbers::new(3);
                let moves = |place: usize, numbers: &mut Numbers| {
                    (0..40).any(|_| {
                        let mut inputs: Vec<f64> = function.inputs().iter().map(|input| numbers.for_input(&cell, input)).collect();
                        let before = function.eval(&inputs);
                        inputs[place] += 0.05;
                        before != function.eval(&inputs)
                    })
                };
                let used: Vec<String> = (0..function.inputs().len())
                    .filter(|&place| moves(place, &mut numbers))
                    .map(|place| function.inputs()[place].clone())
                    .collect();
                used
            })
            .collect();
        for input in cell.update().inputs() {
            // h acts through the recurrent product alone, in cells without a leak.
            let through_product = input == "s0" && (name.contains("lstm") || name.starts_with("rnn") || name == "qrnn");
            assert_eq!(used.contains(input), !through_product, "{name}: {input}");
        }
    }
}
