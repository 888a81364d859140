//! The plan of a transducer loss: which utterances together, which rows in which window.
//!
//! The planes of a lattice grow with N; where they would outgrow what a kernel can see of one buffer,
//! the batch is done in chunks of utterances that reuse the same workspace. The logits are larger than
//! any window much sooner: each chunk's rows are read in windows.

use super::{Blank, LossShape};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::Kernel;
use crate::error::{Error, Result};
use bytemuck::{Pod, Zeroable};
use std::fmt;
use std::ops::Range;

/// Invocations of a workgroup of the row and gradient passes.
const WORKGROUP: u32 = 256;
/// f32 a cell that the row pass keeps: blank, label, normaliser.
const ARC_PLANES: u64 = 3;
/// Shaders count elements in 32 bits: no window needs more bytes than that.
const WINDOW_BYTES: u64 = u32::MAX as u64;

/// Twin of `Params` in `shaders/shared/lattice_rows.wgsl`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RowParams {
    pub rows: u32,
    pub first_row: u32,
    pub shift: u32,
    pub frames: u32,
    pub positions: u32,
    pub vocab: u32,
    pub blank: u32,
    pub utterances: u32,
    pub first_utterance: u32,
}

/// Twin of `Params` in `shaders/lattice/sweep.wgsl`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct SweepParams {
    pub frames: u32,
    pub positions: u32,
    pub utterances: u32,
    pub first_utterance: u32,
    pub chunk: u32,
    pub directions: u32,
}

/// What a loss of one shape will do on one device. Pure: made without the device, from its facts.
///
/// `Display` lists every buffer and every kernel launch.
#[derive(Clone)]
pub struct TransducerPlan {
    shape: LossShape,
    chunk: u32,
    windows: usize,
    recording: Recording,
}

impl TransducerPlan {
    /// # Errors
    /// [`Error::Shape`], [`Error::Value`] if shape and blank do not fit; [`Error::LimitExceeded`] if
    /// one utterance alone is more than the device can hold.
    pub(super) fn new(shape: LossShape, blank: Blank, gradients: bool, caps: &Caps) -> Result<Self> {
        shape.check(blank)?;
        let sides = Sides::new(shape)?;
        let mut plan = Planner::new(sides, blank, gradients, caps)?;
        let count = sides.utterances;
        let mut first = 0;
        while first < count && sides.frames > 0 {
            let chunk = plan.chunk.min(count - first);
            plan.record(first, chunk)?;
            first += chunk;
        }
        Ok(Self { shape, chunk: plan.chunk.min(count), windows: plan.windows, recording: plan.recording })
    }

    /// The shape that it was made for.
    pub fn shape(&self) -> LossShape {
        self.shape
    }

    /// Utterances that are worked on at once.
    pub fn chunk(&self) -> usize {
        self.chunk as usize
    }

    /// Windows in which the logits are read.
    pub fn windows(&self) -> usize {
        self.windows
    }

    /// Kernel launches.
    pub fn dispatches(&self) -> usize {
        self.recording.dispatches()
    }

    /// Bytes that a run takes beyond logits, gradients, lengths and results.
    pub fn workspace_bytes(&self) -> u64 {
        self.recording.workspace_bytes()
    }

    pub(super) fn recording(&self) -> &Recording {
        &self.recording
    }
}

impl fmt::Display for TransducerPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "transducer loss, logits {}: {} utterances at once, {} windows", self.shape, self.chunk, self.windows)?;
        write!(f, "{}", self.recording)
    }
}

/// A [`LossShape`] as shaders count.
#[derive(Clone, Copy)]
struct Sides {
    utterances: u32,
    frames: u32,
    positions: u32,
    vocab: u32,
}

impl Sides {
    fn new(shape: LossShape) -> Result<Self> {
        let side = |what, side: usize| {
            u32::try_from(side).map_err(|_| Error::LimitExceeded {
                what,
                need: side as u64,
                have: u64::from(u32::MAX),
                help: "split the batch",
            })
        };
        Ok(Self {
            utterances: side("logits: utterances", shape.utterances)?,
            frames: side("logits: frames", shape.frames)?,
            positions: side("logits: positions", shape.positions)?,
            vocab: side("logits: vocabulary", shape.vocab)?,
        })
    }

    fn rows_an_utterance(self) -> u64 {
        u64::from(self.frames) * u64::from(self.positions)
    }

    /// Cells of a plane: D * U1, D = T + U1 - 1.
    fn cells(self) -> u64 {
        (u64::from(self.frames) + u64::from(self.positions) - 1).saturating_mul(u64::from(self.positions))
    }

