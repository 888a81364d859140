//! A plan as plain data: which kernels run on which buffers, in order. No wgpu type appears here, so
//! that a plan can be printed and tested without a device, and the same plan runs on a GPU
//! (`device::engine`) or on the CPU twins (`cpu::run`).

use super::Caps;
#[cfg(not(target_family = "wasm"))]
use super::pool::size_class;
use super::program::Program;
use super::shader::Shader;
use bytemuck::NoUninit;
use std::fmt;
use std::sync::Arc;

/// Every params block starts at a multiple of this: the largest uniform alignment that WebGPU allows
/// a device to demand.
pub const UNIFORM_ALIGNMENT: usize = 256;

/// A buffer of one recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub(crate) usize);

/// Who provides a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The caller, at this place of the list that it gives to `run`.
    Bound(usize),
    /// The engine's pool; the content is arbitrary at first and gone afterwards.
    Workspace,
}

/// What is known of a buffer.
#[derive(Clone, Debug)]
pub struct BufferInfo {
    /// Name, for people.
    pub label: &'static str,
    /// Size in bytes.
    pub bytes: u64,
    /// Who provides it.
    pub role: Role,
}

/// A window of a buffer, as a kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// The buffer.
    pub buffer: BufferId,
    /// First byte: a multiple of the device's storage alignment.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Binding {
    /// The smallest window that holds this one and begins where the device allows it, and the number
    /// of 4-byte elements that come before this one there.
    pub fn aligned(self, caps: &Caps) -> (Self, u32) {
        let before = self.offset % caps.storage_alignment;
        (Self { offset: self.offset - before, bytes: self.bytes + before, ..self }, (before / 4) as u32)
    }
}

/// The bindings 1, 2, … of a kernel, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BindSet(pub(crate) usize);

/// A shader variant with its pipeline constants: what is compiled once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PipelineKey {
    /// The shader variant.
    pub shader: &'static Shader,
    /// What fills its slot, if it has one.
    pub program: Option<Arc<Program>>,
    /// Pipeline constants (`override`) that differ from their defaults: names, and the bits of their f64 values.
    pub constants: Vec<(&'static str, u64)>,
}

/// One kernel launch.
#[derive(Clone)]
pub struct Dispatch {
    /// What runs.
    pub shader: &'static Shader,
    /// Its place in [`Recording::pipelines`].
    pub pipeline: usize,
    /// Its storage buffers.
    pub set: BindSet,
    /// Where its params begin in [`Recording::uniforms`].
    pub params: u32,
    /// Grid.
    pub workgroups: [u32; 3],
    /// Rough number of elementary operations: the engine cuts a long recording into submits by it.
    pub work: u64,
}

/// One command.
#[derive(Clone)]
pub enum Command {
    /// Launches a kernel.
    Dispatch(Dispatch),
    /// Fills a whole buffer with zero bytes.
    Clear(BufferId),
    /// Copies bytes to a window of another buffer, of the same size.
    Copy(Binding, Binding),
    /// Ends a pass. Launches between two cuts may run side by side where none needs what another writes.
    Cut,
}

/// A plan, ready to run any number of times.
#[derive(Clone, Default)]
pub struct Recording {
    pub(crate) buffers: Vec<BufferInfo>,
    pub(crate) sets: Vec<Vec<Binding>>,
    pub(crate) commands: Vec<Command>,
    pub(crate) uniforms: Vec<u8>,
    pub(crate) pipelines: Vec<PipelineKey>,
}

impl Recording {
    /// An empty plan.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a buffer that the caller provides; callers give them in the order of these calls.
    pub fn bound(&mut self, label: &'static str, bytes: u64) -> BufferId {
        let place = self.buffers.iter().filter(|b| matches!(b.role, Role::Bound(_))).count();
        self.buffer(BufferInfo { label, bytes, role: Role::Bound(place) })
    }

