//! The CTC loss, at the shape of a long utterance with a large vocabulary.

use super::case::{self, Case, Labels, Ready};
use super::fill::{self, Block, Data, Filler, Look};

use weft::lattice::{Blank, CtcBatch, CtcLoss, Gradients};
use weft::{Context, DType, Tensor};

/// N, T, U = labels + 1, V.
const SHAPES: &[[usize; 4]] = &[[1, 1500, 300, 5000], [32, 1500, 300, 5000]];
const QUICK_SHAPES: &[[usize; 4]] = &[[2, 60, 20, 100]];

const DIRECTIONS: [(&str, Gradients); 3] =
    [("loss", Gradients::None), ("loss+grad", Gradients::Separate), ("loss+grad-in-place", Gradients::InPlace)];

/// Every case of the table, in its order.
pub fn cases(quick: bool) -> Vec<Case> {
    let shapes = if quick { QUICK_SHAPES } else { SHAPES };
    let mut cases = Vec::new();
    for dtype in [DType::F32, DType::F16] {
        for &shape in shapes {
            cases.extend(DIRECTIONS.map(|direction| case(shape, dtype, Data::Flat, direction)));
        }
    }
    cases.extend(shapes.iter().map(|&shape| case(shape, DType::F32, Data::CtcBand, DIRECTIONS[1])));
    cases
}

fn case([n, t, u, v]: [usize; 4], dtype: DType, data: Data, (direction, gradients): (&'static str, Gradients)) -> Case {
    let look = if data == Data::Flat { "flat" } else { "band" };
    let name = if dtype == DType::F16 { "f16" } else { "f32" };
    let labels = Labels { op: "ctc", input: "logits", dtype: name, layout: "padded", lengths: "full", data: look, direction };
    let prepare = Box::new(move |gpu: &Context| ready(gpu, [n, t, u, v], dtype, data, gradients));
    Case { labels, shape: vec![("t", t), ("u", u), ("v", v), ("n", n)], prepare }
}

fn ready(gpu: &Context, [n, t, u, v]: [usize; 4], dtype: DType, data: Data, gradients: Gradients) -> weft::Result<Ready> {
    let loss = CtcLoss::new(Blank(0)).gradients(gradients).build(gpu)?;
    let logits = Tensor::empty(gpu, &[n, t, v], dtype)?;
    let filler = Filler::new(gpu)?;
    let block =
        |utterance: usize| Block { utterance, first: (utterance * t * v) as u64, sides: [t, 1, v], frames: t as u32, labels: u as u32 - 1 };
    let blocks: Vec<Block> = (0..n).map(block).collect();
    let filled = logits.clone();
    let fill = move || filler.fill(&filled, &blocks, Look { data, labelled: v, durations: 0, offset: 0.0 });
    fill()?;
    let targets: Vec<u32> = (0..n).flat_map(|i| (0..u - 1).map(move |j| fill::label(i, j, v))).collect();
    let (frames, labels) = (vec![t as u32; n], vec![u as u32 - 1; n]);
    let workspace = loss.plan_batch(&CtcBatch::new(&logits, &targets, &frames, &labels))?.workspace_bytes();
    let size = logits.bytes();
    let passes = if gradients == Gradients::None { 1 } else { 3 };
    let call = move || {
        let out = loss.run_blocking(&CtcBatch::new(&logits, &targets, &frames, &labels))?;
        case::all_ok(&out.status, &out.costs, out.report)
    };
    let before: Option<Box<dyn Fn() -> weft::Result<()>>> = if gradients == Gradients::InPlace { Some(Box::new(fill)) } else { None };
    Ok(Ready {
        call: Box::new(call),
        before,
        bytes: (passes * size) as f64,
        cells: Some((n * t * (2 * u - 1)) as u64),
        flops: None,
        workspace: Some(workspace),
        results: if gradients == Gradients::Separate { size } else { 0 },
        materialised: None,
        steps: None,
    })
}
