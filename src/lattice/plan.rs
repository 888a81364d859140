//! The plan of a transducer loss: which utterances together, which rows in which window.
//!
//! The lattices of a batch share one workspace; where that would outgrow what a kernel can see of one buffer, or the caller's
//! limit, the batch is done in chunks of utterances that reuse it. The scores are larger than any window much sooner: each
//! chunk's rows are read in windows.

use super::arc_plan::{can_fix_row, fixed_arcs};
use super::arc_table;
use super::layout::{Pass, Problem, Stride, UtteranceShape};
use super::options::Options;
use super::scores::Meaning;
use super::source::{Batch, Source, Tensors};
use super::tile::Tile;
use super::window::Window;
use super::{Kind, LossShape, Normalisation};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{Kernel, LatticeRowParams as RowParams, LatticeSweepParams as SweepParams};
use crate::error::{Result, within};
use std::fmt;
use std::ops::{Range, RangeInclusive};

/// Nats to base-2 logarithms.
const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// What a loss of one batch will do on one device. Pure: made without the device, from its facts.
///
/// `Display` lists every buffer and every kernel launch.
#[derive(Clone)]
pub struct TransducerPlan {
    title: String,
    cells: u64,
    chunks: Vec<Range<usize>>,
    /// Whether the chunks are halves that are worked on side by side.
    both: bool,
    windows: usize,
    workspace: Workspace,
    recording: Recording,
}

impl TransducerPlan {
    /// # Errors
    /// [`Shape`](crate::Error::Shape), [`Value`](crate::Error::Value) if shape and kind do not fit;
    /// [`LimitExceeded`](crate::Error::LimitExceeded) if one utterance alone is more than the device, or the caller's limit, can hold.
    pub(super) fn of_shape(shape: LossShape, options: &Options, caps: &Caps) -> Result<Self> {
        Self::new(&shape.problem(options)?, shape.utterances as u64 * shape.positions.saturating_sub(1) as u64 + 1, options, caps)
    }

    /// The plan of a checked batch with so many words of labels and bands.
    pub(super) fn new(problem: &Problem, extra_words: u64, options: &Options, caps: &Caps) -> Result<Self> {
        let mut planner = Planner::of_tensors(problem, extra_words, options, caps, true)?;
        planner.begin(true)?;
        match (planner.second, planner.chunks.clone().as_slice()) {
            (Some(second), [a, b]) => planner.record_both([(planner.space, a.clone()), (second, b.clone())])?,
            (_, chunks) => chunks.iter().try_for_each(|chunk| planner.record(chunk.clone()))?,
        }
        planner.end()?;
        Ok(planner.finish())
    }

    /// The plan of a batch whose scores are made on the way. `recording` is what has been declared and recorded by now; the caller's
    /// words of the batch and its results are declared next.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn of_source<'a>(
        problem: &'a Problem,
        extra_words: u64,
        options: &'a Options,
        caps: &'a Caps,
        source: Box<dyn Source + 'a>,
        recording: Recording,
    ) -> Result<Self> {
        let mut planner = Planner::new(problem, extra_words, options, caps, false, (recording, source))?;
        planner.begin(true)?;
        planner.chunks.clone().into_iter().try_for_each(|chunk| planner.record(chunk))?;
        planner.end()?;
        Ok(planner.finish())
    }

    /// Plans that together do what [`new`](Self::new) does, a plan a chunk, to be run in order. If lattices are kept, the caller takes
    /// them between two runs.
    pub(super) fn by_chunks(problem: &Problem, extra_words: u64, options: &Options, caps: &Caps) -> Result<Vec<Self>> {
        let tensors =
            |recording: &mut Recording| Ok(Box::new(Tensors::of(recording, problem, options.gradients, caps)?) as Box<dyn Source>);
        Self::by_chunks_of(problem, extra_words, options, caps, &tensors)
    }

    /// The same of scores that `make` makes, for each plan.
    pub(crate) fn by_chunks_of<'a>(
        problem: &'a Problem,
        extra_words: u64,
        options: &'a Options,
        caps: &'a Caps,
        make: &dyn Fn(&mut Recording) -> Result<Box<dyn Source + 'a>>,
    ) -> Result<Vec<Self>> {
        let all = chunks(problem, PerPlace::of(problem, options), options, caps)?;
        let plans = all.into_iter().enumerate().map(|(index, chunk)| {
            let mut recording = Recording::new();
            let source = make(&mut recording)?;
            let mut planner = Planner::new(problem, extra_words, options, caps, false, (recording, source))?;
            planner.begin(index == 0)?;
            planner.record(chunk)?;
            Ok(planner.finish())
        });
        plans.collect()
    }

    /// What the lattices of a chunk take.
    pub(super) fn workspace(&self) -> Workspace {
        self.workspace
    }

    /// Utterances that are worked on at once: the most of any chunk.
    pub fn chunk(&self) -> usize {
        let lengths = self.chunks.iter().map(ExactSizeIterator::len);
        if self.both { lengths.sum() } else { lengths.max().unwrap_or(0) }
    }

    /// Windows in which the scores are read.
    pub fn windows(&self) -> usize {
        self.windows
    }

    /// Cells of all lattices: sum of T (U + 1).
    pub fn cells(&self) -> u64 {
        self.cells
    }

    /// Kernel launches.
    pub fn dispatches(&self) -> usize {
        self.recording.dispatches()
    }

    /// Bytes that a run takes beyond scores, gradients, lengths and results: no more, and less only by the params of its launches, 256 B
    /// each, where a device takes them with the launch.
    pub fn workspace_bytes(&self) -> u64 {
        self.recording.workspace_bytes()
    }

    /// Bytes of the buffers that a run is lent for that.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.recording.allocated_bytes()
    }

    /// Bytes of the lattices of a chunk.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn lattice_bytes(&self) -> u64 {
        self.workspace.sum()
    }

    pub(crate) fn chunks(&self) -> &[Range<usize>] {
        &self.chunks
    }

    pub(crate) fn recording(&self) -> &Recording {
        &self.recording
    }
}