    /// Declares a buffer that lives during this call only.
    pub fn workspace(&mut self, label: &'static str, bytes: u64) -> BufferId {
        self.buffer(BufferInfo { label, bytes, role: Role::Workspace })
    }

    /// Workspace of at least so many bytes, which calls that are given the same `scratch` share.
    pub fn scratch(&mut self, scratch: &mut Option<BufferId>, label: &'static str, bytes: u64) -> BufferId {
        let buffer = *scratch.get_or_insert_with(|| self.workspace(label, bytes));
        let known = &mut self.buffers[buffer.0].bytes;
        *known = bytes.max(*known);
        buffer
    }

    fn buffer(&mut self, info: BufferInfo) -> BufferId {
        self.buffers.push(info);
        BufferId(self.buffers.len() - 1)
    }

    /// The whole of a buffer, as a binding.
    pub fn whole(&self, buffer: BufferId) -> Binding {
        Binding { buffer, offset: 0, bytes: self.buffers[buffer.0].bytes }
    }

    /// A list of bindings that dispatches refer to.
    pub fn bind(&mut self, bindings: &[Binding]) -> BindSet {
        self.sets.push(bindings.to_vec());
        BindSet(self.sets.len() - 1)
    }

    /// Adds a launch. A grid with a zero is dropped: there is nothing to do.
    pub fn dispatch<P: NoUninit>(&mut self, shader: &'static Shader, set: BindSet, params: &P, workgroups: [u32; 3], work: u64) {
        self.launch(shader, None, &[], set, params, workgroups, work);
    }

