//! The persistent tier of layers in f16, on devices whose subgroups multiply matrices: `shaders/cell/persistent_matrices.wgsl`.

use super::persistent::Waiting;
use super::{Problem, Walk, local, slots_of_stretches};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{CellLocalParams, CellPackRowsParams, Kernel};

/// Registers of a core, and of an invocation at most; those that a kernel takes besides weights, sums and what it reads.
const CORE_REGISTERS: u32 = 65_536;
const LANE_REGISTERS: u32 = 255;
const OWN_REGISTERS: u32 = 64;
/// Sequences below which the rest of a matrix is not worth it.
const FEW_SEQUENCES: u64 = 4;
/// Units below which invocations that multiply one by one wait less.
const FEW_UNITS: u64 = 384;
/// Rows of a unit below which half of the matrices and more would be filled up.
const FEW_ROWS: u64 = 3;
/// Rows of a unit, with those that are there to fill up.
const UNIT_LINES: u32 = 4;
/// h is read by eight.
const COLUMNS: u64 = 8;

/// Who holds which weights, and how many sequences a workgroup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matrices {
    /// Of the matrices: 16, or 8.
    pub side: u32,
    /// Matrices of a workgroup along the rows, and along k; subgroups that share in each.
    pub tiles: u32,
    pub depth: u32,
    pub tile_groups: u32,
    pub depth_groups: u32,
    /// Sequences of a workgroup.
    pub group: u32,
}

impl Matrices {
    /// The layout that comes first, if the device runs so many workgroups together that it fits their registers.
    pub(super) fn of(caps: &Caps, problem: &Problem) -> Option<Self> {
        Self::all(caps, problem).into_iter().min_by_key(Self::rank)
    }

    /// Whether the device can run this layout, wherever it comes from.
    pub(super) fn is_possible(&self, caps: &Caps, problem: &Problem) -> bool {
        Self::all(caps, problem).contains(self)
    }

    fn all(caps: &Caps, problem: &Problem) -> Vec<Self> {
        let is_fit = problem.halves
            && problem.heads == 1
            && problem.projection.is_none()
            && problem.weight_drop.odds == 0
            && problem.walk() == Walk::Steps
            && problem.batch >= FEW_SEQUENCES
            && problem.hidden >= FEW_UNITS
            && problem.shape.rows >= FEW_ROWS
            && Self::takes(problem);
        let (Some(side), Ok(batch)) = (caps.matrices.filter(|_| caps.coherent), u32::try_from(problem.batch)) else {
            return Vec::new();
        };
        if !is_fit || caps.together == 0 || problem.hidden > 1 << 14 {
            return Vec::new();
        }
        let hidden = problem.hidden as u32;
        let states = problem.shape.states as u32;
        let mut layouts = Self::layouts(side, hidden, batch);
        layouts.retain(|layout| {
            let workgroups = u64::from(hidden.div_ceil(layout.units())) * u64::from(batch.div_ceil(layout.group));
            workgroups <= u64::from(caps.together) && layout.fits(caps, states)
        });
        layouts
    }

    /// Whether the kernel can do it: h is read by eight, and is f16 after each step.
    fn takes(problem: &Problem) -> bool {
        problem.hidden.is_multiple_of(COLUMNS) && !(problem.zoneout.means && problem.zoneout.first > 0)
    }

    fn layouts(side: u32, hidden: u32, batch: u32) -> Vec<Self> {
        let mut all = Vec::new();
        for tiles in [1, 2, 3, 4, 5, 6, 8] {
            for tile_groups in [1, 2, 4].into_iter().filter(|groups| tiles % groups == 0) {
                for depth_groups in [1, 2, 4, 5, 8, 10, 16] {
                    for group in [1, 2, 4].map(|chunks| chunks * side).into_iter().filter(|&group| group < batch + side) {
                        let depth = hidden.div_ceil(side).next_multiple_of(depth_groups);
                        all.push(Self { side, tiles, depth, tile_groups, depth_groups, group });
                    }
                }
            }
        }
        all
    }

    pub(super) fn units(&self) -> u32 {
        self.tiles * self.side / UNIT_LINES
    }

    /// Invocations of a subgroup.
    fn subgroup(&self) -> u32 {
        self.side * self.side / 8
    }

    pub(super) fn lanes(&self) -> u32 {
        self.tile_groups * self.depth_groups * self.subgroup()
    }

    /// What an invocation reads of a chunk, by eight.
    fn loads(&self) -> u32 {
        (self.side * self.depth * self.side / 8).div_ceil(self.lanes())
    }

    /// Matrices of weights, and of sums, that a subgroup holds.
    fn held(&self) -> [u32; 2] {
        [self.tiles / self.tile_groups * (self.depth / self.depth_groups), self.tiles / self.tile_groups]
    }

    pub(super) fn fits(&self, caps: &Caps, states: u32) -> bool {
        let side = self.side;
        let h = side * (self.depth * side + 8) * 2;
        let parts = self.depth_groups * self.tiles * side * side * 4;
        let bytes = h + parts + states * self.group * self.units() * 4 + 32;
        let [weights, sums] = self.held();
        // A matrix of f16 takes side * side / 2 registers of a subgroup.
        let registers = 4 * weights + 8 * sums + 5 * self.loads() + OWN_REGISTERS;
        let lanes = self.lanes();
        lanes <= caps.max_invocations
            && side * self.units() / 2 <= lanes
            && bytes <= caps.max_workgroup_bytes
            && registers <= LANE_REGISTERS.min(CORE_REGISTERS / lanes)
    }

