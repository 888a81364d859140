//! The persistent tier: a launch runs all steps of a stretch on workgroups that hand their results to each other, and another what
//! that one left, should workgroups not have run together. Nothing is read back in between.

use super::geometry::Geometry;
use super::{Problem, local, normed, slots_of_stretches};
use crate::device::Caps;
use crate::device::recording::{BindSet, Binding, BufferId, Recording};
use crate::device::shader::{CellLocalGradientParams, CellLocalParams, Kernel, Shader};
use crate::error::Result;

/// How workgroups wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// How often a word is looked at before the workgroup stops.
    pub spins: u32,
    /// Whether the subgroups of a workgroup wait for each other at barriers only.
    pub in_turn: bool,
    /// For tests: the workgroup along the units that stops, and the step.
    pub fault: Option<(u32, u32)>,
}

impl Waiting {
    pub(super) fn of(caps: &Caps) -> Self {
        // Software adapters end loops after 65,535 rounds of all together.
        match (caps.is_software(), caps.subgroups) {
            (false, _) => Self { spins: 300_000, in_turn: false, fault: None },
            (true, Some(_)) => Self { spins: 50_000, in_turn: true, fault: None },
            (true, None) => Self { spins: 4_000, in_turn: true, fault: None },
        }
    }

    fn constants(&self, problem: &Problem, geometry: &Geometry, loads: u32) -> Vec<(&'static str, f64)> {
        let mut constants = geometry.shape(loads);
        constants.push(("EVEN", f64::from(u8::from(!problem.lengths && !problem.resets))));
        constants.extend(self.own_constants());
        constants
    }

    pub(super) fn own_constants(&self) -> Vec<(&'static str, f64)> {
        let mut constants = vec![("SPINS", self.spins.into()), ("IN_TURN", f64::from(u8::from(self.in_turn)))];
        if let Some((group, step)) = self.fault {
            constants.extend([("FAULT_GROUP", group.into()), ("FAULT_STEP", step.into())]);
        }
        constants
    }
}

/// The steps of a call forward.
pub(super) struct Forward {
    geometry: Geometry,
    waiting: Waiting,
    undone: BufferId,
    /// What workgroups hand to each other besides, where there are norms.
    sums: Option<BufferId>,
    /// Slots of states that are not kept.
    pub slots: u64,
}

impl Forward {
    /// For stretches of `most` frames; `y` is all of it.
    pub(super) fn new(
        recording: &mut Recording,
        caps: &Caps,
        problem: &Problem,
        geometry: Geometry,
        [weight_hh, y]: [BufferId; 2],
        most: u64,
    ) -> Result<Self> {
        let undone = recording.workspace("undone", normed::undone_bytes(problem));
        recording.clear(undone);
        recording.clear(y);
        normed::record_sums(recording, caps, problem, [weight_hh, undone])?;
        let sums = normed::is_normed(problem).then(|| recording.workspace("unit_sums", normed::exchange_bytes(problem, &geometry, most)));
        Ok(Self { geometry, waiting: Waiting::of(caps), undone, sums, slots: slots_of_stretches(problem.frames, most) })
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
        let mut windows = vec![gx, weight_hh, units, sequences, states, y, recording.whole(self.undone)];
        if let Some(sums) = self.sums {
            recording.clear(sums);
            windows.push(recording.whole(sums));
        }
        forward(recording, caps, problem, (&self.geometry, &self.waiting), &windows, params);
    }
}

/// The steps of a call backward.
pub(super) struct Backward {
    geometry: Geometry,
    waiting: Waiting,
    exchange: BufferId,
}

impl Backward {
    /// For stretches of `most` frames.
    pub(super) fn new(recording: &mut Recording, caps: &Caps, problem: &Problem, geometry: Geometry, most: u64) -> Self {
        let exchange = recording.workspace("exchange", exchange_bytes(problem, &geometry, most));
        Self { geometry, waiting: Waiting::of(caps), exchange }
    }

    /// One stretch. The windows: weight_hh, units, sequences, states, dy, gates, and carry, with one plane more.
    pub(super) fn record(
        &self,
        recording: &mut Recording,
        caps: &Caps,
        problem: &Problem,
        windows: &[Binding],
        params: &CellLocalGradientParams,
    ) {
        recording.clear(self.exchange);
        let mut windows = windows.to_vec();
        windows.push(recording.whole(self.exchange));
        backward(recording, caps, problem, (&self.geometry, &self.waiting), &windows, params);
    }
}

