//! Joiners fused with the loss, forward and backward.

use super::case::{Case, Labels, Ready, all_ok};
use super::cells::noise;
use half::f16;
use weft::dense::Linear;
use weft::joint::{Joiner, JointBatch, JointLoss};
use weft::lattice::{Blank, Kind, TransducerLoss};
use weft::{Context, DType, Error, RunReport, Tensor};

/// A shape, with the workspace that it may take.
#[derive(Clone, Copy)]
struct Shape {
    n: usize,
    t: usize,
    u: usize,
    h: usize,
    v: usize,
    limit: Option<u64>,
}

/// The second has 63 GB of logits.
const SHAPES: [Shape; 2] = [
    Shape { n: 32, t: 188, u: 91, h: 640, v: 1024, limit: None },
    Shape { n: 64, t: 500, u: 120, h: 640, v: 4096, limit: Some(2_000_000_000) },
];
const QUICK_SHAPES: [Shape; 2] =
    [Shape { n: 2, t: 12, u: 5, h: 16, v: 24, limit: None }, Shape { n: 2, t: 12, u: 5, h: 16, v: 24, limit: Some(60_000) }];

#[derive(Clone, Copy)]
struct Row {
    op: &'static str,
    shape: Shape,
    dtype: DType,
    gradients: bool,
}

/// Every case of the table, in its order.
pub fn cases(quick: bool) -> Vec<Case> {
    let [small, large] = if quick { QUICK_SHAPES } else { SHAPES };
    let mut rows = Vec::new();
    for dtype in [DType::F32, DType::F16] {
        rows.extend(["joint_rnnt", "joint_multi_blank", "joint_tdt"].map(|op| Row { op, shape: small, dtype, gradients: true }));
        rows.push(Row { op: "joint_rnnt", shape: small, dtype, gradients: false });
        rows.push(Row { op: "joint_rnnt", shape: large, dtype, gradients: true });
    }
    rows.push(Row { op: "joint_sum", shape: small, dtype: DType::F32, gradients: true });
    rows.into_iter().map(case).collect()
}

fn kind(op: &str, v: usize) -> weft::Result<Kind> {
    match op {
        "joint_multi_blank" => Kind::multi_blank(Blank(0), &[(v as u32 - 1, 2), (v as u32 - 2, 4), (v as u32 - 3, 8)]),
        "joint_tdt" => Kind::tdt(Blank(0), &[0, 1, 2, 3, 4]),
        _ => Ok(Kind::rnnt(Blank(0))),
    }
}

fn case(row: Row) -> Case {
    let dtype = if row.dtype == DType::F16 { "f16" } else { "f32" };
    let direction = if row.gradients { "loss+grad" } else { "loss" };
    let labels = Labels { op: row.op, input: "hidden", dtype, layout: "padded", lengths: "full", data: "flat", direction };
    let Shape { n, t, u, h, v, .. } = row.shape;
    Case { labels, shape: vec![("t", t), ("u", u), ("h", h), ("v", v), ("n", n)], prepare: Box::new(move |gpu| ready(gpu, row)) }
}

fn ready(gpu: &Context, Row { op, shape: Shape { n, t, u, h, v, limit }, dtype, gradients }: Row) -> weft::Result<Ready> {
    let kind = kind(op, v)?;
    let is_sum = op == "joint_sum";
    // V counts the channels of durations here, so that products are of the same sides.
    let row = if is_sum { v } else { h };
    let mut joiner = if is_sum {
        Joiner::additive(gpu)
    } else {
        let weight = noise(v * h, 1, 1.0 / (h as f32).sqrt());
        Joiner::new(None, None, Linear::new(gpu, [v, h], &weight, Some(&vec![0.0; v]))?)?
    };
    if dtype == DType::F16 {
        joiner = joiner.to_f16_blocking()?;
    }
    let upload = |length: usize, seed: u32| {
        let values = noise(n * length * row, seed, 1.0);
        if dtype == DType::F16 {
            let halves: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
            return Tensor::from_f16(gpu, &[n, length, row], &halves);
        }
        Tensor::from_slice(gpu, &[n, length, row], &values)
    };
    let (encoder, predictor) = (upload(t, 2)?, upload(u, 3)?);
    let targets: Vec<u32> = (0..n * (u - 1)).map(|place| 1 + place as u32 % (v as u32 - 10)).collect();
    let (frames, labels) = (vec![t as u32; n], vec![u as u32 - 1; n]);
    let mut builder = TransducerLoss::of(kind).gradients(gradients);
    if let Some(limit) = limit {
        builder = builder.workspace_limit(limit);
    }
    let loss = JointLoss::new(&joiner, builder)?;
    let plan = loss.plan_batch(&JointBatch::new(&encoder, &predictor, &targets, &frames, &labels))?;
    let workspace = plan.workspace_bytes();
    if limit.is_some_and(|limit| workspace > limit) {
        return Err(Error::Gpu { message: format!("a workspace of {workspace} B, beyond the limit") });
    }
    let cells = plan.rows();
    // The layer once forward, and again, and twice for its gradients.
    let products = if is_sum { 0 } else { if gradients { 4 } else { 1 } };
    let flops = 2.0 * products as f64 * cells as f64 * (h * v) as f64;
    let inputs = (encoder.bytes() + predictor.bytes()) as f64;
    let results = if gradients { 4 * (encoder.len() + predictor.len() + if is_sum { 0 } else { v * h }) as u64 } else { 0 };
    let call = Box::new(move || -> weft::Result<RunReport> {
        let out = loss.run_blocking(&JointBatch::new(&encoder, &predictor, &targets, &frames, &labels))?;
        all_ok(&out.status, &out.costs, out.report)
    });
    let flops = (flops > 0.0).then_some(flops);
    Ok(Ready { call, before: None, bytes: inputs, flops, cells: Some(cells), workspace: Some(workspace), results, steps: None })
}
