//! Sums over the rows of a matrix: the gradient of a bias.

use super::gemm::record_sum_parts;
use super::matrix::Matrix;
use crate::device::recording::{BufferId, Recording, fold};
use crate::device::shader::{DenseColumnSumsParams, DenseSumPartsParams, Kernel};
use crate::device::{Caps, RunReport};
use crate::error::Result;
use crate::tensor::{DType, Tensor, declare};

/// Columns of a workgroup of `shaders/dense/column_sums.wgsl`, and the rows that it reads at a time.
const COLUMNS: u32 = 64;
const ROWS: u32 = 16;
/// Workgroups that keep a large GPU busy, and the fewest rows that are worth one.
const BUSY: u32 = 512;
const LEAST_PART: u32 = 64;

/// Records `out[n] = Σ x[m, n]` over m, or that added to out: x \[rows, columns] of f32, out \[columns]. Each may begin at any
/// element. The order of the sum depends on nothing but the sides and the device's limits.
///
/// # Errors
/// [`LimitExceeded`](crate::Error::LimitExceeded) where one row exceeds a window.
pub(crate) fn record_column_sums(
    recording: &mut Recording,
    caps: &Caps,
    x: Matrix,
    [rows, columns]: [u32; 2],
    out: Matrix,
    accumulates: bool,
) -> Result<()> {
    record_column_sums_in(recording, caps, x, [rows, columns], out, accumulates, &mut None)
}

/// [`record_column_sums`]; where rows are cut into parts, the sums of these lie in `scratch`, which many calls of one plan may share.
///
/// # Errors
/// As [`record_column_sums`].
pub(crate) fn record_column_sums_in(
    recording: &mut Recording,
    caps: &Caps,
    x: Matrix,
    [rows, columns]: [u32; 2],
    out: Matrix,
    accumulates: bool,
    scratch: &mut Option<BufferId>,
) -> Result<()> {
    if columns == 0 {
        return Ok(());
    }
    x.expect_in_window(caps, "column sums: one row, bytes", 1, columns)?;
    out.expect_in_window(caps, "column sums: bytes", 1, columns)?;
    let most = (caps.submit_work() / u64::from(columns)).min(x.lines_in_window(caps, columns)).max(1);
    let across = columns.div_ceil(COLUMNS);
    let parts_in_window = caps.max_window_bytes() / (4 * u64::from(columns));
    let parts_of = |count: u32| {
        let most = u64::from(count / LEAST_PART).min(parts_in_window).max(1);
        let part_rows = count.div_ceil(u64::from(BUSY / across).clamp(1, most) as u32).next_multiple_of(ROWS).max(ROWS);
        (count.div_ceil(part_rows).max(1), part_rows)
    };
    // The first piece is the longest.
    let (parts, _) = parts_of(most.min(u64::from(rows)) as u32);
    let workspace = (parts > 1).then(|| recording.scratch(scratch, "parts", 4 * u64::from(parts) * u64::from(columns)));
    let (out_window, out_first) = out.window(caps, 1, columns);
    let mut first = 0;
    loop {
        let count = most.min(u64::from(rows - first)) as u32;
        let (parts, part_rows) = parts_of(count);
        let (x_window, x_first) = x.after_lines(first).window(caps, count, columns);
        let accumulates = u32::from(accumulates || first > 0);
        let partial = workspace.filter(|_| parts > 1).map(|buffer| recording.whole(buffer));
        let params = DenseColumnSumsParams {
            rows: count,
            columns,
            part_rows,
            parts,
            x_first,
            x_stride: x.stride,
            out_first: if partial.is_some() { 0 } else { out_first },
            part_stride: columns,
            accumulates: if partial.is_some() { 0 } else { accumulates },
        };
        let set = recording.bind(&[x_window, partial.unwrap_or(out_window)]);
        let groups = fold(u64::from(across) * u64::from(parts), caps.max_workgroups);
        recording.dispatch(caps.shader(Kernel::DenseColumnSums), set, &params, groups, u64::from(count) * u64::from(columns));
        if let Some(partial) = partial {
            let params = DenseSumPartsParams {
                rows: 1,
                columns,
                parts,
                part_stride: columns,
                row_stride: columns,
                c_first: out_first,
                c_stride: columns,
                accumulates,
                factors_first: 0,
                has_factors: 0,
            };
            record_sum_parts(recording, caps, [partial, partial, out_window], &params);
        }
        first += count;
        if first >= rows {
            return Ok(());
        }
    }
}

/// The sums of a matrix's columns: x \[rows, columns] of f32 to \[columns]. The same call gives the same bits on the same device.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if x has not two sides, [`Error::Value`](crate::Error::Value) if it does not hold f32,
/// [`Error::LimitExceeded`](crate::Error::LimitExceeded) if one row exceeds what a kernel can see.
pub async fn column_sums(x: &Tensor) -> Result<Tensor> {
    Ok(column_sums_reported(x).await?.0)
}

/// [`column_sums`], and what the run did.
///
/// # Errors
/// As [`column_sums`].
pub async fn column_sums_reported(x: &Tensor) -> Result<(Tensor, RunReport)> {
    x.expect_f32("x")?;
    let [rows, columns] = super::matmul::sides(x, "x")?;
    let context = x.context();
    let sums = Tensor::empty(context, &[columns as usize], DType::F32)?;
    let (mut recording, mut bound) = (Recording::new(), Vec::new());
    let [from, to] = [("x", x), ("sums", &sums)].map(|(label, tensor)| declare(&mut recording, &mut bound, label, tensor));
    let matrix = |buffer| Matrix { buffer, first: 0, stride: columns, dtype: DType::F32 };
    record_column_sums(&mut recording, context.caps(), matrix(from), [rows, columns], matrix(to), false)?;
    let report = context.run(&recording, &bound).await?;
    Ok((sums, report))
}

/// [`column_sums`], on the calling thread.
#[cfg(not(target_family = "wasm"))]
pub fn column_sums_blocking(x: &Tensor) -> Result<Tensor> {
    pollster::block_on(column_sums(x))
}

/// [`column_sums_reported`], on the calling thread.
#[cfg(not(target_family = "wasm"))]
pub fn column_sums_reported_blocking(x: &Tensor) -> Result<(Tensor, RunReport)> {
    pollster::block_on(column_sums_reported(x))
}
