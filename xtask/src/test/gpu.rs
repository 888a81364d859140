//! The Rust tests on software adapters that stand in for different hardware.

use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::paths;
use crate::steps::Done;
use crate::vulkan::Driver;

#[derive(Clone, Copy, PartialEq)]
pub enum Tests {
    All,
    /// Those in `tests/`: the rest run no kernel.
    Integration,
    /// Those whose kernels any compiler takes in seconds.
    Light,
}

/// What `device_info` must say before a run counts as one on this adapter.
struct Expected {
    adapter: &'static str,
    subgroup: u32,
}

/// Mesa's llvmpipe with SIMD registers of `32 * subgroup` bits, which is what makes its subgroups so large.
pub fn lavapipe(subgroup: u32, which: Tests) -> Result<Done> {
    let Some(driver) = Driver::lavapipe() else {
        return without("lavapipe", "cargo xtask setup vulkan", which);
    };
    let bits = (32 * subgroup).to_string();
    let expected = Expected { adapter: "llvmpipe", subgroup };
    run(which, &expected, |cmd| driver.only(cmd).env("LP_NATIVE_VECTOR_WIDTH", &bits))
}

/// The SwiftShader inside Chromium: what headless browsers run on.
pub fn swiftshader() -> Result<Done> {
    let Some(driver) = Driver::swiftshader() else {
        return without("SwiftShader", "cargo xtask setup browser", Tests::Integration);
    };
    let expected = Expected { adapter: "SwiftShader", subgroup: 4 };
    run(Tests::Light, &expected, |cmd| driver.only(cmd))?;
    // Its compiler takes minutes and gigabytes for the sweeps of many widths and kinds: known values only.
    driver.only(Cmd::cargo().args(["test", "--workspace", "--test", "lattice", "--", "known"])).run()?;
    // Likewise those of one kind.
    let joint = ["degenerate", "sides", "every_activation", "dropped", "kept_lattices"];
    driver.only(Cmd::cargo().args(["test", "--workspace", "--test", "joint", "--"]).args(joint)).run()?;
    Ok(Done::Passed)
}

fn run(which: Tests, expected: &Expected, on_driver: impl Fn(Cmd) -> Cmd) -> Result<Done> {
    // Before the tests, so that a driver that is not found cannot pass for another one.
    build_device_info()?;
    let info = paths::target().join("debug/examples/device_info");
    let text = on_driver(Cmd::new(info)).output()?;
    text.lines().for_each(|line| println!("    {line}"));
    expected.check(&text)?;
    on_driver(tests(which)).run()?;
    Ok(Done::Passed)
}

/// All of these choose the whole workspace, so that cargo builds for one set of features only.
fn build_device_info() -> Result {
    Cmd::cargo().args(["build", "--workspace", "--example", "device_info"]).run()
}

fn tests(which: Tests) -> Cmd {
    let cmd = Cmd::cargo().args(["test", "--workspace"]);
    match which {
        Tests::All => cmd,
        Tests::Integration => cmd.args(["--test", "*"]),
        Tests::Light => {
            ["device", "recording", "dense", "conv1d", "recurrent", "vad"].iter().fold(cmd, |cmd, name| cmd.args(["--test", name]))
        }
    }
    .way_out("one test again: the same command with `-- NAME`")
}

/// On Linux a missing software driver is a failure; elsewhere the system's own adapters are tested.
fn without(driver: &str, way_out: &str, which: Tests) -> Result<Done> {
    if cfg!(target_os = "linux") {
        return Err(Failure::new(format!("{driver} is not on this machine"), way_out));
    }
    match which {
        Tests::All => tests(which).run().map(|()| Done::Passed),
        Tests::Integration | Tests::Light => Ok(Done::NotHere(format!("{driver} is set up on Linux only"))),
    }
}

impl Expected {
    fn check(&self, info: &str) -> Result {
        let says = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map_or("nothing", str::trim);
        let size = format!("{0}..{0}", self.subgroup);
        let (adapter, subgroups) = (says("adapter "), says("subgroups "));
        if adapter.contains(self.adapter) && subgroups == size {
            return Ok(());
        }
        Err(Failure::new(
            format!("the tests would run on `{adapter}` with subgroups {subgroups}, and {} with {size} is wanted", self.adapter),
            "check the Vulkan loader (`VK_LOADER_DEBUG=all`) with the environment of the command above",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::Expected;

    #[test]
    fn another_adapter_or_size_is_refused() {
        let llvmpipe = Expected { adapter: "llvmpipe", subgroup: 8 };
        let info = "adapter             llvmpipe (LLVM 15.0.6, 256 bits)\nsubgroups           8..8\n";
        assert!(llvmpipe.check(info).is_ok());
        assert!(llvmpipe.check(&info.replace("llvmpipe", "H100")).is_err());
        assert!(llvmpipe.check(&info.replace("8..8", "4..4")).is_err());
        assert!(llvmpipe.check("cpu twin").is_err());
    }
}