impl fmt::Display for TransducerPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} utterances at once, {} windows", self.title, self.chunk(), self.windows)?;
        write!(f, "{}", self.recording)
    }
}

/// Sizes of the workspace of some utterances.
#[derive(Clone, Copy)]
pub(super) struct Workspace {
    pub per: PerPlace,
    /// Places of lattices: quads of cells, or cells.
    pub places: u64,
    pub anchors: u64,
}

/// What a place takes.
#[derive(Clone, Copy)]
pub(super) struct PerPlace {
    pub stride: Stride,
    pub directions: u64,
    /// Means of the latency.
    pub means: u64,
    /// Bytes of weights and normalisers.
    arcs: u64,
    /// Bytes of variables of one direction.
    lattice: u64,
}

impl PerPlace {
    fn of(problem: &Problem, options: &Options) -> Self {
        let (directions, means) = (options.directions(), options.means());
        match options.stride() {
            // Weights of two arcs and four frames, and their four normalisers.
            stride @ Stride::Quad => Self { stride, directions, means, arcs: 48, lattice: 16 },
            stride @ (Stride::Cell | Stride::Band) => {
                Self { stride, directions, means, arcs: 8 * arc_table::word_pairs(&options.kind, problem.meaning), lattice: 4 }
            }
        }
    }
}

impl Workspace {
    fn none(per: PerPlace) -> Self {
        Self { per, places: 0, anchors: 0 }
    }

    fn of(problem: &Problem, utterances: Range<usize>, per: PerPlace) -> Self {
        let shapes = &problem.utterances[utterances];
        let sum = |size: fn(&UtteranceShape, Stride) -> u64| shapes.iter().map(|u| size(u, per.stride)).sum();
        Self { per, places: sum(UtteranceShape::places), anchors: sum(UtteranceShape::anchors) }
    }

    fn max(self, other: Self) -> Self {
        Self { places: self.places.max(other.places), anchors: self.anchors.max(other.anchors), ..self }
    }

    pub fn arcs_bytes(self) -> u64 {
        self.per.arcs * self.places
    }

    fn spare(self) -> u64 {
        self.per.stride.spare(self.places)
    }

    /// What the passes over the rows and the sweep of quads know as anchors.
    fn anchors_param(self) -> u32 {
        match self.per.stride {
            Stride::Quad => (self.places + self.spare()) as u32,
            Stride::Cell | Stride::Band => self.anchors as u32,
        }
    }

    pub fn lattice_bytes(self) -> u64 {
        self.per.lattice * (self.per.directions + self.per.means) * (self.places + self.spare())
    }

    pub fn anchors_bytes(self) -> u64 {
        4 * self.per.directions * (self.anchors + self.spare())
    }

    fn largest(self) -> u64 {
        self.arcs_bytes().max(self.lattice_bytes()).max(self.anchors_bytes())
    }

