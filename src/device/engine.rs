//! The only room that encodes: pipelines compiled once, buffers pooled, a recording turned into as
//! few passes and submits as it can be.

use super::caps::Caps;
use super::clock::Stopwatch;
use super::context::ContextOptions;
use super::lost::Lost;
use super::pool::{GpuBuffer, Pool, Purpose};
use super::recording::{PipelineKey, Recording, Role, UNIFORM_ALIGNMENT};
use super::schedule;
use super::shader::Shader;
use crate::error::{Error, Result};
use futures::channel::oneshot;
use futures::future::join_all;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Largest piece of one upload or readback: bounds the staging memory.
const STAGING_BYTES: u64 = 256 << 20;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunReport {
    /// Time on the GPU by timestamp queries, if the context was made with `timing` and the device
    /// can: the sum over the passes.
    pub gpu_time: Option<Duration>,
    /// Command buffers given to the queue.
    pub submits: u32,
    /// Compute passes.
    pub passes: u32,
    /// Kernel launches.
    pub dispatches: u32,
    /// Time that this call spent making pipelines: zero when all were there from earlier calls.
    pub compile: Duration,
    /// Pipelines that this call made.
    pub compiled: u32,
}

type Scope = std::pin::Pin<Box<dyn ScopeFuture>>;

#[cfg(not(target_family = "wasm"))]
trait ScopeFuture: Future<Output = Option<wgpu::Error>> + Send {}
#[cfg(not(target_family = "wasm"))]
impl<F: Future<Output = Option<wgpu::Error>> + Send> ScopeFuture for F {}
#[cfg(target_family = "wasm")]
trait ScopeFuture: Future<Output = Option<wgpu::Error>> {}
#[cfg(target_family = "wasm")]
impl<F: Future<Output = Option<wgpu::Error>>> ScopeFuture for F {}

struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

/// A device with everything that makes calls on it cheap.
pub(super) struct Engine {
    device: wgpu::Device,
    queue: wgpu::Queue,
    budget: u64,
    timing: bool,
    /// Whether kernels are compiled with wgpu's own bounds and loop checks.
    checks: bool,
    pool: Arc<Pool>,
    lost: Lost,
    pipelines: Mutex<HashMap<PipelineKey, Arc<Pipeline>>>,
    /// Error scopes of uploads, looked at by the next call that can wait.
    pending: Mutex<Vec<Scope>>,
    #[cfg(not(target_family = "wasm"))]
    poller: super::poller::Poller,
}

