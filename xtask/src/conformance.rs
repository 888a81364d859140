//! `cargo xtask conformance`: the errors of the losses, of joiners and of the recurrent cells against f64.

use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::vulkan::Driver;

/// SIMD widths of lavapipe, in bits: subgroups of 4, 8 and 16.
const WIDTHS: [&str; 3] = ["128", "256", "512"];

pub fn run(args: &[String]) -> Result {
    match args {
        [] => tables().run(),
        [flag] if flag == "--software" => on_software(),
        _ => Err(Failure::new(
            format!("conformance does not understand `{}`", args.join(" ")),
            "cargo xtask conformance, or cargo xtask conformance --software",
        )),
    }
}

/// On whatever adapter this machine has, or `WGPU_ADAPTER_NAME` names.
fn tables() -> Cmd {
    let tests = ["--test", "lattice", "--test", "ctc", "--test", "joint", "--test", "layers"];
    let words = ["test", "--package", "weft-gpu", "--quiet"].into_iter().chain(tests).chain([
        "--",
        "conformance::table",
        "--exact",
        "--include-ignored",
        "--nocapture",
    ]);
    Cmd::cargo().args(words).way_out("the first runs that fail stand below their table")
}

fn on_software() -> Result {
    let lavapipe = Driver::lavapipe().ok_or_else(|| Failure::new("lavapipe is not on this machine", "cargo xtask setup vulkan"))?;
    for width in WIDTHS {
        lavapipe.only(tables()).env("LP_NATIVE_VECTOR_WIDTH", width).run()?;
    }
    let swiftshader =
        Driver::swiftshader().ok_or_else(|| Failure::new("SwiftShader is not on this machine", "cargo xtask setup browser"))?;
    swiftshader.only(tables()).run()
}
