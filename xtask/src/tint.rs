//! Every shader through Tint, the compiler of Chrome and Dawn.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::command::Cmd;
use crate::failure::Result;
use crate::files::{create, remove};
use crate::{browser, paths, setup};

const LIMIT: Duration = Duration::from_secs(300);

pub fn run() -> Result {
    browser::need_node()?;
    let script = paths::root().join("tests/tint");
    setup::node_packages(&script)?;
    let dump = fresh_folder()?;
    Cmd::cargo().args(["check", "--workspace"]).env("WEFT_DUMP_SHADERS", &dump).run()?;
    // What fills the slots of kernels is printed when a plan is made: a test prints that of every cell.
    Cmd::cargo().args(["test", "--package", "weft-gpu", "--test", "cells", "texts"]).env("WEFT_DUMP_SHADERS", &dump).run()?;
    Cmd::new("node")
        .args(["check.mjs".as_ref(), dump.as_os_str()])
        .dir(script)
        .limit(LIMIT)
        .way_out("the messages above name the shader, the line and Tint's reason")
        .run()
}

/// A folder of a name never used before: an old text must not be checked as if it were new, and
/// cargo runs the build script, which writes the texts, only when the name changes.
fn fresh_folder() -> Result<PathBuf> {
    let parent = paths::target().join("tint");
    remove(&parent)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let folder = parent.join(now.unwrap_or_default().as_millis().to_string());
    create(&folder)?;
    Ok(folder)
}
