//! The stepped tier: a launch a step.

use super::Problem;
use crate::device::Caps;
use crate::device::recording::{BindSet, Binding, Recording, fold};
use crate::device::shader::{CellStepGradientParams, CellStepParams, Kernel, Shader};

/// Hidden units a workgroup of `shaders/cell/step.wgsl`, and of its variant for one sequence and `step_gradient.wgsl`.
const UNITS: u64 = 8;
const FEW_UNITS: u64 = 4;
/// Workgroups from which on there are enough of them for more sequences in each.
const MANY_WORKGROUPS: u64 = 640;

/// How a step is spread over workgroups.
pub(super) struct Spread {
    shader: &'static Shader,
    constants: Vec<(&'static str, f64)>,
    grid: [u32; 3],
}

impl Spread {
    pub(super) fn forward(caps: &Caps, problem: &Problem) -> Self {
        if problem.batch == 1 {
            let grid = [problem.hidden.div_ceil(FEW_UNITS) as u32, 1, 1];
            return Self { shader: caps.shader_with(Kernel::CellStep, &["single"]), constants: Vec::new(), grid };
        }
        let tile = match problem.hidden.div_ceil(UNITS) * problem.batch.div_ceil(8) {
            MANY_WORKGROUPS.. => 8,
            _ => 4,
        };
        Self::tiles(caps, problem, caps.shader(Kernel::CellStep), UNITS, tile)
    }

    pub(super) fn backward(caps: &Caps, problem: &Problem) -> Self {
        let tile = match problem.hidden.div_ceil(FEW_UNITS) * problem.batch.div_ceil(8) {
            _ if problem.batch == 1 => 1,
            MANY_WORKGROUPS.. => 8,
            _ => 4,
        };
        Self::tiles(caps, problem, caps.shader(Kernel::CellStepGradient), FEW_UNITS, tile)
    }

    /// Many sequences a workgroup, so that a weight once read serves them all.
    fn tiles(caps: &Caps, problem: &Problem, shader: &'static Shader, units: u64, tile: u64) -> Self {
        let [y, z, _] = fold(problem.batch.div_ceil(tile), caps.max_workgroups);
        Self { shader, constants: vec![("BATCH", tile as f64)], grid: [problem.hidden.div_ceil(units) as u32, y, z] }
    }
}

/// The steps `first` to `first + count`, whose frames are in the windows of gx and y.
pub(super) fn forward(
    recording: &mut Recording,
    problem: &Problem,
    spread: &Spread,
    bindings: &[Binding; 6],
    (first, count): (u64, u64),
    y_first: u32,
    slots: u64,
) {
    let set = recording.bind(bindings);
    let begin = problem.first_frame((first, count));
    let gates = problem.shape.inputs * problem.hidden;
    for step in first..first + count {
        let frame = problem.frame_of(step);
        let params = CellStepParams {
            batch: problem.batch as u32,
            hidden: problem.hidden as u32,
            first: frame as u32,
            frames: 1,
            reversed: u32::from(problem.reversed),
            gx_first: ((frame - begin) * problem.batch * gates) as u32,
            y_first: y_first + ((frame - begin) * problem.batch * problem.hidden) as u32,
            steps: step as u32,
            all_steps: problem.frames as u32,
            slots: slots as u32,
            has_lengths: u32::from(problem.lengths),
            resets_first: problem.resets_first() as u32,
            reset_words: problem.reset_words() as u32,
            zone_first: problem.zoneout.first,
            zone_others: problem.zoneout.others,
            seed: problem.zoneout.seed,
            zone_means: u32::from(problem.zoneout.means),
        };
        let work = problem.batch * problem.shape.rows * problem.hidden * problem.hidden;
        recording.dispatch_program((spread.shader, &problem.program), &spread.constants, set, &params, spread.grid, work);
    }
}

/// Where the gates of a frame are in the buffer of gates, in elements: inputs, and products.
pub(super) type GatesAt<'a> = &'a dyn Fn(u64) -> [u64; 2];

/// The steps of a stretch from its last to its first, then, after the first of all, what is left to multiply.
pub(super) fn backward(
    recording: &mut Recording,
    problem: &Problem,
    spread: &Spread,
    set: BindSet,
    (first, count): (u64, u64),
    gates_at: GatesAt<'_>,
    (dy_first, slots): (u32, u64),
) {
    let begin = problem.first_frame((first, count));
    let products = |step: u64| {
        let [inputs, products] = gates_at(step);
        if problem.shape.summed { inputs } else { products }
    };
    // One step before the first is what the products of the first leave to the states before.
    let steps = (first..first + count).rev().map(Some).chain((first == 0).then_some(None));
    for step in steps {
        let after = step.map_or(0, |step| step + 1);
        let has_next = after < problem.frames;
        let frame = step.map_or(begin, |step| problem.frame_of(step));
        let [inputs_first, products_first] = step.map_or([0; 2], gates_at);
        let params = CellStepGradientParams {
            batch: problem.batch as u32,
            hidden: problem.hidden as u32,
            frame: frame as u32,
            next: if has_next { problem.frame_of(after) as u32 } else { 0 },
            has_next: u32::from(has_next),
            has_frame: u32::from(step.is_some()),
            inputs_first: inputs_first as u32,
            products_first: products_first as u32,
            next_first: if has_next { products(after) as u32 } else { 0 },
            dy_first: dy_first + step.map_or(0, |_| (frame - begin) * problem.batch * problem.hidden) as u32,
            slot: step.map_or(0, |step| problem.slot_of(step, slots)) as u32,
            slots: slots as u32,
            has_lengths: u32::from(problem.lengths),
            resets_first: problem.resets_first() as u32,
            reset_words: problem.reset_words() as u32,
            zone_first: problem.zoneout.first,
            zone_others: problem.zoneout.others,
            seed: problem.zoneout.seed,
        };
        let work = problem.batch * problem.shape.rows * problem.hidden * problem.hidden;
        recording.dispatch_program((spread.shader, &problem.program), &spread.constants, set, &params, spread.grid, work);
    }
}
