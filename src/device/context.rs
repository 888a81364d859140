//! A context: one device (or the CPU twins) that tensors live in and calls run on.

use super::adapter;
use super::caps::Caps;
use super::engine::{Engine, RunReport};
use super::pool::GpuBuffer;
use super::recording::{Recording, Role};
#[cfg(not(target_family = "wasm"))]
use super::{KernelTime, together, tunings::Tunings};
use crate::cpu::{self, HostBuffer};
use crate::error::{Error, Result, within};
use std::fmt;
#[cfg(not(target_family = "wasm"))]
use std::path::{Path, PathBuf};
#[cfg(not(target_family = "wasm"))]
use std::sync::OnceLock;
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
#[derive(Clone, Debug)]
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
    /// The same of every kernel, for [`Context::take_kernel_times`]: each launch is a pass of its own, so that a call with many takes
    /// longer than it would. Native only.
    #[cfg(not(target_family = "wasm"))]
    pub kernel_times: bool,
    /// Compile kernels with wgpu's checks of every access and loop. Off by default: the build validates
    /// the kernels, and plans keep their indices within bounds. Browsers check always.
    pub shader_checks: bool,
    /// A lower limit than the device's on what a kernel sees of a buffer at once, bytes: plans cut
    /// their work finer. For tests, and for drivers that promise too much.
    pub max_binding_bytes: Option<u64>,
    /// A lower limit than the device's on workgroups along a side of the grid: plans fold their grids
    /// sooner. For tests: grids beyond 65,535 groups are slow where they are most worth testing.
    pub max_workgroups: Option<u32>,
    /// How many workgroups run at the same time, where that is known: kernels whose workgroups wait for each other (the persistent tier
    /// of recurrent layers) use no more. 0 keeps them from being used. `None`, the default: the device is asked when such a kernel might
    /// be used first, on native and on cards with memory of their own only.
    pub workgroups_together: Option<u32>,
    /// Recurrent layers measure which tier, and which layout of it, is the fastest at the first call of each size (for about half a
    /// second, mostly of compiling; needs timestamps), and all contexts of this process on this adapter that ask for it go by that.
    /// Without it, the default, a model of the costs decides: the same way in every process, so the same bits. Native only.
    pub tuning: bool,
    /// The same, with what is measured kept in this file, for other processes: each size is measured once an adapter, and whoever starts
    /// with the same file has the same bits. Contexts that name a file go by what it has, and by what they measure themselves, with or
    /// without `tuning`; those of one process or of several may share one. It is JSON, and belongs to one build of weft: **whatever
    /// else is there is replaced** at the first measurement. A file that cannot be read or written is logged, and is no error.
    #[cfg(not(target_family = "wasm"))]
    pub tuning_file: Option<PathBuf>,
    /// Smallest and largest subgroup size, where the page has asked the browser for the feature
    /// `subgroups` itself: wgpu 30 cannot (gfx-rs/wgpu#10146).
    pub web_subgroups: Option<[u32; 2]>,
    /// An environment variable whose value means nothing: its name, the value, what it may be.
    refused: Option<(&'static str, String, &'static str)>,
}

impl Default for ContextOptions {
    fn default() -> Self {
        Self {
            backends: None,
            adapter_name: None,
            power_preference: wgpu::PowerPreference::HighPerformance,
            variant: Variant::Auto,
            timing: false,
            #[cfg(not(target_family = "wasm"))]
            kernel_times: false,
            shader_checks: false,
            max_binding_bytes: None,
            max_workgroups: None,
            workgroups_together: None,
            tuning: false,
            #[cfg(not(target_family = "wasm"))]
            tuning_file: None,
            web_subgroups: None,
            refused: None,
        }
    }
}

