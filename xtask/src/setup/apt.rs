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
    // One source of many that does not answer need not matter: the installation says what is missing.
    if let Err(failure) = apt(&["update"]).run() {
        println!("{failure}");
    }
    apt(&["-y", "install", "--no-install-recommends"])
        .args(packages)
        .way_out(format!("see what apt says above; by hand: apt-get update && apt-get install {names}"))
        .run()
}

fn apt(args: &[&str]) -> Cmd {
    // Another installation may be under way on a machine that has just started.
    Cmd::new("apt-get").args(["-qq", "-o", "DPkg::Lock::Timeout=300"]).args(args).env("DEBIAN_FRONTEND", "noninteractive")
}
