//! Logits that are a sum of frames and positions, and that nobody writes: a cell keeps the log-probabilities of the symbols that arcs read.
//! Lattices take these for gathered scores, and give back what each is pulled by.

use super::Joiner;
use super::batch::Sides;
use super::inputs::{Input, matrix};
use super::smoothing::{Places, Smoothing};
use crate::dense::Matrix;
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{JointAdditiveGradientParams, JointAdditiveRowParams as Params, Kernel};
use crate::error::{Result, within};
use crate::lattice::{Batch, Gathered, Normalisation, Options, Problem, Source, Window};
use std::ops::Range;

/// Most symbols that arcs may name beside the blank.
const MOST_NAMED: usize = 4;
/// Utterances of a launch: the third side of a grid.
const MOST_UTTERANCES: u64 = 65_535;
/// Cells of a workgroup of `shaders/joint/additive_row.wgsl`.
const CELLS: u32 = 256;
/// Symbols and items of one of `additive_gradient.wgsl`.
const COLUMNS: u64 = 128;
const ITEMS: u64 = 8;

/// What of a row a cell keeps.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    blank: u32,
    /// What arcs name beside it.
    named: Vec<u32>,
    is_hat: bool,
    /// Of gradients of logits, which lattices do not see.
    clamp: Option<f32>,
    pub smoothing: Option<Smoothing>,
}

impl Kept {
    /// For joiners without a layer, if arcs read few symbols, and all cells have a row; with the options of the lattices then.
    pub fn of(joiner: &Joiner, options: &Options, dropout: f32, smoothing: Option<Smoothing>) -> Option<(Self, Options)> {
        if joiner.output.is_some() || dropout > 0.0 || options.pruned {
            return None;
        }
        let Gathered { kind, named } = options.kind.gathered().filter(|gathered| gathered.named.len() <= MOST_NAMED)?;
        let is_hat = options.kind.normalisation() == Normalisation::Hat;
        let kept = Self { blank: options.kind.blank().0, named, is_hat, clamp: options.clamp, smoothing };
        Some((kept, Options { kind, clamp: None, ..options.clone() }))
    }

    /// Numbers of a cell.
    pub fn channels(&self) -> usize {
        2 + self.named.len()
    }
}

/// The cells of a batch.
pub(super) struct Sums<'a> {
    pub caps: &'a Caps,
    pub sides: Sides,
    pub kept: Kept,
    pub has_gradients: bool,
    /// The encoder and the predictor.
    pub inputs: [Input; 2],
    /// What the cells of a chunk keep, which becomes what that is pulled by; and the normalisers of their rows.
    cells: Option<[BufferId; 2]>,
    /// Where what smoothing needs lies.
    pub(super) places: Option<Places>,
}

impl<'a> Sums<'a> {
    pub fn new(caps: &'a Caps, sides: Sides, kept: Kept, has_gradients: bool, inputs: [Input; 2]) -> Self {
        Self { caps, sides, kept, has_gradients, inputs, cells: None, places: None }
    }
}