impl ContextOptions {
    /// From `WGPU_BACKEND`, `WGPU_ADAPTER_NAME`, `WGPU_POWER_PREF` (`low` or `high`), `WEFT_VARIANT`
    /// (`auto`, `plain` or `subgroups`), `WEFT_SHADER_CHECKS` (1: with checks, 0: without) and `WEFT_PERSISTENT` (0: recurrent layers
    /// never run many steps by one launch; 1: where they can, see [`workgroups_together`](Self::workgroups_together)). With another
    /// value no context can be made.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name| variable(name).filter(|v| !v.is_empty());
        let mut options = Self { adapter_name: variable("WGPU_ADAPTER_NAME"), ..Self::default() };
        if let Some(value) = variable("WGPU_POWER_PREF") {
            match value.to_ascii_lowercase().as_str() {
                "low" => options.power_preference = wgpu::PowerPreference::LowPower,
                "high" => options.power_preference = wgpu::PowerPreference::HighPerformance,
                "none" => options.power_preference = wgpu::PowerPreference::None,
                _ => options.refused = Some(("WGPU_POWER_PREF", value, "it may be low, high or none")),
            }
        }
        if let Some(value) = variable("WEFT_VARIANT") {
            match value.as_str() {
                "auto" => options.variant = Variant::Auto,
                "plain" => options.variant = Variant::Plain,
                "subgroups" => options.variant = Variant::Subgroups,
                _ => options.refused = Some(("WEFT_VARIANT", value, "it may be auto, plain or subgroups")),
            }
        }
        if let Some(value) = variable("WEFT_PERSISTENT") {
            match value.as_str() {
                "0" => options.workgroups_together = Some(0),
                "1" => options.workgroups_together = None,
                _ => options.refused = Some(("WEFT_PERSISTENT", value, "it may be 0 or 1")),
            }
        }
        if let Some(value) = variable("WEFT_SHADER_CHECKS") {
            match value.as_str() {
                "0" => options.shader_checks = false,
                "1" => options.shader_checks = true,
                _ => options.refused = Some(("WEFT_SHADER_CHECKS", value, "it may be 0 or 1")),
            }
        }
        options
    }

    /// Sets [`timing`](Self::timing).
    pub fn with_timing(mut self, timing: bool) -> Self {
        self.timing = timing;
        self
    }

    /// Sets [`kernel_times`](Self::kernel_times).
    #[cfg(not(target_family = "wasm"))]
    pub fn with_kernel_times(mut self, kernel_times: bool) -> Self {
        self.kernel_times = kernel_times;
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

    /// Sets [`workgroups_together`](Self::workgroups_together): a number, or `None` to ask the device.
    pub fn with_workgroups_together(mut self, groups: impl Into<Option<u32>>) -> Self {
        self.workgroups_together = groups.into();
        self
    }

    /// Sets [`tuning`](Self::tuning).
    pub fn with_tuning(mut self, tuning: bool) -> Self {
        self.tuning = tuning;
        self
    }

    /// Sets [`tuning_file`](Self::tuning_file).
    #[cfg(not(target_family = "wasm"))]
    pub fn with_tuning_file(mut self, path: impl AsRef<Path>) -> Self {
        self.tuning_file = Some(path.as_ref().to_owned());
        self
    }

    /// What recurrent layers go by that measure which tier is the fastest.
    #[cfg(not(target_family = "wasm"))]
    fn tunings(&self) -> Option<Arc<Tunings>> {
        match &self.tuning_file {
            Some(path) => Some(Tunings::of_file(path)),
            None => self.tuning.then(Tunings::of_process),
        }
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
    /// What the device said when it was asked how many workgroups run together.
    #[cfg(not(target_family = "wasm"))]
    asked: OnceLock<Caps>,
    /// What recurrent layers measured, if they do.
    #[cfg(not(target_family = "wasm"))]
    tunings: Option<Arc<Tunings>>,
}

impl Inner {
    fn new(caps: Caps, backend: Backend) -> Self {
        Self {
            caps,
            backend,
            #[cfg(not(target_family = "wasm"))]
            asked: OnceLock::new(),
            #[cfg(not(target_family = "wasm"))]
            tunings: None,
        }
    }
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

    /// Whether both are the same memory.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gpu(one), Self::Gpu(other)) => Arc::ptr_eq(one, other),
            (Self::Cpu(one), Self::Cpu(other)) => Arc::ptr_eq(one, other),
            (Self::Gpu(_), Self::Cpu(_)) | (Self::Cpu(_), Self::Gpu(_)) => false,
        }
    }
}

impl Context {
    /// Opens the adapter that the options name, with the adapter's own limits.
    ///
    /// # Errors
    /// [`Error::NoAdapter`], [`Error::NoDevice`]; [`Error::MissingFeature`] if subgroup kernels are
    /// demanded of a device without them, [`Error::LimitExceeded`] if it is too small for any kernel;
    /// [`Error::Value`] if the options came from an environment variable that means nothing.
    pub async fn new(options: ContextOptions) -> Result<Self> {
        if let Some((argument, value, help)) = options.refused {
            return Err(Error::Value { argument, value, help });
        }
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
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] if the device was opened with lower limits than those that every WebGPU
    /// device grants (`wgpu::Limits::default()`), where the kernels need them.
    pub fn from_wgpu(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Self::with_options(adapter, device, queue, &ContextOptions::default())
    }

