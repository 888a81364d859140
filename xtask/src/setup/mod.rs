//! `cargo xtask setup`: installs what the other chores need. Running it again changes nothing.

mod apt;
mod apt_source;
mod browser;
mod node;
mod rustc;
mod sysroot;
mod vulkan;
pub mod wasm_std;

pub use node::packages as node_packages;

use crate::failure::{Failure, Result};
use crate::steps::Steps;

struct Part {
    name: &'static str,
    install: fn() -> Result,
}

const PARTS: [Part; 4] = [
    Part { name: "vulkan", install: vulkan::install },
    Part { name: "browser", install: browser::install },
    Part { name: "node", install: node::install },
    Part { name: "wasm", install: wasm_std::install },
];

pub fn run(args: &[String]) -> Result {
    if let Some(word) = args.iter().find(|a| PARTS.iter().all(|p| p.name != a.as_str())) {
        return Err(Failure::new(
            format!("setup has no part `{word}`"),
            format!("the parts are: {}", PARTS.map(|part| part.name).join(", ")),
        ));
    }
    let mut steps = Steps::default();
    for part in PARTS {
        if args.is_empty() || args.iter().any(|arg| arg == part.name) {
            steps.must(&format!("setup {}", part.name), part.install)?;
        }
    }
    Ok(())
}

pub fn all() -> Result {
    run(&[])
}
