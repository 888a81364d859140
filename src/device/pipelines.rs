//! Kernels, compiled once a device.

use super::recording::PipelineKey;
use super::table::Table;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A compiled kernel.
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Those that were compiled so far.
pub(super) struct Pipelines {
    /// Whether kernels are compiled with wgpu's own checks of every access and loop.
    checks: bool,
    known: Mutex<Table<PipelineKey, Arc<Pipeline>>>,
}

impl Pipelines {
    pub(super) fn new(checks: bool) -> Self {
        Self { checks, known: Mutex::default() }
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
        let module = self.module(device, key);
        let entry = |binding: u32, ty, dynamic| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: dynamic, min_binding_size: None },
            count: None,
        };
        let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform, true)];
        for (index, &writable) in shader.writable.iter().enumerate() {
            entries.push(entry(index as u32 + 1, wgpu::BufferBindingType::Storage { read_only: !writable }, false));
        }
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(shader.name), entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shader.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
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
        Arc::new(Pipeline { pipeline, layout })
    }

    #[allow(unsafe_code, reason = "the only way to compile a kernel without checks of every access")]
    fn module(&self, device: &wgpu::Device, key: &PipelineKey) -> wgpu::ShaderModule {
        let shader = key.shader;
        // naga refuses `enable subgroups;`, browsers demand it (gfx-rs/wgpu#5555).
        let header = if cfg!(target_family = "wasm") && shader.subgroups { "enable subgroups;\n" } else { "" };
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(shader.name),
            source: wgpu::ShaderSource::Wgsl(format!("{header}{}", text(key)).into()),
        };
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
