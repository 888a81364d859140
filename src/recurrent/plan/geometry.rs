//! How kernels that keep weights in registers are laid out: `shaders/cell/persistent.wgsl` and its like.

use crate::device::Caps;

/// Who holds which weights, and how many sequences a workgroup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Units and columns whose weights an invocation holds; the latter a multiple of four.
    pub lane_units: u32,
    pub lane_columns: u32,
    /// Invocations of a workgroup that stand side by side for different units, a power of two, and for different columns.
    pub unit_lanes: u32,
    pub column_lanes: u32,
    /// Sequences of a workgroup; those of them whose h it has at once; those that it multiplies together.
    pub group: u32,
    pub chunk: u32,
    pub tile: u32,
    /// Stages of shuffles in which neighbours along the columns are summed.
    pub stages: u32,
}

impl Geometry {
    /// With as many invocations along the columns as it takes; `units`, `columns` are those of an invocation.
    pub(super) fn new(caps: &Caps, hidden: u32, [units, columns]: [u32; 2], unit_lanes: u32, [group, chunk, tile]: [u32; 3]) -> Self {
        // Neighbours sum by shuffles where all subgroups are of one size.
        let span = caps.subgroups.filter(|[min, max]| min == max).map_or(1, |[min, _]| min);
        let neighbours = (span / unit_lanes).max(1);
        Self {
            lane_units: units,
            lane_columns: columns,
            unit_lanes,
            column_lanes: hidden.div_ceil(columns).next_multiple_of(neighbours),
            group,
            chunk,
            tile,
            stages: neighbours.ilog2(),
        }
    }

    /// Stages of shuffles that sum the units of a workgroup, which stand side by side.
    pub(super) fn unit_stages(&self, caps: &Caps) -> u32 {
        let span = caps.subgroups.filter(|[min, max]| min == max).map_or(1, |[min, _]| min);
        self.units().trailing_zeros().min(span.ilog2())
    }

    pub(super) fn units(&self) -> u32 {
        self.lane_units * self.unit_lanes
    }

    pub(super) fn lanes(&self) -> u32 {
        self.unit_lanes * self.column_lanes
    }

    /// Whether a device has the invocations and the workgroup memory. Backward a unit exchanges its rows, and keeps gradients of
    /// its `parameters`, if there are any; with norms units that no shuffles sum are summed there.
    pub(super) fn fits(&self, caps: &Caps, backward: bool, parameters: bool, norms: bool) -> bool {
        let [row, word, kept] = match (backward, parameters) {
            (false, _) => [16, 4, 16],
            (true, false) => [4, 16, 16],
            (true, true) => [4, 16, 32],
        };
        let parts = 2 * (self.column_lanes >> self.stages) * self.chunk * self.units() * row;
        let sums = u32::from(norms) * 16 * self.chunk * (self.units() >> self.unit_stages(caps));
        let bytes = self.chunk * self.column_lanes * self.lane_columns * word + parts + self.group * self.units() * kept + sums + 32;
        self.lanes() <= caps.max_invocations && self.chunk * self.units() <= self.lanes() && bytes <= caps.max_workgroup_bytes
    }

    /// What an invocation reads of a chunk: columns by four, and single ones.
    pub(super) fn quad_loads(&self) -> u32 {
        self.loads(self.lane_columns / 4)
    }

    pub(super) fn column_loads(&self) -> u32 {
        self.loads(self.lane_columns)
    }

    fn loads(&self, own: u32) -> u32 {
        if self.chunk == 1 { own } else { (self.chunk * own).div_ceil(self.unit_lanes) }
    }

    /// As the shaders take it, with what an invocation reads of a chunk.
    pub(super) fn shape(&self, loads: u32) -> Vec<(&'static str, f64)> {
        let halvings = self.stages.min((self.tile * self.lane_units).trailing_zeros());
        [
            ("LANE_UNITS", self.lane_units),
            ("LANE_COLUMNS", self.lane_columns),
            ("UNIT_LANES", self.unit_lanes),
            ("COLUMN_LANES", self.column_lanes),
            ("STAGES", self.stages),
            ("HALVINGS", halvings),
            ("GROUP", self.group),
            ("CHUNK", self.chunk),
            ("TILE", self.tile),
            ("LOADS", loads),
        ]
        .map(|(name, value)| (name, f64::from(value)))
        .into()
    }
}
