//! The chores of this workspace, one word each: `cargo xtask setup | test | conformance | bench | demo | npm`.

mod bench;
mod browser;
mod command;
mod conformance;
mod demo;
mod failure;
mod files;
mod material;
mod npm;
mod paths;
mod setup;
mod steps;
mod test;
mod tint;
mod vulkan;
mod wasm;

use std::process::ExitCode;

use failure::{Failure, Result};

const USAGE: &str = "\
cargo xtask setup [PART…]        install what the chores need; parts: vulkan browser wasm node (default: all)
cargo xtask test [STEP…]         every check, in order; `--list` names the steps, `--keep-going` runs them all
cargo xtask conformance          errors of losses and recurrent cells against f64, as tables, on this machine's adapter
cargo xtask conformance --software  the same on every software adapter
cargo xtask bench [ARG…]         the benchmark; arguments go to it, e.g. --part cells, --json FILE, --only WORDS, --list
cargo xtask bench --merge OUT F… one file of the parts of a run
cargo xtask bench --print [F…]   tables of those files, ours beside the peers', or of those in docs/bench
cargo xtask bench --page         write docs/bench/README.md and its plots from the JSON files there
cargo xtask bench --plot D [F…]  write the plots alone, of those files or of these, into a folder
cargo xtask demo                 build the page and serve it on this machine
cargo xtask demo --screenshot F  build the page, drive it in headless Chromium, write F
cargo xtask npm                  build the npm package, check its size, pack it into target/npm";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((chore, args)) = words.split_first() else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    let outcome = match chore.as_str() {
        "setup" => setup::run(args),
        "test" => return test::run(args),
        "conformance" => conformance::run(args),
        "bench" => bench::run(args),
        "demo" => demo::run(args),
        "npm" => npm::run(args),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(Failure::new(format!("there is no chore `{other}`"), format!("use one of these:\n{USAGE}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Refuses arguments that a chore would otherwise ignore.
fn no_arguments(chore: &str, args: &[String]) -> Result {
    match args.first() {
        None => Ok(()),
        Some(word) => Err(Failure::new(format!("`{chore}` takes no argument, and was given `{word}`"), format!("cargo xtask {chore}"))),
    }
}