    fn row_bytes(self) -> u64 {
        4 * u64::from(self.vocab)
    }

    fn logits_bytes(self) -> Result<u64> {
        let rows = self.rows_an_utterance().checked_mul(u64::from(self.utterances));
        rows.and_then(|rows| rows.checked_mul(self.row_bytes())).ok_or(Error::LimitExceeded {
            what: "logits: bytes",
            need: u64::MAX,
            have: u64::MAX,
            help: "split the batch",
        })
    }
}

/// The windows of the logits that one launch sees, and where its first row begins there.
struct Window {
    rows: Range<u64>,
    offset: u64,
    bytes: u64,
    shift: u32,
}

struct Planner<'a> {
    caps: &'a Caps,
    sides: Sides,
    blank: u32,
    directions: u32,
    lanes: Lanes,
    chunk: u32,
    windows: usize,
    recording: Recording,
    logits: BufferId,
    batch: BufferId,
    results: BufferId,
    gradients: Option<BufferId>,
    arcs: BufferId,
    lattice: BufferId,
}

impl<'a> Planner<'a> {
    fn new(sides: Sides, blank: Blank, gradients: bool, caps: &'a Caps) -> Result<Self> {
        let directions = if gradients { 2 } else { 1 };
        let whole = caps.max_binding_bytes.min(caps.max_buffer_bytes).min(WINDOW_BYTES);
        let utterances = u64::from(sides.utterances);
        let logits_bytes = sides.logits_bytes()?;
        let batch_bytes = 4 * utterances * (1 + u64::from(sides.positions));
        within("logits: bytes of the tensor", logits_bytes, caps.max_buffer_bytes, "split the batch")?;
        within("lengths and targets: bytes", batch_bytes, whole, "split the batch")?;
        within(
            "logits: bytes of one row",
            sides.row_bytes(),
            caps.max_binding_bytes.min(WINDOW_BYTES),
            "use a smaller vocabulary, or Context::cpu()",
        )?;
        let planes_bytes = sides.cells().saturating_mul(4 * ARC_PLANES);
        within("lattice of one utterance: bytes", planes_bytes, whole, "cut the utterance into shorter ones, or use Context::cpu()")?;
        let chunk = (whole / planes_bytes.max(1)).min(utterances).max(1) as u32;

        let mut recording = Recording::new();
        let logits = recording.bound("logits", logits_bytes);
        let batch = recording.bound("lengths, targets", batch_bytes);
        let results = recording.bound("status, cost", 8 * utterances);
        let gradients = gradients.then(|| recording.bound("gradients", logits_bytes));
        let arcs = recording.workspace("arcs", u64::from(chunk) * planes_bytes);
        let lattice = recording.workspace("lattice", u64::from(chunk) * u64::from(directions) * 4 * sides.cells());
        recording.clear(results);
        Ok(Self {
            caps,
            sides,
            blank: blank.0,
            directions,
            lanes: Lanes::of(sides.vocab),
            chunk,
            windows: 0,
            recording,
            logits,
            batch,
            results,
            gradients,
            arcs,
            lattice,
        })
    }

    /// Records all stages for the utterances `first .. first + chunk`.
    fn record(&mut self, first: u32, chunk: u32) -> Result<()> {
        let windows = self.cut(first, chunk)?;
        self.windows += windows.len();
        let [batch, results, arcs, lattice] = [self.batch, self.results, self.arcs, self.lattice].map(|b| self.recording.whole(b));
        for window in &windows {
            let set = self.recording.bind(&[self.of(self.logits, window), batch, arcs, results]);
            self.rows(Kernel::LatticeRow, set, first, window);
        }

        let set = self.recording.bind(&[batch, arcs, lattice, results]);
        let params = SweepParams {
            frames: self.sides.frames,
            positions: self.sides.positions,
            utterances: self.sides.utterances,
            first_utterance: first,
            chunk,
            directions: self.directions,
        };
        let walks = u64::from(chunk) * u64::from(self.directions);
        let grid = fold(walks, self.caps.max_workgroups);
        let work = walks.saturating_mul(self.sides.cells()).saturating_mul(16);
        self.recording.dispatch_with(self.caps.shader(Kernel::LatticeSweep), width(self.sides.positions), set, &params, grid, work);

        // Backwards: the windows that the row pass read last may still be in a cache.
        for window in windows.iter().rev() {
            if let Some(gradients) = self.gradients {
                let windows = [self.of(self.logits, window), self.of(gradients, window)];
                let set = self.recording.bind(&[windows[0], batch, arcs, lattice, results, windows[1]]);
                self.rows(Kernel::LatticeGradient, set, first, window);
            }
        }
        Ok(())
    }

