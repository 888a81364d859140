//! The stepped tier: a launch a step.

use super::Problem;
use crate::device::Caps;
use crate::device::recording::{BindSet, Binding, Recording, fold};
use crate::device::shader::{CellStepGradientParams, CellStepParams, Kernel, Shader};

/// Hidden units a workgroup of `shaders/cell/step.wgsl` and of `step_gradient.wgsl`; sequences of the former, if there are several.
const UNITS: u64 = 8;
const FEW_UNITS: u64 = 4;
const FEW_SEQUENCES: u64 = 4;
/// Hidden units a workgroup of `shaders/cell/step_single.wgsl`, which browsers do without, and invocations of a unit. More numbers of
/// a row by four for each of them leave its registers: then `step.wgsl` takes single sequences too.
#[cfg(not(target_family = "wasm"))]
const SINGLE_UNITS: u64 = 2;
#[cfg(not(target_family = "wasm"))]
const SINGLE_LANES: u64 = 128;
#[cfg(not(target_family = "wasm"))]
const MAX_SINGLE_QUADS: u64 = 6;
/// Workgroups from which on there are enough of them for more sequences in each.
const MANY_WORKGROUPS: u64 = 640;

/// How a step is spread over workgroups.
pub(super) struct Spread {
    pub shader: &'static Shader,
    pub constants: Vec<(&'static str, f64)>,
    pub grid: [u32; 3],
}

impl Spread {
    pub(super) fn forward(caps: &Caps, problem: &Problem) -> Self {
        let heads = blocks(problem);
        #[cfg(not(target_family = "wasm"))]
        if heads.is_none()
            && let Some(spread) = Self::single(caps, problem)
        {
            return spread;
        }
        let tile = if problem.batch == 1 { 1 } else { FEW_SEQUENCES };
        let mut spread = Self::tiles(caps, problem, caps.shader(Kernel::CellStep), problem.hidden.div_ceil(UNITS), tile);
        if let Some(heads) = heads {
            spread.constants.push(("HEADS", heads as f64));
        }
        spread
    }

    /// Of `step_single.wgsl`, if it takes the problem.
    #[cfg(not(target_family = "wasm"))]
    fn single(caps: &Caps, problem: &Problem) -> Option<Self> {
        let quads = problem.hidden.div_ceil(4 * SINGLE_LANES);
        let shape = [("UNITS", SINGLE_UNITS), ("LANES", SINGLE_LANES), ("QUADS", quads)];
        let flags: &[&str] = if problem.hidden.is_multiple_of(4) { &["pack4"] } else { &[] };
        (problem.batch == 1 && quads <= MAX_SINGLE_QUADS).then(|| Self {
            shader: caps.shader_with(Kernel::CellStepSingle, flags),
            constants: shape.map(|(name, value)| (name, value as f64)).into(),
            grid: [problem.hidden.div_ceil(SINGLE_UNITS) as u32, 1, 1],
        })
    }

    pub(super) fn backward(caps: &Caps, problem: &Problem) -> Self {
        let mut spread = Self::of(caps, problem, Kernel::CellStepGradient, problem.hidden);
        if let Some(heads) = blocks(problem) {
            spread.constants.extend([("HEADS", heads as f64), ("HEAD_UNITS", (problem.hidden / heads) as f64)]);
        }
        spread
    }

    /// Of a kernel that has a workgroup for as many rows as `step_gradient.wgsl` has for units.
    pub(super) fn of(caps: &Caps, problem: &Problem, kernel: Kernel, rows: u64) -> Self {
        let tile = match rows.div_ceil(FEW_UNITS) * problem.batch.div_ceil(8) {
            _ if problem.batch == 1 => 1,
            MANY_WORKGROUPS.. => 8,
            _ => 4,
        };
        Self::tiles(caps, problem, caps.shader(kernel), rows.div_ceil(FEW_UNITS), tile)
    }

    /// Of a kernel with as many units a workgroup as `step.wgsl`, and up to eight sequences.
    pub(super) fn like_step(caps: &Caps, problem: &Problem, kernel: Kernel) -> Self {
        let groups = problem.hidden.div_ceil(UNITS);
        let tile = match groups * problem.batch.div_ceil(8) {
            _ if problem.batch == 1 => 1,
            MANY_WORKGROUPS.. => 8,
            _ => 4,
        };
        Self::tiles(caps, problem, caps.shader(kernel), groups, tile)
    }

    /// Many sequences a workgroup, so that a weight once read serves them all.
    fn tiles(caps: &Caps, problem: &Problem, shader: &'static Shader, groups: u64, tile: u64) -> Self {
        let [y, z, _] = fold(problem.batch.div_ceil(tile), caps.max_workgroups);
        Self { shader, constants: vec![("BATCH", tile as f64)], grid: [groups as u32, y, z] }
    }
}

/// Heads, if there are several and each has whole workgroups: of the others all columns are multiplied, zeros included.
fn blocks(problem: &Problem) -> Option<u64> {
    Some(problem.heads).filter(|&heads| heads > 1 && (problem.hidden / heads).is_multiple_of(UNITS))
}

/// How steps lie in the windows of a launch: the stretch, where y begins in its window, and slots of states.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    pub stretch: (u64, u64),
    pub y_first: u32,
    pub slots: u64,
}