    fn sum(self) -> u64 {
        self.arcs_bytes() + self.lattice_bytes() + self.anchors_bytes()
    }
}

/// Where the lattices of a chunk and its results lie.
#[derive(Clone, Copy)]
pub(super) struct Space {
    pub size: Workspace,
    results: BufferId,
    arcs: BufferId,
    lattice: BufferId,
    anchors: BufferId,
}

impl Space {
    fn new(recording: &mut Recording, results: BufferId, size: Workspace, kept: bool) -> Self {
        let planes = [("arcs", size.arcs_bytes()), ("lattice", size.lattice_bytes()), ("anchors", size.anchors_bytes())];
        let [arcs, lattice, anchors] =
            planes.map(|(label, bytes)| if kept { recording.bound(label, bytes) } else { recording.workspace(label, bytes) });
        Self { size, results, arcs, lattice, anchors }
    }
}

pub(super) struct Planner<'a> {
    pub caps: &'a Caps,
    pub problem: &'a Problem,
    pub options: &'a Options,
    label_frames: u32,
    /// Of the chunk that is recorded.
    pub space: Space,
    /// Of the second of two halves.
    second: Option<Space>,
    chunks: Vec<Range<usize>>,
    windows: usize,
    pub recording: Recording,
    source: Box<dyn Source + 'a>,
    batch: BufferId,
}

impl<'a> Planner<'a> {
    fn of_tensors(problem: &'a Problem, extra_words: u64, options: &'a Options, caps: &'a Caps, may_halve: bool) -> Result<Self> {
        let mut recording = Recording::new();
        let tensors = Box::new(Tensors::of(&mut recording, problem, options.gradients, caps)?);
        Self::new(problem, extra_words, options, caps, may_halve, (recording, tensors))
    }

    /// `may_halve`: whether a batch that is one chunk may be two that are worked on side by side.
    fn new(
        problem: &'a Problem,
        extra_words: u64,
        options: &'a Options,
        caps: &'a Caps,
        may_halve: bool,
        (mut recording, mut source): (Recording, Box<dyn Source + 'a>),
    ) -> Result<Self> {
        let label_frames = options.kind.label_frames().unwrap_or_default();
        let per = PerPlace::of(problem, options);
        let count = problem.utterances.len() as u64;
        let table_words = if per.stride != Stride::Quad { arc_table::words(&options.kind) as u64 } else { 0 };
        let batch_bytes = 4 * (16 * count + extra_words + table_words);
        within("lengths and targets: bytes", batch_bytes, caps.max_window_bytes(), "split the batch")?;
        let mut chunks = chunks(problem, per, options, caps)?;
        let workspace = chunks.iter().fold(Workspace::none(per), |sum, chunk| sum.max(Workspace::of(problem, chunk.clone(), per)));
        let both = halves(problem, per, options).filter(|_| may_halve && chunks.len() == 1);

        let batch = recording.bound("lengths, targets", batch_bytes);
        let results = recording.bound("status, cost", 16 * count);
        source.declare(problem, &chunks, &mut recording);
        let (space, second) = match both {
            None => (Space::new(&mut recording, results, workspace, options.keep_lattice), None),
            Some(both) => {
                let sizes = both.clone().map(|half| Workspace::of(problem, half, per));
                chunks = both.into();
                // A buffer of their own: else the launches of one half would wait for those of the other.
                let others = recording.workspace("status, cost of the second half", 16 * count);
                let [first, second] =
                    [(results, sizes[0]), (others, sizes[1])].map(|(results, size)| Space::new(&mut recording, results, size, false));
                (first, Some(second))
            }
        };
        Ok(Self { caps, problem, options, label_frames, space, second, chunks, windows: 0, recording, source, batch })
    }

    /// What comes before the first chunk.
    fn begin(&mut self, is_first: bool) -> Result<()> {
        if is_first && !self.problem.utterances.is_empty() {
            self.recording.clear(self.space.results);
            self.second.iter().for_each(|second| self.recording.clear(second.results));
        }
        let [words, _, _, _, results] = self.bindings();
        self.source.begin(self.problem, &mut self.recording, Batch { words, results }, is_first)
    }

    /// What comes after the last.
    fn end(&mut self) -> Result<()> {
        let [words, _, _, _, results] = self.bindings();
        self.source.end(self.problem, &mut self.recording, Batch { words, results })
    }

    fn finish(self) -> TransducerPlan {
        let title = format!(
            "transducer loss, {} utterances, {} cells, rows of {} {:?}",
            self.problem.utterances.len(),
            self.problem.cells(),
            self.problem.row,
            self.problem.dtype,
        );
        let Self { chunks, windows, space, second, recording, .. } = self;
        TransducerPlan { title, cells: self.problem.cells(), chunks, both: second.is_some(), windows, workspace: space.size, recording }
    }

    /// Records all stages for some utterances.
    fn record(&mut self, chunk: Range<usize>) -> Result<()> {
        if self.options.pruned {
            // Cells outside of a band have no row that would say that they have no arcs.
            self.recording.clear(self.space.arcs);
        }
        let windows = self.source.windows(self.problem, chunk.clone(), self.caps)?;
        self.windows += windows.len();
        self.row_pass(&windows, &chunk)?;
        self.first_sweep(&chunk);
        self.other_sweeps(&chunk);
        self.gradient_pass(&windows)
    }

    /// Records all stages for two halves: a sweep, which keeps few cores busy, beside a pass over the rows of the other half.
    fn record_both(&mut self, halves: [(Space, Range<usize>); 2]) -> Result<()> {
        let [(first, a), (second, b)] = halves;
        let a_windows = self.source.windows(self.problem, a.clone(), self.caps)?;
        let b_windows = self.source.windows(self.problem, b.clone(), self.caps)?;
        self.windows += a_windows.len() + b_windows.len();
        self.row_pass(&a_windows, &a)?;
        self.recording.cut();
        // The sweep goes first: it takes longest from its first workgroup to its last.
        self.first_sweep(&a);
        self.space = second;
        self.row_pass(&b_windows, &b)?;
        self.recording.cut();
        self.space = first;
        self.other_sweeps(&a);
        self.recording.cut();
        self.space = second;
        self.first_sweep(&b);
        self.space = first;
        self.gradient_pass(&a_windows)?;
        self.recording.cut();
        self.space = second;
        self.other_sweeps(&b);
        self.gradient_pass(&b_windows)?;
        // Status words, costs, and both parts of the totals.
        let count = self.problem.utterances.len() as u64;
        for plane in 0..4 {
            let part = |buffer| Binding { buffer, offset: 4 * (plane * count + b.start as u64), bytes: 4 * b.len() as u64 };
            self.recording.copy(part(second.results), part(first.results));
        }
        Ok(())
    }

    /// The flag of kernels for lattices of bands.
    pub fn bands(&self) -> Option<&'static str> {
        (self.space.size.per.stride == Stride::Band).then_some("bands")
    }

