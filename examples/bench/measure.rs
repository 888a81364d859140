//! How a case is timed.

use super::case::{Case, Ready, Steps};
use super::probe::{Limits, Probe};
use super::report::{Figures, Row};
use std::time::{Duration, Instant};
use weft::{Context, Error, KernelTime};

/// Longest that the timed calls of a case may take together, once there are three.
const PATIENCE: Duration = Duration::from_secs(4);
/// A clock lower than at the start by more than this spoils a measurement.
const SLOWER: f64 = 1.1;
/// How often a spoilt measurement is made again.
const TRIES: usize = 3;

/// One context with everything that a measurement needs.
pub struct Bench {
    pub gpu: Context,
    pub probe: Probe,
    pub limits: Limits,
    pub repeats: usize,
    pub rows: Vec<Row>,
}

impl Bench {
    /// Times a case and notes its row, or why there are no figures.
    ///
    /// # Errors
    /// [`Error::DeviceLost`]: nothing after it could be timed.
    pub fn measure(&mut self, case: &Case) -> weft::Result<()> {
        self.gpu.take_kernel_times();
        let outcome = self.figures(case);
        // The next case may need all of the memory.
        self.gpu.trim();
        let variant = if self.gpu.caps().subgroups.is_some() { "subgroups" } else { "plain" };
        let outcome = match outcome {
            Err(error @ Error::DeviceLost { .. }) => return Err(error),
            other => other.map_err(|error| error.to_string()),
        };
        let said = outcome.as_ref().map_or_else(Clone::clone, |figures| format!("{:.4} ms", figures.gpu_ms));
        eprintln!("{} {variant}: {said}", case.name());
        for KernelTime { kernel, workgroups, launches, time } in self.gpu.take_kernel_times() {
            eprintln!("    {:10.4} ms in {launches:5} of {kernel} {workgroups:?}", milliseconds(time));
        }
        self.rows.push(Row { labels: case.labels, shape: case.shape.clone(), variant, outcome });
        Ok(())
    }

    fn figures(&self, case: &Case) -> weft::Result<Figures> {
        let mut ready = (case.prepare)(&self.gpu)?;
        let first = (ready.call)()?;
        let steps = ready.steps.as_ref().map(|steps| steps()).transpose()?;
        let mut figures = Figures {
            compile_ms: milliseconds(first.compile),
            compiled: first.compiled,
            dispatches: first.dispatches,
            bytes: ready.bytes,
            flops: ready.flops,
            cells: ready.cells,
            workspace_bytes: ready.workspace,
            result_bytes: ready.results,
            peak_bytes: ready.peak(),
            materialised_bytes: ready.materialised,
            floor_ms: self.floor(&ready, steps.as_ref(), first.dispatches),
            plan_ms: steps.as_ref().map(|steps| milliseconds(steps.plan)),
            frames: steps.as_ref().map(|steps| steps.frames),
            waits: steps.as_ref().map(|steps| steps.waits),
            tiers: steps.map(|steps| steps.tiers),
            ..Figures::default()
        };
        for _ in 0..TRIES {
            self.probe.warm();
            let (mut gpu, mut wall, mut encode) = (Vec::new(), Vec::new(), Vec::new());
            let start = Instant::now();
            while gpu.len() < self.repeats.min(3) || (gpu.len() < self.repeats && start.elapsed() < PATIENCE) {
                if let Some(prepare) = &ready.before {
                    prepare()?;
                }
                let before = Instant::now();
                let report = (ready.call)()?;
                wall.push(milliseconds(before.elapsed()));
                gpu.push(milliseconds(report.gpu_time.unwrap_or_default()));
                encode.push(milliseconds(report.encode));
            }
            gpu.sort_by(f64::total_cmp);
            wall.sort_by(f64::total_cmp);
            encode.sort_by(f64::total_cmp);
            figures.gpu_ms = gpu[0];
            figures.gpu_median_ms = gpu[gpu.len() / 2];
            figures.wall_ms = wall[wall.len() / 2];
            figures.encode_ms = encode[encode.len() / 2];
            figures.slower = self.probe.slower(&self.limits);
            if figures.slower < SLOWER {
                break;
            }
        }
        Ok(figures)
    }

    /// ms: the least bytes, or the least arithmetic of f32, whichever takes longer; a dispatch a launch; and, where workgroups wait for
    /// each other within launches, what that takes.
    fn floor(&self, ready: &Ready, steps: Option<&Steps>, dispatches: u32) -> f64 {
        let Limits { bytes_per_second, flops_per_second, dispatch, wait, .. } = self.limits;
        let bytes = 1e3 * ready.bytes / bytes_per_second;
        let flops = ready.flops.filter(|_| steps.is_some()).map_or(0.0, |flops| 1e3 * flops / flops_per_second);
        let waits = steps.map_or(0.0, |steps| steps.waits as f64) * milliseconds(wait.unwrap_or_default());
        bytes.max(flops) + milliseconds(dispatch) * f64::from(dispatches) + waits
    }
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
