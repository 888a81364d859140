//! Joiners fused with the loss, forward and backward.

use super::case::{Case, Labels, Ready, all_ok};
use super::cells::noise;
use half::f16;
use weft::dense::Linear;
use weft::joint::{Joiner, JointBatch, JointLoss};
use weft::lattice::{Band, Blank, Kind, LossShape, TransducerLoss};
use weft::{Caps, Context, DType, Error, RunReport, Tensor};

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
    [Shape { n: 2, t: 16, u: 12, h: 16, v: 24, limit: None }, Shape { n: 2, t: 12, u: 5, h: 16, v: 24, limit: Some(60_000) }];

/// Positions a frame of the pruned loss.
const RANGE: usize = 5;

#[derive(Clone, Copy)]
struct Row {
    op: &'static str,
    shape: Shape,
    dtype: DType,
    gradients: bool,
}

/// Every case of the table, in its order. `joint_sum` is the simple loss of a pruned recipe, `joint_pruned` the exact one in the band, and
/// `joint_pruned_recipe` all from the lattices of the simple loss to the gradients of the exact one, the band, which the host makes, between.
pub fn cases(quick: bool) -> Vec<Case> {
    let [small, large] = if quick { QUICK_SHAPES } else { SHAPES };
    let mut rows = Vec::new();
    for dtype in [DType::F32, DType::F16] {
        let ops = ["joint_rnnt", "joint_multi_blank", "joint_tdt", "joint_pruned", "joint_pruned_recipe", "joint_sum"];
        rows.extend(ops.map(|op| Row { op, shape: small, dtype, gradients: true }));
        rows.push(Row { op: "joint_rnnt", shape: small, dtype, gradients: false });
        rows.push(Row { op: "joint_rnnt", shape: large, dtype, gradients: true });
    }
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
    let mut shape = vec![("t", t), ("u", u), ("h", h), ("v", v), ("n", n)];
    if row.op.starts_with("joint_pruned") {
        shape.insert(4, ("r", RANGE));
    }
    Case { labels, shape, prepare: Box::new(move |gpu| ready(gpu, row)) }
}

/// What an encoder and a predictor say, of one width, and the targets.
struct Data {
    encoder: Tensor,
    predictor: Tensor,
    targets: Vec<u32>,
    frames: Vec<u32>,
    labels: Vec<u32>,
}

impl Data {
    fn new(gpu: &Context, Shape { n, t, u, v, .. }: Shape, width: usize, dtype: DType, seed: u32) -> weft::Result<Self> {
        let upload = |length: usize, seed: u32| {
            let values = noise(n * length * width, seed, 1.0);
            if dtype == DType::F16 {
                let halves: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
                return Tensor::from_f16(gpu, &[n, length, width], &halves);
            }
            Tensor::from_slice(gpu, &[n, length, width], &values)
        };
        Ok(Self {
            encoder: upload(t, seed)?,
            predictor: upload(u, seed + 1)?,
            targets: (0..n * (u - 1)).map(|place| 1 + place as u32 % (v as u32 - 10)).collect(),
            frames: vec![t as u32; n],
            labels: vec![u as u32 - 1; n],
        })
    }

    fn batch(&self) -> JointBatch<'_> {
        JointBatch::new(&self.encoder, &self.predictor, &self.targets, &self.frames, &self.labels)
    }

    fn bytes(&self) -> u64 {
        self.encoder.bytes() + self.predictor.bytes()
    }

    /// Elements of both, and of their gradients.
    fn len(&self) -> usize {
        self.encoder.len() + self.predictor.len()
    }
}

/// The loss that finds the band of another: without a layer.
struct Simple {
    loss: JointLoss,
    data: Data,
}

impl Simple {
    fn new(gpu: &Context, shape: Shape, dtype: DType) -> weft::Result<Self> {
        let loss = JointLoss::new(&Joiner::additive(gpu), TransducerLoss::rnnt(Blank(0)))?;
        Ok(Self { loss, data: Data::new(gpu, shape, shape.v, dtype, 4)? })
    }

    fn bands(&self) -> weft::Result<(Vec<Band>, RunReport)> {
        let lattices = self.loss.lattice_blocking(&self.data.batch())?;
        let report = all_ok(&lattices.output().status, &lattices.output().costs, lattices.output().report)?;
        Ok((lattices.map(|lattice| lattice.prune(RANGE)), report))
    }
}

