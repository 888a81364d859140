//! A context: one device (or the CPU twins) that tensors live in and calls run on.

use super::caps::Caps;
use super::engine::{Engine, RunReport};
use super::pool::GpuBuffer;
use super::recording::Recording;
use super::{adapter, shader};
use crate::cpu::{self, HostBuffer};
use crate::error::{Error, Result};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Which variant of each kernel to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// The fastest that the device can run.
    #[default]
    Auto,
    /// Workgroup memory and barriers only: runs anywhere.
    Plain,
    /// Subgroup operations; an error on a device without them.
    Subgroups,
}

/// How a context is made. `Default` takes the fastest adapter of this machine.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ContextOptions {
    /// Graphics APIs to look at; `None` means those of `WGPU_BACKEND`, or all that are compiled in.
    pub backends: Option<wgpu::Backends>,
    /// Part of an adapter's name, case ignored.
    pub adapter_name: Option<String>,
    /// Fast or frugal, where a machine has both.
    pub power_preference: wgpu::PowerPreference,
    /// Which variant of each kernel to use.
    pub variant: Variant,
    /// Measure GPU time of every call by timestamp queries (costs a readback a call).
    pub timing: bool,
    /// Compile kernels with wgpu's checks of every access and loop. Off by default: the build validates
    /// the kernels, and plans keep their indices within bounds. Browsers check always.
    pub shader_checks: bool,
    /// A lower limit than the device's on what a kernel sees of a buffer at once, bytes: plans cut
    /// their work finer. For tests, and for drivers that promise too much.
    pub max_binding_bytes: Option<u64>,
    /// A lower limit than the device's on workgroups along a side of the grid: plans fold their grids
    /// sooner. For tests: grids beyond 65,535 groups are slow where they are most worth testing.
    pub max_workgroups: Option<u32>,
    /// Smallest and largest subgroup size, where the page has asked the browser for the feature
    /// `subgroups` itself: wgpu 30 cannot (gfx-rs/wgpu#10146).
    pub web_subgroups: Option<[u32; 2]>,
}

impl ContextOptions {
    /// From `WGPU_BACKEND`, `WGPU_ADAPTER_NAME`, `WGPU_POWER_PREF` (`low` or `high`),
    /// `WEFT_VARIANT` (`plain` or `subgroups`) and `WEFT_SHADER_CHECKS` (1: with checks).
    pub fn from_env() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        let high = wgpu::PowerPreference::HighPerformance;
        Self {
            adapter_name: variable("WGPU_ADAPTER_NAME"),
            power_preference: wgpu::PowerPreference::from_env().unwrap_or(high),
            variant: match variable("WEFT_VARIANT").as_deref() {
                Some("plain") => Variant::Plain,
                Some("subgroups") => Variant::Subgroups,
                _ => Variant::Auto,
            },
            shader_checks: variable("WEFT_SHADER_CHECKS").is_some_and(|v| v == "1"),
            ..Self::default()
        }
    }

    /// Sets [`timing`](Self::timing).
    pub fn with_timing(mut self, timing: bool) -> Self {
        self.timing = timing;
        self
    }

    /// Sets [`variant`](Self::variant).
    pub fn with_variant(mut self, variant: Variant) -> Self {
        self.variant = variant;
        self
    }

    /// Sets [`shader_checks`](Self::shader_checks).
    pub fn with_shader_checks(mut self, checks: bool) -> Self {
        self.shader_checks = checks;
        self
    }

    /// Sets [`max_binding_bytes`](Self::max_binding_bytes).
    pub fn with_max_binding_bytes(mut self, bytes: u64) -> Self {
        self.max_binding_bytes = Some(bytes);
        self
    }

    /// Sets [`max_workgroups`](Self::max_workgroups).
    pub fn with_max_workgroups(mut self, groups: u32) -> Self {
        self.max_workgroups = Some(groups);
        self
    }

    /// Sets [`web_subgroups`](Self::web_subgroups).
    pub fn with_web_subgroups(mut self, sizes: [u32; 2]) -> Self {
        self.web_subgroups = Some(sizes);
        self
    }
}

/// One device, or the CPU. Cheap to clone; clones share everything.
///
/// `Send` and `Sync` on native; on wasm it stays on its thread, as wgpu's types do.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    caps: Caps,
    backend: Backend,
}

enum Backend {
    Gpu(Box<Engine>),
    Cpu,
}

/// Memory of a context.
#[derive(Clone)]
pub(crate) enum Storage {
    Gpu(Arc<GpuBuffer>),
    Cpu(HostBuffer),
}

impl Storage {
    /// The buffer, if it is on a GPU.
    pub(crate) fn buffer(&self) -> Option<&wgpu::Buffer> {
        match self {
            Self::Gpu(buffer) => Some(&buffer.buffer),
            Self::Cpu(_) => None,
        }
    }
}

impl Context {
    /// Opens the adapter that the options name, with the adapter's own limits.
    ///
    /// # Errors
    /// [`Error::NoAdapter`], [`Error::NoDevice`]; [`Error::MissingFeature`] if subgroup kernels are
    /// demanded of a device without them.
    pub async fn new(options: ContextOptions) -> Result<Self> {
        let adapter = adapter::choose(&options).await?;
        let (device, queue) = adapter::open(&adapter).await?;
        Self::with_options(&adapter, device, queue, &options)
    }