    /// batch, arcs, lattice, anchors, results.
    fn bindings(&self) -> [Binding; 5] {
        [self.batch, self.space.arcs, self.space.lattice, self.space.anchors, self.space.results].map(|b| self.recording.whole(b))
    }

    /// Most columns of an utterance of the batch: the sweeps of all chunks are compiled for as many.
    pub fn columns(&self) -> u64 {
        self.problem.utterances.iter().map(UtteranceShape::columns).max().unwrap_or(1)
    }

    /// Without a cell there are no arcs to bind.
    fn has_cells(&self, chunk: &Range<usize>) -> bool {
        self.problem.utterances[chunk.clone()].iter().any(|u| u.frames > 0)
    }

    fn row_pass(&mut self, windows: &[Window], chunk: &Range<usize>) -> Result<()> {
        let [words, arcs, _, _, results] = self.bindings();
        let cells = self.has_cells(chunk);
        for window in windows.iter().filter(|_| cells) {
            let scores = self.source.scores(self.problem, &mut self.recording, Batch { words, results }, window)?;
            let set = self.recording.bind(&[scores, words, arcs, results]);
            self.rows(Pass::Row, set, window, false);
        }
        Ok(())
    }

    /// The sweep that does what can be done fast.
    fn first_sweep(&mut self, chunk: &Range<usize>) {
        let bindings @ [batch, arcs, _, _, results] = self.bindings();
        match self.space.size.per.stride {
            Stride::Quad => self.sweep(chunk.clone(), bindings),
            Stride::Cell | Stride::Band => {
                if self.has_cells(chunk) {
                    self.join_thens(chunk.clone(), [batch, arcs, results]);
                }
                self.first_arcs_sweep(chunk, bindings);
            }
        }
    }

