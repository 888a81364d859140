//! `cargo xtask test`: every check, in the order in which they are cheapest to fail.

mod checks;
mod gpu;

use std::process::ExitCode;

use gpu::Tests;

use crate::failure::{Failure, Result};
use crate::steps::{Done, Steps};
use crate::{demo, npm, paths, setup, tint};

struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<Done>,
}

const STEPS: &[Step] = &[
    step("setup", "software Vulkan, Chromium, npm packages, wasm32", || must(setup::all())),
    step("fmt", "rustfmt", || must(checks::fmt())),
    step("clippy", "lints, warnings denied", || must(checks::clippy())),
    step("doc", "rustdoc, warnings denied", || must(checks::doc())),
    step("features", "every backend alone; no shader compiler in the browser", || must(checks::features())),
    step("msrv", "the oldest supported compiler", checks::msrv),
    step("test", "all Rust tests; GPU on lavapipe, subgroup size 8", || gpu::lavapipe(8, Tests::All)),
    step("lavapipe-4", "GPU tests, subgroup size 4", || gpu::lavapipe(4, Tests::Integration)),
    step("lavapipe-16", "GPU tests, subgroup size 16", || gpu::lavapipe(16, Tests::Integration)),
    step("swiftshader", "GPU tests on Chromium's SwiftShader", gpu::swiftshader),
    step("tint", "every shader through Chrome's compiler", || must(tint::run())),
    step("npm", "the package, its size, its tarball", || must(npm::run(&[]))),
    step("package", "the packed package in Node and in Chromium", || must(checks::package())),
    step("demo", "the page in Chromium, with a screenshot", || must(demo::screenshot(&paths::target().join("demo.png")))),
    step("vad", "the example on a recording", || must(checks::vad())),
];

/// Runs the later steps too when one has failed.
const KEEP_GOING: &str = "--keep-going";

const fn step(name: &'static str, about: &'static str, run: fn() -> Result<Done>) -> Step {
    Step { name, about, run }
}

fn must(result: Result) -> Result<Done> {
    result.map(|()| Done::Passed)
}

pub fn run(args: &[String]) -> ExitCode {
    if args == ["--list"] {
        for step in STEPS {
            println!("{:12} {}", step.name, step.about);
        }
        return ExitCode::SUCCESS;
    }
    let (flags, names): (Vec<_>, Vec<_>) = args.iter().cloned().partition(|arg| arg == KEEP_GOING);
    let chosen = match chosen(&names) {
        Ok(chosen) => chosen,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::from(2);
        }
    };
    let mut done = Steps::default();
    let mut never: Vec<&str> = chosen.iter().map(|step| step.name).collect();
    let mut failures = Vec::new();
    for step in chosen {
        never.remove(0);
        if let Err(error) = done.run(step.name, step.run) {
            failures.push((step.name, error));
            if flags.is_empty() {
                break;
            }
        }
    }
    println!("\n{}", done.table(&never));
    for (name, failure) in &failures {
        println!("step:    {name}\n{failure}\nagain:   cargo xtask test {name}\n");
    }
    println!("weft checks: {} passed, {} failed", done.passed(), done.failed());
    if done.failed() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The named steps in their usual order; all of them if none is named.
fn chosen(names: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(word) = names.iter().find(|n| STEPS.iter().all(|s| s.name != n.as_str())) {
        return Err(Failure::new(format!("there is no step `{word}`"), "`cargo xtask test --list` names them"));
    }
    let wanted = |step: &&Step| names.is_empty() || names.iter().any(|name| name == step.name);
    Ok(STEPS.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(args: &[&str]) -> Option<Vec<&'static str>> {
        let args: Vec<String> = args.iter().map(|&arg| arg.into()).collect();
        Some(chosen(&args).ok()?.iter().map(|step| step.name).collect())
    }

    #[test]
    fn named_steps_run_in_their_usual_order() {
        assert_eq!(names(&["clippy", "fmt"]), Some(vec!["fmt", "clippy"]));
        assert_eq!(names(&[]).map(|all| all.len()), Some(STEPS.len()));
        assert_eq!(names(&["fmt", "no-such-step"]), None);
    }
}
