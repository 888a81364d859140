//! A private sysroot: the installed toolchain through symbolic links, and the standard library for
//! wasm32 beside it, built from Debian's `rust-src` of exactly this compiler's version. The toolchain
//! itself stays as it is, and clones of this repository share the result.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::files::{create, executable, link, remove, rename, write};
use crate::setup::apt_source;
use crate::setup::rustc::Rustc;
use crate::setup::wasm_std::{TARGET, Toolchain};

pub fn from_debian() -> Result {
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
        // Its messages name no folder of this machine, as those of the official builds.
        .env("RUSTFLAGS", format!("-Cembed-bitcode=yes --remap-path-prefix={}=/rustc", sysroot.join("lib/rustlib/src/rust").display()))
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
