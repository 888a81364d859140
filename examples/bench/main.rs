//! Times the losses, the cells and products of matrices on this machine's adapter: GPU time by timestamp queries, wall time,
//! bytes, and the fraction of the floor.
//!
//! `cargo xtask bench -- [--json FILE] [--plain] [--quick] [--only WORDS]… [--list]`. The floor is made
//! of what the same run measures of the device: the bandwidth of a copy kernel and the cost of one more
//! dispatch. A case that fails is a row with its reason.

mod case;
mod cells;
mod ctc;
mod fill;
mod first_use;
mod lattices;
mod measure;
mod probe;
mod products;
mod report;

use case::Case;
use clap::Parser;
use measure::Bench;
use probe::Probe;
use report::Run;
use std::error::Error;
use std::path::PathBuf;
use std::time::SystemTime;
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
    /// Small shapes and few repetitions: shows that the path works. Implied on a software adapter.
    #[arg(long)]
    quick: bool,
    /// Only cases with all of these words, e.g. "rnnt N16 loss+grad"; may be repeated.
    #[arg(long, value_name = "WORDS")]
    only: Vec<String>,
    /// Name the cases and stop.
    #[arg(long)]
    list: bool,
    /// Timed calls of a case; fewer where one takes long.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// The commit to note in the file; asked of git if not given.
    #[arg(long)]
    commit: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    if args.list {
        let cases = cases(args.quick).into_iter().map(|c| c.name()).chain(first_use::names());
        cases.filter(|name| case::wanted(name, &args.only)).for_each(|name| println!("{name}"));
        return Ok(());
    }
    let variants: &[Variant] = if args.plain { &[Variant::Auto, Variant::Plain] } else { &[Variant::Auto] };
    let mut run: Option<Run> = None;
    for &variant in variants {
        let options = ContextOptions::from_env().with_timing(true);
        let options = if args.plain { options.with_variant(variant) } else { options };
        let gpu = Context::new_blocking(options.clone())?;
        if !gpu.caps().timestamps {
            return Err(format!("{} has no timestamp queries: GPU time cannot be measured", gpu.caps().adapter).into());
        }
        let (Some(device), Some(queue)) = (gpu.device(), gpu.queue()) else { return Err("no GPU".into()) };
        let software = gpu.caps().is_software();
        let quick = args.quick || software;
        let probe = Probe::new(device.clone(), queue.clone(), software);
        // Of the first context: the device is the same, and so is what it can do.
        let run = run.get_or_insert_with(|| Run::new(gpu.caps().clone(), probe.limits()));
        let repeats = if quick { args.repeats.min(3) } else { args.repeats };
        let mut bench = Bench { gpu, probe, limits: run.limits, repeats: repeats as usize, rows: Vec::new() };
        for case in cases(quick).into_iter().filter(|c| case::wanted(&c.name(), &args.only)) {
            bench.measure(&case)?;
        }
        run.rows.append(&mut bench.rows);
        run.first_use.append(&mut first_use::measure(&options, &args.only)?);
    }
    let Some(run) = run else { return Ok(()) };
    if run.rows.is_empty() && run.first_use.is_empty() {
        return Err("no case has these words; --list names them all".into());
    }
    run.print();
    if let Some(file) = args.json {
        let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let commit = args.commit.unwrap_or_else(git_commit);
        std::fs::write(&file, serde_json::to_string_pretty(&run.to_json(&date, &commit))? + "\n")?;
        eprintln!("written to {}", file.display());
    }
    Ok(())
}

fn cases(quick: bool) -> Vec<Case> {
    let mut cases = lattices::cases(quick);
    cases.append(&mut ctc::cases(quick));
    cases.append(&mut cells::cases(quick));
    cases.append(&mut products::cases(quick));
    cases
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
