//! The only room that encodes: pipelines compiled once, buffers pooled, a recording turned into as
//! few passes and submits as it can be.

use super::caps::Caps;
use super::clock::Stopwatch;
use super::context::ContextOptions;
#[cfg(not(target_family = "wasm"))]
use super::kernel_times::{KernelTime, KernelTimes};
use super::lost::Lost;
use super::pipelines::{Pipeline, Pipelines};
use super::pool::{GpuBuffer, Pool, Purpose};
use super::recording::{Dispatch, Recording, Role, UNIFORM_ALIGNMENT};
use super::schedule::{self, Pass};
use super::scope::{Scope, guarded};
use super::table::Table;
use super::threads;
use super::timing::Timing;
use crate::error::{Error, Result, within};
use futures::channel::oneshot;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// Time on the CPU that writing the commands down and giving them to the queue took.
    pub encode: Duration,
}

impl RunReport {
    /// Adds what another run did and took.
    pub fn add(&mut self, other: &Self) {
        self.gpu_time = match (self.gpu_time, other.gpu_time) {
            (Some(own), Some(more)) => Some(own + more),
            (own, more) => own.or(more),
        };
        self.submits += other.submits;
        self.passes += other.passes;
        self.dispatches += other.dispatches;
        self.compile += other.compile;
        self.compiled += other.compiled;
        self.encode += other.encode;
    }
}

/// A device with everything that makes calls on it cheap.
pub(super) struct Engine {
    device: wgpu::Device,
    queue: wgpu::Queue,
    budget: u64,
    timing: bool,
    timestamps: bool,
    #[cfg(not(target_family = "wasm"))]
    kernel_times: Option<KernelTimes>,
    max_buffer_bytes: u64,
    pool: Arc<Pool>,
    lost: Lost,
    pipelines: Pipelines,
    /// Scopes around uploads whose outcome was not known at once, for the next call that can wait.
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
            budget: caps.submit_work(),
            timing: options.timing,
            timestamps: caps.timestamps,
            #[cfg(not(target_family = "wasm"))]
            kernel_times: (options.kernel_times && caps.timestamps).then(KernelTimes::default),
            max_buffer_bytes: caps.max_buffer_bytes,
            pool: Pool::new(device.clone(), caps.max_buffer_bytes),
            pipelines: Pipelines::new(&device, options.shader_checks),
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

    /// Whether each launch is timed by itself.
    fn times_kernels(&self) -> bool {
        #[cfg(not(target_family = "wasm"))]
        return self.kernel_times.is_some();
        #[cfg(target_family = "wasm")]
        false
    }

