//! From Rust to the wasm and its JavaScript glue that the npm package wraps.

use std::path::{Path, PathBuf};

use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::files::rename;
use crate::setup::wasm_std::{TARGET, Toolchain};
use crate::{paths, setup};

const MODULE: &str = "weft_wasm";

/// Functions stay apart although only one place calls them: merged, they are smaller, and compress so much worse that pages load more.
const WHOLE_FUNCTIONS: &str = "--one-caller-inline-max-function-size=0";

/// Functions in the order of their Rust names: instances of one generic function compress best beside each other.
const ALIKE_TOGETHER: &str = "--reorder-functions-by-name";

/// What rustc may emit for this target; every browser with WebGPU has them all.
const FEATURES: [&str; 7] =
    ["bulk-memory", "multivalue", "mutable-globals", "nontrapping-float-to-int", "reference-types", "sign-ext", "simd"];

/// The npm package's folder.
pub fn package() -> PathBuf {
    paths::root().join("wasm")
}

/// Builds into `wasm/generated`.
pub fn build() -> Result {
    let toolchain = Toolchain::find()?
        .ok_or_else(|| Failure::new(format!("this compiler has no standard library for {TARGET}"), "cargo xtask setup wasm"))?;
    let target = toolchain.target();
    toolchain
        .cargo()?
        .args(["build", "--package", "weft-wasm", "--profile", "wasm"])
        .args(["--target", TARGET])
        .args(["--config", &flags()])
        .env("CARGO_TARGET_DIR", &target)
        .run()?;
    let out = package().join("generated");
    Cmd::cargo()
        .args(["run", "--quiet", "--package", "weft-bindgen", "--"])
        .arg(target.join(TARGET).join("wasm").join(format!("{MODULE}.wasm")))
        .arg(&out)
        .run()?;
    optimise(&out.join(format!("{MODULE}_bg.wasm")))
}

/// Keeps this machine's paths out of the package, as panics name their source files; and sets how much is inlined to what compresses
/// best.
fn flags() -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|dir| dir.join(".cargo"))).unwrap_or_default();
    let paths = [(paths::root(), "weft"), (home.join("registry/src"), "crates")];
    let paths = paths.map(|(path, name)| format!("'--remap-path-prefix={}={name}'", path.display()));
    format!("target.{TARGET}.rustflags=[{},'-Cllvm-args=-inline-threshold=10']", paths.join(","))
}

fn optimise(module: &Path) -> Result {
    setup::node_packages(&package())?;
    let tool = package().join("node_modules/.bin/wasm-opt");
    let small = module.with_extension("opt.wasm");
    Cmd::new(&tool)
        .args(["-O2", WHOLE_FUNCTIONS, ALIKE_TOGETHER, "--strip-debug", "--strip-producers"])
        .args(FEATURES.map(|feature| format!("--enable-{feature}")))
        .arg(module)
        .args(["-o".as_ref(), small.as_os_str()])
        .way_out("wasm-opt comes with the npm package binaryen: it must be in wasm/package.json")
        .run()?;
    rename(&small, module)
}
