//! The wasm-bindgen surface of weft.
