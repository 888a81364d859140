//! What every integration test needs: the contexts to run on, and comparisons that can fail.
#![allow(dead_code, reason = "each test crate uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::OnceLock;
use weft::{Context, ContextOptions, Variant};

/// The CPU twin, and the adapter of this machine in each of its variants. `WEFT_TEST_NO_GPU=1` is for
/// machines that have none; otherwise a missing adapter fails the test.
pub fn contexts() -> Vec<(String, Context)> {
    contexts_with(|options| options)
}

/// [`contexts`], made once a process: drivers that compile slowly (SwiftShader) compile each kernel once,
/// and tests on several threads share the devices.
pub fn shared_contexts() -> Vec<(String, Context)> {
    static SHARED: OnceLock<Vec<(String, Context)>> = OnceLock::new();
    SHARED.get_or_init(contexts).clone()
}

/// [`contexts`], with changed options. Kernels are compiled with wgpu's checks, so
/// that an index beyond its buffer spoils nothing else; `WEFT_SHADER_CHECKS=0` leaves them out.
pub fn contexts_with(change: impl Fn(ContextOptions) -> ContextOptions) -> Vec<(String, Context)> {
    let mut contexts = vec![("cpu".to_owned(), Context::cpu_with(&change(ContextOptions::default())))];
    if std::env::var("WEFT_TEST_NO_GPU").is_ok_and(|v| v == "1") {
        return contexts;
    }
    let checks = std::env::var("WEFT_SHADER_CHECKS").map_or(true, |v| v != "0");
    for variant in [Variant::Plain, Variant::Subgroups] {
        match Context::new_blocking(change(ContextOptions::from_env().with_variant(variant).with_shader_checks(checks))) {
            Ok(context) => {
                let caps = context.caps();
                let size = caps.subgroups.map_or(String::new(), |[min, max]| format!(" {min}..{max}"));
                let matrices = caps.matrices.map_or(String::new(), |side| format!(", matrices of {side}"));
                contexts.push((format!("{} {variant:?}{size}{matrices}", caps.adapter), context));
            }
            Err(weft::Error::MissingFeature { .. }) => {}
            Err(error) => panic!("{error} (WEFT_TEST_NO_GPU=1 skips the GPU)"),
        }
    }
    let names: Vec<&str> = contexts.iter().map(|(name, _)| name.as_str()).collect();
    println!("adapters x variants: {}", names.join(" | "));
    contexts
}

/// [`contexts`], where workgroups may wait for each other: cards are asked how many run together, software
/// adapters are told four, whether they have as many cores or not (what waits in vain is left to another launch), and the twins, for
/// which it means nothing, have as many as a large card.
pub fn contexts_together() -> Vec<(String, Context)> {
    let asked = contexts_with(|options| options.with_workgroups_together(None));
    let many = ContextOptions::default().with_workgroups_together(132);
    if asked.iter().all(|(_, context)| context.caps().is_software()) {
        let mut few = contexts_with(|options| options.with_workgroups_together(4));
        few[0].1 = Context::cpu_with(&many);
        return few;
    }
    asked.into_iter().map(|(name, context)| if name == "cpu" { (name, Context::cpu_with(&many)) } else { (name, context) }).collect()
}

/// Where two lists differ most, if by more than `absolute + relative * |expected|`.
pub fn difference(got: &[f32], expected: &[f64], absolute: f64, relative: f64) -> Option<String> {
    if got.len() != expected.len() {
        return Some(format!("{} values, expected {}", got.len(), expected.len()));
    }
    let excess = |(&g, &e): (&f32, &f64)| {
        let off = (f64::from(g) - e).abs() - absolute - relative * e.abs();
        // A NaN on either side is a difference, not a comparison that happens to be false.
        if off.is_nan() { f64::INFINITY } else { off }
    };
    let worst = got.iter().zip(expected).map(excess).enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (worst.1 > 0.0).then(|| {
        let (index, over) = worst;
        format!("[{index}]: got {}, expected {} (over the tolerance by {over:e})", got[index], expected[index])
    })
}

/// Fails with the place of the largest difference.
#[track_caller]
pub fn assert_close(what: &str, got: &[f32], expected: &[f64], absolute: f64, relative: f64) {
    if let Some(message) = difference(got, expected, absolute, relative) {
        panic!("{what} {message}");
    }
}

/// Deterministic numbers in [-1, 1): a 64-bit linear congruential generator (Knuth's MMIX constants).
pub struct Lcg(pub u64);

impl Lcg {
    /// The next number.
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }

    /// `n` numbers, scaled.
    pub fn list(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.next() * scale).collect()
    }
}
