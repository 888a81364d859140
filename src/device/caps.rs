//! Plain facts about a device, read once. No wgpu type appears here: plans are made from these alone.

use super::recording::UNIFORM_ALIGNMENT;
use super::shader::{Kernel, SHADERS, Shader};
use crate::error::{Result, within};
use std::fmt;

/// Which kind of hardware it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A card with memory of its own.
    Discrete,
    /// A GPU that shares the CPU's memory.
    Integrated,
    /// A part of a GPU.
    Virtual,
    /// A CPU that plays GPU (lavapipe, SwiftShader, WARP): right answers, no performance.
    Software,
    /// The CPU twins of this crate; no GPU is involved.
    Cpu,
    /// The driver or the browser does not say.
    Unknown,
}

/// What this device is and can do.
#[derive(Clone, Debug, PartialEq)]
pub struct Caps {
    /// Adapter name, as the driver tells it.
    pub adapter: String,
    /// Driver and its version.
    pub driver: String,
    /// `vulkan`, `metal`, `dx12`, `webgpu` or `cpu`.
    pub backend: &'static str,
    /// Kind of hardware.
    pub kind: DeviceKind,
    /// Smallest and largest subgroup size, where subgroup kernels may be used.
    pub subgroups: Option<[u32; 2]>,
    /// Sides of the square matrices of f16 that a subgroup multiplies with sums in f32 (tensor cores and the like), where kernels
    /// may use them: 16, and subgroups are of 32; or 8, and they are of 8.
    pub matrices: Option<u32>,
    /// Whether kernels can read what other workgroups write, four words at once.
    pub coherent: bool,
    /// How many workgroups run at the same time and see what the others write, if each takes all registers that a kernel can; 0
    /// where that is not known, or where kernels must not wait for each other. Recurrent layers ask the device at their first call.
    pub together: u32,
    /// Whether GPU time can be measured.
    pub timestamps: bool,
    /// Largest buffer, bytes.
    pub max_buffer_bytes: u64,
    /// Largest window of a buffer that a kernel can see at once, bytes.
    pub max_binding_bytes: u64,
    /// Storage buffers a kernel may bind.
    pub max_storage_buffers: u32,
    /// Invocations a workgroup.
    pub max_invocations: u32,
    /// Workgroup memory, bytes.
    pub max_workgroup_bytes: u32,
    /// Workgroups along one side of the grid.
    pub max_workgroups: u32,
    /// Windows of buffers begin at multiples of this, bytes.
    pub storage_alignment: u64,
}

impl Caps {
    /// The CPU twins: no limits but memory.
    pub fn cpu() -> Self {
        Self {
            adapter: "CPU".to_owned(),
            driver: format!("weft {} CPU twin", env!("CARGO_PKG_VERSION")),
            backend: "cpu",
            kind: DeviceKind::Cpu,
            subgroups: None,
            matrices: None,
            coherent: false,
            together: 0,
            timestamps: false,
            max_buffer_bytes: isize::MAX as u64,
            max_binding_bytes: isize::MAX as u64,
            max_storage_buffers: 8,
            max_invocations: 256,
            max_workgroup_bytes: 16_384,
            max_workgroups: 65_535,
            storage_alignment: 256,
        }
    }

    /// The least that any WebGPU device grants, without any optional feature.
    pub fn portable() -> Self {
        Self {
            adapter: "portable".to_owned(),
            driver: String::new(),
            backend: "webgpu",
            kind: DeviceKind::Unknown,
            max_buffer_bytes: 256 << 20,
            max_binding_bytes: 128 << 20,
            ..Self::cpu()
        }
    }

    /// With lower limits, where some are given.
    pub(crate) fn limited(self, max_binding_bytes: Option<u64>, max_workgroups: Option<u32>) -> Self {
        Self {
            max_binding_bytes: self.max_binding_bytes.min(max_binding_bytes.unwrap_or(u64::MAX)) & !3,
            max_workgroups: self.max_workgroups.min(max_workgroups.unwrap_or(u32::MAX)),
            ..self
        }
    }

