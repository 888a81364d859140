//! SpeechBrain's LiGRU and SLiGRU: tests/fixtures/make_recurrent_speechbrain.py.

use crate::assert_near;
use crate::truth::{SPEECHBRAIN_MOMENTUM, speechbrain_cases, wave};

#[test]
fn values_and_gradients_of_speechbrain() {
    let cases = speechbrain_cases();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let (name, solution) = (&case.name, case.stack.solve());
        assert_near(&format!("{name}: y"), &solution.y, &case.y, 1e-9);
        let gradients = case.stack.gradients(&case.pull);
        for (array, expected) in &case.gradients.0 {
            assert_near(&format!("{name}: {array}"), gradients.get(array), expected, 1e-9);
        }
    }
}

#[test]
fn running_statistics_of_speechbrain() {
    let mut seen = 0;
    for case in speechbrain_cases() {
        let stack = &case.stack;
        let count = (stack.directions() * stack.frames * stack.batch) as f64;
        for (layer, running) in case.running.iter().enumerate() {
            let rows = running.mean.len();
            let old_mean = wave(&format!("{layer}.norm.running_mean"), rows, 0.6);
            let old_variance: Vec<f64> =
                wave(&format!("{layer}.norm.running_var"), rows, 0.5).iter().map(|x| f64::from((1.0 + x) as f32)).collect();
            let moved = |old: &[f64], new: &[f64], factor: f64| -> Vec<f64> {
                old.iter().zip(new).map(|(old, new)| (1.0 - SPEECHBRAIN_MOMENTUM) * old + SPEECHBRAIN_MOMENTUM * factor * new).collect()
            };
            let (expected_mean, expected_variance) = if case.training {
                // In running statistics the variance is the unbiased one; both directions count.
                let new = &stack.solve().statistics[layer];
                (moved(&old_mean, &new.mean, 1.0), moved(&old_variance, &new.variance, count / (count - 1.0)))
            } else {
                (old_mean, old_variance)
            };
            assert_near(&case.name, &running.mean, &expected_mean, 1e-9);
            assert_near(&case.name, &running.variance, &expected_variance, 1e-9);
            seen += 1;
        }
    }
    assert_eq!(seen, 8);
}