    /// What comes first on an H100: few sequences one after the other; eight subgroups, or a few more, each with rows of its own; two
    /// matrices along the rows.
    fn rank(&self) -> [u32; 4] {
        let subgroups = self.tile_groups * self.depth_groups;
        let few = if subgroups < 8 { 8 } else { 0 };
        [self.group / self.side, subgroups.abs_diff(8) + few, self.tiles / self.tile_groups, self.tiles.abs_diff(2)]
    }

    fn constants(&self, waiting: &Waiting, states: u64) -> Vec<(&'static str, f64)> {
        let mut constants: Vec<(&'static str, f64)> = [
            ("SIDE", self.side),
            ("TILES", self.tiles),
            ("DEPTH", self.depth),
            ("TILE_GROUPS", self.tile_groups),
            ("DEPTH_GROUPS", self.depth_groups),
            ("GROUP", self.group),
            ("LOADS", self.loads()),
            ("STATES", states as u32),
        ]
        .map(|(name, value)| (name, f64::from(value)))
        .into();
        constants.extend(waiting.own_constants());
        constants
    }

    pub(super) fn workgroups(&self, problem: &Problem) -> u64 {
        problem.hidden.div_ceil(self.units().into()) * problem.batch.div_ceil(self.group.into())
    }

    /// Workgroups along the units, and rows and columns of each one's weights.
    fn packed(&self, hidden: u64) -> [u64; 3] {
        [hidden.div_ceil(self.units().into()), (self.tiles * self.side).into(), (self.depth * self.side).into()]
    }
}

/// The steps of a call forward.
pub(super) struct Forward {
    layout: Matrices,
    waiting: Waiting,
    weight_hh: BufferId,
    packed: BufferId,
    undone: BufferId,
    /// Slots of states that are not kept.
    pub slots: u64,
}

impl Forward {
    /// For stretches of `most` frames; y is all of it, in f16.
    pub(super) fn new(
        recording: &mut Recording,
        caps: &Caps,
        problem: &Problem,
        layout: Matrices,
        [weight_hh, y]: [BufferId; 2],
        most: u64,
    ) -> Self {
        let packed = pack(recording, caps, problem, &layout, weight_hh);
        let undone = recording.workspace("undone", problem.plane_bytes());
        recording.clear(undone);
        recording.clear(y);
        Self { layout, waiting: Waiting::of(caps), weight_hh, packed, undone, slots: slots_of_stretches(problem.frames, most) }
    }

    /// One stretch. The windows: gx, units, sequences, states and y.
    pub(super) fn record(
        &self,
        recording: &mut Recording,
        caps: &Caps,
        problem: &Problem,
        &[gx, units, sequences, states, y]: &[Binding; 5],
        params: &CellLocalParams,
    ) {
        let [weight_hh, packed, undone] = [self.weight_hh, self.packed, self.undone].map(|buffer| recording.whole(buffer));
        let windows = [gx, packed, weight_hh, units, sequences, states, y, undone];
        forward(recording, caps, problem, (&self.layout, &self.waiting), &windows, params);
    }
}

/// The weights as the kernel takes them, in workspace.
pub(super) fn pack(recording: &mut Recording, caps: &Caps, problem: &Problem, layout: &Matrices, weight_hh: BufferId) -> BufferId {
    let [groups, lines, columns] = layout.packed(problem.hidden);
    let words = groups * lines * columns / 2;
    let packed = recording.workspace("weight_hh_packed", words * 4);
    let bindings = [weight_hh, packed].map(|buffer| recording.whole(buffer));
    let set = recording.bind(&bindings);
    let params = CellPackRowsParams {
        hidden: problem.hidden as u32,
        rows: problem.shape.rows as u32,
        groups: groups as u32,
        lines: lines as u32,
        unit_lines: UNIT_LINES,
        columns: columns as u32,
    };
    recording.dispatch(caps.shader(Kernel::CellPackRows), set, &params, fold(words.div_ceil(256), caps.max_workgroups), words);
    packed
}

/// The windows: gx, the packed weights, the weights, units, sequences, states, y, whose frames of this stretch must be 0, and a word for
/// each unit of each sequence, which are 0 before and after.
pub(super) fn forward(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    (layout, waiting): (&Matrices, &Waiting),
    &[gx, packed, weight_hh, units, sequences, states, y, undone]: &[Binding; 8],
    params: &CellLocalParams,
) {
    let set = recording.bind(&[gx, packed, units, sequences, states, y, undone]);
    let flags: &[&str] = if layout.side == 16 { &["coop", "coherent"] } else { &["coop", "side8", "coherent"] };
    let shader = caps.shader_with(Kernel::CellPersistentMatrices, flags);
    let grid = [(problem.hidden as u32).div_ceil(layout.units()), (problem.batch as u32).div_ceil(layout.group), 1];
    let work = local::work(problem, params.frames.into());
    let constants = layout.constants(waiting, problem.shape.states);
    recording.dispatch_program((shader, &problem.program), &constants, set, params, grid, work);
    let set = recording.bind(&[gx, weight_hh, units, sequences, states, y, undone]);
    local::finish_in_halves(recording, caps, problem, set, params);
}
