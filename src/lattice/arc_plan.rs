//! What the plan of a lattice of any arcs has of its own.

use super::layout::Stride;
use super::plan::Planner;
use super::{Arc, Kind, Normalisation, arc_table};
use crate::device::Caps;
use crate::device::recording::{Binding, fold};
use crate::device::shader::{
    Kernel, LatticeArcsLatencyParams as LatencyParams, LatticeArcsSweepParams as SweepParams, LatticeArcsThenParams as ThenParams, Shader,
};
use std::ops::Range;

/// Invocations of a workgroup that joins weights.
const WORKGROUP: u64 = 256;
/// Pipeline constants of the first arcs.
const ARC_NAMES: [&str; 16] = [
    "ARC_0", "ARC_1", "ARC_2", "ARC_3", "ARC_4", "ARC_5", "ARC_6", "ARC_7", "ARC_8", "ARC_9", "ARC_10", "ARC_11", "ARC_12", "ARC_13",
    "ARC_14", "ARC_15",
];

impl Planner<'_> {
    fn shader(&self, kernel: Kernel) -> &'static Shader {
        self.caps.shader_with(kernel, self.bands().as_slice())
    }

    /// Arcs that read a second symbol get its weight.
    pub(super) fn join_thens(&mut self, chunk: Range<usize>, bindings: [Binding; 3]) {
        if arc_table::thens(&self.options.kind).next().is_none() {
            return;
        }
        let shader = self.shader(Kernel::LatticeArcsThen);
        let set = self.recording.bind(&bindings);
        // The third side of a grid is limited too.
        let most = self.caps.max_workgroups.clamp(1, 65_535) as usize;
        for first in chunk.clone().step_by(most) {
            let shapes = &self.problem.utterances[first..(first + most).min(chunk.end)];
            let cells = shapes.iter().map(|u| u.places(self.space.size.per.stride)).max().unwrap_or(0);
            let [x, y, _] = fold(cells.div_ceil(WORKGROUP), self.caps.max_workgroups);
            let params = ThenParams { first_utterance: first as u32, cells: self.space.size.places as u32 };
            let work = cells.saturating_mul(shapes.len() as u64 * 32);
            self.recording.dispatch_with(shader, &[("WORKGROUP", WORKGROUP as f64)], set, &params, [x, y, shapes.len() as u32], work);
        }
    }

    /// The sweep of short arcs, if it knows the kind and is wide enough; else that of any.
    pub(super) fn first_arcs_sweep(&mut self, chunk: &Range<usize>, bindings: [Binding; 5]) {
        let Some(short) = self.short() else { return self.careful_arcs_sweep(chunk, bindings, false) };
        let arcs: Vec<_> = arc_table::arcs(&self.options.kind).collect();
        let shader = self.shader(Kernel::LatticeArcsShort);
        let constants = short.constants(&arcs, self.columns().next_multiple_of(32) as u32, shader, self.caps);
        self.arcs_sweep(chunk, bindings, shader, &constants, 4);
    }

    /// The sweep of any arcs, for what that of short ones leaves.
    pub(super) fn other_arcs_sweep(&mut self, chunk: &Range<usize>, bindings: [Binding; 5]) {
        if self.short().is_some() {
            self.careful_arcs_sweep(chunk, bindings, true);
        }
    }

    fn short(&self) -> Option<Short> {
        // What weights of labels bound says little where a band ends: walks of labels with durations would be left.
        let suits = |short: &Short| !(short.weighed && self.bands().is_some());
        Short::of(&self.options.kind).filter(suits).filter(|_| self.columns() <= u64::from(widest(self.caps)))
    }

    fn careful_arcs_sweep(&mut self, chunk: &Range<usize>, bindings: [Binding; 5], follows: bool) {
        let arcs: Vec<_> = arc_table::arcs(&self.options.kind).collect();
        let reach = arcs.iter().map(arc_table::steps).max().unwrap_or(1);
        let ring = Ring::of(self.columns(), reach, self.caps);
        let mut constants = vec![
            ("WIDTH", f64::from(ring.width)),
            ("FOLLOWS", f64::from(u32::from(follows))),
            ("RING", f64::from(ring.steps)),
            ("FAR", f64::from(u32::from(ring.far))),
            ("ARCS", arcs.len() as f64),
        ];
        constants.extend(ARC_NAMES.iter().zip(&arcs).map(|(&name, arc)| (name, f64::from(2 * arc_table::steps(arc) + arc.labels))));
        self.arcs_sweep(chunk, bindings, self.shader(Kernel::LatticeArcsSweep), &constants, 20);
    }

    /// `cost`: elementary operations an arc.
    fn arcs_sweep(
        &mut self,
        chunk: &Range<usize>,
        bindings: [Binding; 5],
        shader: &'static Shader,
        constants: &[(&'static str, f64)],
        cost: u64,
    ) {
        let shapes = &self.problem.utterances[chunk.clone()];
        let directions = self.space.size.per.directions;
        let params = SweepParams {
            first_utterance: chunk.start as u32,
            count: chunk.len() as u32,
            utterances: self.problem.utterances.len() as u32,
            directions: directions as u32,
            places: self.space.size.places as u32,
            anchors: self.space.size.anchors as u32,
        };
        let grid = fold(chunk.len() as u64 * directions, self.caps.max_workgroups);
        let places: u64 = shapes.iter().map(|u| u.places(Stride::Cell)).sum();
        let arcs = arc_table::arcs(&self.options.kind).count() as u64;
        let set = self.recording.bind(&bindings);
        self.recording.dispatch_with(shader, constants, set, &params, grid, places.saturating_mul(arcs * directions * cost));
    }

    /// The expected latency, if it has a weight.
    pub(super) fn latency(&mut self, chunk: Range<usize>, bindings: [Binding; 5]) {
        let directions = self.space.size.per.means;
        if directions == 0 {
            return;
        }
        let shapes = &self.problem.utterances[chunk.clone()];
        let width = self.columns().next_multiple_of(32).min(u64::from(self.caps.max_invocations.min(256) / 32 * 32));
        let params = LatencyParams {
            first_utterance: chunk.start as u32,
            count: chunk.len() as u32,
            utterances: self.problem.utterances.len() as u32,
            directions: directions as u32,
            places: self.space.size.places as u32,
            anchors: self.space.size.anchors as u32,
        };
        let places: u64 = shapes.iter().map(|u| u.places(Stride::Cell)).sum();
        let work = places.saturating_mul(arc_table::arcs(&self.options.kind).count() as u64 * 40 * directions);
        let grid = fold(chunk.len() as u64 * directions, self.caps.max_workgroups);
        let set = self.recording.bind(&bindings);
        let shader = self.shader(Kernel::LatticeArcsLatency);
        self.recording.dispatch_with(shader, &[("WIDTH", width.max(32) as f64)], set, &params, grid, work);
    }
}

/// Most arcs, and most channels, that are constants of a pass over rows.
const MOST_FIXED: usize = 12;

/// The constants of a pass over rows whose arcs are constants; `None` where they are too many, or read more than one symbol each.
pub(super) fn fixed_arcs(kind: &Kind) -> Option<Vec<(&'static str, f64)>> {
    let arcs: Vec<_> = arc_table::arcs(kind).collect();
    let reads_one = arc_table::thens(kind).next().is_none() && !arc_table::reads_others(kind);
    let are_few = arcs.len() <= MOST_FIXED && arc_table::channels(kind) <= MOST_FIXED && arcs.iter().all(|arc| arc.frames <= 0xfff);
    if !reads_one || !are_few || kind.normalisation == Normalisation::Hat {
        return None;
    }
    let codes = arc_table::codes(kind, &arcs);
    let named = ARC_NAMES.iter().zip(codes).map(|(&name, code)| (name, f64::from(code)));
    Some([("FIXED", 1.0), ("ARCS", arcs.len() as f64)].into_iter().chain(named).collect())
}

/// Whether the row pass may take arcs as constants: they have no durations, no weights of their own, and all utterances the same. Durations
/// as numbers with names were slower than in workgroup memory.
pub(super) fn can_fix_row(kind: &Kind) -> bool {
    kind.omega == 0.0 && kind.durations.is_empty() && kind.arcs.iter().all(|arc| arc.constant == 0.0)
}

/// Most columns that the workgroup of a sweep holds.
fn widest(caps: &Caps) -> u32 {
    (caps.max_invocations.min(512) / 32 * 32).max(32)
}

/// Kinds that the sweep of short arcs knows: few arcs of few frames. One takes one frame and no label; those that emit none may end
/// the lattice, and those that emit one all may, or none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Short {
    /// Most frames that an arc takes.
    reach: u32,
    label_ends: bool,
    /// Whether labels have durations of their own: those that a model does not want are less likely than f32 can hold many of.
    weighed: bool,
}

