//! What both benches need: a context with timing, and a measurement that is the GPU's own.

use criterion::{BenchmarkGroup, BenchmarkId, measurement::WallTime};
use std::time::{Duration, Instant};
use weft::{Context, ContextOptions, Result, RunReport};

/// The adapter that the environment names. Without timestamp queries the times are wall times.
pub fn context() -> Result<Context> {
    let gpu = Context::new_blocking(ContextOptions::from_env().with_timing(true))?;
    let caps = gpu.caps();
    println!("{caps}");
    println!("times are {}", if caps.timestamps { "GPU time by timestamp queries" } else { "wall time: no timestamp queries here" });
    if caps.is_software() {
        println!("SOFTWARE ADAPTER: not a performance result");
    }
    Ok(gpu)
}

/// One benchmark: the GPU time of `call`, or its wall time where that is all there is.
///
/// # Errors
/// The first that `call` gives.
pub fn measure(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, mut call: impl FnMut() -> Result<RunReport>) -> Result<()> {
    measure_by(group, id, || {
        let start = Instant::now();
        let report = call()?;
        Ok(report.gpu_time.unwrap_or_else(|| start.elapsed()))
    })
}

/// One benchmark: the time that `call` says.
///
/// # Errors
/// The first that `call` gives.
pub fn measure_by(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, mut call: impl FnMut() -> Result<Duration>) -> Result<()> {
    let mut outcome = Ok(());
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            let mut sum = Duration::ZERO;
            for _ in 0..iterations {
                match call() {
                    Ok(time) => sum += time,
                    Err(error) => outcome = Err(error),
                }
            }
            // Criterion divides by it.
            sum.max(Duration::from_nanos(1))
        });
    });
    outcome
}
