//! The checks that need no GPU of their own.

use serde_json::Value;

use crate::browser::{need_chromium, npm as npm_command};
use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::material::{Material, vad_example};
use crate::setup::wasm_std::TARGET;
use crate::steps::Done;
use crate::{npm, paths, wasm};

pub fn fmt() -> Result {
    Cmd::cargo().args(["fmt", "--all", "--check"]).way_out("cargo fmt --all").run()
}

pub fn clippy() -> Result {
    Cmd::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()
}

pub fn doc() -> Result {
    Cmd::cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings").run()
}

/// The backends are the user's choice: the library must compile with any of them alone, and with none. And
/// a browser compiles WGSL itself: naga must not travel in the module.
pub fn features() -> Result {
    for feature in ["", "vulkan", "metal", "dx12", "web"] {
        Cmd::cargo().args(["check", "--package", "weft-gpu", "--lib", "--no-default-features", "--features", feature]).run()?;
    }
    let tree = ["tree", "--package", "weft-wasm", "--target", TARGET, "--edges", "normal", "--prefix", "none"];
    let tree = Cmd::cargo().args(tree).output()?;
    let holds = |name: &str| tree.lines().any(|line| line.split(' ').next() == Some(name));
    if !holds("wgpu") || holds("naga") || holds("wgpu-core") {
        return Err(Failure::new(
            format!("the browser module must hold wgpu, without naga and wgpu-core:\n{tree}"),
            "see which feature of wgpu brings them: `cargo tree --package weft-wasm --invert naga`",
        ));
    }
    Ok(())
}

/// Checks the library with the compiler that `rust-version` promises, where that is installed.
pub fn msrv() -> Result<Done> {
    let version = env!("CARGO_PKG_RUST_VERSION");
    // A toolchain is looked for, never downloaded.
    let rustup = || Cmd::new("rustup").args(["run", version]).env("RUSTUP_AUTO_INSTALL", "0");
    if !rustup().args(["rustc", "--version"]).succeeds() {
        return Ok(Done::NotHere(format!("`rustup toolchain install {version}` first")));
    }
    rustup()
        .args(["cargo", "check", "--package", "weft-gpu"])
        .env("CARGO_TARGET_DIR", paths::target().join("msrv"))
        .way_out("raise `rust-version`, or write it in older words")
        .run()
        .map(|()| Done::Passed)
}

/// The package's own tests install the tarball that the `npm` step packed.
pub fn package() -> Result {
    let Material { weights, sample } = Material::fetch()?;
    npm_command()
        .arg("test")
        .env("WEFT_TARBALL", npm::tarball()?)
        .env("WEFT_CHROMIUM", need_chromium()?)
        .env("WEFT_VAD_WEIGHTS", weights)
        .env("WEFT_VAD_SAMPLE", sample)
        .env("WEFT_SCREENSHOT", paths::target().join("package.png"))
        .dir(wasm::package())
        .way_out("`cargo xtask test npm package` packs and tests again")
        .run()
}

/// The example must find speech in its sample recording.
pub fn vad() -> Result {
    let text = vad_example()?.arg("--json").output()?;
    let summary = speech(&text)?;
    println!("  {summary}");
    Ok(())
}

fn speech(json: &str) -> Result<String> {
    let wrong = |cause: String| Failure::new(cause, "cargo run --release --example vad -- --json");
    let value: Value = serde_json::from_str(json).map_err(|e| wrong(format!("`vad --json` wrote no JSON: {e}")))?;
    let list = |name: &str| value[name].as_array().map_or(0, Vec::len);
    let (device, backend) = (&value["device"], &value["backend"]);
    match (list("probabilities"), list("segments")) {
        (0, _) | (_, 0) => Err(wrong("no speech was found in the sample recording".into())),
        _ if !device.is_string() || !backend.is_string() => Err(wrong("`vad --json` names no device or no backend".into())),
        (windows, segments) => Ok(format!("{segments} segments in {windows} windows on {device} ({backend})")),
    }
}

#[cfg(test)]
mod tests {
    use super::speech;

    #[test]
    fn silence_and_a_missing_device_are_failures() {
        let good = r#"{"device": "a", "backend": "b", "probabilities": [1.0], "segments": [{}]}"#;
        assert!(speech(good).is_ok());
        assert!(speech(&good.replace("[{}]", "[]")).is_err());
        assert!(speech(&good.replace("[1.0]", "[]")).is_err());
        assert!(speech(&good.replace("\"a\"", "null")).is_err());
        assert!(speech("no json").is_err());
    }
}