impl Short {
    const MOST_ARCS: usize = 12;
    const MOST_FRAMES: u32 = 8;

    fn of(kind: &Kind) -> Option<Self> {
        let arcs = || arc_table::arcs(kind);
        let reach = arcs().map(|arc| arc.frames).max().unwrap_or(1);
        let is_few = arcs().count() <= Self::MOST_ARCS && reach <= Self::MOST_FRAMES;
        let is_fixed = kind.entry.is_none() && kind.exit.is_none();
        let goes_on = kind.arcs.iter().any(|arc| (arc.frames, arc.labels) == (1, 0));
        // An arc without frames does not end a lattice, whatever it may.
        let mut ends = arcs().filter(|arc| arc.labels == 1 && arc.frames > 0).map(|arc| arc.may_end);
        let label_ends = ends.clone().any(|may| may);
        let is_known = arcs().filter(|arc| arc.labels == 0).all(|arc| arc.may_end) && ends.all(|may| may == label_ends);
        (is_few && is_fixed && goes_on && is_known).then_some(Self { reach, label_ends, weighed: !kind.durations.is_empty() })
    }

    fn constants(self, arcs: &[Arc], width: u32, shader: &Shader, caps: &Caps) -> Vec<(&'static str, f64)> {
        let mut constants = vec![
            ("WIDTH", f64::from(width)),
            ("ARCS", arcs.len() as f64),
            ("REACH", f64::from(self.reach)),
            ("LABEL_ENDS", f64::from(u32::from(self.label_ends))),
            ("WEIGHED", f64::from(u32::from(self.weighed))),
        ];
        if let (true, Some([smallest, _])) = (shader.subgroups, caps.subgroups) {
            constants.push(("SMALLEST_SUBGROUP", f64::from(smallest)));
        }
        constants.extend(ARC_NAMES.iter().zip(arcs).map(|(&name, arc)| (name, f64::from(2 * arc.frames + arc.labels))));
        constants
    }
}

