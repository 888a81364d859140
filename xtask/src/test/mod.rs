//! `cargo xtask test`: every check, in the order in which they are cheapest to fail.

mod checks;
mod gpu;

use std::process::ExitCode;

use gpu::Tests;

use crate::failure::{Failure, Result};
use crate::steps::{self, Done, Steps};
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
    let chosen = match chosen(args) {
        Ok(chosen) => chosen,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::from(2);
        }
    };
    let mut done = Steps::default();
    let mut never: Vec<&str> = chosen.iter().map(|step| step.name).collect();
    let mut failure = None;
    for step in chosen {
        never.remove(0);
        if let Err(error) = done.run(step.name, step.run) {
            failure = Some((step.name, error));
            break;
        }
    }
    println!("\n{}", done.table(&never));
    if let Some((name, failure)) = &failure {
        steps::report(name, failure);
        eprintln!("again:   cargo xtask test {name}");
    }
    println!("weft checks: {} passed, {} failed", done.passed(), done.failed());
    if failure.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
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