/// One step, forward.
pub(super) fn step_params(problem: &Problem, windows: Windows, step: u64) -> CellStepParams {
    let begin = problem.first_frame(windows.stretch);
    let gates = problem.shape.inputs * problem.hidden;
    let frame = problem.frame_of(step);
    CellStepParams {
        batch: problem.batch as u32,
        hidden: problem.hidden as u32,
        first: frame as u32,
        frames: 1,
        reversed: u32::from(problem.reversed),
        gx_first: ((frame - begin) * problem.batch * gates) as u32,
        y_first: windows.y_first + ((frame - begin) * problem.batch * problem.hidden) as u32,
        steps: step as u32,
        all_steps: problem.frames as u32,
        slots: windows.slots as u32,
        has_lengths: u32::from(problem.lengths),
        resets_first: problem.resets_first() as u32,
        reset_words: problem.reset_words() as u32,
        zone_first: problem.zoneout.first,
        zone_others: problem.zoneout.others,
        seed: problem.zoneout.seed,
        zone_means: u32::from(problem.zoneout.means),
    }
}

/// The steps of a stretch. `bindings` are those of `shaders/shared/cell_call.wgsl`, then y.
pub(super) fn forward(recording: &mut Recording, caps: &Caps, problem: &Problem, bindings: &[Binding; 6], windows: Windows) {
    let spread = Spread::forward(caps, problem);
    let set = recording.bind(bindings);
    let (first, count) = windows.stretch;
    for step in first..first + count {
        let params = step_params(problem, windows, step);
        recording.dispatch_program((spread.shader, &problem.program), &spread.constants, set, &params, spread.grid, problem.step_work());
    }
}

/// Where the gates of a frame are in the buffer of gates, in elements: inputs, and products.
pub(super) type GatesAt<'a> = &'a dyn Fn(u64) -> [u64; 2];

/// The steps of a stretch from the last, and then, after the first of all, what is left to multiply.
pub(super) fn steps_back(windows: Windows) -> impl Iterator<Item = Option<u64>> {
    let (first, count) = windows.stretch;
    (first..first + count).rev().map(Some).chain((first == 0).then_some(None))
}

/// One step, backward; `windows` are those of dy.
pub(super) fn gradient_params(problem: &Problem, windows: Windows, gates_at: GatesAt<'_>, step: Option<u64>) -> CellStepGradientParams {
    let begin = problem.first_frame(windows.stretch);
    let products = |step: u64| {
        let [inputs, products] = gates_at(step);
        if problem.shape.summed { inputs } else { products }
    };
    let after = step.map_or(0, |step| step + 1);
    let has_next = after < problem.frames;
    let frame = step.map_or(begin, |step| problem.frame_of(step));
    let [inputs_first, products_first] = step.map_or([0; 2], gates_at);
    let first_line = (frame - begin) * problem.batch;
    CellStepGradientParams {
        batch: problem.batch as u32,
        hidden: problem.hidden as u32,
        frame: frame as u32,
        next: if has_next { problem.frame_of(after) as u32 } else { 0 },
        has_next: u32::from(has_next),
        has_frame: u32::from(step.is_some()),
        inputs_first: inputs_first as u32,
        products_first: products_first as u32,
        next_first: if has_next { products(after) as u32 } else { 0 },
        dy_first: windows.y_first + (first_line * problem.hidden) as u32,
        slot: step.map_or(0, |step| problem.slot_of(step, windows.slots)) as u32,
        slots: windows.slots as u32,
        first_line: first_line as u32,
        has_lengths: u32::from(problem.lengths),
        resets_first: problem.resets_first() as u32,
        reset_words: problem.reset_words() as u32,
        zone_first: problem.zoneout.first,
        zone_others: problem.zoneout.others,
        seed: problem.zoneout.seed,
    }
}

/// The steps of a stretch from its last to its first, then, after the first of all, what is left to multiply. `set` are the
/// transposed weights, then the bindings of `shaders/shared/cell_gradient_call.wgsl`.
pub(super) fn backward(recording: &mut Recording, caps: &Caps, problem: &Problem, set: BindSet, windows: Windows, gates_at: GatesAt<'_>) {
    let spread = Spread::backward(caps, problem);
    for step in steps_back(windows) {
        let params = gradient_params(problem, windows, gates_at, step);
        recording.dispatch_program((spread.shader, &problem.program), &spread.constants, set, &params, spread.grid, problem.step_work());
    }
}
