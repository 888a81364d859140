//! What stands between two levels of a stack: directions are put together, and dropout.

use crate::dense::convert;
use crate::device::recording::{Binding, Recording, fold};
use crate::device::shader::{CellMergeParams, Kernel};
use crate::device::{Caps, RunReport};
use crate::error::{Result, within};
use crate::tensor::{DType, Tensor, declare};

/// How the directions are put together, by their codes in `shaders/shared/between.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    One = 0,
    Concat = 1,
    Sum = 2,
}

/// One passage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    pub kind: Kind,
    /// Probability that a number is dropped.
    pub drop: f32,
    pub seed: u32,
}

impl Between {
    /// What the level above is given, of y [T, N, H] of each direction.
    pub(super) async fn merge(&self, mut parts: Vec<Tensor>, report: &mut RunReport) -> Result<Tensor> {
        if self.kind == Kind::One
            && self.drop == 0.0
            && let Some(only) = parts.pop()
        {
            return Ok(only);
        }
        let dtype = parts[0].dtype();
        for part in &mut parts {
            *part = convert(part, DType::F32).await?;
        }
        let forward = &parts[0];
        let reverse = parts.get(1).unwrap_or(forward);
        let &[frames, batch, hidden] = forward.shape() else { return Ok(forward.clone()) };
        let out = Tensor::empty(forward.context(), &[frames, batch, self.width(hidden)], DType::F32)?;
        if !out.is_empty() {
            report.add(&self.run(Kernel::CellMerge, [forward, reverse, &out], [0, 1, 2], hidden).await?);
        }
        convert(&out, dtype).await
    }

    /// Gradients of y of each direction, of that of what was given.
    pub(super) async fn split(&self, d: &Tensor, hidden: usize) -> Result<Vec<Tensor>> {
        if self.kind == Kind::One && self.drop == 0.0 {
            return Ok(vec![d.clone()]);
        }
        let &[frames, batch, _] = d.shape() else { return Ok(vec![d.clone()]) };
        let make = || Tensor::empty(d.context(), &[frames, batch, hidden], DType::F32);
        let parts = [make()?, make()?];
        if !d.is_empty() {
            self.run(Kernel::CellSplit, [&parts[0], &parts[1], d], [1, 2, 0], hidden).await?;
        }
        Ok(parts.into_iter().take(if self.kind == Kind::One { 1 } else { 2 }).collect())
    }

    fn width(&self, hidden: usize) -> usize {
        hidden * if self.kind == Kind::Concat { 2 } else { 1 }
    }

    /// `tensors` are those of the directions, and what they are put together to; `order` says where they stand among the bindings.
    async fn run(&self, kernel: Kernel, tensors: [&Tensor; 3], order: [usize; 3], hidden: usize) -> Result<RunReport> {
        let context = tensors[0].context();
        let rows = (tensors[2].len() / self.width(hidden)) as u64;
        let mut recording = Recording::new();
        let mut bound = Vec::new();
        let buffers = tensors.map(|tensor| declare(&mut recording, &mut bound, "part", tensor));
        let widths = [hidden, hidden, self.width(hidden)].map(|width| 4 * width as u64);
        let most = rows_at_once(context.caps(), widths[2])?;
        let mut first = 0;
        while first < rows {
            let count = most.min(rows - first);
            let windows: Vec<(Binding, u32)> = buffers
                .iter()
                .zip(widths)
                .map(|(&buffer, width)| Binding { buffer, offset: first * width, bytes: count * width }.aligned(context.caps()))
                .collect();
            let mut bindings = [windows[0].0; 3];
            for (place, (window, _)) in order.iter().zip(&windows) {
                bindings[*place] = *window;
            }
            let set = recording.bind(&bindings);
            let params = CellMergeParams {
                rows: count as u32,
                hidden: hidden as u32,
                kind: self.kind as u32,
                forward_first: windows[0].1,
                reverse_first: windows[1].1,
                out_first: windows[2].1,
                rows_before: first as u32,
                drop: (f64::from(self.drop) * 4_294_967_296.0) as u32,
                scale: 1.0 / (1.0 - self.drop),
                seed: self.seed,
            };
            let values = count * widths[2] / 4;
            recording.dispatch(
                context.caps().shader(kernel),
                set,
                &params,
                fold(values.div_ceil(256), context.caps().max_workgroups),
                values,
            );
            first += count;
        }
        context.run(&recording, &bound).await
    }
}

/// Rows whose windows the device allows.
fn rows_at_once(caps: &Caps, width: u64) -> Result<u64> {
    within("one row of a level, bytes", width, caps.max_shifted_window_bytes(), "use fewer units")?;
    Ok(caps.max_shifted_window_bytes() / width)
}