    /// Fails on a device that is too small for the kernels, as none is whose limits were left alone.
    pub(super) fn check(&self) -> Result<()> {
        let help = "open the device with at least wgpu::Limits::default()";
        within("a kernel, storage buffers", 7, self.max_storage_buffers.into(), help)?;
        within("a workgroup, invocations", 256, self.max_invocations.into(), help)?;
        within("a workgroup, bytes", 16_384, self.max_workgroup_bytes.into(), help)
    }

    /// The best variant of a kernel that this device can run.
    pub fn shader(&self, kernel: Kernel) -> &'static Shader {
        self.shader_with(kernel, &[])
    }

    /// The best variant with these flags, in the order of `shaders/variants`; the plain one if there is
    /// none.
    pub fn shader_with(&self, kernel: Kernel, flags: &[&str]) -> &'static Shader {
        let find = |subgroups| SHADERS.iter().find(|s| s.kernel == kernel && s.subgroups == subgroups && s.flags == flags);
        self.subgroups.and_then(|_| find(true)).or_else(|| find(false)).unwrap_or(kernel.plain())
    }

    /// Names of the shader variants that this device runs, one a kernel.
    pub fn variants(&self) -> Vec<&'static str> {
        let mut kernels: Vec<Kernel> = SHADERS.iter().map(|shader| shader.kernel).collect();
        kernels.dedup();
        kernels.into_iter().map(|kernel| self.shader(kernel).name).collect()
    }

    /// Largest window of a buffer whose elements a kernel can number by u32, bytes.
    pub fn max_window_bytes(&self) -> u64 {
        self.max_binding_bytes.min(self.max_buffer_bytes).min(1 << 32) & !3
    }

    /// Largest window of a buffer that may begin anywhere, bytes: the device lets it begin a little
    /// earlier only, at a multiple of [`storage_alignment`](Self::storage_alignment).
    pub fn max_shifted_window_bytes(&self) -> u64 {
        self.max_window_bytes().saturating_sub(self.storage_alignment)
    }

    /// Launches of one recording: their params lie in one buffer, whose offsets are u32.
    pub(crate) fn max_launches(&self) -> u64 {
        self.max_buffer_bytes.min(1 << 32) / UNIFORM_ALIGNMENT as u64
    }

    /// Elementary operations that a submit may take, and a single launch at most: about a quarter of a
    /// second of slow hardware of that kind.
    pub(crate) fn submit_work(&self) -> u64 {
        match self.kind {
            DeviceKind::Discrete => 200_000_000_000,
            DeviceKind::Integrated | DeviceKind::Virtual | DeviceKind::Unknown => 20_000_000_000,
            DeviceKind::Software | DeviceKind::Cpu => 500_000_000,
        }
    }

    /// True if a time taken here says nothing about GPUs.
    pub fn is_software(&self) -> bool {
        matches!(self.kind, DeviceKind::Software | DeviceKind::Cpu)
    }
}

impl fmt::Display for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "adapter             {} ({:?})", self.adapter, self.kind)?;
        writeln!(f, "driver              {}", self.driver)?;
        writeln!(f, "backend             {}", self.backend)?;
        match self.subgroups {
            Some([min, max]) => writeln!(f, "subgroups           {min}..{max}")?,
            None => writeln!(f, "subgroups           not used")?,
        }
        match self.matrices {
            Some(side) => writeln!(f, "matrices            {side} x {side}, f16 to f32")?,
            None => writeln!(f, "matrices            not used")?,
        }
        writeln!(f, "timestamps          {}", self.timestamps)?;
        writeln!(f, "buffer              {} B", self.max_buffer_bytes)?;
        writeln!(f, "storage binding     {} B", self.max_binding_bytes)?;
        writeln!(f, "storage buffers     {}", self.max_storage_buffers)?;
        writeln!(f, "invocations         {} a workgroup", self.max_invocations)?;
        writeln!(f, "workgroup memory    {} B", self.max_workgroup_bytes)?;
        writeln!(f, "workgroups          {} a side", self.max_workgroups)?;
        write!(f, "storage alignment   {} B", self.storage_alignment)
    }
}
