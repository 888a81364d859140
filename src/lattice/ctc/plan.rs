//! The plan of a CTC loss: which utterances together, which rows in which window.

use super::CtcShape;
use super::batch::CtcProblem;
use super::layout::{COLUMNS, DEPTH, chunks, groups, words};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{
    Kernel, LatticeCtcRowParams as RowParams, LatticeCtcSweepParams as SweepParams, LatticeCtcTraceParams as TraceParams,
};
use crate::error::{Result, within};
use crate::lattice::layout::Pass;
use crate::lattice::scores::Meaning;
use crate::lattice::window::{Window, windows};
use crate::lattice::{Blank, CHUNK, Gradients, Reduction};
use std::fmt;
use std::ops::Range;

/// Invocations of a workgroup of the row and gradient passes; the most of the sweep.
const WORKGROUP: u32 = 256;
/// Bytes of four words.
const VEC4: u64 = 16;

/// Options that a plan depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub blank: Blank,
    pub gradients: Gradients,
    pub alignments: bool,
    pub clamp: Option<f32>,
    pub reduction: Reduction,
    pub workspace_limit: Option<u64>,
    /// Whether weights of labels and blanks are the caller's, instead of workspace.
    pub keep_weights: bool,
}

impl Options {
    /// Whether the variables of all frames are kept, and those of both directions.
    fn keeps(&self) -> bool {
        self.alignments || self.gradients != Gradients::None
    }
}

/// What a loss of one batch will do on one device. Pure: made without the device, from its facts.
///
/// `Display` lists every buffer and every kernel launch.
#[derive(Clone)]
pub struct CtcPlan {
    title: String,
    parts: Vec<Range<usize>>,
    weights: [u64; 2],
    groups: u64,
    windows: usize,
    tile: u32,
    tiles: u64,
    recording: Recording,
}

impl CtcPlan {
    pub(super) fn of_shape(shape: CtcShape, options: &Options, caps: &Caps) -> Result<Self> {
        Self::new(&shape.problem(options.blank)?, options, caps)
    }

    pub(super) fn new(problem: &CtcProblem, options: &Options, caps: &Caps) -> Result<Self> {
        let mut planner = Planner::new(problem, options, caps)?;
        let parts = planner.parts()?;
        planner.begin();
        for part in parts.clone() {
            planner.record(part)?;
        }
        Ok(planner.finish(parts))
    }

    /// Plans that together do what [`new`](Self::new) does, a plan a part, to be run in order. If weights are kept, the caller takes
    /// them between two runs.
    pub(super) fn by_parts(problem: &CtcProblem, options: &Options, caps: &Caps) -> Result<Vec<Self>> {
        let all = Planner::new(problem, options, caps)?.parts()?;
        let plans = all.into_iter().enumerate().map(|(index, part)| {
            let mut planner = Planner::new(problem, options, caps)?;
            planner.parts()?;
            if index == 0 {
                planner.begin();
            }
            planner.record(part.clone())?;
            Ok(planner.finish(vec![part]))
        });
        plans.collect()
    }

    /// The utterances that are worked on together.
    pub(super) fn parts(&self) -> &[Range<usize>] {
        &self.parts
    }

    /// Weights that are kept: bytes of those of the labels, and of the frames.
    pub(super) fn weights_bytes(&self) -> [u64; 2] {
        self.weights
    }

    /// Groups of columns that the weights of a frame lie in.
    pub(super) fn groups(&self) -> usize {
        self.groups as usize
    }

    /// Utterances that are worked on at once.
    pub fn chunk(&self) -> usize {
        self.parts.iter().map(ExactSizeIterator::len).max().unwrap_or(0)
    }

    /// Windows in which the logits are read.
    pub fn windows(&self) -> usize {
        self.windows
    }

    /// Kernel launches.
    pub fn dispatches(&self) -> usize {
        self.recording.dispatches()
    }

    /// Bytes that a run takes beyond logits, gradients, lengths, targets and results. Exact.
    pub fn workspace_bytes(&self) -> u64 {
        self.recording.workspace_bytes()
    }

    /// Symbols of a tile of the gradient pass, and tiles of a row; none without gradients.
    pub(super) fn tiles(&self) -> (u32, u64) {
        (self.tile, self.tiles)
    }

    pub(super) fn recording(&self) -> &Recording {
        &self.recording
    }
}

impl fmt::Display for CtcPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} utterances at once, {} windows", self.title, self.chunk(), self.windows)?;
        write!(f, "{}", self.recording)
    }
}

