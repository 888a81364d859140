//! Uniform logits, which have closed forms.

use super::check;
use crate::truth::{Ctc, Kind, Lattice};

/// T + U arcs of probability 1 / V on each of C(T - 1 + U, U) paths.
fn cost(frames: u32, labels: u32, vocab: u32) -> f64 {
    let paths: f64 = (1..=labels).map(|k| f64::from(frames - 1 + k) / f64::from(k)).product();
    f64::from(frames + labels) * f64::from(vocab).ln() - paths.ln()
}

/// pytorch/audio `get_B1_T10_U3_D4_data`: 12 ln 4 - ln 55.
#[test]
fn torchaudio_b1_t10_u3_d4() {
    check(&Lattice::new(Kind::rnnt(0), [10, 4], vec![1, 2], vec![0.1; 120]), cost(10, 2, 4), &[]);
    assert!((cost(10, 2, 4) - (12.0 * 4f64.ln() - 55f64.ln())).abs() < 1e-12);
}

/// tracel-ai/burn crates/burn-nn/src/loss/rnnt.rs `single_token_uniform_probs`: 2 ln 2.
#[test]
fn burn_single_token_uniform_probs() {
    check(&Lattice::new(Kind::rnnt(0), [2, 2], vec![1], vec![0.0; 8]), 2.0 * 2f64.ln(), &[]);
}

/// tracel-ai/burn rnnt.rs `empty_target`: 3 ln 2.
#[test]
fn burn_empty_target() {
    check(&Lattice::new(Kind::rnnt(0), [3, 2], vec![], vec![0.0; 6]), 3.0 * 2f64.ln(), &[]);
}

/// CTC has C(T + U, 2 U) paths where no label repeats.
#[test]
fn ctc_closed_form() {
    let ctc = Ctc::new(0, [6, 4], vec![1, 2], vec![0.1; 24]);
    let expected = 6.0 * 4f64.ln() - 70f64.ln();
    assert!((ctc.solve().cost - expected).abs() < 1e-12);
}