    fn with_options(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue, options: &ContextOptions) -> Result<Self> {
        let caps = adapter::facts(adapter, &device, options);
        caps.check()?;
        if options.variant == Variant::Subgroups && caps.subgroups.is_none() {
            return Err(Error::MissingFeature {
                feature: "subgroup operations",
                adapter: caps.adapter,
                help: "use Variant::Auto or Variant::Plain",
            });
        }
        let engine = Engine::new(device, queue, &caps, options);
        let inner = Inner::new(caps, Backend::Gpu(Box::new(engine)));
        #[cfg(not(target_family = "wasm"))]
        let inner = Inner { tunings: options.tunings(), ..inner };
        let context = Self(Arc::new(inner));
        #[cfg(not(target_family = "wasm"))]
        if options.workgroups_together.is_some() || !together::may_wait(context.caps()) {
            let _ = context.0.asked.set(context.0.caps.clone());
        }
        Ok(context)
    }

    /// The CPU twins of all kernels: no adapter needed, the same results.
    pub fn cpu() -> Self {
        Self::cpu_with(&ContextOptions::default())
    }

    /// [`cpu`](Self::cpu), with [`max_binding_bytes`](ContextOptions::max_binding_bytes),
    /// [`max_workgroups`](ContextOptions::max_workgroups) and [`workgroups_together`](ContextOptions::workgroups_together) of these
    /// options, so that plans are those of a device with such limits; the other options mean nothing here.
    pub fn cpu_with(options: &ContextOptions) -> Self {
        let caps = Caps::cpu().limited(options.max_binding_bytes, options.max_workgroups);
        let caps = Caps { together: options.workgroups_together.unwrap_or(0), ..caps };
        Self(Arc::new(Inner::new(caps, Backend::Cpu)))
    }

    /// What this device is and can do.
    pub fn caps(&self) -> &Caps {
        &self.0.caps
    }

    /// [`caps`](Self::caps), with what the device said if it was asked already how many workgroups run together.
    pub(crate) fn known_caps(&self) -> &Caps {
        #[cfg(not(target_family = "wasm"))]
        if let Some(caps) = self.0.asked.get() {
            return caps;
        }
        self.caps()
    }

