//! What the device itself gives, measured in the same run: the bandwidth and the launch cost that
//! floors are made of, and the load that brings the clocks up before anything is timed.

use std::time::Duration;
use weft::wgpu::{self, util::DeviceExt as _};
use weft::{Caps, DeviceKind};

const SHADER: &str = "
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> words: array<atomic<u32>>;

@compute @workgroup_size(256)
fn copy(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) n: vec3u) {
    for (var i = id.x; i < arrayLength(&a); i += n.x * 256u) {
        b[i] = a[i];
    }
}

@compute @workgroup_size(64)
fn step(@builtin(local_invocation_index) i: u32) {
    b[i] = a[i] + b[i];
}

@compute @workgroup_size(256)
fn burn(@builtin(global_invocation_id) id: vec3u) {
    var x = a[id.x % 64u];
    let c = a[64];
    let d = a[65];
    // Sixteen a round, whose count costs a little too.
    for (var i = 0u; i < 256u; i++) {
        x = fma(x, c, d); x = fma(x, d, c); x = fma(x, c, d); x = fma(x, d, c);
        x = fma(x, c, d); x = fma(x, d, c); x = fma(x, c, d); x = fma(x, d, c);
        x = fma(x, c, d); x = fma(x, d, c); x = fma(x, c, d); x = fma(x, d, c);
        x = fma(x, c, d); x = fma(x, d, c); x = fma(x, c, d); x = fma(x, d, c);
    }
    b[id.x % arrayLength(&b)] = x;
}

@compute @workgroup_size(1)
fn chain() {
    var x = a[0].x;
    for (var i = 0u; i < 16384u; i++) {
        x = fma(x, 0.999, 0.001);
    }
    b[0].x = x;
}

// In each round every workgroup writes a word and waits for those of all others, as long as that may reasonably take.
@compute @workgroup_size(32)
fn wait(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) i: u32) {
    var patience = 1000000u;
    for (var round = 0u; round < 2000u; round++) {
        if (i == 0u) {
            atomicStore(&words[round * groups.x + group.x], 1u);
        }
        if (i < groups.x) {
            while (patience > 0u && atomicLoad(&words[round * groups.x + i]) == 0u) {
                patience--;
            }
        }
        workgroupBarrier();
    }
}
";

/// Rounds of `wait`, and its workgroups: as many as hold the weights of a small layer.
const ROUNDS: u32 = 2000;
const GROUPS: u32 = 16;

/// The kernels, by their place in the probe.
const KERNELS: [&str; 5] = ["copy", "step", "burn", "chain", "wait"];
const COPY: usize = 0;
const STEP: usize = 1;
const BURN: usize = 2;
const CHAIN: usize = 3;
const WAIT: usize = 4;
/// Workgroups of a launch of `burn`, and what each computes.
const BURN_GROUPS: u32 = 4096;
const BURN_FLOPS: f64 = 4096.0 * 8.0 * 256.0;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes read plus bytes written a second, by a copy kernel.
    pub bytes_per_second: f64,
    /// One more dependent dispatch in a pass.
    pub dispatch: Duration,
    /// Multiplications and additions of f32 a second.
    pub flops_per_second: f64,
    /// One more step of workgroups that wait for each other within a launch; where they may, on cards.
    pub wait: Option<Duration>,
    /// A chain of dependent arithmetic, clocks up.
    chain: Duration,
}

/// A few kernels of its own on the context's device.
pub struct Probe {
    device: wgpu::Device,
    queue: wgpu::Queue,
    pipelines: [wgpu::ComputePipeline; 5],
    words: wgpu::Buffer,
    group: wgpu::BindGroup,
    bytes: u64,
    software: bool,
    waits: bool,
}

impl Probe {
    /// On a software adapter everything is small: it has no clocks to bring up.
    pub fn new(device: wgpu::Device, queue: wgpu::Queue, caps: &Caps) -> Self {
        let (software, waits) = (caps.is_software(), caps.kind == DeviceKind::Discrete && caps.backend == "vulkan");
        let bytes = if software { 4 << 20 } else { 512 << 20 };
        let module =
            device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source: wgpu::ShaderSource::Wgsl(SHADER.into()) });
        let storage = |read_only| wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only },
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::COMPUTE, ty, count: None };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &[entry(0, storage(true)), entry(1, storage(false)), entry(2, storage(false))],
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipelines = KERNELS.map(|entry_point| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: Default::default(),
                cache: None,
            })
        });
        let buffer = |size| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let (a, b, words) = (buffer(bytes), buffer(bytes), buffer(u64::from(4 * ROUNDS * GROUPS)));
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: a.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: b.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 2, resource: words.as_entire_binding() },
            ],
        });
        Self { device, queue, pipelines, words, group, bytes, software, waits }
    }

    /// GPU time of `count` dependent dispatches of pipeline `which` in one pass.
    fn time(&self, which: usize, count: u32, workgroups: u32) -> Duration {
        let queries = self.device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 2 });
        let resolved = self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: None,
            contents: &[0; 16],
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
        });
        let staging = self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: None,
            contents: &[0; 16],
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.clear_buffer(&self.words, 0, None);
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(0),
                    end_of_pass_write_index: Some(1),
                }),
            });
            pass.set_pipeline(&self.pipelines[which]);
            pass.set_bind_group(0, &self.group, &[]);
            for _ in 0..count {
                pass.dispatch_workgroups(workgroups, 1, 1);
            }
        }
        encoder.resolve_query_set(&queries, 0..2, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, 16);
        self.queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |_| {});
        let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
        let Ok(view) = staging.get_mapped_range(..) else { return Duration::ZERO };
        let tick = |at: usize| view.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        let ticks = tick(8).saturating_sub(tick(0)) as f64;
        Duration::from_nanos((ticks * f64::from(self.queue.get_timestamp_period())) as u64)
    }

    /// Keeps every core busy for some tens of milliseconds: an idle GPU clocks down within a second,
    /// and then small kernels measure the power manager.
    pub fn warm(&self) {
        for _ in 0..if self.software { 0 } else { 16 } {
            self.time(BURN, 8, BURN_GROUPS);
        }
    }

    /// How much slower a chain of dependent arithmetic is than when the limits were measured: the fall
    /// of the clocks. 1 on a software adapter.
    pub fn slower(&self, limits: &Limits) -> f64 {
        if self.software { 1.0 } else { self.time(CHAIN, 1, 1).as_secs_f64() / limits.chain.as_secs_f64() }
    }

    /// The device's limits, each the best of several tries.
    pub fn limits(&self) -> Limits {
        let best = |f: &dyn Fn() -> Duration| (0..10).map(|_| f()).min().unwrap_or_default();
        self.warm();
        let copy = best(&|| self.time(COPY, 1, 8192));
        let few = best(&|| self.time(STEP, 100, 1));
        let many = best(&|| self.time(STEP, 1100, 1));
        let chain = best(&|| self.time(CHAIN, 1, 1));
        let burns = if self.software { 1 } else { 8 };
        let burn = best(&|| self.time(BURN, burns, BURN_GROUPS));
        Limits {
            bytes_per_second: 2.0 * self.bytes as f64 / copy.as_secs_f64(),
            dispatch: many.saturating_sub(few) / 1000,
            flops_per_second: f64::from(burns * BURN_GROUPS) * BURN_FLOPS / burn.as_secs_f64(),
            wait: self.waits.then(|| best(&|| self.time(WAIT, 1, GROUPS)) / ROUNDS),
            chain,
        }
    }
}