impl Engine {
    pub(super) fn new(device: wgpu::Device, queue: wgpu::Queue, caps: &Caps, options: &ContextOptions) -> Self {
        let lost = Lost::new();
        let signal = lost.clone();
        device.set_device_lost_callback(move |reason, message| signal.fire(format!("{reason:?}: {message}")));
        Self {
            budget: schedule::budget(caps),
            timing: options.timing && caps.timestamps,
            checks: options.shader_checks,
            pool: Pool::new(device.clone(), caps.max_buffer_bytes),
            pipelines: Mutex::default(),
            pending: Mutex::default(),
            #[cfg(not(target_family = "wasm"))]
            poller: super::poller::Poller::new(device.clone(), lost.clone()),
            lost,
            device,
            queue,
        }
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    pub(super) fn trim(&self) {
        self.pool.trim();
    }

    /// A storage buffer with arbitrary content. A lack of memory shows at the next run or readback.
    pub(super) fn allocate(&self, bytes: u64) -> Result<GpuBuffer> {
        self.lost.check()?;
        let guard = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.pool.take(Purpose::Storage, bytes);
        lock(&self.pending).push(Box::pin(guard.pop()));
        Ok(buffer)
    }

    /// Copies host bytes (a multiple of four) into a buffer.
    pub(super) fn write(&self, buffer: &GpuBuffer, bytes: &[u8]) -> Result<()> {
        self.lost.check()?;
        let guard = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        for (index, piece) in bytes.chunks(STAGING_BYTES as usize).enumerate() {
            if index > 0 {
                // Staging memory is freed by submits only.
                self.queue.submit([]);
            }
            self.queue.write_buffer(&buffer.buffer, index as u64 * STAGING_BYTES, piece);
        }
        lock(&self.pending).push(Box::pin(guard.pop()));
        Ok(())
    }

    /// Reads `bytes` (a multiple of four) from the start of a buffer.
    pub(super) async fn read(&self, buffer: &GpuBuffer, bytes: u64) -> Result<Vec<u32>> {
        self.settle(bytes).await?;
        let mut words = Vec::with_capacity((bytes / 4) as usize);
        let mut offset = 0;
        while offset < bytes {
            let piece = STAGING_BYTES.min(bytes - offset);
            let staging = self.pool.take(Purpose::Staging, piece);
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("weft read") });
            encoder.copy_buffer_to_buffer(&buffer.buffer, offset, &staging.buffer, 0, piece);
            self.queue.submit([encoder.finish()]);
            self.map(staging, piece, &mut words).await?;
            offset += piece;
        }
        Ok(words)
    }

    /// Takes the words out of a staging buffer. Only a buffer that came through is recycled: one whose
    /// mapping failed, or whose reader went away while it was pending, is left to the driver.
    async fn map(&self, staging: GpuBuffer, bytes: u64, words: &mut Vec<u32>) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        staging.buffer.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
            let _ = sender.send(result);
        });
        #[cfg(not(target_family = "wasm"))]
        self.poller.wake();
        let mapped = self.lost.or(receiver).await?;
        let failed = |message: String| self.cause().err().unwrap_or(Error::Gpu { message });
        mapped.map_err(|_| failed("readback was dropped".to_owned()))?.map_err(|e| failed(format!("readback: {e}")))?;
        let view = staging.buffer.get_mapped_range(..bytes).map_err(|e| failed(format!("readback: {e}")))?;
        words.extend(view.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        drop(view);
        staging.buffer.unmap();
        staging.recycle();
        Ok(())
    }

    /// Runs a plan. `bound` are the caller's buffers in the order of their declaration.
    pub(super) async fn run(&self, recording: &Recording, bound: &[&GpuBuffer]) -> Result<RunReport> {
        let bytes = recording.workspace_bytes();
        self.settle(bytes).await?;
        let Prepared { pipelines, compile, compiled } = self.prepare(recording).await?;
        let submitted = self.submit(recording, bound, &pipelines);
        let errors = self.lost.or(join_all(submitted.scopes)).await?;
        self.judge(errors.into_iter().flatten().next(), bytes)?;
        let mut report = RunReport { compile, compiled, ..submitted.report };
        if let Some(timestamps) = submitted.timestamps {
            let ticks = self.read_ticks(timestamps, report.passes).await?;
            let period = f64::from(self.queue.get_timestamp_period());
            let sum: u64 = ticks.chunks_exact(2).map(|t| t[1].saturating_sub(t[0])).sum();
            report.gpu_time = Some(Duration::from_nanos((sum as f64 * period) as u64));
        }
        Ok(report)
    }

    /// Waits for the error scopes of earlier uploads.
    async fn settle(&self, bytes: u64) -> Result<()> {
        self.lost.check()?;
        let pending = std::mem::take(&mut *lock(&self.pending));
        let errors = self.lost.or(join_all(pending)).await?;
        self.judge(errors.into_iter().flatten().next(), bytes)
    }

    /// After a failure: `DeviceLost` if that is why. A lost device fails every call in its own way,
    /// and on native its callback runs in a poll only.
    fn cause(&self) -> Result<()> {
        #[cfg(not(target_family = "wasm"))]
        super::poller::settle(&self.device, &self.lost);
        self.lost.check()
    }

    /// What a scope caught, as this crate's error.
    fn judge(&self, caught: Option<wgpu::Error>, bytes: u64) -> Result<()> {
        let Some(error) = caught else { return Ok(()) };
        self.cause()?;
        let error = typed(error, bytes);
        if matches!(error, Error::OutOfMemory { .. }) {
            self.pool.trim();
        }
        Err(error)
    }

    /// Compiles what this recording needs and has not been compiled yet.
    async fn prepare(&self, recording: &Recording) -> Result<Prepared> {
        let watch = Stopwatch::start();
        let mut fresh = Vec::new();
        let mut ready = |key: &PipelineKey| {
            let cached = lock(&self.pipelines).get(key).cloned();
            cached.unwrap_or_else(|| {
                let guard = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
                let pipeline = Arc::new(self.compile(key));
                fresh.push((key.clone(), pipeline.clone(), Box::pin(guard.pop()) as Scope));
                pipeline
            })
        };
        let pipelines = recording.pipelines.iter().map(&mut ready).collect();
        let compiled = fresh.len() as u32;
        for (key, pipeline, scope) in fresh {
            if let Some(error) = self.lost.or(scope).await? {
                self.cause()?;
                return Err(Error::ShaderCompile { kernel: key.shader.name, message: error.to_string() });
            }
            lock(&self.pipelines).insert(key, pipeline);
        }
        let compile = if compiled > 0 { watch.elapsed() } else { Duration::ZERO };
        Ok(Prepared { pipelines, compile, compiled })
    }

    fn compile(&self, key: &PipelineKey) -> Pipeline {
        let shader = key.shader;
        let module = self.module(shader);
        let constants: Vec<(&str, f64)> = key.constants.iter().map(|&(name, bits)| (name, f64::from_bits(bits))).collect();
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
        let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(shader.name), entries: &entries });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shader.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
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
        Pipeline { pipeline, layout }
    }

    #[allow(unsafe_code, reason = "the only way to compile a kernel without checks of every access")]
    fn module(&self, shader: &'static Shader) -> wgpu::ShaderModule {
        // naga refuses `enable subgroups;`, browsers demand it (gfx-rs/wgpu#5555).
        let header = if cfg!(target_family = "wasm") && shader.subgroups { "enable subgroups;\n" } else { "" };
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(shader.name),
            source: wgpu::ShaderSource::Wgsl(format!("{header}{}", shader.wgsl).into()),
        };
        if self.checks {
            return self.device.create_shader_module(descriptor);
        }
        // SAFETY: the text is one of this crate's own, which the build has validated, and no caller can
        // change it. Its plans keep every index within the bound windows and every divisor above zero,
        // its loops are bounded by the params, and the tests run all kernels with the checks as well.
        unsafe { self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
    }

    /// Encodes and submits. Everything that can go wrong is caught by the scopes that come back.
    fn submit(&self, recording: &Recording, bound: &[&GpuBuffer], pipelines: &[Arc<Pipeline>]) -> Submitted {
        let scopes = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];
        let guards = scopes.map(|filter| self.device.push_error_scope(filter));

        let owned = recording.buffers.iter().filter(|info| info.role == Role::Workspace);
        let workspace: Vec<GpuBuffer> = owned.map(|info| self.pool.take(Purpose::Storage, info.bytes)).collect();
        let mut own = workspace.iter();
        let given = |role| match role {
            Role::Bound(place) => bound.get(place).copied(),
            Role::Workspace => own.next(),
        };
        let buffers: Vec<&GpuBuffer> = recording.buffers.iter().map(|info| info.role).filter_map(given).collect();
        debug_assert_eq!(buffers.len(), recording.buffers.len(), "a caller gives every bound buffer");
        let buffer_of = |index: usize| &buffers[index].buffer;
        let uniforms = self.pool.take(Purpose::Uniform, recording.uniforms.len() as u64);
        self.queue.write_buffer(&uniforms.buffer, 0, &recording.uniforms);

        let passes = schedule::passes(recording, self.budget);
        let mut report = RunReport { passes: passes.len() as u32, ..Default::default() };
        let timestamps = (self.timing && !passes.is_empty() && passes.len() <= 2048).then(|| {
            self.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("weft timing"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * report.passes,
            })
        });

        let mut groups: HashMap<(usize, &'static str), wgpu::BindGroup> = HashMap::new();
        let new_encoder = || self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("weft") });
        let mut encoder = new_encoder();
        for (index, pass) in passes.iter().enumerate() {
            for &clear in &pass.clears {
                encoder.clear_buffer(buffer_of(clear), 0, None);
            }
            let timestamp_writes = timestamps.as_ref().map(|query_set| wgpu::ComputePassTimestampWrites {
                query_set,
                beginning_of_pass_write_index: Some(2 * index as u32),
                end_of_pass_write_index: Some(2 * index as u32 + 1),
            });
            let mut encoded = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("weft"), timestamp_writes });
            let mut current: Option<&wgpu::ComputePipeline> = None;
            for dispatch in &pass.dispatches {
                let Some(pipeline) = pipelines.get(dispatch.pipeline) else { continue };
                if current != Some(&pipeline.pipeline) {
                    encoded.set_pipeline(&pipeline.pipeline);
                    current = Some(&pipeline.pipeline);
                }
                let group = groups.entry((dispatch.set.0, dispatch.shader.name)).or_insert_with(|| {
                    let window = |buffer, offset, bytes: u64| {
                        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: std::num::NonZeroU64::new(bytes) })
                    };
                    let params_bytes = u64::from(dispatch.shader.params_bytes).next_multiple_of(16);
                    let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: window(&uniforms.buffer, 0, params_bytes) }];
                    for (i, b) in recording.sets[dispatch.set.0].iter().enumerate() {
                        let resource = window(buffer_of(b.buffer.0), b.offset, b.bytes);
                        entries.push(wgpu::BindGroupEntry { binding: i as u32 + 1, resource });
                    }
                    self.device.create_bind_group(&wgpu::BindGroupDescriptor {
                        label: Some(dispatch.shader.name),
                        layout: &pipeline.layout,
                        entries: &entries,
                    })
                });
                encoded.set_bind_group(0, &*group, &[dispatch.params]);
                let [x, y, z] = dispatch.workgroups;
                encoded.dispatch_workgroups(x, y, z);
                report.dispatches += 1;
            }
            drop(encoded);
            if pass.submit && index + 1 < passes.len() {
                self.queue.submit([std::mem::replace(&mut encoder, new_encoder()).finish()]);
                report.submits += 1;
            }
        }
        let timestamps = timestamps.map(|query_set| {
            let resolved = self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("weft timing"),
                size: 16 * u64::from(report.passes),
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            encoder.resolve_query_set(&query_set, 0..2 * report.passes, &resolved, 0);
            let staging = self.pool.take(Purpose::Staging, 16 * u64::from(report.passes));
            encoder.copy_buffer_to_buffer(&resolved, 0, &staging.buffer, 0, 16 * u64::from(report.passes));
            staging
        });
        self.queue.submit([encoder.finish()]);
        report.submits += 1;

        // Scopes are a stack: the last pushed pops first.
        let scopes = guards.into_iter().rev().map(|guard| Box::pin(guard.pop()) as Scope).collect();
        Submitted { scopes, timestamps, report }
    }

    async fn read_ticks(&self, staging: GpuBuffer, passes: u32) -> Result<Vec<u64>> {
        let mut words = Vec::new();
        self.map(staging, 16 * u64::from(passes), &mut words).await?;
        Ok(words.chunks_exact(2).map(|w| u64::from(w[0]) | u64::from(w[1]) << 32).collect())
    }
}

/// What `prepare` gives: the pipelines of a recording, in its order.
struct Prepared {
    pipelines: Vec<Arc<Pipeline>>,
    compile: Duration,
    compiled: u32,
}

/// What `submit` leaves to be waited for.
struct Submitted {
    scopes: Vec<Scope>,
    timestamps: Option<GpuBuffer>,
    report: RunReport,
}

/// An error of wgpu as this crate's, for a call that asked for so many bytes.
fn typed(error: wgpu::Error, bytes: u64) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { bytes },
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => Error::Gpu { message: description },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const _: () = assert!(UNIFORM_ALIGNMENT == 256, "WebGPU lets a device demand 256");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_wgpu_are_told_apart() {
        let source = || Box::new(std::io::Error::other("driver"));
        let memory = typed(wgpu::Error::OutOfMemory { source: source() }, 1234);
        assert!(matches!(memory, Error::OutOfMemory { bytes: 1234 }));
        let invalid = typed(wgpu::Error::Validation { source: source(), description: "binding 3".to_owned() }, 1234);
        assert!(matches!(invalid, Error::Gpu { message } if message == "binding 3"));
    }
}
