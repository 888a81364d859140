//! Times the loss and the cells on this machine's adapter: GPU time by timestamp queries, wall time,
//! bytes, and the fraction of the floor.
//!
//! `cargo xtask bench -- [--json FILE] [--plain] [--quick]`. The floor is made of what the same run
//! measures of the device: the bandwidth of a copy kernel and the cost of one more dispatch.

mod probe;
mod report;
mod work;

use clap::Parser;
use probe::{Limits, Probe};
use report::Row;
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use weft::{Context, ContextOptions, RunReport, Variant};

#[derive(Parser)]
#[command(about = "Times weft's kernels on this machine's adapter")]
struct Args {
    /// Write the figures to this file as well.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also time the variants without subgroup operations.
    #[arg(long)]
    plain: bool,
    /// Small shapes and few repetitions: shows that the path works.
    #[arg(long)]
    quick: bool,
    /// The commit to note in the file; asked of git if not given.
    #[arg(long)]
    commit: Option<String>,
}

/// One context with everything that a measurement needs.
struct Bench {
    gpu: Context,
    probe: Probe,
    limits: Limits,
    repeats: usize,
    rows: Vec<Row>,
}

/// What a measurement is about.
struct Case {
    op: &'static str,
    input: &'static str,
    shape: serde_json::Value,
    direction: &'static str,
    bytes: f64,
    launches: u32,
}

impl Bench {
    /// Runs `call` until its times are stable enough, clocks up, and notes a row.
    fn measure(&mut self, case: Case, mut call: impl FnMut() -> weft::Result<RunReport>) -> weft::Result<()> {
        call()?;
        self.probe.warm();
        let (mut gpu, mut wall) = (Vec::new(), Vec::new());
        let start = Instant::now();
        while gpu.len() < 3 || (gpu.len() < self.repeats && start.elapsed() < Duration::from_secs(8)) {
            let before = Instant::now();
            let report = call()?;
            wall.push(before.elapsed().as_secs_f64() * 1e3);
            gpu.push(report.gpu_time.unwrap_or_default().as_secs_f64() * 1e3);
        }
        gpu.sort_by(f64::total_cmp);
        wall.sort_by(f64::total_cmp);
        let variant = if self.gpu.caps().subgroups.is_some() { "subgroups" } else { "plain" };
        let floor_ms =
            1e3 * case.bytes / self.limits.bytes_per_second + 1e3 * self.limits.dispatch.as_secs_f64() * f64::from(case.launches);
        eprintln!("{} {} {variant} {}: {:.4} ms", case.op, case.shape, case.direction, gpu[0]);
        self.rows.push(Row {
            op: case.op,
            input: case.input,
            shape: case.shape,
            variant,
            direction: case.direction,
            gpu_ms: gpu[0],
            gpu_median_ms: gpu[gpu.len() / 2],
            wall_ms: wall[wall.len() / 2],
            bytes: case.bytes,
            floor_ms,
        });
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let variants: &[Variant] = if args.plain { &[Variant::Auto, Variant::Plain] } else { &[Variant::Auto] };
    let mut all = Vec::new();
    let mut last = None;
    for &variant in variants {
        let gpu = Context::new_blocking(ContextOptions::from_env().with_variant(variant).with_timing(true))?;
        if !gpu.caps().timestamps {
            return Err(format!("{} has no timestamp queries: GPU time cannot be measured", gpu.caps().adapter).into());
        }
        let (Some(device), Some(queue)) = (gpu.device(), gpu.queue()) else { return Err("no GPU".into()) };
        let software = gpu.caps().is_software();
        let probe = Probe::new(device.clone(), queue.clone(), software);
        let limits = probe.limits();
        let repeats = if args.quick || software { 3 } else { 30 };
        let mut bench = Bench { gpu, probe, limits, repeats, rows: Vec::new() };
        work::losses(&mut bench, args.quick || software)?;
        work::cells(&mut bench, args.quick || software)?;
        all.append(&mut bench.rows);
        last = Some((bench.gpu, limits));
    }
    let Some((gpu, limits)) = last else { return Ok(()) };
    println!("{}\n", gpu.caps());
    println!("copy kernel {:.0} GB/s; one more dispatch {:.2} µs", limits.bytes_per_second / 1e9, limits.dispatch.as_secs_f64() * 1e6);
    report::print(gpu.caps(), &all);
    if let Some(file) = args.json {
        let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let commit = args.commit.unwrap_or_else(git_commit);
        let json = report::to_json(gpu.caps(), &date, &commit, &limits, &all);
        std::fs::write(&file, serde_json::to_string_pretty(&json)? + "\n")?;
        eprintln!("written to {}", file.display());
    }
    Ok(())
}

/// The checked-out commit, or `unknown` outside of a repository.
fn git_commit() -> String {
    let output = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    output
        .ok()
        .filter(|o| o.status.success())
        .and_then(|o| String::from_utf8(o.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |s| s.trim().to_owned())
}
