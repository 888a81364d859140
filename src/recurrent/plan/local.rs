//! The local tier: a launch runs all steps of a stretch, a workgroup those of one sequence.

use super::geometry::Geometry;
use super::normed::{self, is_normed};
use super::{Problem, slots_of_stretches};
use crate::device::Caps;
use crate::device::recording::{BindSet, Binding, BufferId, Recording, fold};
use crate::device::shader::{CellLocalGradientParams, CellLocalParams, Kernel};

/// The steps of a call forward.
pub(super) struct Forward {
    /// Takes the place of what the persistent tier leaves.
    late: BufferId,
    /// Products of a step, where there are norms.
    products: Option<BufferId>,
    /// Slots of states that are not kept.
    pub slots: u64,
}

impl Forward {
    /// For stretches of `most` frames.
    pub(super) fn new(recording: &mut Recording, problem: &Problem, most: u64) -> Self {
        let products = is_normed(problem).then(|| recording.workspace("products", problem.shape.rows * problem.plane_bytes()));
        Self { late: recording.workspace("late", 4), products, slots: slots_of_stretches(problem.frames, most) }
    }

    /// One stretch. The windows: gx, weight_hh, units, sequences, states and y.
    pub(super) fn record(
        &self,
        recording: &mut Recording,
        caps: &Caps,
        problem: &Problem,
        &[gx, weight_hh, units, sequences, states, y]: &[Binding; 6],
        params: &CellLocalParams,
    ) {
        let mut set = vec![gx, weight_hh, units, sequences, states, y, recording.whole(self.late)];
        set.extend(self.products.map(|products| recording.whole(products)));
        let set = recording.bind(&set);
        forward(recording, caps, problem, set, params, false);
    }
}

/// Params of the launch that runs a stretch forward: where its first step begins in the window of y, and slots of states.
pub(super) fn forward_params(problem: &Problem, (first, count): (u64, u64), y_first: u32, slots: u64) -> CellLocalParams {
    let ahead = problem.frame_of(first) - problem.first_frame((first, count));
    CellLocalParams {
        batch: problem.batch as u32,
        hidden: problem.hidden as u32,
        first: problem.frame_of(first) as u32,
        frames: count as u32,
        reversed: u32::from(problem.reversed),
        gx_first: (ahead * problem.batch * problem.shape.inputs * problem.hidden) as u32,
        y_first: y_first + (ahead * problem.batch * problem.hidden) as u32,
        steps: first as u32,
        all_steps: problem.frames as u32,
        slots: slots as u32,
        has_lengths: u32::from(problem.lengths),
        resets_first: problem.resets_first() as u32,
        reset_words: problem.reset_words() as u32,
        zone_first: problem.zoneout.first,
        zone_others: problem.zoneout.others,
        seed: problem.zoneout.seed,
        zone_means: u32::from(problem.zoneout.means),
    }
}

/// Params of the launch that runs a stretch backward: where frames of the stretch begin in `gates` and in dy, given the place of a
/// frame in the stretch.
pub(super) fn backward_params(
    problem: &Problem,
    (first, count): (u64, u64),
    gates_at: &dyn Fn(u64) -> [u64; 2],
    dy_first: u32,
    slots: u64,
) -> CellLocalGradientParams {
    let last = first + count - 1;
    let ahead = problem.frame_of(last) - problem.first_frame((first, count));
    let [inputs_first, products_first] = gates_at(last);
    CellLocalGradientParams {
        batch: problem.batch as u32,
        hidden: problem.hidden as u32,
        first: problem.frame_of(last) as u32,
        frames: count as u32,
        reversed: u32::from(problem.reversed),
        inputs_first: inputs_first as u32,
        products_first: products_first as u32,
        dy_first: dy_first + (ahead * problem.batch * problem.hidden) as u32,
        slot: problem.slot_of(last, slots) as u32,
        slots: slots as u32,
        has_lengths: u32::from(problem.lengths),
        resets_first: problem.resets_first() as u32,
        reset_words: problem.reset_words() as u32,
        zone_first: problem.zoneout.first,
        zone_others: problem.zoneout.others,
        seed: problem.zoneout.seed,
    }
}

/// Operations of a launch.
pub(super) fn work(problem: &Problem, count: u64) -> u64 {
    count * problem.batch * problem.shape.rows * problem.hidden * problem.hidden
}

/// A sequence a workgroup: all steps, or, with `finishes`, those that the persistent tier left.
pub(super) fn forward(recording: &mut Recording, caps: &Caps, problem: &Problem, set: BindSet, params: &CellLocalParams, finishes: bool) {
    let (constants, work) = launch(problem, params.frames, finishes);
    let grid = fold(problem.batch, caps.max_workgroups);
    let kernel = if is_normed(problem) { Kernel::CellLocalNormed } else { Kernel::CellLocal };
    recording.dispatch_program((caps.shader(kernel), &problem.program), &constants, set, params, grid, work);
}

/// The steps that the persistent tier left, of weights and y in f16.
pub(super) fn finish_in_halves(recording: &mut Recording, caps: &Caps, problem: &Problem, set: BindSet, params: &CellLocalParams) {
    let (constants, work) = launch(problem, params.frames, true);
    let grid = fold(problem.batch, caps.max_workgroups);
    let shader = caps.shader_with(Kernel::CellLocal, &["f16"]);
    recording.dispatch_program((shader, &problem.program), &constants, set, params, grid, work);
}

/// A sequence a workgroup backward: all steps, or, with the workgroups of the persistent tier, what these left. Where the product is
/// normalised, there is one more window, of what they handed to each other.
pub(super) fn backward(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    set: BindSet,
    params: &CellLocalGradientParams,
    finishes: Option<&Geometry>,
) {
    let (constants, work) = launch(problem, params.frames, finishes.is_some());
    let mut constants = constants.to_vec();
    let mut kernel = Kernel::CellLocalGradient;
    if is_normed(problem) {
        kernel = Kernel::CellLocalNormedGradient;
        constants.extend(normed::constants_back(problem, finishes.map_or(1, |geometry| normed::groups(problem, geometry))));
    }
    let grid = fold(problem.batch, caps.max_workgroups);
    recording.dispatch_program((caps.shader(kernel), &problem.program), &constants, set, params, grid, work);
}

fn launch(problem: &Problem, frames: u32, finishes: bool) -> ([(&'static str, f64); 1], u64) {
    let work = if finishes { problem.batch * problem.hidden } else { work(problem, frames.into()) };
    ([("FINISHES", f64::from(u8::from(finishes)))], work)
}