    #[cfg(not(target_family = "wasm"))]
    pub(super) fn take_kernel_times(&self) -> Vec<KernelTime> {
        self.kernel_times.as_ref().map(KernelTimes::take).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn take_idle_bytes(&self) -> u64 {
        self.pool.take_idle_bytes()
    }

    pub(super) fn trim(&self) {
        self.pool.trim();
    }

    /// A storage buffer with arbitrary content, whose size the caller has compared with the limit. On
    /// native a lack of memory shows here, in browsers at the next run or readback.
    pub(super) fn allocate(&self, bytes: u64) -> Result<GpuBuffer> {
        let allocate = || {
            self.lost.check()?;
            let ((buffer, _), scope) = guarded(&self.device, bytes, || self.pool.take(Purpose::Storage, bytes));
            self.now_or_later(scope)?;
            Ok(buffer)
        };
        // The first failure has given back what nobody used.
        allocate().or_else(|error| if matches!(error, Error::OutOfMemory { .. }) { allocate() } else { Err(error) })
    }

    /// Copies host bytes (a multiple of four) into a buffer.
    pub(super) fn write(&self, buffer: &GpuBuffer, bytes: &[u8]) -> Result<()> {
        self.lost.check()?;
        let ((), scope) = guarded(&self.device, bytes.len() as u64, || {
            for (index, piece) in bytes.chunks(STAGING_BYTES as usize).enumerate() {
                if index > 0 {
                    // Staging memory is freed by submits only.
                    self.queue.submit([]);
                }
                self.queue.write_buffer(&buffer.buffer, index as u64 * STAGING_BYTES, piece);
            }
        });
        self.now_or_later(scope)
    }

    /// Fills the first bytes (a multiple of four) of a buffer with zeros.
    pub(super) fn clear(&self, buffer: &GpuBuffer, bytes: u64) -> Result<()> {
        self.lost.check()?;
        let ((), scope) = guarded(&self.device, 0, || {
            let mut encoder = self.encoder();
            encoder.clear_buffer(&buffer.buffer, 0, Some(bytes));
            self.queue.submit([encoder.finish()]);
        });
        self.now_or_later(scope)
    }

    /// Reads `bytes` (a multiple of four) from the start of a buffer.
    pub(super) async fn read(&self, buffer: &GpuBuffer, bytes: u64) -> Result<Vec<u32>> {
        self.settle().await?;
        let mut words = Vec::new();
        words.try_reserve_exact((bytes / 4) as usize).map_err(|_| Error::OutOfMemory { bytes })?;
        let mut offset = 0;
        while offset < bytes {
            let piece = STAGING_BYTES.min(bytes - offset);
            let staging = self.lend(&[(Purpose::Staging, piece)]).await?.swap_remove(0);
            let (mapping, scope) = guarded(&self.device, piece, || {
                let mut encoder = self.encoder();
                encoder.copy_buffer_to_buffer(&buffer.buffer, offset, &staging.buffer, 0, piece);
                let submission = self.queue.submit([encoder.finish()]);
                self.map(staging, piece, submission)
            });
            self.outcome(scope).await?;
            self.take_words(mapping, &mut words).await?;
            offset += piece;
        }
        Ok(words)
    }

    /// Asks for a staging buffer to be mapped when the submission that fills it is done; to be called
    /// within scopes.
    fn map(&self, staging: GpuBuffer, bytes: u64, submission: wgpu::SubmissionIndex) -> Mapping {
        let (sender, mapped) = oneshot::channel();
        staging.buffer.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
            let _ = sender.send(result);
        });
        #[cfg(not(target_family = "wasm"))]
        self.poller.wake(submission);
        #[cfg(target_family = "wasm")]
        let _ = submission;
        Mapping { staging, bytes, mapped }
    }

    /// Takes the words out of a staging buffer. Only a buffer that came through is recycled: one whose
    /// mapping failed, or whose reader went away while it was pending, is left to the driver.
    async fn take_words(&self, mapping: Mapping, words: &mut Vec<u32>) -> Result<()> {
        let Mapping { staging, bytes, mapped } = mapping;
        let mapped = self.lost.or(mapped).await?;
        let failed = |message: String| self.cause().err().unwrap_or(Error::Gpu { message });
        mapped.map_err(|_| failed("readback was dropped".to_owned()))?.map_err(|e| failed(format!("readback: {e}")))?;
        let view = staging.buffer.get_mapped_range(..bytes).map_err(|e| failed(format!("readback: {e}")))?;
        words.extend(view.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        drop(view);
        staging.buffer.unmap();
        staging.recycle();
        Ok(())
    }

    /// Runs a plan. `bound` are the caller's buffers in the order of their declaration; `timed` asks for the time on the GPU, whatever
    /// the context's options.
    pub(super) async fn run(&self, recording: &Recording, bound: &[&GpuBuffer], timed: bool) -> Result<RunReport> {
        self.settle().await?;
        let Prepared { pipelines, compile, compiled } = self.prepare(recording).await?;
        let passes = schedule::passes(recording, self.budget, self.times_kernels());
        let timed = (self.timing || timed || self.times_kernels()) && self.timestamps && !passes.is_empty();
        let tick_bytes = Timing::bytes(passes.len());
        // The params that do not go with their launches, the workspace, then the timestamps.
        let needs_uniforms = pipelines.iter().any(|pipeline| !pipeline.takes_params);
        let mut wanted = Vec::new();
        wanted.extend(needs_uniforms.then_some((Purpose::Uniform, recording.uniforms.len() as u64)));
        wanted.extend(recording.buffers.iter().filter(|b| b.role == Role::Workspace).map(|b| (Purpose::Storage, b.bytes)));
        wanted.extend(timed.then_some((Purpose::Staging, tick_bytes)));
        let mut own = self.lend(&wanted).await?;
        let ticks = if timed { own.pop() } else { None };

        let mut workspace = own.iter();
        let uniforms = if needs_uniforms { workspace.next().map(|b| &b.buffer) } else { None };
        let given = |role| match role {
            Role::Bound(place) => bound.get(place).copied(),
            Role::Workspace => workspace.next(),
        };
        let buffers: Option<Vec<&wgpu::Buffer>> =
            recording.buffers.iter().map(|b| b.role).map(given).map(|b| b.map(|b| &b.buffer)).collect();
        let buffers = buffers.ok_or_else(|| Error::Gpu { message: "a plan was given too few buffers".to_owned() })?;

        let launch = Launch { recording, buffers, uniforms, pipelines: &pipelines };
        let asked = recording.workspace_bytes();
        let watch = Stopwatch::start();
        let ((report, mapping), scope) = guarded(&self.device, asked, || {
            let (report, submission) = self.submit(&launch, &passes, ticks.as_ref());
            (report, ticks.map(|ticks| self.map(ticks, tick_bytes, submission)))
        });
        let encode = watch.elapsed();
        self.outcome(scope).await?;
        let mut report = RunReport { compile, compiled, encode, ..report };
        if let Some(mapping) = mapping {
            let mut words = Vec::new();
            self.take_words(mapping, &mut words).await?;
            let period = self.queue.get_timestamp_period();
            report.gpu_time = Some(Timing::sum(&words, period));
            #[cfg(not(target_family = "wasm"))]
            if let Some(times) = &self.kernel_times {
                let launches = passes.iter().map(|pass| pass.dispatches.first());
                launches
                    .zip(Timing::each(&words, period))
                    .for_each(|(launch, time)| launch.into_iter().for_each(|launch| times.add(launch, time)));
            }
        }
        Ok(report)
    }

    /// Compiles what a plan needs.
    pub(super) async fn prepare_only(&self, recording: &Recording) -> Result<RunReport> {
        self.settle().await?;
        let Prepared { compile, compiled, .. } = self.prepare(recording).await?;
        Ok(RunReport { compile, compiled, ..RunReport::default() })
    }

    /// Buffers of the pool, or new ones: a run can wait for what the device says of those.
    async fn lend(&self, wanted: &[(Purpose, u64)]) -> Result<Vec<GpuBuffer>> {
        for &(_, bytes) in wanted {
            within("workspace, bytes", bytes, self.max_buffer_bytes, "use smaller batches")?;
        }
        match self.try_lend(wanted).await {
            // This has given back what nobody used.
            Err(Error::OutOfMemory { .. }) => self.try_lend(wanted).await,
            other => other,
        }
    }

    async fn try_lend(&self, wanted: &[(Purpose, u64)]) -> Result<Vec<GpuBuffer>> {
        let take = |&(purpose, bytes)| guarded(&self.device, bytes, || self.pool.take(purpose, bytes));
        // All are asked for before the first answer is waited for.
        let taken: Vec<_> = wanted.iter().map(take).collect();
        let mut buffers = Vec::with_capacity(taken.len());
        for ((buffer, fresh), scope) in taken {
            if fresh {
                self.outcome(scope).await?;
            }
            buffers.push(buffer);
        }
        Ok(buffers)
    }

    /// Looks at what a scope caught, or leaves that to the next call that can wait.
    fn now_or_later(&self, scope: Scope) -> Result<()> {
        match scope.now() {
            Ok(caught) => self.judge(caught),
            Err(scope) => {
                lock(&self.pending).push(scope);
                Ok(())
            }
        }
    }

    /// Waits for what a scope caught.
    async fn outcome(&self, scope: Scope) -> Result<()> {
        let caught = self.lost.or(scope.caught()).await?;
        self.judge(caught)
    }

    /// Waits for the scopes of earlier uploads, and fails with the first error among them.
    async fn settle(&self) -> Result<()> {
        self.lost.check()?;
        let pending = std::mem::take(&mut *lock(&self.pending));
        let mut settled = Ok(());
        for scope in pending {
            let outcome = self.outcome(scope).await;
            settled = settled.and(outcome);
        }
        settled
    }

    /// After a failure: `DeviceLost` if that is why. A lost device fails every call in its own way,
    /// and on native its callback runs in a poll only.
    fn cause(&self) -> Result<()> {
        #[cfg(not(target_family = "wasm"))]
        super::poller::settle(&self.device, &self.lost);
        self.lost.check()
    }

    /// The error of a call that this was caught in. Where memory has run out, what nobody uses is given
    /// back, and the same call may be tried again.
    fn judge(&self, caught: Option<Error>) -> Result<()> {
        let Some(error) = caught else { return Ok(()) };
        self.cause()?;
        if matches!(error, Error::OutOfMemory { .. }) {
            self.pool.discard();
            #[cfg(not(target_family = "wasm"))]
            super::poller::reclaim(&self.device, &self.lost);
        }
        Err(error)
    }

    /// Compiles what this recording needs and has not been compiled yet, side by side.
    async fn prepare(&self, recording: &Recording) -> Result<Prepared> {
        let mut pipelines: Vec<_> = recording.pipelines.iter().map(|key| self.pipelines.get(key)).collect();
        let missing: Vec<usize> = (0..pipelines.len()).filter(|&place| pipelines[place].is_none()).collect();
        if missing.is_empty() {
            return Ok(Prepared { pipelines: pipelines.into_iter().flatten().collect(), ..Prepared::default() });
        }
        let watch = Stopwatch::start();
        // Scopes are those of a thread, as is what they catch.
        let made = threads::map(&missing, |&place| {
            let key = &recording.pipelines[place];
            guarded(&self.device, key.shader.text_bytes() as u64, || self.pipelines.compile(&self.device, key))
        });
        let compiled = missing.len() as u32;
        for (place, (pipeline, scope)) in missing.into_iter().zip(made) {
            let key = &recording.pipelines[place];
            self.outcome(scope).await.map_err(|error| match error {
                Error::Gpu { message } => Error::ShaderCompile { kernel: key.shader.name, message },
                other => other,
            })?;
            self.pipelines.insert(key.clone(), pipeline.clone());
            pipelines[place] = Some(pipeline);
        }
        Ok(Prepared { pipelines: pipelines.into_iter().flatten().collect(), compile: watch.elapsed(), compiled })
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("weft") })
    }

    /// Encodes and submits, within scopes. `ticks` receives the timestamps, if they are to be taken.
    fn submit(&self, launch: &Launch<'_>, passes: &[Pass<'_>], ticks: Option<&GpuBuffer>) -> (RunReport, wgpu::SubmissionIndex) {
        if let Some(uniforms) = launch.uniforms {
            self.queue.write_buffer(uniforms, 0, &launch.recording.uniforms);
        }
        let timing = ticks.map(|_| Timing::new(&self.device, passes.len()));
        let mut report = RunReport { passes: passes.len() as u32, ..Default::default() };
        let mut groups = Groups::default();
        let mut encoder = self.encoder();
        for (index, pass) in passes.iter().enumerate() {
            for &clear in &pass.clears {
                encoder.clear_buffer(launch.buffers[clear], 0, Some(launch.recording.buffers[clear].bytes.next_multiple_of(4)));
            }
            let timestamp_writes = timing.as_ref().and_then(|timing| timing.writes(index));
            let mut encoded = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("weft"), timestamp_writes });
            report.dispatches += self.encode(launch, pass, &mut encoded, &mut groups);
            drop(encoded);
            for (from, to) in &pass.copies {
                let [source, target] = [from, to].map(|window| launch.buffers[window.buffer.0]);
                encoder.copy_buffer_to_buffer(source, from.offset, target, to.offset, from.bytes);
            }
            if pass.submit && index + 1 < passes.len() {
                self.queue.submit([std::mem::replace(&mut encoder, self.encoder()).finish()]);
                report.submits += 1;
            }
        }
        if let (Some(timing), Some(ticks)) = (timing, ticks) {
            timing.resolve(&self.device, &mut encoder, &ticks.buffer);
        }
        let submission = self.queue.submit([encoder.finish()]);
        report.submits += 1;
        (report, submission)
    }

    /// Encodes the launches of one pass, and counts them.
    fn encode(&self, launch: &Launch<'_>, pass: &Pass<'_>, encoded: &mut wgpu::ComputePass<'_>, groups: &mut Groups) -> u32 {
        let mut current = None;
        for dispatch in &pass.dispatches {
            let pipeline = &launch.pipelines[dispatch.pipeline];
            let before = current.replace((dispatch.pipeline, dispatch.set));
            if before.is_none_or(|(pipeline, _)| pipeline != dispatch.pipeline) {
                encoded.set_pipeline(&pipeline.pipeline);
            }
            let offset = [dispatch.params];
            let offsets: &[u32] = if pipeline.takes_params {
                let params = &launch.recording.uniforms[dispatch.params as usize..];
                encoded.set_immediates(0, &params[..dispatch.shader.params_bytes as usize]);
                &[]
            } else {
                &offset
            };
            // Of a launch a step most differ in their params only.
            if !pipeline.takes_params || before != current {
                let group = groups.entry((dispatch.set.0, dispatch.shader.name), || self.group(launch, dispatch, pipeline));
                encoded.set_bind_group(0, &*group, offsets);
            }
            let [x, y, z] = dispatch.workgroups;
            encoded.dispatch_workgroups(x, y, z);
        }
        pass.dispatches.len() as u32
    }

    /// The buffers of a launch, and of all others of its kernel and bind set.
    fn group(&self, launch: &Launch<'_>, dispatch: &Dispatch, pipeline: &Pipeline) -> wgpu::BindGroup {
        let entry = |binding: usize, buffer, offset, bytes| {
            let window = wgpu::BufferBinding { buffer, offset, size: std::num::NonZeroU64::new(bytes) };
            wgpu::BindGroupEntry { binding: binding as u32, resource: wgpu::BindingResource::Buffer(window) }
        };
        let params_bytes = u64::from(dispatch.shader.params_bytes).next_multiple_of(16);
        let params = launch.uniforms.filter(|_| !pipeline.takes_params).map(|uniforms| entry(0, uniforms, 0, params_bytes));
        let windows = launch.recording.sets[dispatch.set.0].iter().enumerate();
        let windows = windows.map(|(place, window)| entry(place + 1, launch.buffers[window.buffer.0], window.offset, window.bytes));
        let entries: Vec<wgpu::BindGroupEntry<'_>> = params.into_iter().chain(windows).collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(dispatch.shader.name),
            layout: &pipeline.layout,
            entries: &entries,
        })
    }
}

/// Bind groups of one run, by bind set and kernel.
type Groups = Table<(usize, &'static str), wgpu::BindGroup>;

/// A recording with everything that it runs on.
struct Launch<'a> {
    recording: &'a Recording,
    /// One for each of the recording's.
    buffers: Vec<&'a wgpu::Buffer>,
    /// Of launches whose pipelines do not take theirs.
    uniforms: Option<&'a wgpu::Buffer>,
    /// One for each of the recording's.
    pipelines: &'a [Arc<Pipeline>],
}

/// What `prepare` gives: the pipelines of a recording, in its order.
#[derive(Default)]
struct Prepared {
    pipelines: Vec<Arc<Pipeline>>,
    compile: Duration,
    compiled: u32,
}

/// A staging buffer whose bytes are on their way.
struct Mapping {
    staging: GpuBuffer,
    bytes: u64,
    mapped: oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const _: () = assert!(UNIFORM_ALIGNMENT == 256, "WebGPU lets a device demand 256");
