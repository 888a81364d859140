//! What the first call in a process costs: its pipelines are compiled then. Each case has a context of
//! its own. A driver that keeps compiled kernels on disk does less on a second run of the program.

use super::case;
use super::measure::milliseconds;
use serde_json::{Value, json};
use std::time::Instant;
use weft::lattice::{Blank, Kind, Logits, LossBatch, TransducerLoss};
use weft::{Context, ContextOptions, Tensor};

/// Name, durations (none: RNN-T) and whether the gradient is wanted.
const CASES: [(&str, &[u32], bool); 3] =
    [("rnnt logits f32 loss", &[], false), ("rnnt logits f32 loss+grad", &[], true), ("tdt logits f32 loss+grad", &[0, 1, 2], true)];

/// One first call.
pub struct FirstUse {
    name: String,
    variant: &'static str,
    compiled: u32,
    compile_ms: f64,
    wall_ms: f64,
    second_wall_ms: f64,
}

impl FirstUse {
    pub fn line(&self) -> String {
        format!(
            "{}, {}: {} pipelines in {:.1} ms; the call took {:.1} ms, the next {:.2} ms",
            self.name, self.variant, self.compiled, self.compile_ms, self.wall_ms, self.second_wall_ms
        )
    }

    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "variant": self.variant,
            "pipelines": self.compiled,
            "compile_ms": self.compile_ms,
            "wall_ms": self.wall_ms,
            "second_wall_ms": self.second_wall_ms,
        })
    }
}

/// All words of each case, for `--only` and `--list`.
pub fn names() -> impl Iterator<Item = String> {
    CASES.iter().map(|(name, _, _)| format!("first-use {name}"))
}

/// Times the first calls that `only` names.
///
/// # Errors
/// Whatever a context or a call gives: on a device that came so far none should.
pub fn measure(options: &ContextOptions, only: &[String]) -> weft::Result<Vec<FirstUse>> {
    let mut all = Vec::new();
    for (name, (_, durations, gradients)) in names().zip(CASES).filter(|(name, _)| case::wanted(name, only)) {
        let gpu = Context::new_blocking(options.clone())?;
        let kind = if durations.is_empty() { Kind::rnnt(Blank(0)) } else { Kind::tdt(Blank(0), durations)? };
        let loss = TransducerLoss::of(kind).gradients(gradients).build(&gpu)?;
        let row = 28 + durations.len();
        let logits = Tensor::from_slice(&gpu, &[1, 4, 3, row], &vec![0.0; 4 * 3 * row])?;
        let batch = LossBatch::new(Logits::padded(&logits), &[1, 2], &[4], &[2]);
        let timed = || {
            let before = Instant::now();
            let report = loss.run_blocking(&batch)?.report;
            weft::Result::Ok((report, milliseconds(before.elapsed())))
        };
        let (report, wall_ms) = timed()?;
        let (_, second_wall_ms) = timed()?;
        let variant = if gpu.caps().subgroups.is_some() { "subgroups" } else { "plain" };
        let first =
            FirstUse { name, variant, compiled: report.compiled, compile_ms: milliseconds(report.compile), wall_ms, second_wall_ms };
        eprintln!("{}", first.line());
        all.push(first);
    }
    Ok(all)
}