/// Elements of the workspace of some utterances, of one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Sizes {
    count: u64,
    /// Rows of the tensor that the weights are kept for.
    rows: u64,
    /// Groups of columns whose variables are kept, and whose anchors.
    lattice: u64,
    anchors: u64,
    directions: u64,
    groups: u64,
    /// What blocks give to the next ones.
    edges: u64,
}

impl Sizes {
    fn arcs_bytes(self) -> u64 {
        VEC4.saturating_mul(self.rows).saturating_mul(self.groups)
    }

    fn frames_bytes(self) -> u64 {
        8 * self.rows
    }

    /// Blanks and labels of each group; one group for what no state wants.
    fn lattice_bytes(self) -> u64 {
        (2 * VEC4).saturating_mul(self.directions.saturating_mul(self.lattice).saturating_add(1))
    }

    fn anchors_bytes(self) -> u64 {
        VEC4.saturating_mul(self.directions.saturating_mul(self.anchors).saturating_add(1 + self.edges))
    }

    fn choices_bytes(self) -> u64 {
        VEC4.saturating_mul(self.anchors.saturating_add(1 + self.edges))
    }

    fn max(self, other: Self) -> Self {
        Self {
            count: self.count.max(other.count),
            rows: self.rows.max(other.rows),
            lattice: self.lattice.max(other.lattice),
            anchors: self.anchors.max(other.anchors),
            edges: self.edges.max(other.edges),
            ..other
        }
    }
}

struct Planner<'a> {
    caps: &'a Caps,
    problem: &'a CtcProblem,
    options: &'a Options,
    rows: u64,
    /// Groups of columns of the longest target, and frames of the longest utterance.
    groups: u64,
    frames: u32,
    /// Invocations that share a row.
    lanes: u32,
    tile: u32,
    tiles: u64,
    /// Columns of an invocation of the sweep.
    columns: u32,
    /// Bytes of weights: of labels, of frames.
    weights: [u64; 2],
    windows: usize,
    recording: Recording,
    buffers: Option<Buffers>,
}

/// The buffers of a plan.
#[derive(Clone, Copy)]
struct Buffers {
    logits: BufferId,
    batch: BufferId,
    results: BufferId,
    gradients: Option<BufferId>,
    path: Option<BufferId>,
    arcs: BufferId,
    frames: BufferId,
    lattice: BufferId,
    anchors: BufferId,
    choices: Option<BufferId>,
}

impl<'a> Planner<'a> {
    fn new(problem: &'a CtcProblem, options: &'a Options, caps: &'a Caps) -> Result<Self> {
        let shapes = &problem.utterances;
        let groups = shapes.iter().map(|shape| groups(shape.labels)).max().unwrap_or(1);
        let lanes = lanes(problem.vocab / problem.packing().elements(Pass::Row), groups);
        let tile = DEPTH * lanes;
        let tiles = if options.gradients == Gradients::None { 0 } else { (problem.vocab as u64).div_ceil(u64::from(tile)) };
        Ok(Self {
            caps,
            problem,
            options,
            rows: shapes.iter().map(|shape| shape.rows).sum(),
            groups,
            frames: shapes.iter().map(|shape| shape.frames).max().unwrap_or(0),
            lanes,
            tile,
            tiles,
            columns: columns(groups),
            weights: [0; 2],
            windows: 0,
            recording: Recording::new(),
            buffers: None,
        })
    }

    /// Invocations that the longest target takes, and those that there are.
    fn units(&self) -> u64 {
        self.groups * u64::from(COLUMNS / self.columns)
    }

    fn width(&self) -> u32 {
        self.units().next_multiple_of(32).clamp(32, u64::from(WORKGROUP)) as u32
    }

    fn sizes(&self, part: Range<usize>) -> Sizes {
        let shapes = &self.problem.utterances[part];
        let count = shapes.len() as u64;
        let rows: u64 = shapes.iter().map(|shape| shape.rows).sum();
        let chunks = shapes.iter().map(chunks).sum::<u64>();
        let edges = if self.units() > u64::from(self.width()) { 8 * count * (u64::from(self.frames) + 1) } else { 0 };
        let (kept_rows, kept_chunks, directions) =
            if self.options.keeps() { (rows, chunks, 2) } else { (count * u64::from(CHUNK), count, 1) };
        Sizes {
            count,
            rows,
            lattice: kept_rows.saturating_mul(self.groups),
            anchors: kept_chunks.saturating_mul(self.groups),
            directions,
            groups: self.groups,
            edges,
        }
    }

