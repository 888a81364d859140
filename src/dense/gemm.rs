//! The plan of a product of two matrices: `shaders/dense/gemm.wgsl`.

use super::Activation;
use super::matrix::Matrix;
use super::tile::{Tile, best_parts};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{DenseGemmParams, DenseSumPartsParams, Kernel, Shader};
use crate::error::Result;
use crate::tensor::DType;

/// How the factors of C \[m, n] lie, each row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A \[m, k], B \[n, k]: C = A · Bᵀ. A layer forward: inputs and weights.
    Nt,
    /// A \[m, k], B \[k, n]: C = A · B. The gradient of a layer's inputs: that of its outputs and the weights.
    Nn,
    /// A \[k, m], B \[k, n]: C = Aᵀ · B. The gradient of its weights: that of its outputs and the inputs.
    Tn,
}

impl Form {
    /// Whether k runs along the lines of A, and of B.
    const fn deep(self) -> [bool; 2] {
        match self {
            Self::Nt => [true, true],
            Self::Nn => [true, false],
            Self::Tn => [false, false],
        }
    }
}

/// C = act_out(act_in(A) B + bias), or that added to C. Every matrix may begin at any element of its buffer.
///
/// In the form Nt a cell is summed in the order of k, in f32: a row of C has the same bits whatever the other rows are. In the
/// others it may be summed in parts, which depend on nothing but the sides and the device's limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gemm {
    pub form: Form,
    /// m, n, k.
    pub sides: [u32; 3],
    pub a: Matrix,
    pub b: Matrix,
    /// f32
    pub c: Matrix,
    /// \[n] of f32, or none; none but in Nt: what comes in parts is not finished.
    pub bias: Option<Binding>,
    /// Adds to C instead of replacing it.
    pub accumulates: bool,
    /// Of A's elements, and of C's; of C's none but in Nt.
    pub activations: [Activation; 2],
}

/// Fewer of k than this are not worth a part of their own.
const LEAST_PART: u32 = 128;
/// Parts are of whole steps of the deepest tile.
const STEP: u32 = 32;

/// Lines of A, and in Tn of B, that one launch takes, and the parts that it cuts k into.
#[derive(Clone, Copy, Debug)]
struct Piece {
    first: u32,
    count: u32,
    tile: Tile,
    parts: u32,
    part_depth: u32,
}

impl Gemm {
    /// Adds the product to a plan. Much work, or windows beyond the device's limit, are cut into several launches.
    ///
    /// # Errors
    /// [`LimitExceeded`](crate::Error::LimitExceeded) where B (in Tn: C), or one line of another matrix, exceeds a window.
    pub fn record(&self, recording: &mut Recording, caps: &Caps) -> Result<()> {
        self.record_in(recording, caps, &mut None)
    }

