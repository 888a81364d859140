//! Twins of `shaders/dense/gemm.wgsl` and of what goes with it.

use super::Call;
use super::math::activate;
use super::parallel::for_each_chunk;
use super::scores::Elements;
#[cfg(not(target_family = "wasm"))]
use crate::device::shader::DenseLineMostParams;
use crate::device::shader::{DenseColumnSumsParams, DenseGemmParams, DenseSumPartsParams};
use std::ops::Range;

/// Rows and columns of the cells that are summed at a time: as many vectors as a processor has registers for.
const ROWS: usize = 4;
const COLUMNS: usize = 8;
/// Rows that a thread takes at a time; columns, where there are few rows.
const CHUNK: usize = 8 * ROWS;
/// Below so many rows it takes longer to lay B out anew than to read it as it lies.
const FEW_ROWS: usize = 4;

/// A or B, in lines of `stride`.
#[derive(Clone, Copy)]
struct Factor<'a> {
    elements: Elements<'a>,
    first: usize,
    stride: usize,
    /// Whether k runs along its lines.
    deep: bool,
}

impl Factor<'_> {
    /// A row times the first lines of a side, as many as there are columns; all are walked together, in the order of k.
    fn row_times(self, row: &[f32], side: Range<usize>) -> [f32; COLUMNS] {
        match self.elements {
            Elements::F32(x) => self.row_times_all(row, side, |at| x[at]),
            Elements::F16(x) => self.row_times_all(row, side, |at| x[at].to_f32()),
        }
    }

    fn row_times_all(self, row: &[f32], side: Range<usize>, value: impl Fn(usize) -> f32) -> [f32; COLUMNS] {
        let mut sums = [0.0; COLUMNS];
        // Lines beyond the side are the last one once more.
        let firsts: [usize; COLUMNS] = std::array::from_fn(|line| self.first + (side.start + line).min(side.end - 1) * self.stride);
        for (k, a) in row.iter().enumerate() {
            for (sum, first) in sums.iter_mut().zip(firsts) {
                *sum += a * value(first + k);
            }
        }
        sums
    }

    /// Fills `out` with `side` lines of k: [depth, width], those beyond the side left as they are.
    fn pack(self, out: &mut [f32], side: Range<usize>, depth: Range<usize>, width: usize) {
        match self.elements {
            Elements::F32(x) => self.pack_all(out, side, depth, width, |at| x[at]),
            Elements::F16(x) => self.pack_all(out, side, depth, width, |at| x[at].to_f32()),
        }
    }

    fn pack_all(self, out: &mut [f32], side: Range<usize>, depth: Range<usize>, width: usize, value: impl Fn(usize) -> f32) {
        let (across, along) = if self.deep { (self.stride, 1) } else { (1, self.stride) };
        for (line, k) in out.chunks_exact_mut(width).zip(depth) {
            let begin = self.first + k * along;
            for (out, place) in line.iter_mut().zip(side.clone()) {
                *out = value(begin + place * across);
            }
        }
    }
}

