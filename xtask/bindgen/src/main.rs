//! Turns the wasm that cargo built into an ES module with types: `weft-bindgen IN.wasm OUT_DIR`.
//!
//! The same as wasm-bindgen's own command with `--target web`, but its version is pinned by this
//! workspace's lock file, so that it cannot differ from the library's.

use std::path::Path;
use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, out] = args.as_slice() else {
        eprintln!("usage: weft-bindgen IN.wasm OUT_DIR");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(Path::new(input)).typescript(true);
    let made = bindgen.web(true).and_then(|web| web.generate(Path::new(out)));
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:?}");
            ExitCode::FAILURE
        }
    }
}
