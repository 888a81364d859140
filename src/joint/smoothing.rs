//! Smoothed losses of sums: log-probabilities that are partly those of frames alone, and of positions alone.

use super::sums::Sums;
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{
    JointAdditiveRowParams as Params, JointSmoothCellsParams, JointSmoothPositionsParams, JointSmoothPriorGradientParams,
    JointSmoothPriorParams, JointSmoothRowParams, JointSmoothSumsParams, Kernel,
};
use crate::error::{Error, Result, number, within};
use crate::lattice::{Batch, Problem, Window};
use std::ops::Range;

/// Symbols of a workgroup of `shaders/joint/smooth_prior.wgsl` and `smooth_prior_gradient.wgsl`.
const COLUMNS: u64 = 16;
/// Cells of one of `smooth_cells.wgsl`.
const CELLS: u64 = 64;

/// What log-probabilities by one side alone weigh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Smoothing {
    positions: f32,
    frames: f32,
}

impl Smoothing {
    /// Of the predictor's and the encoder's; `None` if both are 0.
    pub fn new(positions: f32, frames: f32) -> Result<Option<Self>> {
        for (argument, scale) in [("lm_only_scale", positions), ("am_only_scale", frames)] {
            if !(0.0..=1.0).contains(&scale) {
                return Err(Error::Value {
                    argument,
                    value: number(scale),
                    help: "a scale is between 0 and 1, and both together are at most 1",
                });
            }
        }
        if positions + frames > 1.0 {
            let value = format!("{} beside an lm_only_scale of {}", number(frames), number(positions));
            return Err(Error::Value { argument: "am_only_scale", value, help: "both scales together are at most 1" });
        }
        Ok((positions + frames > 0.0).then_some(Self { positions, frames }))
    }

    /// Of sums, of frames alone, of positions alone.
    pub fn scales(self) -> [f32; 3] {
        [1.0 - (self.positions + self.frames), self.frames, self.positions]
    }
}

/// Where the normalisers of one side alone lie behind those of cells, and what is summed up.
#[derive(Clone, Copy)]
pub(super) struct Places {
    /// Of frames, of positions, of the prior; of the second half of the sums.
    pub starts: [u32; 4],
    /// All normalisers.
    pub words: u64,
    /// Sums of pulls, and the gradient of the prior.
    gradients: Option<[BufferId; 2]>,
    sums_words: u64,
}

impl Places {
    /// Behind the normalisers of so many cells.
    pub fn new(sums: &Sums<'_>, cells: u64, recording: &mut Recording) -> Self {
        let [frames, positions] = [sums.sides.frames, sums.sides.positions].map(|length| (sums.sides.utterances * length) as u64);
        let vocab = sums.sides.row as u64;
        let prior = cells + frames + positions;
        let sums_words = frames + positions * sums.kept.channels() as u64;
        let gradients = sums.has_gradients.then(|| {
            let all = recording.workspace("sums of what symbols are pulled by", 4 * sums_words.max(1));
            [all, recording.workspace("gradient of the prior", 4 * vocab.max(1))]
        });
        let starts = [cells, cells + frames, prior, frames].map(|word| u32::try_from(word).unwrap_or(u32::MAX));
        Self { starts, words: prior + vocab + 1, gradients, sums_words }
    }
}

/// What a launch over items of one side is given.
enum Of {
    Frames,
    Positions,
}