fn ready(gpu: &Context, Row { op, shape, dtype, gradients }: Row) -> weft::Result<Ready> {
    let Shape { h, v, limit, .. } = shape;
    let kind = kind(op, v)?;
    let is_sum = op == "joint_sum";
    // V counts the channels of durations here, so that products are of the same sides.
    let mut joiner = if is_sum {
        Joiner::additive(gpu)
    } else {
        let weight = noise(v * h, 1, 1.0 / (h as f32).sqrt());
        Joiner::new(None, None, Linear::new(gpu, [v, h], &weight, Some(&vec![0.0; v]))?)?
    };
    if dtype == DType::F16 {
        joiner = joiner.to_f16_blocking()?;
    }
    let data = Data::new(gpu, shape, if is_sum { v } else { h }, dtype, 2)?;
    let mut builder = TransducerLoss::of(kind.clone()).gradients(gradients);
    if let Some(limit) = limit {
        builder = builder.workspace_limit(limit);
    }
    let loss = JointLoss::new(&joiner, builder)?;
    let is_recipe = op == "joint_pruned_recipe";
    let simple = if op.starts_with("joint_pruned") { Some(Simple::new(gpu, shape, dtype)?) } else { None };
    let bands = simple.as_ref().map(Simple::bands).transpose()?.map(|(bands, _)| bands);
    let plan = match &bands {
        Some(bands) => loss.plan_batch(&data.batch().bands(bands))?,
        None => loss.plan_batch(&data.batch())?,
    };
    let workspace = plan.workspace_bytes();
    if limit.is_some_and(|limit| workspace > limit) {
        return Err(Error::Gpu { message: format!("a workspace of {workspace} B, beyond the limit") });
    }
    let cells = plan.rows();
    // The layer once forward, and again, and twice for its gradients.
    let products = if is_sum { 0 } else { if gradients { 4 } else { 1 } };
    let flops = 2.0 * products as f64 * cells as f64 * (h * v) as f64;
    let results = if gradients { 4 * (data.len() + if is_sum { 0 } else { v * h + v }) as u64 } else { 0 };
    let materialised = materialised(gpu, &kind, shape, (is_sum, dtype, gradients))? + results;
    let bytes = (data.bytes() + simple.as_ref().filter(|_| is_recipe).map_or(0, |simple| simple.data.bytes())) as f64;
    let simple = simple.filter(|_| is_recipe);
    let call = Box::new(move || -> weft::Result<RunReport> {
        let found = simple.as_ref().map(Simple::bands).transpose()?;
        let batch = match found.as_ref().map(|(bands, _)| bands).or(bands.as_ref()) {
            Some(bands) => data.batch().bands(bands),
            None => data.batch(),
        };
        let out = loss.run_blocking(&batch)?;
        let mut report = all_ok(&out.status, &out.costs, out.report)?;
        found.iter().for_each(|(_, before)| report.add(before));
        Ok(report)
    });
    let flops = (flops > 0.0).then_some(flops);
    // The band of a recipe is another one, and so is what is held while it is looked for.
    let workspace = (!is_recipe).then_some(workspace);
    let materialised = Some(materialised).filter(|_| !is_recipe);
    Ok(Ready { call, before: None, bytes, flops, cells: Some(cells), workspace, results, materialised, steps: None })
}

/// Bytes of logits without padding, of the hidden layer, where there is one, and of the gradients of both, all of one type; and of the
/// lattices.
fn materialised(gpu: &Context, kind: &Kind, shape: Shape, (is_sum, dtype, gradients): (bool, DType, bool)) -> weft::Result<u64> {
    let Shape { n, t, u, h, v, .. } = shape;
    let loss = TransducerLoss::of(kind.clone()).gradients(gradients).build(gpu)?;
    // Those of a device that holds them.
    let caps = Caps { max_buffer_bytes: u64::MAX, ..gpu.caps().clone() };
    let vocab = v - kind.arcs().iter().filter_map(|arc| arc.duration).max().map_or(0, |last| last as usize + 1);
    let lattices = loss.plan(LossShape { utterances: n, frames: t, positions: u, vocab }, &caps)?.workspace_bytes();
    let row = dtype.bytes() * (v + if is_sum { 0 } else { h }) as u64 * if gradients { 2 } else { 1 };
    Ok(lattices + (n * t * u) as u64 * row)
}