    /// Cuts the batch into runs of utterances whose lattices fit together, and declares the buffers.
    fn parts(&mut self) -> Result<Vec<Range<usize>>> {
        let count = self.problem.utterances.len();
        let most = (self.caps.max_workgroups as usize).min(65_535);
        let mut parts = Vec::new();
        let mut first = 0;
        while first < count && self.rows > 0 {
            within(
                "lattice of one utterance: bytes",
                self.largest(self.sizes(first..first + 1)),
                self.caps.max_window_bytes(),
                "cut the utterance into shorter ones, or use Context::cpu()",
            )?;
            let limit = self.options.workspace_limit.unwrap_or(u64::MAX);
            within(
                "workspace of the longest utterance: bytes",
                self.sum(self.sizes(first..first + 1)),
                limit,
                "raise the limit to that, or cut the utterance",
            )?;
            let fits = |end: &usize| {
                let sizes = self.sizes(first..*end);
                self.largest(sizes) <= self.caps.max_window_bytes() && self.sum(sizes) <= limit
            };
            let end = longest(first + 1..count.min(first + most) + 1, fits);
            parts.push(first..end);
            first = end;
        }
        let sizes = parts.iter().fold(Sizes::default(), |sizes, part| sizes.max(self.sizes(part.clone())));
        self.declare(sizes)?;
        Ok(parts)
    }

    fn largest(&self, sizes: Sizes) -> u64 {
        sizes.arcs_bytes().max(sizes.lattice_bytes()).max(sizes.anchors_bytes())
    }

    fn sum(&self, sizes: Sizes) -> u64 {
        let choices = if self.options.alignments { sizes.choices_bytes() } else { 0 };
        let all = [sizes.arcs_bytes(), sizes.frames_bytes(), sizes.lattice_bytes(), sizes.anchors_bytes(), choices];
        all.into_iter().fold(0, u64::saturating_add)
    }

    fn declare(&mut self, sizes: Sizes) -> Result<()> {
        let bytes: u64 = self.problem.parts.iter().map(|part| part.bytes).sum();
        let batch_bytes = 4 * words(self.problem, self.tiles);
        let path_bytes = 8 * self.rows;
        within("logits: bytes of the tensor", bytes, self.caps.max_buffer_bytes, "split the batch")?;
        within("lengths and targets: bytes", batch_bytes, self.caps.max_window_bytes(), "split the batch")?;
        if self.options.alignments {
            within("alignments: bytes", path_bytes, self.caps.max_window_bytes(), "split the batch")?;
        }
        if self.rows == 0 {
            return Ok(());
        }
        let recording = &mut self.recording;
        let logits = recording.bound("logits", bytes.next_multiple_of(4));
        let batch = recording.bound("lengths, targets", batch_bytes);
        let results = recording.bound("status, cost", 20 * self.problem.utterances.len() as u64);
        let gradients = match self.options.gradients {
            Gradients::None => None,
            Gradients::InPlace => Some(logits),
            Gradients::Separate => Some(recording.bound("gradients", bytes.next_multiple_of(4))),
        };
        let path = self.options.alignments.then(|| recording.bound("path", path_bytes));
        self.weights = [sizes.arcs_bytes(), sizes.frames_bytes()];
        let [arcs, frames] = [("arcs", sizes.arcs_bytes()), ("frames", sizes.frames_bytes())].map(|(label, bytes)| {
            if self.options.keep_weights { recording.bound(label, bytes) } else { recording.workspace(label, bytes) }
        });
        let lattice = recording.workspace("lattice", sizes.lattice_bytes());
        let anchors = recording.workspace("anchors", sizes.anchors_bytes());
        let choices = self.options.alignments.then(|| recording.workspace("choices", sizes.choices_bytes()));
        self.buffers = Some(Buffers { logits, batch, results, gradients, path, arcs, frames, lattice, anchors, choices });
        Ok(())
    }

    /// What comes before the first part.
    fn begin(&mut self) {
        if let Some(buffers) = self.buffers {
            self.recording.clear(buffers.results);
            if !self.problem.dense && self.options.gradients == Gradients::Separate {
                // Between the rows.
                buffers.gradients.into_iter().for_each(|buffer| self.recording.clear(buffer));
            }
        }
    }

    fn finish(self, parts: Vec<Range<usize>>) -> CtcPlan {
        let Self { problem, rows, weights, groups, windows, tile, tiles, recording, .. } = self;
        let title = format!("CTC loss, {} utterances, {rows} rows of {} {:?}", problem.utterances.len(), problem.vocab, problem.dtype);
        CtcPlan { title, parts, weights, groups, windows, tile, tiles, recording }
    }

