//! The tiles of C that the kernels of a product make, and which of them is best.

use super::gemm::Form;
use crate::device::Caps;

/// Workgroups that a large GPU runs at a time: two for each of an H100's 132 cores.
const WAVE: u64 = 264;
/// Rows up to which a column each is the best that invocations can do.
const FEW_ROWS: u32 = 16;

/// What a workgroup makes of C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tile {
    /// `shaders/shared/gemm_tiles.wgsl`: rows and columns of each of 16 x 16 invocations, and what it holds of k at a time.
    Blocks { rows_each: u32, columns_each: u32, depth: u32 },
    /// `shaders/dense/gemm_thin.wgsl`: four rows; in the form Nt alone.
    Thin,
    /// `shaders/shared/gemm_matrices.wgsl`: 2 x 4 subgroups that sum 4 x 2 matrices of these sides each.
    Matrices(u32),
}

/// Whether the device has matrices for factors of f16, and room for their tiles.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn multiplies_halves(caps: &Caps) -> bool {
    Tile::matrices(caps).is_some()
}

impl Tile {
    /// That of the device's matrices, if it has them and there is room.
    pub fn matrices(caps: &Caps) -> Option<Self> {
        caps.matrices.map(Self::Matrices).filter(|tile| tile.bytes() <= caps.max_workgroup_bytes)
    }

    /// By the sides of C, where k is cut into so many parts at most: the largest of which there are enough.
    pub fn choose(caps: &Caps, form: Form, [m, n]: [u32; 2], parts: u64) -> Self {
        let square = |each, depth| Self::Blocks { rows_each: each, columns_each: each, depth };
        if form == Form::Nt && m <= FEW_ROWS {
            return Self::Thin;
        }
        // On an H100 a depth of 32 gains 5 % in the form Nn, 1 % in Tn, and loses 12 % in Nt; WebGPU grants memory for half of it.
        let deep = square(8, 32);
        let large = if form != Form::Nt && caps.max_workgroup_bytes >= deep.bytes() { deep } else { square(8, 16) };
        if m > 64 && n > 64 && large.count(m, n) * parts >= WAVE / 2 {
            return large;
        }
        let medium = square(4, 32);
        let has_many = m > 32 && medium.count(m, n) * parts >= WAVE / 4;
        if has_many { medium } else { Self::Blocks { rows_each: 1, columns_each: 4, depth: 32 } }
    }

    pub const fn rows(self) -> u32 {
        match self {
            Self::Blocks { rows_each, .. } => 16 * rows_each,
            Self::Thin => 4,
            Self::Matrices(side) => 8 * side,
        }
    }

    pub const fn columns(self) -> u32 {
        match self {
            Self::Blocks { columns_each, .. } => 16 * columns_each,
            Self::Thin => 32,
            Self::Matrices(side) => 8 * side,
        }
    }

    /// Of workgroup memory.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Blocks { depth, .. } => 4 * (self.rows() + self.columns()) * depth,
            Self::Thin => 128 * 16,
            // Of f16, with room behind each line, which is shortest where it runs along k; then sums in f32.
            Self::Matrices(side) => 2 * 16 * side * (4 * side + 8) + 32 * side * side,
        }
    }

    /// Tiles of C.
    pub fn count(self, m: u32, n: u32) -> u64 {
        u64::from(m.div_ceil(self.rows())) * u64::from(n.div_ceil(self.columns()))
    }
}

/// How many parts k is best cut into, at most `most`: so many that the last wave of workgroups is nearly full, but each is
/// written and read once more, which takes as long as some 64 of k do.
pub(super) fn best_parts(tiles: u64, depth: u32, most: u64) -> u64 {
    let cost = |parts: u64| {
        let waves = (tiles * parts).div_ceil(WAVE) as f64 / parts as f64;
        let again = if parts > 1 { 64.0 * parts as f64 / f64::from(depth) } else { 0.0 };
        waves * (1.0 + again)
    };
    (1..=most.min(64)).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(1)
}
