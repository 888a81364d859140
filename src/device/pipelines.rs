//! Kernels, compiled once a device.

use super::recording::PipelineKey;
use super::table::Table;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A compiled kernel.
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    /// Whether the params of a launch go with it; else they lie in a buffer.
    pub takes_params: bool,
}

/// Those that were compiled so far.
pub(super) struct Pipelines {
    /// Whether kernels are compiled with wgpu's own checks of every access and loop.
    checks: bool,
    /// Bytes that can go with a launch.
    most_params: u32,
    known: Mutex<Table<PipelineKey, Arc<Pipeline>>>,
}

impl Pipelines {
    pub(super) fn new(device: &wgpu::Device, checks: bool) -> Self {
        // The web backend of wgpu 30 panics at them.
        let has_immediates = cfg!(not(target_family = "wasm")) && device.features().contains(wgpu::Features::IMMEDIATES);
        let most_params = if has_immediates { device.limits().max_immediate_size } else { 0 };
        Self { checks, most_params, known: Mutex::default() }
    }

    pub(super) fn get(&self, key: &PipelineKey) -> Option<Arc<Pipeline>> {
        self.lock().get(key).cloned()
    }

    pub(super) fn insert(&self, key: PipelineKey, pipeline: Arc<Pipeline>) {
        self.lock().entry(key, || pipeline);
    }

    fn lock(&self) -> MutexGuard<'_, Table<PipelineKey, Arc<Pipeline>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compiles; to be called within error scopes of the calling thread.
    pub(super) fn compile(&self, device: &wgpu::Device, key: &PipelineKey) -> Arc<Pipeline> {
        #[cfg(not(target_family = "wasm"))]
        let watch = super::clock::Stopwatch::start();
        let shader = key.shader;
        let takes_params = shader.params_bytes <= self.most_params;
        let module = self.module(device, key, takes_params);
        let entry = |binding: u32, ty, dynamic| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: dynamic, min_binding_size: None },
            count: None,
        };
        let mut entries = Vec::new();
        if !takes_params {
            entries.push(entry(0, wgpu::BufferBindingType::Uniform, true));
        }
        for (index, &writable) in shader.writable.iter().enumerate() {
            entries.push(entry(index as u32 + 1, wgpu::BufferBindingType::Storage { read_only: !writable }, false));
        }
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(shader.name), entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shader.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: if takes_params { shader.params_bytes } else { 0 },
        });
        let set = |key: &&(&str, u64)| !shader.shape.contains(&key.0);
        let constants: Vec<(&str, f64)> = key.constants.iter().filter(set).map(|&(name, bits)| (name, f64::from_bits(bits))).collect();
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(shader.name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // Every kernel writes workgroup memory before it reads it, or drops what it read.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        #[cfg(not(target_family = "wasm"))]
        log::debug!("compiled {} in {:?}", shader.name, watch.elapsed());
        Arc::new(Pipeline { pipeline, layout, takes_params })
    }

    #[allow(unsafe_code, reason = "the only way to compile a kernel without checks of every access")]
    fn module(&self, device: &wgpu::Device, key: &PipelineKey, takes_params: bool) -> wgpu::ShaderModule {
        let shader = key.shader;
        let text = if takes_params { with_immediates(text(key)) } else { text(key) };
        // naga refuses `enable subgroups;`, browsers demand it (gfx-rs/wgpu#5555).
        let header = if cfg!(target_family = "wasm") && shader.subgroups { "enable subgroups;\n" } else { "" };
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(shader.name), source: wgpu::ShaderSource::Wgsl(format!("{header}{text}").into()) };
        if self.checks {
            return device.create_shader_module(descriptor);
        }
        // SAFETY: the text is one of this crate's own, which the build has validated, and no caller can
        // change it but for the program in its slot: arithmetic on numbers, without memory or loops, printed from an
        // expression graph. Its plans keep every index within the bound windows and every divisor above zero,
        // its loops are bounded by the params, and the tests run all kernels with the checks as well.
        unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
    }
}

/// The text of a kernel whose params go with each launch.
fn with_immediates(text: String) -> String {
    text.replacen("@group(0) @binding(0)\nvar<uniform> params:", "var<immediate> params:", 1)
}

/// The text of a kernel: its slot filled, and unrolled.
fn text(PipelineKey { shader, program, constants }: &PipelineKey) -> String {
    let rolled = shader.wgsl(program.as_ref().map_or("", |program| program.text()));
    // Kernels that plans unroll are for native only.
    #[cfg(not(target_family = "wasm"))]
    if !shader.shape.is_empty() {
        let shape: Vec<(&str, u32)> = constants.iter().map(|&(name, bits)| (name, f64::from_bits(bits) as u32)).collect();
        // The build has unrolled it; with numbers that are none the compiler is left to say what is wrong.
        return super::unroll::unroll(&rolled, &shape).map_or(rolled, |unrolled| unrolled.text);
    }
    #[cfg(target_family = "wasm")]
    let _ = constants;
    rolled
}

#[cfg(test)]
mod tests {
    use super::with_immediates;
    use crate::device::shader::SHADERS;

    #[test]
    fn every_kernel_can_have_its_params_with_the_launch() {
        for shader in &SHADERS {
            let text = with_immediates(shader.wgsl(""));
            assert!(text.contains("var<immediate> params: Params;") && !text.contains("@binding(0)"), "{}", shader.name);
        }
    }
}
