//! `cargo xtask bench`: the benchmark program, optimised.

use crate::command::Cmd;
use crate::failure::Result;

pub fn run(args: &[String]) -> Result {
    // `cargo xtask bench -- ARGS` is as good as without the dashes.
    let args = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    Cmd::cargo()
        .args(["run", "--release", "--example", "bench", "--"])
        .args(args)
        .way_out("`cargo run --release --example device_info` shows which adapters there are")
        .run()
}
