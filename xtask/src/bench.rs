//! `cargo xtask bench`: the benchmark program, optimised.

use crate::command::Cmd;
use crate::failure::Result;

pub fn run(args: &[String]) -> Result {
    Cmd::cargo()
        .args(["run", "--release", "--example", "bench", "--"])
        .args(args)
        .way_out("`cargo run --release --example device_info` shows which adapters there are")
        .run()
}
