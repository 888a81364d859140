//! Weights files.

use crate::error::{Result, to_js};
use crate::memory::bytes;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;
use weft::Weights;

/// The tensors of a safetensors file.
#[wasm_bindgen]
pub struct WasmWeights(pub(crate) Weights);

#[wasm_bindgen]
impl WasmWeights {
    /// From the bytes of a file.
    pub fn from_bytes(file: &Uint8Array) -> Result<Self> {
        Weights::from_bytes(bytes(file)?).map(Self).map_err(to_js)
    }

    /// Names of all tensors.
    pub fn names(&self) -> Vec<String> {
        self.0.names()
    }

    /// Sides of a tensor; `undefined` if there is none of that name.
    pub fn shape(&self, name: &str) -> Option<Vec<u32>> {
        self.0.shape(name).map(|sides| sides.iter().map(|&side| side as u32).collect())
    }
}
