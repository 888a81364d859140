//! The comparison harness itself: each of these must be seen as different.

mod common;

use common::difference;

#[test]
fn a_value_beyond_the_tolerance_is_seen() {
    assert!(difference(&[1.0, 2.001], &[1.0, 2.0], 1e-4, 0.0).is_some());
    assert!(difference(&[1.0, 2.001], &[1.0, 2.0], 1e-2, 0.0).is_none());
    assert!(difference(&[1000.5], &[1000.0], 0.0, 1e-4).is_some());
    assert!(difference(&[1000.05], &[1000.0], 0.0, 1e-4).is_none());
}

#[test]
fn nan_is_never_equal() {
    assert!(difference(&[f32::NAN], &[0.0], 1.0, 1.0).is_some());
    assert!(difference(&[0.0], &[f64::NAN], 1.0, 1.0).is_some());
    assert!(difference(&[0.0, f32::NAN, 0.0], &[0.0, 0.0, 0.0], 1.0, 1.0).is_some());
}

#[test]
fn a_missing_or_surplus_value_is_seen() {
    assert!(difference(&[], &[0.0], 1.0, 1.0).is_some());
    assert!(difference(&[0.0, 0.0], &[0.0], 1.0, 1.0).is_some());
    assert!(difference(&[], &[], 0.0, 0.0).is_none());
}

#[test]
fn infinity_is_not_within_any_tolerance_of_a_number() {
    assert!(difference(&[f32::INFINITY], &[1.0], 1e30, 1.0).is_some());
}