    /// What comes after it.
    fn other_sweeps(&mut self, chunk: &Range<usize>) {
        if self.space.size.per.stride != Stride::Quad {
            let bindings @ [batch, arcs, lattice, anchors, results] = self.bindings();
            self.other_arcs_sweep(chunk, bindings);
            self.latency(chunk.clone(), [batch, arcs, anchors, lattice, results]);
        }
    }

    fn gradient_pass(&mut self, windows: &[Window]) -> Result<()> {
        if !self.source.has_gradients() {
            return Ok(());
        }
        let planes @ [words, _, _, _, results] = self.bindings();
        let batch = Batch { words, results };
        // Backwards: the windows that the row pass read last may still be in a cache.
        for window in windows.iter().rev() {
            let (gradients, scores) = self.source.gradients(&mut self.recording, batch, window)?;
            let in_place = scores.is_none();
            let mut bindings = planes.to_vec();
            bindings.push(gradients);
            bindings.extend(scores);
            let set = self.recording.bind(&bindings);
            self.rows(Pass::Gradient { in_place }, set, window, false);
            if self.problem.packing().is_unaligned() {
                self.rows(Pass::Gradient { in_place }, set, window, true);
            }
            self.source.follow(self.problem, &mut self.recording, batch, window)?;
        }
        Ok(())
    }

    fn kernel(&self, pass: Pass) -> Kernel {
        match (self.space.size.per.stride, pass) {
            (Stride::Quad, Pass::Row) => Kernel::LatticeRow,
            (Stride::Quad, Pass::Gradient { .. }) => Kernel::LatticeGradient,
            (Stride::Cell | Stride::Band, Pass::Row) => Kernel::LatticeArcsRow,
            (Stride::Cell | Stride::Band, Pass::Gradient { .. }) => Kernel::LatticeArcsGradient,
        }
    }

    fn sweep(&mut self, chunk: Range<usize>, bindings: [Binding; 5]) {
        let shapes = &self.problem.utterances[chunk.clone()];
        let columns = self.columns();
        let shader = self.caps.shader(Kernel::LatticeSweep);
        let subgroup = self.caps.subgroups.filter(|_| shader.subgroups).map_or(4, |[smallest, _]| smallest);
        let width = width(columns, shader.subgroups.then_some(subgroup), self.caps);
        let mut constants = vec![("WIDTH", f64::from(width)), ("LABEL_FRAMES", f64::from(self.label_frames))];
        if shader.subgroups {
            constants.push(("SMALLEST_SUBGROUP", f64::from(subgroup)));
        }
        let params = SweepParams {
            first_utterance: chunk.start as u32,
            count: chunk.len() as u32,
            utterances: self.problem.utterances.len() as u32,
            directions: self.space.size.per.directions as u32,
            places: self.space.size.places as u32,
            anchors: self.space.size.anchors_param(),
        };
        let walks = chunk.len() as u64 * self.space.size.per.directions;
        let places: u64 = shapes.iter().map(|u| u.places(Stride::Quad)).sum();
        let work = places.saturating_mul(128 * self.space.size.per.directions);
        let mut bindings = bindings;
        // Without the normalisers.
        bindings[1].bytes = 32 * self.space.size.places;
        let set = self.recording.bind(&bindings);
        self.recording.dispatch_with(shader, &constants, set, &params, fold(walks, self.caps.max_workgroups), work);
    }

