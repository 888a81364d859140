//! The npm packages of every folder that has a `package.json`.

use std::path::Path;
use std::time::SystemTime;

use crate::browser::{need_node, npm};
use crate::failure::{Failure, Result};
use crate::paths;

/// In this order: the page depends on the package.
const FOLDERS: [&str; 3] = ["tests/tint", "wasm", "web-demo"];

pub fn install() -> Result {
    need_node()?;
    for folder in FOLDERS {
        let dir = paths::root().join(folder);
        if dir.join("package.json").is_file() {
            packages(&dir)?;
        }
    }
    Ok(())
}

/// Installs the packages that the folder's lock file names, unless that has been done.
pub fn packages(dir: &Path) -> Result {
    let manifest = dir.join("package.json");
    if !manifest.is_file() {
        return Err(Failure::new(
            format!("there is no {}", paths::short(&manifest)),
            "this checkout is not complete: `git status` shows what is gone",
        ));
    }
    if current(dir) {
        println!("  {}/node_modules is current", paths::short(dir));
        return Ok(());
    }
    let locked = dir.join("package-lock.json").is_file();
    npm()
        .args([if locked { "ci" } else { "install" }])
        .args(["--no-audit", "--no-fund"])
        .dir(dir)
        .way_out("check that npm reaches its registry: `npm ping`")
        .run()
}

/// npm writes `node_modules/.package-lock.json` last.
fn current(dir: &Path) -> bool {
    let modified = |name: &str| -> Option<SystemTime> { dir.join(name).metadata().and_then(|m| m.modified()).ok() };
    let Some(installed) = modified("node_modules/.package-lock.json") else {
        return false;
    };
    ["package.json", "package-lock.json"].into_iter().filter_map(modified).all(|wanted| wanted <= installed)
}