fn shader(caps: &Caps, kernel: Kernel, normed: bool, coherent: bool) -> &'static Shader {
    let flags: &[&str] = match (normed, coherent && caps.coherent && caps.subgroups.is_some()) {
        (false, false) => &[],
        (false, true) => &["coherent"],
        (true, false) => &["normed"],
        (true, true) => &["normed", "coherent"],
    };
    caps.shader_with(kernel, flags)
}

fn grid(problem: &Problem, geometry: &Geometry) -> [u32; 3] {
    [(problem.hidden as u32).div_ceil(geometry.units()), (problem.batch as u32).div_ceil(geometry.group), 1]
}

/// Workgroups of a launch.
pub(super) fn workgroups(problem: &Problem, geometry: &Geometry) -> u64 {
    grid(problem, geometry).iter().map(|&side| u64::from(side)).product()
}

/// Forward. The windows: gx, weight_hh, units, sequences, states, y, whose frames of this stretch must be 0, and a word for each unit
/// of each sequence, which are 0 before and after. With norms the sums of the weights' columns stand behind these, and there is one more,
/// of [`normed::exchange_bytes`], which must be 0.
pub(super) fn forward(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    (geometry, waiting): (&Geometry, &Waiting),
    windows: &[Binding],
    params: &CellLocalParams,
) {
    let set = forward_alone(recording, caps, problem, (geometry, waiting), windows, params);
    local::forward(recording, caps, problem, set, params, true);
}

/// What waits, without what does the rest.
pub(super) fn forward_alone(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    (geometry, waiting): (&Geometry, &Waiting),
    windows: &[Binding],
    params: &CellLocalParams,
) -> BindSet {
    let set = recording.bind(windows);
    let is_normed = normed::is_normed(problem);
    let is_aligned = problem.hidden.is_multiple_of(4) && params.y_first.is_multiple_of(4);
    let shader = shader(caps, Kernel::CellPersistent, is_normed, is_aligned);
    let mut constants = waiting.constants(problem, geometry, geometry.quad_loads());
    if is_normed {
        constants.extend(normed::shape(caps, problem, geometry));
    }
    let work = local::work(problem, params.frames.into());
    recording.dispatch_program((shader, &problem.program), &constants, set, params, grid(problem, geometry), work);
    set
}

/// Backward. The windows: weight_hh, units, sequences, states, dy, gates, carry, and [`exchange_bytes`] for a stretch, which must be 0.
/// Where the product is normalised, its factors stand behind the planes of `carry`.
pub(super) fn backward(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    (geometry, waiting): (&Geometry, &Waiting),
    windows: &[Binding],
    params: &CellLocalGradientParams,
) {
    backward_alone(recording, caps, problem, (geometry, waiting), windows, params);
    let set = recording.bind(if normed::is_normed(problem) { windows } else { &windows[..7] });
    local::backward(recording, caps, problem, set, params, Some(geometry));
}

/// What waits, without what does the rest.
pub(super) fn backward_alone(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    (geometry, waiting): (&Geometry, &Waiting),
    windows: &[Binding],
    params: &CellLocalGradientParams,
) {
    let set = recording.bind(windows);
    let is_normed = normed::is_normed(problem);
    let shader = shader(caps, Kernel::CellPersistentGradient, is_normed, true);
    let mut constants = waiting.constants(problem, geometry, geometry.column_loads());
    if is_normed {
        constants.extend(normed::shape_back(caps, problem, geometry));
    }
    let work = local::work(problem, params.frames.into());
    recording.dispatch_program((shader, &problem.program), &constants, set, params, grid(problem, geometry), work);
}

/// What units hand to each other backward, in so many frames.
pub(super) fn exchange_bytes(problem: &Problem, geometry: &Geometry, frames: u64) -> u64 {
    let rows = frames.saturating_mul(problem.batch).saturating_mul(problem.hidden).saturating_mul(16);
    rows.saturating_add(normed::sum_bytes(problem, geometry, frames))
}