impl Source for Sums<'_> {
    /// Utterances are whole: what cells keep is less than their lattices take.
    fn windows(&mut self, problem: &Problem, chunk: Range<usize>, caps: &Caps) -> Result<Vec<Window>> {
        let lines = [self.sides.frames, self.sides.positions].map(|length| 4 * (length * self.sides.row) as u64);
        let longest = lines[0].max(lines[1]).max(1);
        let most_bytes = caps.max_shifted_window_bytes();
        within("encoder's or predictor's output of one utterance: bytes", longest, most_bytes, "cut the utterance into shorter ones")?;
        let most = self.most_utterances(caps);
        let work = |n: usize| problem.utterances[n].rows.saturating_mul(8 * self.sides.row as u64);
        let rows: u64 = problem.utterances[chunk.clone()].iter().map(|u| u.rows).sum();
        let first_unit = problem.utterances.get(chunk.start).map_or(0, |u| u.first_row);
        let bytes = 4 * rows * self.kept.channels() as u64;
        let mut windows = Vec::new();
        let mut first = chunk.start;
        while first < chunk.end {
            // No launch is longer than a submit, unless one utterance is.
            let mut sum = 0u64;
            let fits = |n: &usize| {
                sum = sum.saturating_add(work(*n));
                *n == first || sum <= caps.submit_work()
            };
            let count = (first..chunk.end).take(most).take_while(fits).count();
            if problem.utterances[first..first + count].iter().any(|u| u.rows > 0) {
                let utterances = first..first + count;
                windows.push(Window { part: 0, utterances, rows: 0..u64::MAX, first_unit, shift: 0, offset: 0, bytes });
            }
            first += count;
        }
        Ok(windows)
    }

    fn has_gradients(&self) -> bool {
        self.has_gradients
    }

    fn declare(&mut self, problem: &Problem, chunks: &[Range<usize>], recording: &mut Recording) {
        let rows = |chunk: &Range<usize>| problem.utterances[chunk.clone()].iter().map(|u| u.rows).sum::<u64>();
        let most = chunks.iter().map(rows).max().unwrap_or(0).max(1);
        let kept = recording.workspace("log-probabilities of arcs", 4 * most * self.kept.channels() as u64);
        self.places = self.kept.smoothing.map(|_| Places::new(self, most, recording));
        let alone = self.places.map_or(0, |places| places.words - most);
        self.cells = Some([kept, recording.workspace("normalisers", 4 * (most + alone))]);
    }

    fn begin(&mut self, problem: &Problem, recording: &mut Recording, batch: Batch, _: bool) -> Result<()> {
        self.inputs.iter().try_for_each(|input| input.begin(recording, self.caps))?;
        self.begin_smoothing(problem, recording, batch)
    }

    fn scores(&mut self, problem: &Problem, recording: &mut Recording, batch: Batch, window: &Window) -> Result<Binding> {
        let [kept, normalisers] = self.cells(window);
        let ([words, encoder, predictor], params) = self.launch(&window.utterances, window.first_unit, batch);
        let set = recording.bind(&[words, encoder, predictor, batch.results, normalisers, kept]);
        let [frames, positions] = block(problem, window);
        let groups = |u: &[u64; 2]| u[0].div_ceil(frames.into()) * u[1].div_ceil(positions.into());
        let [x, y, _] = fold(lengths(problem, window).iter().map(groups).max().unwrap_or(0), self.caps.max_workgroups);
        let constants = [("FRAMES", f64::from(frames)), ("POSITIONS", f64::from(positions)), self.hat()];
        let grid = [x, y, window.utterances.len() as u32];
        recording.dispatch_with(self.caps.shader(Kernel::JointAdditiveRow), &constants, set, &params, grid, self.work(problem, window));
        self.smooth_cells(problem, recording, batch, window);
        Ok(kept)
    }

    fn gradients(&mut self, _: &mut Recording, _: Batch, window: &Window) -> Result<(Binding, Option<Binding>)> {
        let [kept, _] = self.cells(window);
        Ok((kept, None))
    }

    fn follow(&mut self, problem: &Problem, recording: &mut Recording, batch: Batch, window: &Window) -> Result<()> {
        self.prior_gradient(problem, recording, batch, window);
        for side in 0..2 {
            self.input_gradient(problem, recording, batch, window, side);
        }
        Ok(())
    }

    fn end(&mut self, problem: &Problem, recording: &mut Recording, batch: Batch) -> Result<()> {
        self.end_smoothing(problem, recording, batch);
        Ok(())
    }
}

