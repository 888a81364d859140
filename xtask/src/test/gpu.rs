//! The Rust tests on software adapters that stand in for different hardware.

use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::steps::Done;
use crate::vulkan::Driver;

/// The tests that run kernels; the rest need no second adapter.
const GPU_TESTS: [&str; 3] = ["conformance", "lattice", "recurrent"];

#[derive(Clone, Copy, PartialEq)]
pub enum Which {
    All,
    Gpu,
}

/// Mesa's llvmpipe with SIMD registers of `bits` bits: its subgroups have `bits / 32` invocations.
pub fn lavapipe(bits: u32, which: Which) -> Result<Done> {
    let Some(driver) = Driver::lavapipe() else {
        return without("lavapipe", "cargo xtask setup vulkan", which);
    };
    let cmd = driver.only(tests(which)).env("LP_NATIVE_VECTOR_WIDTH", bits.to_string());
    cmd.run().map(|()| Done::Passed)
}

/// The SwiftShader inside Chromium: what headless browsers run on, subgroups of 4.
pub fn swiftshader() -> Result<Done> {
    match Driver::swiftshader() {
        Some(driver) => driver.only(tests(Which::Gpu)).run().map(|()| Done::Passed),
        None => without("SwiftShader", "cargo xtask setup browser", Which::Gpu),
    }
}

/// The same packages and features each time, so that cargo builds once.
fn tests(which: Which) -> Cmd {
    let cmd = Cmd::cargo().args(["test", "--workspace"]);
    match which {
        Which::All => cmd,
        Which::Gpu => cmd.args(GPU_TESTS.iter().flat_map(|name| ["--test", name])),
    }
    .way_out("one test again: the same command with `-- NAME`")
}

/// On Linux a missing software driver is a failure; elsewhere the system's own adapters are tested.
fn without(driver: &str, way_out: &str, which: Which) -> Result<Done> {
    if cfg!(target_os = "linux") {
        return Err(Failure::new(format!("{driver} is not on this machine"), way_out));
    }
    match which {
        Which::All => tests(which).run().map(|()| Done::Passed),
        Which::Gpu => Ok(Done::NotHere(format!("{driver} is set up on Linux only"))),
    }
}
