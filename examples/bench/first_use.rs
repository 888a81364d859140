//! What the first call in a process costs: its pipelines are compiled then. Each case has a context of
//! its own. A driver that keeps compiled kernels on disk does less on a second run of the program. Pipelines
//! are compiled side by side; what each took goes to stderr.

use super::case;
use super::measure::milliseconds;
use log::{LevelFilter, Log, Metadata, Record};
use serde_json::{Value, json};
use std::time::Instant;
use weft::lattice::{Blank, CtcBatch, CtcLoss, Kind, Logits, LossBatch, TransducerLoss};
use weft::recurrent::{Cell, Layer, LayerWeights, RunOptions};
use weft::{Context, ContextOptions, RunReport, Tensor};

/// A call that can be made again.
type Call = Box<dyn Fn() -> weft::Result<RunReport>>;

/// What makes a call.
type Prepare = fn(&Context) -> weft::Result<Call>;

/// Calls by name.
const CASES: [(&str, Prepare); 6] = [
    ("rnnt logits f32 loss", |gpu| transducer(gpu, Kind::rnnt(Blank(0)), 0, false)),
    ("rnnt logits f32 loss+grad", |gpu| transducer(gpu, Kind::rnnt(Blank(0)), 0, true)),
    ("multi-blank logits f32 loss+grad", |gpu| transducer(gpu, Kind::multi_blank(Blank(0), &[(26, 2), (27, 4)])?, 0, true)),
    ("tdt logits f32 loss+grad", |gpu| transducer(gpu, Kind::tdt(Blank(0), &[0, 1, 2])?, 3, true)),
    ("ctc logits f32 loss+grad", ctc),
    ("lstm f32 forward", lstm),
];

/// Symbols, without durations.
const SYMBOLS: usize = 28;

fn transducer(gpu: &Context, kind: Kind, durations: usize, gradients: bool) -> weft::Result<Call> {
    let loss = TransducerLoss::of(kind).gradients(gradients).build(gpu)?;
    let row = SYMBOLS + durations;
    let logits = Tensor::from_slice(gpu, &[1, 4, 3, row], &vec![0.0; 4 * 3 * row])?;
    Ok(Box::new(move || Ok(loss.run_blocking(&LossBatch::new(Logits::padded(&logits), &[1, 2], &[4], &[2]))?.report)))
}

fn ctc(gpu: &Context) -> weft::Result<Call> {
    let loss = CtcLoss::new(Blank(0)).gradients(true).build(gpu)?;
    let logits = Tensor::from_slice(gpu, &[1, 4, SYMBOLS], &[0.0; 4 * SYMBOLS])?;
    Ok(Box::new(move || Ok(loss.run_blocking(&CtcBatch::new(&logits, &[1, 2], &[4], &[2]))?.report)))
}

fn lstm(gpu: &Context) -> weft::Result<Call> {
    let (input_size, hidden_size) = (64, 64);
    let weights = vec![0.01; 4 * input_size * hidden_size];
    let weights = LayerWeights { input_size, hidden_size, weight_ih: &weights, weight_hh: &weights, bias: None, parameters: &[] };
    let layer = Layer::new(gpu, &Cell::lstm(), &weights)?;
    let x = Tensor::from_slice(gpu, &[4, 1, input_size], &[0.5; 4 * 64])?;
    Ok(Box::new(move || Ok(layer.run_blocking(&x, &RunOptions::default())?.2)))
}

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
    CASES.iter().map(|(name, _)| format!("first-use {name}"))
}

/// Times the first calls that `only` names.
///
/// # Errors
/// Whatever a context or a call gives: on a device that came so far none should.
pub fn measure(options: &ContextOptions, only: &[String]) -> weft::Result<Vec<FirstUse>> {
    let mut all = Vec::new();
    // A second one in a process is refused, and is the same.
    let _ = log::set_logger(&Compiled);
    log::set_max_level(LevelFilter::Debug);
    for (name, (_, prepare)) in names().zip(CASES).filter(|(name, _)| case::wanted(name, only)) {
        let gpu = Context::new_blocking(options.clone())?;
        let call = prepare(&gpu)?;
        let timed = || {
            let before = Instant::now();
            let report = call()?;
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
    log::set_max_level(LevelFilter::Off);
    Ok(all)
}

/// Prints what weft says of its pipelines.
struct Compiled;

impl Log for Compiled {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("weft")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("{}", record.args());
        }
    }

    fn flush(&self) {}
}
