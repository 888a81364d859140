//! Contexts.

use crate::error::{Result, to_js};
use wasm_bindgen::prelude::*;
use weft::{Context, ContextOptions, Variant, wgpu};

/// A device or the CPU.
#[wasm_bindgen]
pub struct WasmContext(pub(crate) Context);

/// Opens the browser's WebGPU. `subgroup_min` and `subgroup_max` are the adapter's sizes if the caller
/// has asked the browser for the feature `subgroups`, else 0.
#[wasm_bindgen]
pub async fn open_webgpu(low_power: bool, subgroup_min: u32, subgroup_max: u32) -> Result<WasmContext> {
    let mut options = ContextOptions::default();
    options.power_preference = match low_power {
        true => wgpu::PowerPreference::LowPower,
        false => wgpu::PowerPreference::HighPerformance,
    };
    options = match subgroup_max {
        0 => options.with_variant(Variant::Plain),
        _ => options.with_variant(Variant::Subgroups).with_web_subgroups([subgroup_min, subgroup_max]),
    };
    Context::new(options).await.map(WasmContext).map_err(to_js)
}

/// The CPU twins.
#[wasm_bindgen]
pub fn open_cpu() -> WasmContext {
    WasmContext(Context::cpu())
}

#[wasm_bindgen]
impl WasmContext {
    /// `webgpu` or `cpu`.
    pub fn backend(&self) -> String {
        self.0.caps().backend.to_owned()
    }

    /// Whether a CPU does the work, as a twin or as a software adapter.
    pub fn is_software(&self) -> bool {
        self.0.caps().is_software()
    }

    /// Smallest and largest subgroup size; empty where subgroups are not used.
    pub fn subgroups(&self) -> Vec<u32> {
        self.0.caps().subgroups.map(Vec::from).unwrap_or_default()
    }

    /// Largest buffer, bytes.
    pub fn max_buffer_bytes(&self) -> f64 {
        self.0.caps().max_buffer_bytes as f64
    }

    /// Largest window of a buffer that a kernel sees at once, bytes.
    pub fn max_binding_bytes(&self) -> f64 {
        self.0.caps().max_binding_bytes as f64
    }

    /// The `GPUDevice`; `undefined` on the CPU.
    #[cfg(target_family = "wasm")]
    pub fn device(&self) -> JsValue {
        let device = self.0.device().and_then(wgpu::Device::as_webgpu);
        device.map_or(JsValue::UNDEFINED, |device| device.clone().into())
    }

    /// Gives pooled memory that nobody uses back to the driver.
    pub fn trim(&self) {
        self.0.trim();
    }
}