impl Sums<'_> {
    /// Utterances of a batch, as many as a launch may have.
    fn groups(&self, problem: &Problem, caps: &Caps) -> Vec<Range<usize>> {
        let (count, most) = (problem.utterances.len(), self.most_utterances(caps));
        (0..count).step_by(most).map(|first| first..(first + most).min(count)).collect()
    }

    /// A workgroup an item of some utterances.
    fn items_grid(&self, of: &Of, utterances: &Range<usize>) -> [u32; 3] {
        let length = match of {
            Of::Frames => self.sides.frames,
            Of::Positions => self.sides.positions,
        };
        let [x, y, _] = fold(length as u64, self.caps.max_workgroups);
        [x, y, utterances.len() as u32]
    }

    fn columns_grid(&self) -> [u32; 3] {
        let [x, y, _] = fold((self.sides.row as u64).div_ceil(COLUMNS), self.caps.max_workgroups);
        [x, y, 1]
    }

    fn whole_normalisers(&self) -> Option<Binding> {
        let window = Window { part: 0, utterances: 0..0, rows: 0..0, first_unit: 0, shift: 0, offset: 0, bytes: 4 };
        self.places.map(|_| self.cells(&window)[1])
    }

    /// Records the normalisers of positions alone, the prior, and the normalisers of frames alone.
    pub(super) fn begin_smoothing(&self, problem: &Problem, recording: &mut Recording, batch: Batch) -> Result<()> {
        let (Some(places), Some(normalisers)) = (self.places, self.whole_normalisers()) else { return Ok(()) };
        let most = self.caps.max_window_bytes();
        within("normalisers of a smoothed loss: bytes", 4 * places.words, most, "lower the workspace limit, or split the batch")?;
        within("sums of a smoothed loss: bytes", 4 * places.sums_words, most, "split the batch")?;
        let count = problem.utterances.len();
        let predictor_bytes = 4 * (count * self.sides.positions * self.sides.row) as u64;
        within("predictor's output of a smoothed loss, in f32: bytes", predictor_bytes, most, "split the batch")?;
        if let Some([_, prior]) = places.gradients {
            recording.clear(prior);
        }
        let groups = self.groups(problem, self.caps);
        groups.iter().for_each(|utterances| self.smooth_rows(recording, batch, utterances, normalisers, &Of::Positions));
        if count > 0 {
            let (words, predictor, params) = self.one_side(&(0..count), batch, &Of::Positions);
            let set = recording.bind(&[words, predictor, normalisers]);
            let params: JointSmoothPriorParams = bytemuck::cast(params);
            let shader = self.caps.shader(Kernel::JointSmoothPrior);
            recording.dispatch(shader, set, &params, self.columns_grid(), 16 * predictor_bytes / 4);
        }
        groups.iter().for_each(|utterances| self.smooth_rows(recording, batch, utterances, normalisers, &Of::Frames));
        Ok(())
    }

    /// The batch, what one side has of some utterances, and the params of a launch that reads no other.
    fn one_side(&self, utterances: &Range<usize>, batch: Batch, of: &Of) -> (Binding, Binding, Params) {
        let side = usize::from(matches!(of, Of::Positions));
        let (_, params) = self.launch(utterances, 0, batch);
        (batch.words, self.side(utterances, side, self.inputs[side].sum).0, params)
    }

    fn smooth_rows(&self, recording: &mut Recording, batch: Batch, utterances: &Range<usize>, normalisers: Binding, of: &Of) {
        let (words, x, params) = self.one_side(utterances, batch, of);
        let set = recording.bind(&[words, x, normalisers]);
        let params: JointSmoothRowParams = bytemuck::cast(params);
        let constants = [("OF_POSITIONS", f64::from(u8::from(matches!(of, Of::Positions))))];
        let shader = self.caps.shader(Kernel::JointSmoothRow);
        recording.dispatch_with(shader, &constants, set, &params, self.items_grid(of, utterances), 4 * x.bytes);
    }

    /// Records `shaders/joint/smooth_cells.wgsl`.
    pub(super) fn smooth_cells(&self, problem: &Problem, recording: &mut Recording, batch: Batch, window: &Window) {
        if self.places.is_none() {
            return;
        }
        let [kept, normalisers] = self.cells(window);
        let ([words, encoder, predictor], params) = self.launch(&window.utterances, window.first_unit, batch);
        let set = recording.bind(&[words, encoder, predictor, normalisers, kept]);
        let params: JointSmoothCellsParams = bytemuck::cast(params);
        let rows = problem.utterances[window.utterances.clone()].iter().map(|u| u.rows);
        let [x, y, _] = fold(rows.clone().max().unwrap_or(0).div_ceil(CELLS), self.caps.max_workgroups);
        let grid = [x, y, window.utterances.len() as u32];
        recording.dispatch(self.caps.shader(Kernel::JointSmoothCells), set, &params, grid, 64 * rows.sum::<u64>());
    }

    /// Records what the cells of a window pull at the prior.
    pub(super) fn prior_gradient(&self, problem: &Problem, recording: &mut Recording, batch: Batch, window: &Window) {
        let Some(Places { gradients: Some([sums, prior]), .. }) = self.places else { return };
        let [pulls, normalisers] = self.cells(window);
        let (sums, prior) = (recording.whole(sums), recording.whole(prior));
        let ([words, encoder, _], params) = self.launch(&window.utterances, window.first_unit, batch);
        let set = recording.bind(&[words, pulls, sums]);
        let rows: u64 = problem.utterances[window.utterances.clone()].iter().map(|u| u.rows).sum();
        for (side, of) in [Of::Frames, Of::Positions].iter().enumerate() {
            let params: JointSmoothSumsParams = bytemuck::cast(params);
            let grid = self.items_grid(of, &window.utterances);
            let shader = self.caps.shader(Kernel::JointSmoothSums);
            recording.dispatch_with(shader, &[("OF_POSITIONS", side as f64)], set, &params, grid, 8 * rows);
        }
        let set = recording.bind(&[words, encoder, normalisers, sums, prior]);
        let params: JointSmoothPriorGradientParams = bytemuck::cast(params);
        let shader = self.caps.shader(Kernel::JointSmoothPriorGradient);
        recording.dispatch(shader, set, &params, self.columns_grid(), 4 * encoder.bytes);
    }

    /// Records what the prior pulls at the positions that it is the mean of.
    pub(super) fn end_smoothing(&self, problem: &Problem, recording: &mut Recording, batch: Batch) {
        let (Some(Places { gradients: Some([_, prior]), .. }), Some(normalisers)) = (self.places, self.whole_normalisers()) else { return };
        let Some(d_sum) = self.inputs[1].d_sum else { return };
        let prior = recording.whole(prior);
        for utterances in self.groups(problem, self.caps) {
            let (words, predictor, params) = self.one_side(&utterances, batch, &Of::Positions);
            let (out, out_first) = self.side(&utterances, 1, d_sum);
            let set = recording.bind(&[words, predictor, normalisers, batch.results, prior, out]);
            let params: JointSmoothPositionsParams = bytemuck::cast(Params { out_first, ..params });
            let grid = self.items_grid(&Of::Positions, &utterances);
            recording.dispatch(self.caps.shader(Kernel::JointSmoothPositions), set, &params, grid, 4 * predictor.bytes);
        }
    }
}
