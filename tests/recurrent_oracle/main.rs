//! The f64 truth for recurrent cells, shown to be one: against finite differences, numbers computed by
//! hand, and those of torch, SpeechBrain, ONNX and onnxruntime.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../recurrent/truth/mod.rs"]
mod truth;

mod by_hand;
mod gradients;
mod onnx;
mod speechbrain;
mod torch;
mod walks;

/// Fails with the place of the first difference above `tolerance` (absolute, or relative to numbers above 1).
#[track_caller]
fn assert_near(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let near = (g - e).abs() <= tolerance * e.abs().max(1.0);
        assert!(near, "{what} [{i}]: got {g}, expected {e}");
    }
}

/// [`assert_near`] for every array, which must be the same.
#[track_caller]
fn assert_values(what: &str, got: &truth::Values, expected: &truth::Values, tolerance: f64) {
    let names = |values: &truth::Values| values.0.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(got), names(expected), "{what}");
    for (name, numbers) in &got.0 {
        assert_near(&format!("{what}: {name}"), numbers, expected.get(name), tolerance);
    }
}