    /// The same; large products of f32 by the device's matrices, in halves (`split.rs`), where it has them: so a row may have other bits
    /// among more others.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn record_large(&self, recording: &mut Recording, caps: &Caps) -> Result<()> {
        #[cfg(not(target_family = "wasm"))]
        return super::split::record_large_split(self, recording, caps, &mut super::split::Scratch::default());
        #[cfg(target_family = "wasm")]
        self.record(recording, caps)
    }

    /// The same; where k is cut into parts, these lie in `scratch`, which many products of one plan may share.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn record_in(&self, recording: &mut Recording, caps: &Caps, scratch: &mut Option<BufferId>) -> Result<()> {
        self.record_by(recording, caps, None, scratch)
    }

    /// The same, with a factor for each row of the product, \[m] of f32, before it is added to C; not with a bias.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    #[cfg(not(target_family = "wasm"))]
    pub fn record_with_factors(
        &self,
        recording: &mut Recording,
        caps: &Caps,
        factors: Binding,
        scratch: &mut Option<BufferId>,
    ) -> Result<()> {
        debug_assert!(self.bias.is_none(), "factors stand in the place of the bias");
        self.record_by(recording, caps, Some(factors), scratch)
    }

    fn record_by(&self, recording: &mut Recording, caps: &Caps, factors: Option<Binding>, scratch: &mut Option<BufferId>) -> Result<()> {
        let finishes = self.bias.is_some() || self.activations[1] != Activation::Identity;
        debug_assert!(self.form == Form::Nt || !finishes, "sums in parts have neither bias nor activation");
        let pieces = self.pieces(caps)?;
        let parts_bytes = pieces.iter().filter(|piece| piece.parts > 1).map(|&piece| self.parts_bytes(self.rows(piece), piece.parts)).max();
        let workspace = parts_bytes.map(|bytes| recording.scratch(scratch, "parts", bytes));
        for (number, &piece) in pieces.iter().enumerate() {
            let accumulates = self.accumulates || (self.form == Form::Tn && number > 0);
            let factors = factors.map(|factors| self.factors_of(piece, factors));
            match workspace.filter(|_| piece.parts > 1) {
                None => self.record_piece(recording, caps, piece, self.c_of(piece), accumulates, factors),
                Some(buffer) => {
                    let parts = Matrix { buffer, first: 0, stride: self.part_row(), dtype: DType::F32 };
                    self.record_piece(recording, caps, piece, parts, false, None);
                    self.record_sum(recording, caps, piece, recording.whole(buffer), accumulates, factors);
                }
            }
        }
        Ok(())
    }

    /// Launches that it takes.
    pub fn launches(&self, caps: &Caps) -> Result<u64> {
        Ok(self.pieces(caps)?.iter().map(|piece| if piece.parts > 1 { 2 } else { 1 }).sum())
    }

    /// What each launch takes, in order.
    fn pieces(&self, caps: &Caps) -> Result<Vec<Piece>> {
        let [m, n, _] = self.sides;
        if m == 0 || n == 0 {
            return Ok(Vec::new());
        }
        let (lines, fit, work) = self.room(caps)?;
        let most = (caps.submit_work() / work.max(1)).min(fit).max(1);
        let mut pieces = Vec::new();
        let mut first = 0;
        loop {
            let rest = lines - first;
            let (count, piece) =
                if self.form == Form::Tn { self.piece_of_depth(caps, rest, most, fit) } else { self.piece_of_rows(caps, rest, most, fit) };
            pieces.push(Piece { first, ..piece });
            first += count;
            if first >= lines {
                return Ok(pieces);
            }
        }
    }

    /// Lines of A, and in Tn of B; how many of them the windows have room for, and the elementary operations of one.
    fn room(&self, caps: &Caps) -> Result<(u32, u64, u64)> {
        let [m, n, k] = self.sides;
        // Elementary operations of a line of A.
        let work = u64::from(n) * u64::from(if self.form == Form::Tn { m } else { k });
        let (lines, fit) = match self.form {
            Form::Nt | Form::Nn => {
                let [b_lines, b_width] = if self.form == Form::Nt { [n, k] } else { [k, n] };
                self.b.expect_in_window(caps, "the second factor of a product, bytes", b_lines, b_width)?;
                self.a.expect_in_window(caps, "one row of a product's first factor, bytes", 1, k)?;
                self.c.expect_in_window(caps, "one row of a product, bytes", 1, n)?;
                (m, self.a.lines_in_window(caps, k).min(self.c.lines_in_window(caps, n)))
            }
            Form::Tn => {
                self.c.expect_in_window(caps, "a product, bytes", m, n)?;
                self.a.expect_in_window(caps, "one row of a product's first factor, bytes", 1, m)?;
                self.b.expect_in_window(caps, "one row of a product's second factor, bytes", 1, n)?;
                (k, self.a.lines_in_window(caps, m).min(self.b.lines_in_window(caps, n)))
            }
        };
        Ok((lines, fit, work))
    }

    /// Lines of A, and in Tn of B, that launches take: from where, and how many; whole steps of so many unless they are the last.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn lines(&self, caps: &Caps, step: u32) -> Result<Vec<(u32, u32)>> {
        let [m, n, _] = self.sides;
        if m == 0 || n == 0 {
            return Ok(Vec::new());
        }
        let (lines, fit, work) = self.room(caps)?;
        let most = whole((caps.submit_work() / work.max(1)).min(fit).max(1), step).min(fit);
        let firsts = (0..u64::from(lines).max(1)).step_by(most as usize);
        Ok(firsts.map(|first| (first as u32, most.min(u64::from(lines) - first) as u32)).collect())
    }

    /// A launch of whole tiles of rows, `most` unless one tile is more work than that.
    fn piece_of_rows(&self, caps: &Caps, rest: u32, most: u64, fit: u64) -> (u32, Piece) {
        let [_, n, k] = self.sides;
        let most_parts = if self.form == Form::Nt { 1 } else { u64::from(k / LEAST_PART).max(1) };
        let tile = self.tile(caps, [rest.min(u32::try_from(most).unwrap_or(u32::MAX)), n], most_parts);
        let count = whole(most, tile.rows()).min(fit).min(u64::from(rest)) as u32;
        let (parts, part_depth) = self.parts(caps, tile, [count, k], most_parts);
        (count, Piece { first: 0, count, tile, parts, part_depth })
    }

    /// A launch of some of k, in parts.
    fn piece_of_depth(&self, caps: &Caps, rest: u32, most: u64, fit: u64) -> (u32, Piece) {
        let [m, n, _] = self.sides;
        let count = whole(most, STEP).min(fit).min(u64::from(rest)) as u32;
        let most_parts = u64::from(count / LEAST_PART).max(1);
        let tile = self.tile(caps, [m, n], most_parts);
        let (parts, part_depth) = self.parts(caps, tile, [m, count], most_parts);
        (count, Piece { first: 0, count, tile, parts, part_depth })
    }

    /// Matrices wherever the factors are given as they take them, whatever the rows: so a row has the same bits among any others.
    fn tile(&self, caps: &Caps, cells: [u32; 2], parts: u64) -> Tile {
        let halves = [self.a, self.b].iter().all(|factor| factor.dtype == DType::F16);
        // Activations of A are taken in f32.
        let matrices = Tile::matrices(caps).filter(|_| halves && self.is_in_fours() && self.activations[0] == Activation::Identity);
        matrices.unwrap_or_else(|| Tile::choose(caps, self.form, cells, parts))
    }

    /// Whether every line of every matrix can be read in fours. Without depth there is no four in the factors' windows.
    pub(super) fn is_in_fours(&self) -> bool {
        let [m, n, k] = self.sides;
        let [a_deep, b_deep] = self.form.deep();
        let (a_width, b_width) = (if a_deep { k } else { m }, if b_deep { k } else { n });
        k > 0 && self.a.is_in_fours(a_width) && self.b.is_in_fours(b_width) && self.c.is_in_fours(n)
    }

    /// Parts of a launch of so many rows and so much of k, and what of k each takes.
    fn parts(&self, caps: &Caps, tile: Tile, [rows, depth]: [u32; 2], most: u64) -> (u32, u32) {
        let in_window = (caps.max_window_bytes() / self.parts_bytes(rows, 1).max(1)).max(1);
        let parts = best_parts(tile.count(rows, self.sides[1]), depth, most.min(in_window)) as u32;
        let part_depth = depth.div_ceil(parts).next_multiple_of(STEP).max(STEP);
        (depth.div_ceil(part_depth).max(1), part_depth)
    }

    /// From row to row of a part.
    fn part_row(&self) -> u32 {
        self.sides[1].next_multiple_of(4)
    }

    fn parts_bytes(&self, rows: u32, parts: u32) -> u64 {
        4 * u64::from(parts) * u64::from(rows) * u64::from(self.part_row())
    }

    /// C from the first row on that a piece makes.
    fn c_of(&self, piece: Piece) -> Matrix {
        if self.form == Form::Tn { self.c } else { self.c.after_lines(piece.first) }
    }

    /// The factors of those rows.
    fn factors_of(&self, piece: Piece, factors: Binding) -> Binding {
        let before = if self.form == Form::Tn { 0 } else { 4 * u64::from(piece.first) };
        Binding { offset: factors.offset + before, bytes: 4 * u64::from(self.rows(piece)), ..factors }
    }

    /// Rows of C that a piece makes.
    fn rows(&self, piece: Piece) -> u32 {
        if self.form == Form::Tn { self.sides[0] } else { piece.count }
    }

    fn record_piece(&self, recording: &mut Recording, caps: &Caps, piece: Piece, c: Matrix, accumulates: bool, factors: Option<Binding>) {
        let Piece { first, count, tile, parts, part_depth } = piece;
        let [m, n, k] = self.sides;
        let [a_deep, b_deep] = self.form.deep();
        let ([rows, depth], b) = match self.form {
            Form::Nt | Form::Nn => ([count, k], self.b),
            Form::Tn => ([m, count], self.b.after_lines(first)),
        };
        let a = self.a.after_lines(first);
        let [a_lines, a_width] = if a_deep { [rows, depth] } else { [depth, rows] };
        let [b_lines, b_width] = if b_deep { [n, depth] } else { [depth, n] };
        let (a_window, a_first) = a.window(caps, a_lines, a_width);
        let (b_window, b_first) = b.window(caps, b_lines, b_width);
        // Parts lie one behind the other, without a gap.
        let (c_window, c_first) = c.window(caps, rows * parts, n);
        // A binding cannot be left out: B stands in for a missing bias.
        let (bias_window, bias_first) = self.bias.or(factors).map_or((b_window, 0), |row| row.aligned(caps));
        let set = recording.bind(&[a_window, b_window, bias_window, c_window]);
        let params = DenseGemmParams {
            rows,
            columns: n,
            depth,
            part_depth,
            parts,
            a_first,
            a_stride: a.stride,
            b_first,
            b_stride: b.stride,
            c_first,
            c_stride: c.stride,
            part_stride: rows * c.stride,
            bias_first,
            has_bias: u32::from(self.bias.is_some()),
            has_factors: u32::from(factors.is_some()),
            accumulates: u32::from(accumulates),
        };
        // Without depth there is no four in the factors' windows.
        let in_fours = depth > 0 && a.is_in_fours(a_width) && b.is_in_fours(b_width) && c.is_in_fours(n);
        let halves = [a, b].map(|factor| factor.dtype == DType::F16);
        let (shader, constants) = self.kernel(caps, tile, in_fours, halves);
        let groups = fold(tile.count(rows, n) * u64::from(parts), caps.max_workgroups);
        let work = u64::from(rows) * u64::from(n) * u64::from(depth);
        recording.dispatch_with(shader, &constants, set, &params, groups, work);
    }

    /// The variant for a tile, and its constants; whether each factor is of halves.
    fn kernel(&self, caps: &Caps, tile: Tile, in_fours: bool, halves: [bool; 2]) -> (&'static Shader, Vec<(&'static str, f64)>) {
        let activations = ["ACTIVATION_IN", "ACTIVATION_OUT"].into_iter().zip(self.activations.map(|code| f64::from(code as u32)));
        if let Tile::Matrices(side) = tile {
            let flags: &[&str] = match (side, self.form) {
                (16, Form::Nt) => &["coop", "nt"],
                (16, Form::Nn) => &["coop", "nn"],
                (16, Form::Tn) => &["coop", "tn"],
                (_, Form::Nt) => &["coop", "side8", "nt"],
                (_, Form::Nn) => &["coop", "side8", "nn"],
                (_, Form::Tn) => &["coop", "side8", "tn"],
            };
            return (caps.shader_with(Kernel::DenseGemm, flags), activations.collect());
        }
        let number = |is: bool| f64::from(u8::from(is));
        let [a_deep, b_deep] = self.form.deep();
        let mut constants = vec![("A_DEEP", number(a_deep)), ("B_DEEP", number(b_deep))];
        constants.extend(activations);
        let is_half = halves.contains(&true);
        if is_half {
            constants.extend([("A_HALF", number(halves[0])), ("B_HALF", number(halves[1]))]);
        }
        let kernel = match tile {
            Tile::Blocks { rows_each, columns_each, depth } => {
                let sides = [("ROWS_EACH", rows_each), ("COLUMNS_EACH", columns_each), ("DEPTH", depth)];
                constants.extend(sides.map(|(name, side)| (name, f64::from(side))));
                Kernel::DenseGemm
            }
            Tile::Thin | Tile::Matrices(_) => Kernel::DenseGemmThin,
        };
        let flags: &[&str] = match (in_fours, is_half) {
            (false, false) => &[],
            (true, false) => &["pack4"],
            (false, true) => &["f16"],
            (true, true) => &["pack4", "f16"],
        };
        (caps.shader_with(kernel, flags), constants)
    }

    fn record_sum(&self, recording: &mut Recording, caps: &Caps, piece: Piece, from: Binding, accumulates: bool, factors: Option<Binding>) {
        let (rows, columns) = (self.rows(piece), self.sides[1]);
        let (c_window, c_first) = self.c_of(piece).window(caps, rows, columns);
        let (factors_window, factors_first) = factors.map_or((from, 0), |factors| factors.aligned(caps));
        let params = DenseSumPartsParams {
            rows,
            columns,
            parts: piece.parts,
            part_stride: rows * self.part_row(),
            row_stride: self.part_row(),
            c_first,
            c_stride: self.c.stride,
            accumulates: u32::from(accumulates),
            factors_first,
            has_factors: u32::from(factors.is_some()),
        };
        record_sum_parts(recording, caps, [from, factors_window, c_window], &params);
    }
}

/// Records `shaders/dense/sum_parts.wgsl`: of the parts, with factors of the rows, or any other buffer.
pub(super) fn record_sum_parts(recording: &mut Recording, caps: &Caps, windows: [Binding; 3], params: &DenseSumPartsParams) {
    let cells = u64::from(params.rows) * u64::from(params.columns);
    let set = recording.bind(&windows);
    let groups = fold(cells.div_ceil(256), caps.max_workgroups);
    recording.dispatch(caps.shader(Kernel::DenseSumParts), set, params, groups, cells * u64::from(params.parts));
}

/// As many whole steps as there are in `most`, at least one.
fn whole(most: u64, step: u32) -> u64 {
    (most / u64::from(step)).max(1).saturating_mul(u64::from(step))
}
