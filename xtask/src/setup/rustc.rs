//! The installed compiler.

use std::path::PathBuf;

use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::paths;

/// Changes when the contents of the private sysroot do.
pub const LAYOUT: &str = "3";

/// What the installed compiler says about itself.
pub struct Rustc {
    pub release: String,
    pub commit: String,
    pub host: String,
    pub sysroot: String,
}

impl Rustc {
    pub fn ask() -> Result<Self> {
        let text = Cmd::new("rustc").arg("-vV").output()?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(|value| value.trim().to_owned())
                .ok_or_else(|| Failure::new(format!("`rustc -vV` has no `{name}`"), "check the Rust installation"))
        };
        Ok(Self { release: field("release:")?, commit: field("commit-hash:")?, host: field("host:")?, sysroot: print("sysroot", &[])? })
    }

    /// Where the private sysroot of this compiler is kept.
    pub fn private_folder(&self) -> Result<PathBuf> {
        let cache = paths::cache().ok_or_else(|| Failure::new("no place for a cache", "set HOME or XDG_CACHE_HOME to a folder"))?;
        Ok(cache.join(format!("wasm-{}-{LAYOUT}", self.release)))
    }

    /// Tells that the private sysroot is whole and was made for this very compiler.
    pub fn stamp(&self) -> String {
        format!("{} {} {} layout {LAYOUT}\n", self.release, self.commit, self.sysroot)
    }
}

/// `rustc --print WHAT`.
pub fn print(what: &str, more: &[&str]) -> Result<String> {
    let text = Cmd::new("rustc").args(["--print", what]).args(more).output()?;
    Ok(text.trim().to_owned())
}
