//! Products of f32 by the device's matrices of f16: `shaders/dense/gemm_split.wgsl`.

use super::Activation;
use super::gemm::{Form, Gemm, record_sum_parts};
use super::line_most::record_line_most;
use super::matrix::Matrix;
use super::tile::best_parts;
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{DenseGemmParams, DenseSumPartsParams, Kernel};
use crate::error::Result;
use crate::tensor::DType;

/// Fewer columns, less of k, or so little of both are not worth the look for the largest of each line.
const LEAST_SIDE: u32 = 128;
const LEAST_WORK_A_ROW: u64 = 1 << 17;
/// Multiplications from which on a product is large, if its rows may decide.
const LARGE: u64 = 1 << 32;
/// Parts of k are of whole steps of the kernel, and no fewer than these.
const STEP: u32 = 32;
const LEAST_PART: u32 = 512;

/// What products of one plan may share.
#[derive(Clone, Copy, Default)]
pub(crate) struct Scratch {
    /// Sums of parts.
    pub parts: Option<BufferId>,
    /// The largest of each line of A, and of B.
    most: [Option<BufferId>; 2],
    /// Of a factor that stays the same: what was asked, and where the answer is.
    kept: [Option<(Fixed, BufferId)>; 2],
}

/// A factor B of which a plan looks for the largest of each line once.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fixed {
    buffer: BufferId,
    first: u64,
    form: Form,
}

/// Lines of A, and in Tn of B, that one launch takes.
struct Piece {
    first: u32,
    count: u32,
    parts: u32,
    part_depth: u32,
}

/// Adds the product to a plan: by matrices where the device has them and the product is large, whatever its rows, and by [`Gemm::record_in`]
/// otherwise. Each factor is taken to 22 bits, and to 2^-38 of the largest of its line.
///
/// `is_fixed`: B is the same in all products of the plan.
///
/// # Errors
/// As [`Gemm::record`].
pub(crate) fn record_split(gemm: &Gemm, is_fixed: bool, recording: &mut Recording, caps: &Caps, scratch: &mut Scratch) -> Result<()> {
    match side(gemm, caps) {
        Some(side) => Split { gemm, side, is_fixed }.record(recording, caps, scratch),
        None => gemm.record_in(recording, caps, &mut scratch.parts),
    }
}

/// [`record_split`] of products that are large, rows and all: so a row may have other bits among others.
///
/// # Errors
/// As [`Gemm::record`].
pub(crate) fn record_large_split(gemm: &Gemm, recording: &mut Recording, caps: &Caps, scratch: &mut Scratch) -> Result<()> {
    match gemm.sides.map(u64::from).into_iter().fold(1, u64::saturating_mul) {
        0..LARGE => gemm.record_in(recording, caps, &mut scratch.parts),
        _ => record_split(gemm, false, recording, caps, scratch),
    }
}

/// Of the matrices, if they serve.
fn side(gemm: &Gemm, caps: &Caps) -> Option<u32> {
    let [m, n, k] = gemm.sides;
    let other = if gemm.form == Form::Tn { m } else { k };
    let is_large = n >= LEAST_SIDE && other >= LEAST_SIDE && u64::from(n) * u64::from(other) >= LEAST_WORK_A_ROW;
    let is_plain = [gemm.a, gemm.b].iter().all(|factor| factor.dtype == DType::F32) && gemm.activations[0] == Activation::Identity;
    // Two halves of each factor, with room behind each line, which is shortest where it runs along k; then sums in f32.
    let bytes = |side: u32| 4 * 8 * side * (2 * side + 8) * 2 + 32 * side * side;
    caps.matrices.filter(|&side| is_large && is_plain && gemm.is_in_fours() && bytes(side) <= caps.max_workgroup_bytes)
}

struct Split<'a> {
    gemm: &'a Gemm,
    side: u32,
    is_fixed: bool,
}

