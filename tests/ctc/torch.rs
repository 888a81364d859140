//! Numbers of torch's ctc_loss: tests/fixtures/make_ctc_torch.py.

use crate::common::assert_close;
use crate::truth::Head;
use crate::{Batch, contexts};
use weft::lattice::Status;

/// The list of numbers at a key.
fn list(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn words(value: &serde_json::Value) -> Vec<u32> {
    list(value).into_iter().map(|x| x as u32).collect()
}

#[test]
fn costs_and_gradients_of_torch() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../fixtures/ctc_torch.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let shape: [usize; 3] = words(&case["shape"]).iter().map(|&x| x as usize).collect::<Vec<_>>().try_into().unwrap();
        let [count, most, vocab] = shape;
        let targets: Vec<Vec<u32>> = case["targets"].as_array().unwrap().iter().map(words).collect();
        let widest = targets.iter().map(Vec::len).max().unwrap();
        let logit = |i: usize| {
            let (n, t, v) = ((i / vocab / most) as f64, (i / vocab % most) as f64, (i % vocab) as f64);
            (3.0 * (1.3 * n + 0.7 * t + 2.1 * v + 0.05 * t * v).sin()) as f32
        };
        let batch = Batch {
            shape,
            most: widest,
            head: Head::Softmax,
            logits: (0..count * most * vocab).map(logit).collect(),
            targets: targets.iter().flat_map(|target| target.iter().copied().chain([0; 16]).take(widest)).collect(),
            frames: words(&case["frames"]),
            labels: targets.iter().map(|target| target.len() as u32).collect(),
            blank: case["blank"].as_u64().unwrap() as u32,
            weights: None,
        };
        let (costs, gradients) = (list(&case["costs"]), list(&case["gradients"]));
        for (name, context) in contexts() {
            let out = batch.run(context);
            for (n, &cost) in costs.iter().enumerate() {
                // Torch tells infeasible targets by a cost of zero.
                if cost == 0.0 {
                    assert_eq!((out.status[n], out.costs[n]), (Status::Infeasible, f32::INFINITY), "{name}");
                } else {
                    assert_close(&format!("{name}: cost {n}"), &out.costs[n..=n], &[cost], 0.0, 1e-5);
                }
            }
            assert_close(&format!("{name}: gradients"), &out.gradients, &gradients, 1e-5, 0.0);
        }
    }
}