impl Sums<'_> {
    /// What is kept, and the normalisers, of the chunk of a window.
    pub(super) fn cells(&self, window: &Window) -> [Binding; 2] {
        let [kept, normalisers] = self.cells.unwrap_or([BufferId(0); 2]);
        let bytes = self.places.map_or(window.bytes / self.kept.channels() as u64, |places| 4 * places.words);
        [window.binding(kept), Binding { buffer: normalisers, offset: 0, bytes }]
    }

    /// Utterances of a launch: of what they have one window must see all.
    pub(super) fn most_utterances(&self, caps: &Caps) -> usize {
        let longest = 4 * (self.sides.frames.max(self.sides.positions) * self.sides.row).max(1) as u64;
        (caps.max_shifted_window_bytes() / longest).min(u64::from(caps.max_workgroups)).clamp(1, MOST_UTTERANCES) as usize
    }

    fn hat(&self) -> (&'static str, f64) {
        ("HAT", f64::from(u8::from(self.kept.is_hat)))
    }

    fn work(&self, problem: &Problem, window: &Window) -> u64 {
        let rows: u64 = problem.utterances[window.utterances.clone()].iter().map(|u| u.rows).sum();
        rows.saturating_mul(8 * self.sides.row as u64)
    }

    /// The window of what one side has of some utterances, and where it begins there.
    pub(super) fn side(&self, utterances: &Range<usize>, side: usize, buffer: BufferId) -> (Binding, u32) {
        let (length, row) = ([self.sides.frames, self.sides.positions][side], self.sides.row);
        let first = (utterances.start * length * row) as u64;
        Matrix { first, ..matrix(buffer, row) }.window(self.caps, (utterances.len() * length) as u32, row as u32)
    }

    /// Windows of what the joiner adds up of some utterances, and the params of a launch; `first_row`: before those that are kept.
    pub(super) fn launch(&self, utterances: &Range<usize>, first_row: u64, batch: Batch) -> ([Binding; 3], Params) {
        let [(encoder, encoder_first), (predictor, predictor_first)] =
            [0, 1].map(|side| self.side(utterances, side, self.inputs[side].sum));
        let [together, frames_alone, positions_alone] = self.kept.smoothing.map_or([1.0, 0.0, 0.0], Smoothing::scales);
        let [frames_at, positions_at, prior_at, sums_at] = self.places.map_or([0; 4], |places| places.starts);
        let named = |i: usize| self.kept.named.get(i).copied().unwrap_or(u32::MAX);
        let params = Params {
            first_utterance: utterances.start as u32,
            first_row: first_row as u32,
            frames: self.sides.frames as u32,
            positions: self.sides.positions as u32,
            encoder_first,
            predictor_first,
            out_first: 0,
            vocab: self.sides.row as u32,
            blank: self.kept.blank,
            channels: self.kept.channels() as u32,
            named_0: named(0),
            named_1: named(1),
            named_2: named(2),
            named_3: named(3),
            clamp: self.kept.clamp.unwrap_or(1e30).min(1e30),
            utterances: utterances.len() as u32,
            together,
            frames_alone,
            positions_alone,
            frames_at,
            positions_at,
            prior_at,
            sums_at,
        };
        ([batch.words, encoder, predictor], params)
    }

    /// Records `shaders/joint/additive_gradient.wgsl` for the frames (0) or the positions (1).
    fn input_gradient(&self, problem: &Problem, recording: &mut Recording, batch: Batch, window: &Window, side: usize) {
        let Some(d_sum) = self.inputs[side].d_sum else { return };
        let [pulls, normalisers] = self.cells(window);
        let ([words, encoder, predictor], params) = self.launch(&window.utterances, window.first_unit, batch);
        let (out, out_first) = self.side(&window.utterances, side, d_sum);
        let params: JointAdditiveGradientParams = bytemuck::cast(Params { out_first, ..params });
        let set = recording.bind(&[words, encoder, predictor, batch.results, normalisers, pulls, out]);
        let clamps = f64::from(u8::from(self.kept.clamp.is_some()));
        let smoothed = f64::from(u8::from(self.kept.smoothing.is_some()));
        let constants = [("OF_POSITIONS", side as f64), ("CLAMPS", clamps), ("SMOOTHED", smoothed), self.hat()];
        let items = lengths(problem, window).iter().map(|lengths| lengths[side]).max().unwrap_or(0);
        let [x, y, _] = fold(items.div_ceil(ITEMS) * (self.sides.row as u64).div_ceil(COLUMNS), self.caps.max_workgroups);
        let grid = [x, y, window.utterances.len() as u32];
        let shader = self.caps.shader(Kernel::JointAdditiveGradient);
        recording.dispatch_with(shader, &constants, set, &params, grid, self.work(problem, window));
    }
}

/// Frames and positions of the utterances of a window.
fn lengths(problem: &Problem, window: &Window) -> Vec<[u64; 2]> {
    problem.utterances[window.utterances.clone()].iter().map(|u| [u.frames.into(), u.columns()]).collect()
}

/// Frames and positions of a workgroup's block: those that leave least of it without cells.
fn block(problem: &Problem, window: &Window) -> [u32; 2] {
    let all = lengths(problem, window);
    let blocks = [16, 8, 4].map(|positions| [CELLS / positions, positions]);
    let cells = |[frames, positions]: &[u32; 2]| -> u64 {
        all.iter().map(|[t, u]| t.div_ceil((*frames).into()) * u.div_ceil((*positions).into())).sum()
    };
    blocks.into_iter().min_by_key(cells).unwrap_or([16, 16])
}
