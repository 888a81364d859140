//! The Chromium and the Node that the page and package tests use.

use std::path::PathBuf;

use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::paths;

/// The oldest Node whose features the scripts use.
const NODE: u32 = 20;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const PLACES: [&str; 3] = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
];

/// The browser named by `WEFT_CHROMIUM`, or the installed one.
pub fn chromium() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("WEFT_CHROMIUM") {
        return Some(path.into());
    }
    let installed = || PLACES.iter().map(PathBuf::from).find(|path| path.is_file());
    NAMES.iter().find_map(|name| paths::on_path(name)).or_else(installed)
}

/// The browser, or how to get one.
pub fn need_chromium() -> Result<PathBuf> {
    chromium().ok_or_else(|| {
        Failure::new(
            "no Chromium on this machine",
            "`cargo xtask setup browser` (Debian, Ubuntu), or install Chromium or Chrome, or set WEFT_CHROMIUM to its path",
        )
    })
}

/// Fails unless a recent enough Node and npm are on `PATH`.
pub fn need_node() -> Result {
    let way_out = format!("install Node {NODE} or newer with npm (https://nodejs.org)");
    let version = Cmd::new("node").arg("--version").way_out(way_out.as_str()).output()?;
    match major(&version) {
        Some(found) if found >= NODE => {}
        _ => {
            let found = version.trim();
            return Err(Failure::new(format!("node is {found}, and {NODE} is needed"), way_out));
        }
    }
    npm().arg("--version").way_out(way_out).output().map(drop)
}

/// npm, in the spelling of this platform.
pub fn npm() -> Cmd {
    Cmd::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
}

fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_number_of_node_is_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("20.1"), None);
        assert_eq!(major("v"), None);
    }
}