/// What the workgroup of a sweep keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ring {
    /// Columns.
    width: u32,
    /// Steps of each.
    steps: u32,
    /// Whether some arc crosses more.
    far: bool,
}

impl Ring {
    /// As many columns as the device allows, in blocks of about the same size. Where the steps that the longest arc crosses leave
    /// room for few of them, those of long arcs are read back from memory.
    fn of(columns: u64, reach: u32, caps: &Caps) -> Self {
        let room = caps.max_workgroup_bytes.saturating_sub(64) / 8;
        let most = widest(caps);
        let wanted = columns.next_multiple_of(32).min(u64::from(most)).max(32) as u32;
        let steps = reach.saturating_add(1);
        let widest = (room / steps).saturating_sub(1) / 32 * 32;
        let (widest, steps) =
            if widest >= wanted.min(96) { (widest.min(most), steps) } else { (wanted.min(96), room / (wanted.min(96) + 1)) };
        let blocks = columns.div_ceil(u64::from(widest)).max(1);
        let width = (columns.div_ceil(blocks).next_multiple_of(32) as u32).clamp(32, widest);
        Self { width, steps, far: reach >= steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_fit_and_hold_what_they_can() {
        for bytes in [16_384, 32_768, 49_152, 101_376] {
            let caps = Caps { max_workgroup_bytes: bytes, max_invocations: 1024, ..Caps::portable() };
            for columns in [1, 31, 33, 129, 300, 1001, 5000] {
                for reach in [1, 2, 5, 9, 17, 64, 400, 65_536] {
                    let ring = Ring::of(columns, reach, &caps);
                    assert!(ring.width.is_multiple_of(32) && (32..=512).contains(&ring.width), "{ring:?}");
                    assert!(8 * ring.steps * (ring.width + 1) + 64 <= bytes, "{ring:?} {columns} {reach}");
                    assert!(ring.steps >= 2 && ring.far == (reach >= ring.steps));
                }
            }
        }
        let h100 = Caps { max_workgroup_bytes: 49_152, max_invocations: 1024, ..Caps::portable() };
        assert_eq!(Ring::of(301, 5, &h100), Ring { width: 320, steps: 6, far: false });
        assert_eq!(Ring::of(301, 8, &h100), Ring { width: 320, steps: 9, far: false });
    }
}