    fn of(&self, buffer: BufferId, window: &Window) -> Binding {
        Binding { buffer, offset: window.offset, bytes: window.bytes }
    }

    fn rows(&mut self, kernel: Kernel, set: crate::device::recording::BindSet, first: u32, window: &Window) {
        let rows = window.rows.end - window.rows.start;
        let params = RowParams {
            rows: rows as u32,
            first_row: (window.rows.start - u64::from(first) * self.sides.rows_an_utterance()) as u32,
            shift: window.shift,
            frames: self.sides.frames,
            positions: self.sides.positions,
            vocab: self.sides.vocab,
            blank: self.blank,
            utterances: self.sides.utterances,
            first_utterance: first,
        };
        let groups = rows.div_ceil(u64::from(WORKGROUP / self.lanes.count));
        let grid = fold(groups, self.caps.max_workgroups);
        let work = rows.saturating_mul(u64::from(self.sides.vocab)).saturating_mul(8);
        self.recording.dispatch_with(self.caps.shader(kernel), self.lanes.constants, set, &params, grid, work);
    }

    /// Cuts the rows of a chunk into windows: each begins at an aligned offset of the tensor.
    fn cut(&self, first: u32, chunk: u32) -> Result<Vec<Window>> {
        let (row_bytes, an_utterance) = (self.sides.row_bytes(), self.sides.rows_an_utterance());
        let limit = self.caps.max_binding_bytes.min(WINDOW_BYTES);
        let end = u64::from(first + chunk) * an_utterance;
        let mut row = u64::from(first) * an_utterance;
        let mut windows = Vec::new();
        while row < end {
            let begin = row * row_bytes;
            let shift = begin % self.caps.storage_alignment.max(4);
            let rows = (limit.saturating_sub(shift) / row_bytes).min(end - row);
            // Only a vocabulary that barely fits, at an offset that the alignment moves.
            within("logits: bytes of one row and its alignment", shift + row_bytes, limit, "use a smaller vocabulary, or Context::cpu()")?;
            windows.push(Window {
                rows: row..row + rows,
                offset: begin - shift,
                bytes: shift + rows * row_bytes,
                shift: (shift / 4) as u32,
            });
            row += rows;
        }
        Ok(windows)
    }
}

fn within(what: &'static str, need: u64, have: u64, help: &'static str) -> Result<()> {
    if need > have { Err(Error::LimitExceeded { what, need, have, help }) } else { Ok(()) }
}

/// Invocations that share a row: enough for coalesced reads, few enough to have something to do.
struct Lanes {
    count: u32,
    constants: &'static [(&'static str, f64)],
}

impl Lanes {
    fn of(vocab: u32) -> Self {
        let constants: &'static [(&'static str, f64)] = match vocab {
            0..=64 => &[("LANES", 8.0)],
            65..=128 => &[("LANES", 16.0)],
            129..=256 => &[("LANES", 32.0)],
            257..=512 => &[("LANES", 64.0)],
            513..=1024 => &[("LANES", 128.0)],
            _ => &[("LANES", 256.0)],
        };
        Self { count: constants[0].1 as u32, constants }
    }
}

