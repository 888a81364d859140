//! The standard library for wasm32, with or without rustup.
//!
//! The installed toolchain is never changed except by rustup itself. Where rustup has nothing to
//! offer, the standard library is built from Debian's `rust-src` of exactly this compiler's version
//! into a private sysroot of symbolic links, which clones of this repository share.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::paths;
use crate::setup::apt_source;

pub const TARGET: &str = "wasm32-unknown-unknown";

/// Changes when the contents of the private sysroot do.
const LAYOUT: &str = "2";

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
    let rustup = match std::env::var("WEFT_WASM_STD").as_deref() {
        Ok("debian") => false,
        _ => from_rustup(),
    };
    if !rustup {
        from_debian()?;
    }
    match Toolchain::find()? {
        Some(_) => Ok(()),
        None => Err(Failure::new(
            format!("the installed compiler still finds no standard library for {TARGET}"),
            format!("`rustup target add {TARGET}` for the toolchain that `rustc -vV` names"),
        )),
    }
}

fn from_rustup() -> bool {
    if paths::on_path("rustup").is_none() {
        return false;
    }
    let added = Cmd::new("rustup").args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", "0").limit(RUSTUP_LIMIT).run();
    if added.is_err() {
        println!("  rustup could not add {TARGET}");
    }
    added.is_ok()
}

fn from_debian() -> Result {
    let rustc = Rustc::ask()?;
    let folder = rustc.private_folder()?;
    println!("  building the standard library of rustc {} from Debian's rust-src", rustc.release);
    // Elsewhere first: another clone may be using what is there.
    let made = folder.with_file_name(format!("wasm-part-{}", std::process::id()));
    remove(&made)?;
    let work = made.join("work");
    let library = apt_source::rust_library(&rustc.release, &work)?;
    let sysroot = private_sysroot(&rustc, &made)?;
    let source = sysroot.join("lib/rustlib/src/rust");
    create(&source)?;
    rename(&library, &source.join("library"))?;
    let script = format!("#!/bin/sh\nexec '{}/bin/rustc' --sysroot \"$(dirname \"$0\")/sysroot\" \"$@\"\n", rustc.sysroot);
    executable(&made.join("rustc"), &script)?;
    build(&made, &sysroot, &work.join("build"))?;
    // With no source left, cargo can only use what was built.
    remove(&sysroot.join("lib/rustlib/src"))?;
    remove(&work)?;
    write(&made.join("stamp"), &rustc.stamp())?;
    remove(&folder)?;
    rename(&made, &folder)
}

/// The installed sysroot through links, with an empty folder for the new target.
fn private_sysroot(rustc: &Rustc, folder: &Path) -> Result<PathBuf> {
    let sysroot = folder.join("sysroot");
    let installed = Path::new(&rustc.sysroot).join("lib");
    create(&sysroot.join("lib/rustlib").join(TARGET).join("lib"))?;
    let entries = fs::read_dir(&installed).map_err(|e| Failure::io("list", &installed, &e))?;
    for entry in entries.flatten().filter(|entry| entry.file_name() != "rustlib") {
        link(&entry.path(), &sysroot.join("lib").join(entry.file_name()))?;
    }
    let host = Path::new("rustlib").join(&rustc.host);
    link(&installed.join(&host), &sysroot.join("lib").join(&host))?;
    link(&Path::new(&rustc.sysroot).join("bin"), &sysroot.join("bin"))?;
    Ok(sysroot)
}

/// Builds a crate of nothing together with the standard library, and keeps the latter.
fn build(folder: &Path, sysroot: &Path, work: &Path) -> Result {
    create(&work.join("src"))?;
    write(
        &work.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n[profile.release]\npanic = \"abort\"\n",
    )?;
    write(&work.join("src/lib.rs"), "")?;
    let target = work.join("target");
    Toolchain::Private(folder.to_owned())
        .cargo()?
        .args(["build", "--release", "--target", TARGET])
        .arg("-Zbuild-std=std,panic_abort,proc_macro,test")
        // Building std is an unstable feature of a stable compiler.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", &target)
        // As in the official builds: without it, link-time optimisation stops at the standard library.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .without_env("CARGO_ENCODED_RUSTFLAGS")
        .without_env("CARGO_BUILD_TARGET")
        .dir(work)
        .way_out("this needs crates.io for the standard library's own dependencies")
        .run()?;
    let built = target.join(TARGET).join("release/deps");
    let kept = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    let entries = fs::read_dir(&built).map_err(|e| Failure::io("list", &built, &e))?;
    for entry in entries.flatten() {
        if entry.path().extension().is_some_and(|kind| kind == "rlib") {
            rename(&entry.path(), &kept.join(entry.file_name()))?;
        }
    }
    Ok(())
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

/// What the installed compiler says about itself.
struct Rustc {
    release: String,
    commit: String,
    host: String,
    sysroot: String,
}

impl Rustc {
    fn ask() -> Result<Self> {
        let text = Cmd::new("rustc").arg("-vV").output()?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(|value| value.trim().to_owned())
                .ok_or_else(|| Failure::new(format!("`rustc -vV` has no `{name}`"), "check the Rust installation"))
        };
        Ok(Self { release: field("release:")?, commit: field("commit-hash:")?, host: field("host:")?, sysroot: print("sysroot", &[])? })
    }

    fn private_folder(&self) -> Result<PathBuf> {
        let cache = paths::cache().ok_or_else(|| Failure::new("no place for a cache", "set HOME or XDG_CACHE_HOME to a folder"))?;
        Ok(cache.join(format!("wasm-{}-{LAYOUT}", self.release)))
    }

    fn stamp(&self) -> String {
        format!("{} {} {} layout {LAYOUT}\n", self.release, self.commit, self.sysroot)
    }
}

fn print(what: &str, more: &[&str]) -> Result<String> {
    let text = Cmd::new("rustc").args(["--print", what]).args(more).output()?;
    Ok(text.trim().to_owned())
}

fn create(dir: &Path) -> Result {
    fs::create_dir_all(dir).map_err(|e| Failure::io("create", dir, &e))
}

fn remove(dir: &Path) -> Result {
    if !dir.exists() {
        return Ok(());
    }
    fs::remove_dir_all(dir).map_err(|e| Failure::io("remove", dir, &e))
}

fn rename(from: &Path, to: &Path) -> Result {
    fs::rename(from, to).map_err(|e| Failure::io("move", from, &e))
}

fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|e| Failure::io("write", path, &e))
}

#[cfg(unix)]
fn executable(path: &Path, text: &str) -> Result {
    use std::os::unix::fs::PermissionsExt;
    write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|e| Failure::io("make executable", path, &e))
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) -> Result {
    std::os::unix::fs::symlink(to, at).map_err(|e| Failure::io("link", at, &e))
}

#[cfg(not(unix))]
fn executable(path: &Path, _: &str) -> Result {
    Err(not_debian(path))
}

#[cfg(not(unix))]
fn link(_: &Path, at: &Path) -> Result {
    Err(not_debian(at))
}

#[cfg(not(unix))]
fn not_debian(path: &Path) -> Failure {
    Failure::new(format!("cannot make {}: this is no Debian system", path.display()), format!("rustup target add {TARGET}"))
}