    /// Launches a pass over the rows of a window; `firsts`: only for the first elements of those that begin in the middle of a word.
    fn rows(&mut self, pass: Pass, set: crate::device::recording::BindSet, window: &Window, firsts: bool) {
        let options = self.options;
        let packing = self.problem.packing();
        let mut flags = packing.flags(pass);
        flags.extend(self.bands());
        let shader = self.caps.shader_with(self.kernel(pass), &flags);
        let packs = self.problem.row.div_ceil(packing.elements(pass));
        let params = RowParams {
            first_utterance: window.utterances.start as u32,
            first_row: window.rows.start as u32,
            end_row: window.rows.end.min(u64::from(u32::MAX)) as u32,
            window_row: window.first_unit as u32,
            shift: window.shift,
            unit: self.problem.unit as u32,
            position_stride: self.problem.position_stride as u32,
            vocab: self.problem.row as u32,
            blank: if self.problem.meaning == Meaning::Gathered { 0 } else { options.kind.blank().0 },
            utterances: self.problem.utterances.len() as u32,
            places: self.space.size.places as u32,
            anchors: self.space.size.anchors_param(),
            eos: options.eos.map_or(self.problem.row as u32, |(symbol, _)| symbol),
            delay: options.delay_penalty * LOG2_E,
            eos_delay: options.eos.map_or(0.0, |(_, penalty)| penalty * LOG2_E),
            sigma: options.kind.sigma * LOG2_E,
            wildcard: (f64::from(options.wildcard).log2() as f32).max(-1e30),
            label_scale: 1.0 + options.fast_emit.lambda(),
            clamp: options.clamp.unwrap_or(1e30).min(1e30),
        };
        let scores = match (self.problem.meaning, options.kind.normalisation) {
            (Meaning::Logits, Normalisation::Softmax) => 0.0,
            (Meaning::LogProbs, _) => 1.0,
            (Meaning::Gathered, _) => 2.0,
            (Meaning::Logits, Normalisation::Hat) => 3.0,
        };
        let most = self.problem.utterances[window.utterances.clone()].iter().map(|u| u.rows).max().unwrap_or(0);
        let rows = most.min(window.rows.end) - window.rows.start;
        let lanes = Lanes::of(self.problem, packs, shader.kernel, rows * window.utterances.len() as u64, &options.kind, self.caps);
        let tile = Tile::of(self.space.size.per.stride, lanes.workgroup / lanes.count * lanes.rows);
        let mut constants = vec![("SCORES", scores), ("LANES", f64::from(lanes.count)), ("WORKGROUP", f64::from(lanes.workgroup))];
        // Where lanes have much to read of a row, but only once.
        let ahead = packs > 2 * lanes.count as usize && packs <= 4 * lanes.count as usize;
        match shader.kernel {
            Kernel::LatticeRow => constants.extend([("ROWS", f64::from(lanes.rows)), ("DEPTH", f64::from(lanes.depth))]),
            Kernel::LatticeGradient => {
                constants.extend([("ROWS", f64::from(lanes.rows)), ("DEPTH", f64::from(lanes.depth)), ("AHEAD", f64::from(ahead))]);
                constants.push(("LABEL_FRAMES", f64::from(self.label_frames)));
            }
            _ => {
                let durations = options.kind.duration_channels();
                let others = arc_table::reads_others(&options.kind);
                constants.extend([("ROWS", f64::from(lanes.rows)), ("DEPTH", f64::from(lanes.depth)), ("FRAMES", f64::from(tile.frames))]);
                constants.push(("OTHERS_ROWS", f64::from(if others { tile.rows } else { 1 })));
                if shader.kernel == Kernel::LatticeArcsRow {
                    constants.push(("DURATIONS", durations.max(1) as f64));
                    if let Some(fixed) = fixed_arcs(&options.kind).filter(|_| can_fix_row(&options.kind)) {
                        let normalisers = usize::from(self.problem.meaning == Meaning::Logits);
                        let words = arc_table::readers(&options.kind) + normalisers;
                        constants.extend([("SYMBOLS", arc_table::channels(&options.kind) as f64), ("WORDS", words as f64)]);
                        constants.extend(fixed);
                    }
                } else {
                    let channels = arc_table::channels(&options.kind) as f64;
                    constants.extend([
                        ("DURATIONS", durations as f64),
                        ("CHANNELS", channels),
                        ("AHEAD", f64::from(ahead)),
                        ("READS_OTHERS", f64::from(others)),
                        ("CLAMPS", f64::from(options.clamp.is_some())),
                    ]);
                    if options.latency == 0.0 {
                        constants.extend(fixed_arcs(&options.kind).into_iter().flatten());
                    }
                }
            }
        }
        if let (true, Some([smallest, _])) = (shader.subgroups, self.caps.subgroups) {
            constants.push(("SMALLEST_SUBGROUP", f64::from(smallest)));
        }
        if firsts {
            constants.push(("FIRSTS", 1.0));
        }
        let groups = match self.space.size.per.stride {
            Stride::Quad => self.quads(window).div_ceil(u64::from(tile.rows) / 4),
            Stride::Cell | Stride::Band => {
                let shapes = &self.problem.utterances[window.utterances.clone()];
                shapes.iter().map(|shape| tile.groups(shape, &window.rows)).max().unwrap_or(0)
            }
        };
        let [x, y, _] = fold(groups, self.caps.max_workgroups);
        let grid = [x, y, window.utterances.len() as u32];
        let elements = if firsts { rows * window.utterances.len() as u64 } else { window.bytes / self.problem.dtype.bytes() };
        let work = elements.saturating_mul(8);
        self.recording.dispatch_with(shader, &constants, set, &params, grid, work);
    }