/// The narrowest workgroup of the sweep that holds all positions, or the widest.
fn width(positions: u32) -> &'static [(&'static str, f64)] {
    match positions {
        0..=32 => &[("WIDTH", 32.0)],
        33..=64 => &[("WIDTH", 64.0)],
        65..=128 => &[("WIDTH", 128.0)],
        _ => &[("WIDTH", 256.0)],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::device::recording::{Command, Role};

    fn plan(sides: [usize; 4], gradients: bool, caps: &Caps) -> Result<TransducerPlan> {
        let [utterances, frames, positions, vocab] = sides;
        TransducerPlan::new(LossShape { utterances, frames, positions, vocab }, Blank(0), gradients, caps)
    }

    /// Every binding of a plan keeps the device's rules, and the windows of each kernel cover each
    /// row once.
    fn check(plan: &TransducerPlan, caps: &Caps) {
        let shape = plan.shape();
        let mut covered = std::collections::BTreeMap::<&str, u64>::new();
        for command in &plan.recording.commands {
            let Command::Dispatch(dispatch) = command else { continue };
            assert!(dispatch.workgroups.iter().all(|&side| side <= caps.max_workgroups));
            for binding in &plan.recording.sets[dispatch.set.0] {
                let info = &plan.recording.buffers[binding.buffer.0];
                assert!(binding.bytes > 0 && binding.bytes <= caps.max_binding_bytes, "{} sees {} B", dispatch.shader.name, binding.bytes);
                assert_eq!(binding.offset % caps.storage_alignment, 0);
                assert!(binding.offset + binding.bytes <= info.bytes && info.bytes <= caps.max_buffer_bytes);
            }
            if dispatch.shader.kernel != Kernel::LatticeSweep {
                let params: RowParams =
                    bytemuck::pod_read_unaligned(&plan.recording.uniforms[dispatch.params as usize..][..size_of::<RowParams>()]);
                *covered.entry(dispatch.shader.name).or_default() += u64::from(params.rows);
            }
        }
        let rows = (shape.utterances * shape.frames * shape.positions) as u64;
        assert!(covered.values().all(|&seen| seen == rows), "{covered:?} of {rows}");
    }

    #[test]
    fn portable_limits_hold() {
        let caps = Caps::portable();
        for sides in [[1, 1, 1, 1], [16, 150, 41, 28], [4, 150, 21, 5000], [2, 400, 80, 777], [400, 400, 101, 3]] {
            for gradients in [false, true] {
                let plan = plan(sides, gradients, &caps).unwrap();
                check(&plan, &caps);
            }
        }
        assert_eq!(plan([16, 150, 41, 28], true, &caps).unwrap().dispatches(), 3);
        assert_eq!(plan([16, 150, 41, 28], false, &caps).unwrap().dispatches(), 2);
    }

    #[test]
    fn windows_and_chunks_cover_buffers_over_2_gib() {
        // As NVIDIA's Vulkan driver grants: any buffer, 2 GiB - 1 of it at once.
        let caps = Caps { max_buffer_bytes: 1 << 40, max_binding_bytes: i32::MAX as u64, ..Caps::portable() };
        for sides in [[64, 1500, 301, 50], [128, 150, 21, 5000], [100, 6000, 301, 3]] {
            let plan = plan(sides, true, &caps).unwrap();
            check(&plan, &caps);
            assert!(plan.windows() > 1);
        }
        assert!(plan([1000, 6000, 301, 3], true, &caps).unwrap().chunk() < 1000);
    }

    #[test]
    fn tiny_bindings_hold() {
        let caps = Caps { max_binding_bytes: 64 << 10, ..Caps::portable() };
        let plan = plan([5, 40, 21, 130], true, &caps).unwrap();
        check(&plan, &caps);
        assert_eq!(plan.chunk(), 4);
        assert!(plan.windows() > 30);
    }

    #[test]
    fn workspace_is_arcs_lattice_and_params() {
        let caps = Caps::portable();
        let (cells, params) = ((150 + 41 - 1) * 41, 256);
        assert_eq!(plan([16, 150, 41, 28], true, &caps).unwrap().workspace_bytes(), 16 * cells * (3 + 2) * 4 + 3 * params);
        assert_eq!(plan([16, 150, 41, 28], false, &caps).unwrap().workspace_bytes(), 16 * cells * (3 + 1) * 4 + 2 * params);
    }

    #[test]
    fn what_cannot_fit_says_so() {
        let caps = Caps::portable();
        let need = |sides| match plan(sides, true, &caps) {
            Err(Error::LimitExceeded { what, need, have, .. }) => (what, need, have),
            other => panic!("{:?}", other.map(|p| p.to_string())),
        };
        assert_eq!(need([64, 1500, 301, 50]).0, "logits: bytes of the tensor");
        let (what, bytes, have) = need([1, 4000, 2000, 2]);
        assert_eq!((what, bytes, have), ("lattice of one utterance: bytes", 12 * 5999 * 2000, 128 << 20));
        assert_eq!(need([1, 1, 1, (32 << 20) + 1]).0, "logits: bytes of one row");
        assert_eq!(need([usize::MAX, 1, 1, 1]).0, "logits: utterances");
        assert_eq!(need([1 << 31, 1 << 31, 1 << 31, 1]).0, "logits: bytes");
    }

    #[test]
    fn nothing_to_do_is_a_plan_without_launches() {
        for sides in [[0, 5, 3, 4], [3, 0, 3, 4]] {
            let plan = plan(sides, true, &Caps::portable()).unwrap();
            assert_eq!((plan.dispatches(), plan.windows()), (0, 0));
        }
    }

    #[test]
    fn a_plan_can_be_read() {
        let plan = plan([2, 3, 2, 4], true, &Caps::portable()).unwrap();
        let text = plan.to_string();
        for part in ["[N 2, T 3, U1 2, V 4]", "lattice_row ", "lattice_sweep ", "lattice_gradient ", "workspace"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(plan.recording.buffers.iter().filter(|b| matches!(b.role, Role::Bound(_))).count(), 4);
    }
}