impl Split<'_> {
    fn record(&self, recording: &mut Recording, caps: &Caps, scratch: &mut Scratch) -> Result<()> {
        let [m, n, _] = self.gemm.sides;
        let tiles = |rows: u32| u64::from(rows.div_ceil(8 * self.side)) * u64::from(n.div_ceil(8 * self.side));
        let is_deep = self.gemm.form == Form::Tn;
        for (number, (first, count)) in self.gemm.lines(caps, if is_deep { STEP } else { 8 * self.side })?.into_iter().enumerate() {
            let rows = if is_deep { m } else { count };
            let depth = if is_deep { count } else { self.gemm.sides[2] };
            let parts = if is_deep { best_parts(tiles(rows), depth, u64::from(depth / LEAST_PART).max(1)) as u32 } else { 1 };
            let part_depth = depth.div_ceil(parts).next_multiple_of(STEP).max(STEP);
            let piece = Piece { first, count, parts: depth.div_ceil(part_depth).max(1), part_depth };
            let accumulates = self.gemm.accumulates || (is_deep && number > 0);
            self.piece(recording, caps, &piece, accumulates, scratch);
        }
        Ok(())
    }

    fn piece(&self, recording: &mut Recording, caps: &Caps, piece: &Piece, accumulates: bool, scratch: &mut Scratch) {
        let &Gemm { form, sides: [m, n, k], b, c, .. } = self.gemm;
        let is_deep = form == Form::Tn;
        let (rows, depth) = if is_deep { (m, piece.count) } else { (piece.count, k) };
        let a = self.gemm.a.after_lines(piece.first);
        let b = if is_deep { b.after_lines(piece.first) } else { b };
        let c = if is_deep { c } else { c.after_lines(piece.first) };
        let a_sides = if is_deep { [depth, rows] } else { [rows, depth] };
        let b_sides = if form == Form::Nt { [n, depth] } else { [depth, n] };

        let a_most = line_most(recording, caps, a, a_sides, !is_deep, &mut scratch.most[0]);
        let b_most = self.b_most(recording, caps, (b, b_sides), scratch);

        let width = n.next_multiple_of(4);
        let in_parts = (piece.parts > 1).then(|| {
            let bytes = 4 * u64::from(piece.parts) * u64::from(rows) * u64::from(width);
            Matrix { buffer: recording.scratch(&mut scratch.parts, "parts", bytes), first: 0, stride: width, dtype: DType::F32 }
        });
        let to = in_parts.unwrap_or(c);
        let (a_window, a_first) = a.window(caps, a_sides[0], a_sides[1]);
        let (b_window, b_first) = b.window(caps, b_sides[0], b_sides[1]);
        let (c_window, c_first) = to.window(caps, rows * piece.parts, n);
        // A binding cannot be left out.
        let (bias_window, bias_first) = self.gemm.bias.map_or((b_window, 0), |bias| bias.aligned(caps));
        let params = DenseGemmParams {
            rows,
            columns: n,
            depth,
            part_depth: piece.part_depth,
            parts: piece.parts,
            a_first,
            a_stride: a.stride,
            b_first,
            b_stride: b.stride,
            c_first,
            c_stride: to.stride,
            part_stride: rows * to.stride,
            bias_first,
            has_bias: u32::from(self.gemm.bias.is_some()),
            has_factors: 0,
            accumulates: u32::from(accumulates && in_parts.is_none()),
        };
        let set = recording.bind(&[a_window, b_window, bias_window, c_window, a_most, b_most]);
        let flags: &[&str] = match (self.side, form) {
            (16, Form::Nt) => &["coop", "nt"],
            (16, Form::Nn) => &["coop", "nn"],
            (16, Form::Tn) => &["coop", "tn"],
            (_, Form::Nt) => &["coop", "side8", "nt"],
            (_, Form::Nn) => &["coop", "side8", "nn"],
            (_, Form::Tn) => &["coop", "side8", "tn"],
        };
        let constants = [("ACTIVATION_OUT", f64::from(self.gemm.activations[1] as u32))];
        let tiles = u64::from(rows.div_ceil(8 * self.side)) * u64::from(n.div_ceil(8 * self.side));
        let grid = fold(tiles * u64::from(piece.parts), caps.max_workgroups);
        let work = u64::from(rows) * u64::from(n) * u64::from(depth);
        recording.dispatch_with(caps.shader_with(Kernel::DenseGemmSplit, flags), &constants, set, &params, grid, work);
        if let Some(parts) = in_parts {
            let (c_window, c_first) = c.window(caps, rows, n);
            let params = DenseSumPartsParams {
                rows,
                columns: n,
                parts: piece.parts,
                part_stride: rows * parts.stride,
                row_stride: parts.stride,
                c_first,
                c_stride: c.stride,
                accumulates: u32::from(accumulates),
                factors_first: 0,
                has_factors: 0,
            };
            let parts = recording.whole(parts.buffer);
            record_sum_parts(recording, caps, [parts, parts, c_window], &params);
        }
    }

    /// The largest of each of B's lines.
    fn b_most(&self, recording: &mut Recording, caps: &Caps, (b, sides): (Matrix, [u32; 2]), scratch: &mut Scratch) -> Binding {
        let form = self.gemm.form;
        if !self.is_fixed {
            return line_most(recording, caps, b, sides, form == Form::Nt, &mut scratch.most[1]);
        }
        let asked = Fixed { buffer: b.buffer, first: b.first, form };
        if let Some(&(_, known)) = scratch.kept.iter().flatten().find(|(fixed, _)| *fixed == asked) {
            return recording.whole(known);
        }
        let mut own = None;
        let most = line_most(recording, caps, b, sides, form == Form::Nt, &mut own);
        if let Some(free) = scratch.kept.iter_mut().find(|kept| kept.is_none()) {
            *free = Some((asked, most.buffer));
        }
        most
    }
}

/// The largest of each line of a matrix, or of each column, in a buffer that others may have used.
fn line_most(recording: &mut Recording, caps: &Caps, x: Matrix, sides: [u32; 2], along: bool, to: &mut Option<BufferId>) -> Binding {
    let bytes = 4 * u64::from(sides[usize::from(!along)]);
    let buffer = recording.scratch(to, "largest of each line", bytes);
    let out = Binding { buffer, offset: 0, bytes };
    recording.clear(buffer);
    record_line_most(recording, caps, x, sides, along, out);
    out
}
