//! Every shader through Tint, the compiler of Chrome and Dawn.

use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::{browser, paths, setup};

pub fn run() -> Result {
    browser::need_node()?;
    let script = paths::root().join("tests/tint");
    setup::node_packages(&script)?;
    let dump = paths::target().join("tint");
    // Old texts would be checked as if they were new.
    if dump.exists() {
        std::fs::remove_dir_all(&dump).map_err(|e| Failure::io("empty", &dump, &e))?;
    }
    Cmd::cargo()
        .args(["build", "--package", "weft-gpu"])
        .env("WEFT_DUMP_SHADERS", &dump)
        .run()?;
    Cmd::new("node")
        .args(["check.mjs".as_ref(), dump.as_os_str()])
        .dir(script)
        .way_out("the messages above name the shader, the line and Tint's reason")
        .run()
}