/// Twin of `shaders/dense/gemm.wgsl`, and of `gemm_split.wgsl`. `of_halves`: the device's matrices take factors of f16.
pub(super) fn product(call: &mut Call<'_>, of_halves: bool) {
    let p: DenseGemmParams = call.params();
    let is = |name: &str| call.constant(name) != 0.0;
    let [activation_in, activation_out] = ["ACTIVATION_IN", "ACTIVATION_OUT"].map(|name| call.constant(name) as u32);
    // Variants of the device's matrices say by flags how their factors lie.
    let flagged = |flags: &[&str]| flags.iter().any(|flag| call.has_flag(flag));
    let all_half = of_halves && call.has_flag("coop");
    let factor = |binding, first, stride, deep: bool, half: &str| Factor {
        elements: Elements::of(call.read(binding), all_half || is(half)),
        first: first as usize,
        stride: stride as usize,
        deep,
    };
    let a = factor(1, p.a_first, p.a_stride, is("A_DEEP") || flagged(&["nt", "nn"]), "A_HALF");
    let b = factor(2, p.b_first, p.b_stride, is("B_DEEP") || flagged(&["nt"]), "B_HALF");
    let bias: &[f32] = call.read(3);
    let c: &mut [f32] = call.write(4);
    let (rows, columns, depth, stride) = (p.rows as usize, p.columns as usize, p.depth as usize, p.c_stride as usize);
    let finish = |m: usize, n: usize, sum: f32| {
        let sum = if p.has_factors != 0 { sum * bias[p.bias_first as usize + m] } else { sum };
        let value = if p.has_bias != 0 { sum + bias[p.bias_first as usize + n] } else { sum };
        activate(activation_out, value)
    };
    if rows < FEW_ROWS && b.deep && p.parts == 1 {
        let mut strip = vec![0.0; depth];
        for row in 0..rows {
            a.pack(&mut strip, row..row + 1, 0..depth, 1);
            if activation_in != 0 {
                strip.iter_mut().for_each(|x| *x = activate(activation_in, *x));
            }
            for_each_chunk(&mut c[p.c_first as usize + row * stride..][..columns], CHUNK, |chunk, cells| {
                for (panel, cells) in cells.chunks_mut(COLUMNS).enumerate() {
                    let n = chunk * CHUNK + panel * COLUMNS;
                    for (place, (cell, sum)) in cells.iter_mut().zip(b.row_times(&strip, n..columns)).enumerate() {
                        let value = finish(row, n + place, sum);
                        *cell = if p.accumulates != 0 { *cell + value } else { value };
                    }
                }
            });
        }
        return;
    }
    for part in 0..p.parts as usize {
        let begin = (part * p.part_depth as usize).min(depth);
        let depth = begin..(begin + p.part_depth as usize).min(depth);
        let deep = depth.len();
        // B in panels [k, COLUMNS], one behind the other.
        let mut panels = vec![0.0; columns.div_ceil(COLUMNS) * deep * COLUMNS];
        for_each_chunk(&mut panels, deep * COLUMNS, |panel, out| {
            b.pack(out, panel * COLUMNS..columns.min((panel + 1) * COLUMNS), depth.clone(), COLUMNS);
        });
        let cells = &mut c[p.c_first as usize + part * p.part_stride as usize..][..(rows - 1) * stride + columns];
        for_each_chunk(cells, CHUNK * stride, |chunk, cells| {
            let first = chunk * CHUNK;
            let mut strips = vec![0.0; CHUNK * deep];
            for (number, strip) in strips.chunks_exact_mut((ROWS * deep).max(1)).enumerate() {
                let side = first + number * ROWS..rows.min(first + (number + 1) * ROWS);
                a.pack(strip, side, depth.clone(), ROWS);
                if activation_in != 0 {
                    strip.iter_mut().for_each(|x| *x = activate(activation_in, *x));
                }
            }
            for panel in 0..columns.div_ceil(COLUMNS) {
                let n = panel * COLUMNS;
                let panel = &panels[panel * deep * COLUMNS..][..deep * COLUMNS];
                for number in 0..(rows - first).min(CHUNK).div_ceil(ROWS) {
                    let sums = sums(&strips[number * ROWS * deep..][..ROWS * deep], panel);
                    let cells = cells.chunks_mut(stride).skip(number * ROWS);
                    for (line, (row, sums)) in cells.zip(sums).enumerate() {
                        let m = first + number * ROWS + line;
                        for (place, (cell, sum)) in row[n..columns.min(n + COLUMNS)].iter_mut().zip(sums).enumerate() {
                            let value = finish(m, n + place, sum);
                            *cell = if p.accumulates != 0 { *cell + value } else { value };
                        }
                    }
                }
            }
        });
    }
}

/// A strip of A [k, ROWS] times a panel of B [k, COLUMNS].
fn sums(strip: &[f32], panel: &[f32]) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for (a, b) in strip.chunks_exact(ROWS).zip(panel.chunks_exact(COLUMNS)) {
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    sums
}

/// Twin of `shaders/dense/sum_parts.wgsl`.
pub(super) fn sum_parts(call: &mut Call<'_>) {
    let p: DenseSumPartsParams = call.params();
    let parts: &[f32] = call.read(1);
    let factors: &[f32] = call.read(2);
    let c: &mut [f32] = call.write(3);
    let (rows, columns, stride) = (p.rows as usize, p.columns as usize, p.c_stride as usize);
    for_each_chunk(&mut c[p.c_first as usize..][..(rows - 1) * stride + columns], stride, |m, row| {
        let factor = if p.has_factors != 0 { factors[p.factors_first as usize + m] } else { 1.0 };
        for (n, cell) in row[..columns].iter_mut().enumerate() {
            let first = m * p.row_stride as usize + n;
            let begin = if p.accumulates != 0 { *cell } else { 0.0 };
            *cell = (0..p.parts as usize).fold(begin, |sum, part| sum + factor * parts[first + part * p.part_stride as usize]);
        }
    });
}

/// Twin of `shaders/dense/line_most.wgsl`.
#[cfg(not(target_family = "wasm"))]
pub(super) fn line_most(call: &mut Call<'_>) {
    let p: DenseLineMostParams = call.params();
    let along = call.constant("ALONG") != 0.0;
    let x: &[f32] = call.read(1);
    let out: &mut [u32] = call.write(2);
    for line in 0..p.lines as usize {
        let row = &x[p.first as usize + line * p.stride as usize..][..p.width as usize];
        for (column, x) in row.iter().enumerate().filter(|(_, x)| x.is_finite()) {
            let most = &mut out[if along { line } else { column }];
            *most = x.abs().to_bits().max(*most);
        }
    }
}

/// Twin of `shaders/dense/column_sums.wgsl`.
pub(super) fn column_sums(call: &mut Call<'_>) {
    let p: DenseColumnSumsParams = call.params();
    let x: &[f32] = call.read(1);
    let out: &mut [f32] = call.write(2);
    let (rows, columns, part_rows) = (p.rows as usize, p.columns as usize, p.part_rows as usize);
    let parts = p.parts as usize;
    let length = (parts - 1) * p.part_stride as usize + columns;
    for_each_chunk(&mut out[p.out_first as usize..][..length], (p.part_stride as usize).max(columns), |part, out| {
        let mut sums = vec![0.0; columns];
        for m in (part * part_rows).min(rows)..((part + 1) * part_rows).min(rows) {
            let row = &x[p.x_first as usize + m * p.x_stride as usize..][..columns];
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = if p.accumulates != 0 { *out + sum } else { sum };
        }
    });
}
