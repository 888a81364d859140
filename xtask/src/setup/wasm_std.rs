//! The standard library for wasm32: the installed toolchain's, where it has one.
//!
//! Else, on Debian, it is built from `rust-src` of exactly this compiler's version into a private
//! sysroot of symbolic links, which clones of this repository share: the installed toolchain is not
//! changed, and nothing is downloaded but a package. On other systems rustup adds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::paths;
use crate::setup::rustc::{LAYOUT, Rustc, print};
use crate::setup::{apt_source, sysroot};

pub const TARGET: &str = "wasm32-unknown-unknown";

/// `rustup` cannot be asked whether it has a network, and waits long for one that is not there.
const RUSTUP_LIMIT: Duration = Duration::from_secs(180);

/// A compiler that can build for wasm32.
pub enum Toolchain {
    /// The installed one.
    Installed,
    /// The installed compiler with the private sysroot in this folder.
    Private(PathBuf),
}

impl Toolchain {
    /// The one that is here, if any.
    pub fn find() -> Result<Option<Self>> {
        if has_std(Path::new(&print("target-libdir", &["--target", TARGET])?)) {
            return Ok(Some(Self::Installed));
        }
        let rustc = Rustc::ask()?;
        let folder = rustc.private_folder()?;
        let made = fs::read_to_string(folder.join("stamp")).is_ok_and(|s| s == rustc.stamp());
        Ok(made.then_some(Self::Private(folder)))
    }

    /// The target folder for what this compiler builds. Cargo does not see when the standard library
    /// changes, so that each has its own.
    pub fn target(&self) -> PathBuf {
        paths::target().join(match self {
            Self::Installed => "wasm".to_owned(),
            Self::Private(_) => format!("wasm-private-{LAYOUT}"),
        })
    }

    /// Makes cargo use this compiler.
    pub fn cargo(&self) -> Result<Cmd> {
        match self {
            Self::Installed => Ok(Cmd::cargo()),
            Self::Private(folder) => {
                Ok(Cmd::cargo().env("RUSTC", folder.join("rustc")).env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker()?))
            }
        }
    }
}

pub fn install() -> Result {
    if let Some(found) = Toolchain::find()? {
        match found {
            Toolchain::Installed => println!("  the installed toolchain has {TARGET}"),
            Toolchain::Private(folder) => println!("  private sysroot {}", folder.display()),
        }
        return Ok(());
    }
    if apt_source::here() {
        sysroot::from_debian()?;
    } else {
        from_rustup()?;
    }
    match Toolchain::find()? {
        Some(_) => Ok(()),
        None => Err(Failure::new(
            format!("the installed compiler still finds no standard library for {TARGET}"),
            format!("`rustup target add {TARGET}` for the toolchain that `rustc -vV` names"),
        )),
    }
}

fn from_rustup() -> Result {
    let by_hand = format!("with rustup: `rustup target add {TARGET}`; else the like of your system's packages");
    Cmd::new("rustup").args(["target", "add", TARGET]).limit(RUSTUP_LIMIT).way_out(by_hand).run()
}

/// The linker that the toolchain ships, else LLVM's own.
fn linker() -> Result<PathBuf> {
    let rustc = Rustc::ask()?;
    let own = Path::new(&rustc.sysroot).join("lib/rustlib").join(&rustc.host).join("bin/rust-lld");
    if own.is_file() {
        return Ok(own);
    }
    paths::on_path("wasm-ld")
        .ok_or_else(|| Failure::new(format!("no linker for {TARGET}: neither {} nor wasm-ld", own.display()), "apt-get install lld"))
}

fn has_std(libraries: &Path) -> bool {
    fs::read_dir(libraries).is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
}
