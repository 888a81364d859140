//! Turns a cargo-built wasm into an ES module.
fn main() {}