    /// Records all stages for some utterances.
    fn record(&mut self, part: Range<usize>) -> Result<()> {
        let Some(buffers) = self.buffers else { return Ok(()) };
        let windows = windows(self.problem, part.clone(), self.caps)?;
        self.windows += windows.len();
        let [batch, results, arcs, frames, lattice, anchors] =
            [buffers.batch, buffers.results, buffers.arcs, buffers.frames, buffers.lattice, buffers.anchors]
                .map(|b| self.recording.whole(b));
        for window in &windows {
            let bindings = [window.binding(buffers.logits), batch, arcs, frames, results];
            self.rows(Pass::Row, &bindings, &part, window, false);
        }
        self.sweep(&part, [batch, arcs, frames, lattice, anchors, results], false);
        if let (Some(choices), Some(path)) = (buffers.choices, buffers.path) {
            let [choices, path] = [choices, path].map(|b| self.recording.whole(b));
            self.sweep(&part, [batch, arcs, frames, lattice, choices, results], true);
            self.trace(&part, [batch, choices, lattice, anchors, results, path]);
        }
        let Some(gradients) = buffers.gradients else { return Ok(()) };
        let in_place = self.options.gradients == Gradients::InPlace;
        // Backwards: the windows that the row pass read last may still be in a cache.
        for window in windows.iter().rev() {
            let mut bindings = vec![batch, frames, lattice, anchors, results, window.binding(gradients)];
            bindings.extend((!in_place).then(|| window.binding(buffers.logits)));
            self.rows(Pass::Gradient { in_place }, &bindings, &part, window, false);
            if self.problem.packing().is_unaligned() {
                self.rows(Pass::Gradient { in_place }, &bindings, &part, window, true);
            }
        }
        Ok(())
    }

    /// First row and chunk of some utterances.
    fn origin(&self, part: &Range<usize>) -> (u32, u32) {
        let shapes = &self.problem.utterances;
        (shapes[part.start].first_row as u32, shapes[..part.start].iter().map(chunks).sum::<u64>() as u32)
    }

    fn row_params(&self, part: &Range<usize>, window: &Window) -> RowParams {
        let (workspace_row, workspace_chunk) = self.origin(part);
        let sizes = self.sizes(part.clone());
        let last = &self.problem.utterances[window.utterances.end - 1];
        let rows = (last.first_row + last.rows - window.first_unit).min(window.rows.end - window.rows.start);
        RowParams {
            first_utterance: window.utterances.start as u32,
            first_row: window.first_unit as u32,
            end_row: (window.first_unit + rows) as u32,
            shift: window.shift,
            strided: u32::from(self.problem.strides.is_some()),
            utterance_stride: self.problem.strides.map_or(0, |strides| strides[0] as u32),
            frame_stride: self.problem.strides.map_or(self.problem.vocab, |strides| strides[1]) as u32,
            workspace_row,
            workspace_chunk,
            vocab: self.problem.vocab as u32,
            blank: self.options.blank.0,
            groups: self.groups as u32,
            utterances: self.problem.utterances.len() as u32,
            lattice_stride: 2 * sizes.lattice as u32,
            anchor_stride: sizes.anchors as u32,
            clamp: self.options.clamp.unwrap_or(f32::MAX).min(f32::MAX),
        }
    }

    /// Launches a pass over the rows of a window; `firsts`: only for the first elements of those that begin in the middle of a word.
    fn rows(&mut self, pass: Pass, bindings: &[Binding], part: &Range<usize>, window: &Window, firsts: bool) {
        let kernel = if pass == Pass::Row { Kernel::LatticeCtcRow } else { Kernel::LatticeCtcGradient };
        let shader = self.caps.shader_with(kernel, &self.problem.packing().flags(pass));
        let params = self.row_params(part, window);
        let most = self.problem.utterances[window.utterances.clone()].iter().map(|shape| shape.rows).max().unwrap_or(0);
        let rows = most.min(window.rows.end - window.rows.start);
        let [x, y, _] = fold(rows.div_ceil(u64::from(WORKGROUP / self.lanes)), self.caps.max_workgroups);
        let grid = [x, y, window.utterances.len() as u32];
        let symbols = if firsts { rows } else { window.bytes / self.problem.dtype.bytes() };
        let work = symbols.saturating_add(rows * window.utterances.len() as u64 * self.groups * 4).saturating_mul(8);
        let set = self.recording.bind(bindings);
        let picked = self.problem.meaning == Meaning::LogProbs;
        let mut constants = vec![("LANES", f64::from(self.lanes)), ("WORKGROUP", f64::from(WORKGROUP)), ("PICKED", f64::from(picked))];
        if firsts {
            constants.push(("FIRSTS", 1.0));
        }
        self.recording.dispatch_with(shader, &constants, set, &params, grid, work);
    }