    /// Quads of the rows of a window, of the utterance that has most.
    fn quads(&self, window: &Window) -> u64 {
        let of = |u: &UtteranceShape| {
            let positions = u64::from(u.positions).max(1);
            let before = u64::from(u.begin_frame.wrapping_neg() % 4);
            let line = |row: u64| (row / positions + before) / 4;
            let end = window.rows.end.min(u.rows);
            if window.rows.start < end { (line(end - 1) + 1 - line(window.rows.start)) * positions } else { 0 }
        };
        self.problem.utterances[window.utterances.clone()].iter().map(of).max().unwrap_or(0)
    }
}

/// Cuts a batch into runs of utterances whose lattices fit together.
fn chunks(problem: &Problem, per: PerPlace, options: &Options, caps: &Caps) -> Result<Vec<Range<usize>>> {
    let (window, limit) = (caps.max_window_bytes(), options.workspace_limit.unwrap_or(u64::MAX));
    let count = problem.utterances.len();
    let none = Workspace::none(per);
    // What utterances one by one would take.
    let mut most = (0..count).fold(none, |space, n| space.max(Workspace::of(problem, n..n + 1, per)));
    let help = "cut the utterance into shorter ones, or use Context::cpu()";
    within("lattice of one utterance: bytes", most.largest(), window, help)?;
    within("workspace of the longest utterance: bytes", most.sum(), limit, "raise the workspace limit to that, or cut the utterance")?;
    let mut chunks = Vec::new();
    let (mut first, mut sum) = (0, none);
    for n in 0..count {
        let one = Workspace::of(problem, n..n + 1, per);
        let more = Workspace { places: sum.places + one.places, anchors: sum.anchors + one.anchors, per };
        // Each buffer is as large as the chunk that takes most of it.
        let space = most.max(more);
        if n > first && (space.largest() > window || space.sum() > limit) {
            chunks.push(first..n);
            (first, sum) = (n, one);
        } else {
            (sum, most) = (more, space);
        }
    }
    if first < count {
        chunks.push(first..count);
    }
    Ok(chunks)
}

/// Bytes of scores from which on a batch may be worked on in halves, and how many there are then for a step of the sweep. Of fewer, the
/// sweeps of the halves, one after the other, take longer than the passes that they hide behind; of more, what is hidden is not worth
/// the launches.
const HALVED_BYTES: u64 = 512 << 20;
const HALVED_BYTES_A_STEP: RangeInclusive<u64> = 1 << 18..=1 << 22;

/// The two halves of a batch of lattices of two arcs, by cells, where that is faster. Sweeps of other kinds gain nothing by it: they
/// suffer more from their neighbours. Lattices that are kept stay together.
fn halves(problem: &Problem, per: PerPlace, options: &Options) -> Option<[Range<usize>; 2]> {
    if per.stride != Stride::Quad || options.keep_lattice {
        return None;
    }
    let bytes: u64 = problem.parts.iter().map(|part| part.bytes).sum();
    let steps = problem.utterances.iter().map(|u| u64::from(u.frames) + u.columns()).max().unwrap_or(0);
    if !options.always_halved && (bytes < HALVED_BYTES || !HALVED_BYTES_A_STEP.contains(&bytes.checked_div(steps).unwrap_or(0))) {
        return None;
    }
    let count = problem.utterances.len();
    let places = |n: &usize| problem.utterances[*n].places(per.stride);
    let all: u64 = (0..count).map(|n| places(&n)).sum();
    let mut before = 0;
    let middle = (0..count).position(|n| {
        before += places(&n);
        2 * before >= all
    })? + 1;
    let both = [0..middle, middle..count];
    let sum = both.clone().map(|half| Workspace::of(problem, half, per).sum()).iter().sum::<u64>();
    let fits = sum <= options.workspace_limit.unwrap_or(u64::MAX);
    (middle < count && fits).then_some(both)
}

/// Invocations that share a row, rows that they work on one after the other, and the invocations of a workgroup.
#[derive(Clone, Copy)]
struct Lanes {
    count: u32,
    rows: u32,
    /// Packs that each reads at once.
    depth: u32,
    workgroup: u32,
}