    /// Adds a launch with pipeline constants, whose values the kernel is compiled for.
    pub fn dispatch_with<P: NoUninit>(
        &mut self,
        shader: &'static Shader,
        constants: &[(&'static str, f64)],
        set: BindSet,
        params: &P,
        workgroups: [u32; 3],
        work: u64,
    ) {
        self.launch(shader, None, constants, set, params, workgroups, work);
    }

    /// Adds a launch of a kernel whose slot is filled by a program.
    pub fn dispatch_program<P: NoUninit>(
        &mut self,
        (shader, program): (&'static Shader, &Arc<Program>),
        constants: &[(&'static str, f64)],
        set: BindSet,
        params: &P,
        workgroups: [u32; 3],
        work: u64,
    ) {
        self.launch(shader, Some(program), constants, set, params, workgroups, work);
    }

    #[allow(clippy::too_many_arguments, reason = "what makes up a launch; its three callers say it in parts")]
    fn launch<P: NoUninit>(
        &mut self,
        shader: &'static Shader,
        program: Option<&Arc<Program>>,
        constants: &[(&'static str, f64)],
        set: BindSet,
        params: &P,
        workgroups: [u32; 3],
        work: u64,
    ) {
        debug_assert_eq!(program.is_some(), shader.has_slot, "program of {}", shader.name);
        debug_assert_eq!(size_of::<P>() as u32, shader.params_bytes, "params of {} and of its twin differ", shader.name);
        debug_assert_eq!(self.sets[set.0].len(), shader.writable.len(), "bindings of {}", shader.name);
        if workgroups.contains(&0) {
            return;
        }
        let params_at = self.uniforms.len() as u32;
        self.uniforms.extend_from_slice(bytemuck::bytes_of(params));
        self.uniforms.resize(self.uniforms.len().next_multiple_of(UNIFORM_ALIGNMENT), 0);
        let pipeline = self.pipeline(shader, program, constants);
        self.commands.push(Command::Dispatch(Dispatch { shader, pipeline, set, params: params_at, workgroups, work }));
    }

    fn pipeline(&mut self, shader: &'static Shader, program: Option<&Arc<Program>>, constants: &[(&'static str, f64)]) -> usize {
        let bits = constants.iter().map(|&(name, value)| (name, value.to_bits()));
        // A plan has few, and the next launch is most often of the last one.
        let is_same = |p: &PipelineKey| p.shader == shader && p.program.as_ref() == program && p.constants.iter().copied().eq(bits.clone());
        let known = self.pipelines.iter().rposition(is_same);
        known.unwrap_or_else(|| {
            self.pipelines.push(PipelineKey { shader, program: program.cloned(), constants: bits.collect() });
            self.pipelines.len() - 1
        })
    }

    /// Adds a fill with zero bytes.
    pub fn clear(&mut self, buffer: BufferId) {
        self.commands.push(Command::Clear(buffer));
    }

    /// Adds a copy between two buffers: windows of the same size, at multiples of four bytes.
    pub fn copy(&mut self, from: Binding, to: Binding) {
        debug_assert!(from.buffer != to.buffer && from.bytes == to.bytes, "{from:?} {to:?}");
        if from.bytes > 0 {
            self.commands.push(Command::Copy(from, to));
        }
    }

    /// Ends a pass. A device waits between launches of a pass where a buffer is written by one and used by the next, and between passes; what
    /// lies between two cuts and shares no such buffer runs side by side.
    pub fn cut(&mut self) {
        self.commands.push(Command::Cut);
    }

    /// Bytes of memory that a run takes beyond the buffers that the caller provides; with 256 B a launch for params, which take none where
    /// they go with their launches.
    pub fn workspace_bytes(&self) -> u64 {
        self.buffers.iter().filter(|b| b.role == Role::Workspace).map(|b| b.bytes).sum::<u64>() + self.uniforms.len() as u64
    }

    /// The same of the buffers that the run is lent for that, each as large as pooled ones are.
    #[cfg(not(target_family = "wasm"))]
    pub fn allocated_bytes(&self) -> u64 {
        let workspace = self.buffers.iter().filter(|b| b.role == Role::Workspace).map(|b| size_class(b.bytes));
        workspace.sum::<u64>() + if self.uniforms.is_empty() { 0 } else { size_class(self.uniforms.len() as u64) }
    }

    /// Number of kernel launches.
    pub fn dispatches(&self) -> usize {
        self.commands.iter().filter(|c| matches!(c, Command::Dispatch(_))).count()
    }
}

/// Folds `groups` workgroups into a grid whose every side is within `limit` (65,535 in WebGPU). The
/// kernel finds its number as `id.x + id.y * num_workgroups.x` and must ignore the surplus.
pub fn fold(groups: u64, limit: u32) -> [u32; 3] {
    if groups == 0 {
        return [0, 1, 1];
    }
    let limit = u64::from(limit.max(1));
    let rows = groups.div_ceil(limit);
    [groups.div_ceil(rows) as u32, rows as u32, 1]
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for info in &self.buffers {
            writeln!(f, "buffer   {:<16} {:>14} B  {:?}", info.label, info.bytes, info.role)?;
        }
        for command in &self.commands {
            match command {
                Command::Clear(buffer) => writeln!(f, "clear    {}", self.buffers[buffer.0].label)?,
                Command::Copy(from, to) => {
                    writeln!(
                        f,
                        "copy     {} B of {} to {}",
                        from.bytes, self.buffers[from.buffer.0].label, self.buffers[to.buffer.0].label
                    )?;
                }
                Command::Cut => writeln!(f, "cut")?,
                Command::Dispatch(d) => {
                    let names: Vec<&str> = self.sets[d.set.0].iter().map(|b| self.buffers[b.buffer.0].label).collect();
                    writeln!(f, "dispatch {:<28} {:?} ({})", d.shader.name, d.workgroups, names.join(", "))?;
                }
            }
        }
        write!(f, "workspace {} B", self.workspace_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fold_covers_and_stays_within() {
        for groups in [0, 1, 65_535, 65_536, 70_000, 1 << 20, (1 << 31) + 7] {
            let [x, y, z] = fold(groups, 65_535);
            assert!(u64::from(x) * u64::from(y) * u64::from(z) >= groups);
            assert!(x <= 65_535 && y <= 65_535);
        }
    }
}