    /// [`caps`](Self::caps), with what the device says when it is asked how many workgroups run together: at the first call.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) async fn caps_together(&self) -> Result<&Caps> {
        if let Some(caps) = self.0.asked.get() {
            return Ok(caps);
        }
        let together = match &self.0.backend {
            Backend::Cpu => self.0.caps.together,
            Backend::Gpu(_) => {
                let [source, words] = [together::SOURCE, together::WORDS].map(|count| u64::from(count) * 4);
                let (source, bytes, words) = (self.allocate(source)?, words, self.allocate(words)?);
                self.clear(&source, u64::from(together::SOURCE) * 4)?;
                self.clear(&words, bytes)?;
                self.run_on(&together::recording(), &[&source, &words]).await?;
                together::count(&self.read(&words, 16).await?)
            }
        };
        Ok(self.0.asked.get_or_init(|| Caps { together, ..self.0.caps.clone() }))
    }

    /// [`caps`](Self::caps): in browsers workgroups never wait for each other.
    #[cfg(target_family = "wasm")]
    pub(crate) async fn caps_together(&self) -> Result<&Caps> {
        Ok(self.caps())
    }

    /// What recurrent layers measured, if they do.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn tunings(&self) -> Option<&Arc<Tunings>> {
        self.0.tunings.as_ref()
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

    /// What each kernel took on the GPU in all runs of this context since the last time, longest first; nothing without
    /// [`ContextOptions::kernel_times`], or where the device has no timestamps.
    #[cfg(not(target_family = "wasm"))]
    pub fn take_kernel_times(&self) -> Vec<KernelTime> {
        match &self.0.backend {
            Backend::Gpu(engine) => engine.take_kernel_times(),
            Backend::Cpu => Vec::new(),
        }
    }

    /// As [`trim`](Self::trim), with the bytes of the buffers that kernels had used.
    #[cfg(test)]
    pub(crate) fn take_idle_bytes(&self) -> u64 {
        match &self.0.backend {
            Backend::Gpu(engine) => engine.take_idle_bytes(),
            Backend::Cpu => 0,
        }
    }

    /// Whether both are the same context.
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn allocate(&self, bytes: u64) -> Result<Storage> {
        let have = self.0.caps.max_buffer_bytes;
        within("one buffer, bytes", bytes, have, "split the batch over several tensors")?;
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

    /// Fills the first bytes (a multiple of four) of a buffer with zeros.
    pub(crate) fn clear(&self, storage: &Storage, bytes: u64) -> Result<()> {
        match (&self.0.backend, storage) {
            (Backend::Gpu(engine), Storage::Gpu(buffer)) => engine.clear(buffer, bytes),
            (_, Storage::Cpu(buffer)) => {
                buffer.lock().unwrap_or_else(PoisonError::into_inner)[..(bytes / 4) as usize].fill(0);
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
        self.run_with(recording, bound, false).await
    }

    /// [`run_on`](Self::run_on), with the time on the GPU wherever the device can tell it.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) async fn run_timed_on(&self, recording: &Recording, bound: &[&Storage]) -> Result<RunReport> {
        self.run_with(recording, bound, true).await
    }

    /// Compiles what a plan needs and was not compiled yet, and runs nothing.
    pub(crate) async fn prepare(&self, recording: &Recording) -> Result<RunReport> {
        match &self.0.backend {
            Backend::Gpu(engine) => engine.prepare_only(recording).await,
            Backend::Cpu => Ok(RunReport::default()),
        }
    }

    async fn run_with<'s>(&self, recording: &Recording, bound: &[&'s Storage], timed: bool) -> Result<RunReport> {
        let elsewhere = || Error::OtherContext { argument: "tensor" };
        let declared = recording.buffers.iter().filter(|info| matches!(info.role, Role::Bound(_))).count();
        if bound.len() != declared {
            let (expected, got) = (format!("{declared} tensors"), format!("{} tensors", bound.len()));
            return Err(Error::Shape { argument: "bound", expected, got });
        }
        within("one call, launches", recording.dispatches() as u64, self.0.caps.max_launches(), "split the call")?;
        match &self.0.backend {
            Backend::Gpu(engine) => {
                let buffer = |storage: &&'s Storage| match storage {
                    Storage::Gpu(buffer) => Ok(&**buffer),
                    Storage::Cpu(_) => Err(elsewhere()),
                };
                let buffers: Vec<&GpuBuffer> = bound.iter().map(buffer).collect::<Result<_>>()?;
                engine.run(recording, &buffers, timed).await
            }
            Backend::Cpu => {
                let buffer = |storage: &&Storage| match storage {
                    Storage::Cpu(buffer) => Ok(buffer.clone()),
                    Storage::Gpu(_) => Err(elsewhere()),
                };
                let buffers: Vec<HostBuffer> = bound.iter().map(buffer).collect::<Result<_>>()?;
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

#[cfg(not(target_family = "wasm"))]
const _: () = {
    const fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Context>();
};

#[cfg(test)]
mod tests {
    use super::*;

    fn options(name: &'static str, value: &'static str) -> ContextOptions {
        ContextOptions::from_variables(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn variables_are_understood_or_refused() {
        assert_eq!(options("WEFT_VARIANT", "plain").variant, Variant::Plain);
        assert_eq!(options("WEFT_VARIANT", "subgroups").variant, Variant::Subgroups);
        assert_eq!(options("WGPU_POWER_PREF", "Low").power_preference, wgpu::PowerPreference::LowPower);
        assert_eq!(options("WGPU_ADAPTER_NAME", "nvidia").adapter_name.as_deref(), Some("nvidia"));
        assert!(options("WEFT_SHADER_CHECKS", "1").shader_checks);
        assert!(!options("WEFT_SHADER_CHECKS", "").shader_checks);
        assert_eq!(ContextOptions::default().power_preference, wgpu::PowerPreference::HighPerformance);
        for (name, typo) in [("WEFT_VARIANT", "subgroup"), ("WEFT_SHADER_CHECKS", "yes"), ("WGPU_POWER_PREF", "hi")] {
            let error = Context::new_blocking(options(name, typo));
            assert!(matches!(error, Err(Error::Value { argument, value, .. }) if argument == name && value == typo), "{name}");
        }
    }
}
