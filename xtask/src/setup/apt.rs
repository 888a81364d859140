//! Debian's package manager.

use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::paths;

/// Whether this machine is a Debian (or child of it) where this user may install packages.
pub fn usable() -> bool {
    let root = || Cmd::new("id").arg("-u").output().is_ok_and(|id| id.trim() == "0");
    paths::on_path("apt-get").is_some() && root()
}

/// Installs the packages, or says in one line what to type.
pub fn install(why: &str, packages: &[&str]) -> Result {
    let names = packages.join(" ");
    if !usable() {
        return Err(Failure::new(
            format!("{why} is missing, and this user cannot install Debian packages"),
            format!("`sudo apt-get install {names}`, or the like on other systems"),
        ));
    }
    let way_out = format!("see what apt says above; by hand: apt-get update && apt-get install {names}");
    Cmd::new("apt-get").args(["-qq", "update"]).way_out(way_out.as_str()).run()?;
    Cmd::new("apt-get")
        .args(["-qq", "-y", "install", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .way_out(way_out)
        .run()
}