    fn sweep(&mut self, part: &Range<usize>, bindings: [Binding; 6], best: bool) {
        let sizes = self.sizes(part.clone());
        let (workspace_row, workspace_chunk) = self.origin(part);
        let directions = if best { 1 } else { sizes.directions };
        let anchor_dump = directions * sizes.anchors;
        let params = SweepParams {
            first_utterance: part.start as u32,
            count: sizes.count as u32,
            utterances: self.problem.utterances.len() as u32,
            directions: directions as u32,
            kept: u32::from(self.options.keeps()),
            workspace_row,
            workspace_chunk,
            groups: self.groups as u32,
            lattice_stride: 2 * sizes.lattice as u32,
            anchor_stride: sizes.anchors as u32,
            lattice_dump: (2 * directions * sizes.lattice) as u32,
            anchor_dump: anchor_dump as u32,
            edges_at: anchor_dump as u32 + 1,
            edge_stride: self.frames + 1,
        };
        let set = self.recording.bind(&bindings);
        let walks = sizes.count * directions;
        let frames: u64 = self.problem.utterances[part.clone()].iter().map(|shape| u64::from(shape.frames)).sum();
        let work = frames.saturating_mul(self.groups).saturating_mul(directions);
        let grid = fold(walks, self.caps.max_workgroups);
        let mut constants = vec![("WIDTH", f64::from(self.width()))];
        constants.extend(best.then_some(("BEST", 1.0)));
        if !best && self.groups <= u64::from(WORKGROUP) {
            // An invocation a group; then the other sweep, for what this one cannot do exactly.
            let width = self.groups.next_multiple_of(32) as f64;
            let shader = self.caps.shader(Kernel::LatticeCtcFloats);
            self.recording.dispatch_with(shader, &[("WIDTH", width)], set, &params, grid, work.saturating_mul(50));
            constants.push(("FOLLOWS", 1.0));
        }
        let flags: &[&str] = match self.columns {
            4 => &["pack4"],
            2 => &["pack2"],
            _ => &[],
        };
        let shader = self.caps.shader_with(Kernel::LatticeCtcSweep, flags);
        self.recording.dispatch_with(shader, &constants, set, &params, grid, work.saturating_mul(200));
    }

    fn trace(&mut self, part: &Range<usize>, bindings: [Binding; 6]) {
        let sizes = self.sizes(part.clone());
        let (workspace_row, workspace_chunk) = self.origin(part);
        let params = TraceParams {
            first_utterance: part.start as u32,
            count: sizes.count as u32,
            utterances: self.problem.utterances.len() as u32,
            workspace_row,
            workspace_chunk,
            groups: self.groups as u32,
            lattice_stride: 2 * sizes.lattice as u32,
            anchor_stride: sizes.anchors as u32,
            rows: self.rows as u32,
        };
        let set = self.recording.bind(&bindings);
        let work = sizes.rows.saturating_mul(64);
        let grid = fold(sizes.count, self.caps.max_workgroups);
        self.recording.dispatch(self.caps.shader(Kernel::LatticeCtcTrace), set, &params, grid, work);
    }
}

/// The largest end that fits; the first one does.
fn longest(ends: Range<usize>, fits: impl Fn(&usize) -> bool) -> usize {
    let (mut good, mut bad) = (ends.start, ends.end);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(&middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    good
}

/// Invocations that share a row: enough for coalesced reads and for the target, few enough to have something to do.
fn lanes(packs: usize, groups: u64) -> u32 {
    let wanted = (packs as u64).div_ceil(4).max((groups * u64::from(COLUMNS)).div_ceil(8));
    wanted.next_power_of_two().clamp(8, u64::from(WORKGROUP)) as u32
}

/// Columns of an invocation of the sweep. A step costs an invocation about as much for its first column as for
/// three more; up to 128 invocations run side by side on most GPUs.
fn columns(groups: u64) -> u32 {
    match groups * u64::from(COLUMNS) {
        0..=128 => 1,
        129..=256 => 2,
        _ => 4,
    }
}