    /// [`new`](Self::new), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn new_blocking(options: ContextOptions) -> Result<Self> {
        pollster::block_on(Self::new(options))
    }

    /// Shares a device that the caller owns. Its enabled features and limits are respected; subgroup
    /// kernels need `Features::SUBGROUP`, GPU timing `Features::TIMESTAMP_QUERY`. Sets the device's
    /// lost callback.
    pub fn from_wgpu(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Self::with_options(adapter, device, queue, &ContextOptions::default())
    }

    fn with_options(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue, options: &ContextOptions) -> Result<Self> {
        let caps = adapter::facts(adapter, &device, options);
        if options.variant == Variant::Subgroups && caps.subgroups.is_none() {
            return Err(Error::MissingFeature {
                feature: "subgroup operations",
                adapter: caps.adapter,
                help: "use Variant::Auto or Variant::Plain",
            });
        }
        let engine = Engine::new(device, queue, &caps, options);
        Ok(Self(Arc::new(Inner { caps, backend: Backend::Gpu(Box::new(engine)) })))
    }

    /// The CPU twins of all kernels: no adapter needed, the same results.
    pub fn cpu() -> Self {
        Self(Arc::new(Inner { caps: Caps::cpu(), backend: Backend::Cpu }))
    }

    /// What this device is and can do.
    pub fn caps(&self) -> &Caps {
        &self.0.caps
    }

    /// The wgpu device, to share with other code; `None` on the CPU.
    pub fn device(&self) -> Option<&wgpu::Device> {
        match &self.0.backend {
            Backend::Gpu(engine) => Some(engine.device()),
            Backend::Cpu => None,
        }
    }

    /// The wgpu queue, to share with other code; `None` on the CPU.
    pub fn queue(&self) -> Option<&wgpu::Queue> {
        match &self.0.backend {
            Backend::Gpu(engine) => Some(engine.queue()),
            Backend::Cpu => None,
        }
    }

    /// Gives pooled memory that nobody uses back to the driver.
    pub fn trim(&self) {
        if let Backend::Gpu(engine) = &self.0.backend {
            engine.trim();
        }
    }

    /// Whether both are the same context.
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn allocate(&self, bytes: u64) -> Result<Storage> {
        let have = self.0.caps.max_buffer_bytes;
        if bytes > have {
            return Err(Error::LimitExceeded {
                what: "one buffer, bytes",
                need: bytes,
                have,
                help: "split the batch over several tensors",
            });
        }
        Ok(match &self.0.backend {
            Backend::Gpu(engine) => Storage::Gpu(Arc::new(engine.allocate(bytes)?)),
            Backend::Cpu => Storage::Cpu(Arc::new(Mutex::new(cpu::allocate(bytes)?))),
        })
    }

    pub(crate) fn write(&self, storage: &Storage, words: &[u32]) -> Result<()> {
        match (&self.0.backend, storage) {
            (Backend::Gpu(engine), Storage::Gpu(buffer)) => engine.write(buffer, bytemuck::cast_slice(words)),
            (_, Storage::Cpu(buffer)) => {
                buffer.lock().unwrap_or_else(PoisonError::into_inner)[..words.len()].copy_from_slice(words);
                Ok(())
            }
            (Backend::Cpu, Storage::Gpu(_)) => Err(Error::OtherContext { argument: "tensor" }),
        }
    }

    pub(crate) async fn read(&self, storage: &Storage, bytes: u64) -> Result<Vec<u32>> {
        match (&self.0.backend, storage) {
            (Backend::Gpu(engine), Storage::Gpu(buffer)) => engine.read(buffer, bytes).await,
            (_, Storage::Cpu(buffer)) => Ok(buffer.lock().unwrap_or_else(PoisonError::into_inner)[..(bytes / 4) as usize].to_vec()),
            (Backend::Cpu, Storage::Gpu(_)) => Err(Error::OtherContext { argument: "tensor" }),
        }
    }

    /// Runs a plan on memory of this context, given in the order in which the plan declared it.
    pub(crate) async fn run_on(&self, recording: &Recording, bound: &[&Storage]) -> Result<RunReport> {
        match &self.0.backend {
            Backend::Gpu(engine) => {
                let buffers: Vec<&GpuBuffer> = bound
                    .iter()
                    .filter_map(|storage| match storage {
                        Storage::Gpu(buffer) => Some(&**buffer),
                        Storage::Cpu(_) => None,
                    })
                    .collect();
                engine.run(recording, &buffers).await
            }
            Backend::Cpu => {
                let buffers: Vec<HostBuffer> = bound
                    .iter()
                    .filter_map(|storage| match storage {
                        Storage::Cpu(buffer) => Some(buffer.clone()),
                        Storage::Gpu(_) => None,
                    })
                    .collect();
                cpu::run(recording, &buffers)?;
                Ok(RunReport { dispatches: recording.dispatches() as u32, ..RunReport::default() })
            }
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("caps", &self.0.caps).finish_non_exhaustive()
    }
}

/// Names of every shader variant that this device would run, by kernel.
pub(super) fn chosen_variants(caps: &Caps) -> Vec<&'static str> {
    let mut kernels: Vec<_> = shader::SHADERS.iter().map(|s| s.kernel).collect();
    kernels.dedup();
    kernels.into_iter().map(|k| caps.shader(k).name).collect()
}

#[cfg(not(target_family = "wasm"))]
const _: () = {
    const fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Context>();
};