impl Lanes {
    /// For a launch of so many rows of so many packs.
    fn of(problem: &Problem, packs: usize, kernel: Kernel, rows: u64, kind: &Kind, caps: &Caps) -> Self {
        // Log-probabilities are picked, not summed.
        let picked = problem.meaning != Meaning::Logits
            && (kernel == Kernel::LatticeRow || kernel == Kernel::LatticeArcsRow && !arc_table::reads_others(kind));
        let count: u32 = match packs {
            // An invocation for each frame of a quad.
            _ if picked => 4,
            0..=1 => 1,
            2..=8 => 4,
            9..=64 if kernel == Kernel::LatticeArcsRow => 4,
            9..=32 => 8,
            33..=64 => 16,
            65..=128 => 32,
            // One invocation does what is done once a row: the more rows, the more of them.
            _ if matches!(kernel, Kernel::LatticeArcsRow | Kernel::LatticeArcsGradient) => 32,
            _ => 64,
        };
        let depth = match packs.div_ceil(count as usize) {
            0..=1 => 1,
            2 => 2,
            _ => 4,
        };
        // Of lattices of any arcs a workgroup has as many rows as invocations, if lanes are few.
        let workgroup = if kernel == Kernel::LatticeArcsGradient && count <= 8 { 64 } else { 256 };
        // What is done once a row is spread over the lanes, where rows are short and many enough to keep every core of a large device
        // busy.
        let each = match kernel {
            Kernel::LatticeRow | Kernel::LatticeArcsRow => match rows * u64::from(count) {
                _ if picked => 4,
                _ if count > 16 => 1,
                0..400_000 => 1,
                // Scores of symbols are read once more, while a near cache still has them.
                _ if kernel == Kernel::LatticeArcsRow => 2,
                400_000..8_000_000 => 4,
                _ => 8,
            },
            _ => gradient_rows(rows, problem.row, count, workgroup),
        };
        let lanes = Self { count, rows: count.min(each), depth, workgroup };
        // What the workgroup keeps of each row.
        let others = if arc_table::reads_others(kind) { 8 } else { 0 };
        match kernel {
            Kernel::LatticeArcsRow => lanes.within(8 + others + 4 * kind.duration_channels().max(1), caps),
            Kernel::LatticeArcsGradient => lanes.within(16 + others + 8 * arc_table::channels(kind), caps),
            _ => lanes,
        }
    }

    /// With fewer rows, if so many bytes of each are more than leaves a core room for several workgroups.
    fn within(self, bytes: usize, caps: &Caps) -> Self {
        let most = (caps.max_workgroup_bytes as usize).min(MOST_BYTES);
        let mut lanes = self;
        while lanes.rows > 1 && bytes * (lanes.workgroup / lanes.count * lanes.rows) as usize > most {
            lanes.rows /= 2;
        }
        while lanes.count < lanes.workgroup && bytes * (lanes.workgroup / lanes.count) as usize > most {
            lanes.count *= 2;
        }
        lanes
    }
}

/// Bytes that the workgroups of passes over rows keep at most, of the 16 KiB that every device has.
const MOST_BYTES: usize = 10_240;
/// Workgroups that keep every core of a large device busy.
const GROUPS: u64 = 200;
/// Elements of which a workgroup has enough.
const ELEMENTS: u64 = 16_384;

/// Rows that each lane group of a gradient pass works on: the more, the more of the workgroup has part in what is done once a
/// quad, where rows are short and many.
fn gradient_rows(rows: u64, row: usize, lanes: u32, workgroup: u32) -> u32 {
    let at_once = u64::from(workgroup / lanes);
    let fits = |each: u32| {
        let together = at_once * u64::from(each);
        rows > GROUPS * together && together * row as u64 <= ELEMENTS
    };
    let mut each = 1;
    while 2 * each <= lanes.max(2) && fits(2 * each) {
        each *= 2;
    }
    each
}

/// Columns that the workgroup of a sweep holds: all of them, or as many as the device allows, in blocks of about the same size.
fn width(columns: u64, subgroup: Option<u32>, caps: &Caps) -> u32 {
    // Bytes that the kernel keeps for so many columns.
    let bytes = |width: u64| match subgroup {
        Some(smallest) => (2 * (width / u64::from(smallest) + 1) + 1) * 4 * 24 + (width + 1) * 2 * 8 + 16,
        None => (width + 1) * 2 * 32 + 16,
    };
    let most = u64::from(caps.max_invocations).min(512);
    let widest = (1..=most / 32).map(|n| 32 * n).filter(|&width| bytes(width) <= u64::from(caps.max_workgroup_bytes)).max().unwrap_or(32);
    let blocks = columns.div_ceil(widest).max(1);
    columns.div_ceil(blocks).next_multiple_of(32).clamp(32, widest) as u32
}
