//! Times the losses, the cells and products of matrices on this machine's adapter: GPU time by timestamp queries, wall time,
//! bytes, and the fraction of the floor.
//!
//! `cargo xtask bench -- [--part PART]… [--json FILE] [--plain] [--quick] [--only WORDS]… [--list]`. The floor is made
//! of what the same run measures of the device: the bandwidth of a copy kernel and the cost of one more
//! dispatch. A case that fails is a row with its reason.

mod case;
mod cells;
mod ctc;
mod fill;
mod first_use;
mod joint;
mod lattices;
mod measure;
mod probe;
mod products;
mod report;
mod stacks;

use case::Case;
use clap::Parser;
use measure::Bench;
use probe::Probe;
use report::Run;
use std::error::Error;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::{Instant, SystemTime};
use weft::{Context, ContextOptions, Variant};

#[derive(Parser)]
#[command(about = "Times weft's kernels on this machine's adapter")]
struct Args {
    /// Write the figures to this file as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also time the variants without subgroup operations.
    #[arg(long)]
    plain: bool,
    /// Recurrent layers measure first which tier is the fastest.
    #[arg(long)]
    tuning: bool,
    /// The same, and keep what they measure in this file, or go by what it has.
    #[arg(long, value_name = "FILE")]
    tuning_file: Option<PathBuf>,
    /// After each case, what each kernel took with each grid, in all calls of it together. Each launch is a pass of its own then: times
    /// of whole calls are longer than without, and are not written.
    #[arg(long, conflicts_with = "json")]
    kernels: bool,
    /// Small shapes and few repetitions: shows that the path works. Implied on a software adapter.
    #[arg(long)]
    quick: bool,
    /// Only these parts, each of which takes minutes at most; may be repeated.
    #[arg(long, value_enum)]
    part: Vec<Part>,
    /// Only cases with all of these words, e.g. "rnnt N16 loss+grad"; may be repeated.
    #[arg(long, value_name = "WORDS")]
    only: Vec<String>,
    /// Name the cases and stop.
    #[arg(long)]
    list: bool,
    /// Timed calls of a case; fewer where one takes long.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Begin no case after so many seconds; the file then has those that were reached.
    #[arg(long, value_name = "SECONDS")]
    within: Option<u64>,
    /// The commit to note in the file; asked of git if not given.
    #[arg(long)]
    commit: Option<String>,
}

/// What is timed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The losses, and the first calls in a process.
    Lattice,
    /// Recurrent cells and stacks of them.
    Cells,
    /// Joiners fused with the loss.
    Joint,
    /// Products of matrices.
    Gemm,
}

impl Part {
    const ALL: [Self; 4] = [Self::Lattice, Self::Cells, Self::Joint, Self::Gemm];

    fn name(self) -> &'static str {
        match self {
            Self::Lattice => "lattice",
            Self::Cells => "cells",
            Self::Joint => "joint",
            Self::Gemm => "gemm",
        }
    }

    fn cases(self, quick: bool) -> Vec<Case> {
        match self {
            Self::Lattice => lattices::cases(quick).into_iter().chain(ctc::cases(quick)).collect(),
            Self::Cells => cells::cases(quick).into_iter().chain(stacks::cases(quick)).collect(),
            Self::Joint => joint::cases(quick),
            Self::Gemm => products::cases(quick),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let parts: Vec<Part> = Part::ALL.into_iter().filter(|part| args.part.is_empty() || args.part.contains(part)).collect();
    let cases = |quick| parts.iter().flat_map(|part| part.cases(quick)).collect::<Vec<Case>>();
    let has_first_use = parts.contains(&Part::Lattice);
    if args.list {
        let cases = cases(args.quick).into_iter().map(|c| c.name()).chain(first_use::names().filter(|_| has_first_use));
        let names: String = cases.filter(|name| case::wanted(name, &args.only)).map(|name| name + "\n").collect();
        return match std::io::stdout().write_all(names.as_bytes()) {
            // Who reads has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            done => Ok(done?),
        };
    }
    let variants: &[Variant] = if args.plain { &[Variant::Auto, Variant::Plain] } else { &[Variant::Auto] };
    let start = Instant::now();
    let mut run: Option<Run> = None;
    for &variant in variants {
        let options = ContextOptions::from_env().with_timing(true).with_kernel_times(args.kernels).with_tuning(args.tuning);
        let options = if args.plain { options.with_variant(variant) } else { options };
        let options = match &args.tuning_file {
            Some(path) => options.with_tuning_file(path),
            None => options,
        };
        let gpu = Context::new_blocking(options.clone())?;
        if !gpu.caps().timestamps {
            return Err(format!("{} has no timestamp queries: GPU time cannot be measured", gpu.caps().adapter).into());
        }
        let (Some(device), Some(queue)) = (gpu.device(), gpu.queue()) else { return Err("no GPU".into()) };
        let software = gpu.caps().is_software();
        let quick = args.quick || software;
        let probe = Probe::new(device.clone(), queue.clone(), gpu.caps());
        // Of the first context: the device is the same, and so is what it can do.
        let run = run.get_or_insert_with(|| Run::new(gpu.caps().clone(), probe.limits()));
        let repeats = if quick { args.repeats.min(3) } else { args.repeats };
        let mut bench = Bench { gpu, probe, limits: run.limits, repeats: repeats as usize, rows: Vec::new() };
        for case in cases(quick).into_iter().filter(|c| case::wanted(&c.name(), &args.only)) {
            if args.within.is_some_and(|seconds| start.elapsed().as_secs() >= seconds) {
                eprintln!("out of time: {} and what comes after it was not reached", case.name());
                break;
            }
            bench.measure(&case)?;
        }
        run.rows.append(&mut bench.rows);
        if has_first_use {
            run.first_use.append(&mut first_use::measure(&options, &args.only)?);
        }
    }
    let Some(run) = run else { return Ok(()) };
    if run.rows.is_empty() && run.first_use.is_empty() {
        return Err("no case has these words; --list names them all".into());
    }
    run.print();
    if let Some(file) = args.json {
        let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let commit = args.commit.unwrap_or_else(git_commit);
        std::fs::write(
            &file,
            serde_json::to_string_pretty(&run.to_json(&date, &commit, &parts.iter().map(|part| part.name()).collect::<Vec<_>>()))? + "\n",
        )?;
        eprintln!("written to {}", file.display());
    }
    Ok(())
}

/// The checked-out commit, marked if files differ from it, or `unknown` outside of a repository.
fn git_commit() -> String {
    let output = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
    output
        .ok()
        .filter(|o| o.status.success())
        .and_then(|o| String::from_utf8(o.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |s| s.trim().to_owned())
}
