//! The recurrent cells, input projection included: forward, and forward with backward.

use super::case::{Case, Labels, Ready};
use weft::recurrent::{Cell, Layer, LayerWeights, RunOptions, TrainOptions};
use weft::{Context, RunReport, Tensor};

/// H (= input size) and N; T = 500.
const SIZES: &[[usize; 2]] = &[[64, 1], [128, 1], [256, 1], [256, 16], [512, 16], [640, 1], [640, 16], [1024, 1], [1024, 16], [1024, 64]];
/// Sizes of cells with norms or other products, and of LiGRU and SLi-GRU as its authors measured them.
const MORE_SIZES: &[[usize; 2]] = &[[256, 16], [512, 1], [512, 16], [1024, 16]];
const QUICK_SIZES: &[[usize; 2]] = &[[16, 1], [32, 2]];

/// Every case of the table, in its order.
pub fn cases(quick: bool) -> Vec<Case> {
    let t = if quick { 10 } else { 500 };
    let sizes = if quick { QUICK_SIZES } else { SIZES };
    let cells = [("lstm", Cell::lstm as fn() -> Cell), ("gru", Cell::gru), ("li-gru", Cell::li_gru)];
    let each =
        |&[h, n]: &[usize; 2]| cells.into_iter().flat_map(move |(op, cell)| [false, true].map(|trains| case(op, cell, trains, [t, n, h])));
    let more = [
        ("sli-gru", Cell::sli_gru as fn() -> Cell),
        ("layer-norm-lstm", Cell::layer_norm_lstm),
        ("layer-norm-gru", Cell::layer_norm_gru),
        ("gru-reset-before", Cell::gru_reset_before),
        ("min-gru", || Cell::min_gru(false)),
    ];
    let more_sizes = if quick { QUICK_SIZES } else { MORE_SIZES };
    let others = more_sizes
        .iter()
        .flat_map(|&[h, n]| more.into_iter().flat_map(move |(op, cell)| [false, true].map(|trains| case(op, cell, trains, [t, n, h]))));
    sizes.iter().flat_map(each).chain(others).collect()
}

fn case(op: &'static str, cell: fn() -> Cell, trains: bool, [t, n, h]: [usize; 3]) -> Case {
    let direction = if trains { "forward+backward" } else { "forward" };
    let labels = Labels { op, input: "x", dtype: "f32", layout: "padded", lengths: "full", data: "flat", direction };
    let prepare = Box::new(move |gpu: &Context| ready(gpu, &cell(), trains, [t, n, h]));
    Case { labels, shape: vec![("h", h), ("t", t), ("n", n)], prepare }
}

fn ready(gpu: &Context, cell: &Cell, trains: bool, [t, n, h]: [usize; 3]) -> weft::Result<Ready> {
    let x = Tensor::from_slice(gpu, &[t, n, h], &noise(t * n * h, 1, 1.0))?;
    let [gates, rows] = [cell.gates().len(), cell.recurrent().len()];
    let scale = 1.0 / (h as f32).sqrt();
    let (weight_ih, weight_hh) = (noise(gates * h * h, 2, scale), noise(rows * h * h, 3, scale));
    let bias = noise(gates.max(rows) * h, 4, scale);
    let bias = Some((&bias[..gates * h], &bias[..rows * h]));
    let ones = vec![1.0; 4 * h];
    let names = LayerWeights::parameters_of(cell);
    let parameters: Vec<(&str, &[f32])> = names.iter().map(|(name, vectors)| (&**name, &ones[..vectors * h])).collect();
    let weights =
        LayerWeights { input_size: h, hidden_size: h, weight_ih: &weight_ih, weight_hh: &weight_hh, bias, parameters: &parameters };
    let layer = Layer::new(gpu, cell, &weights)?;
    // x, the projection written and read, y, and every weight once; backward three times that.
    let bytes = 4.0 * (t * n * (2 * h + 2 * gates * h) + (gates + rows) * h * h) as f64 * if trains { 4.0 } else { 1.0 };
    let results = x.bytes() * if trains { 2 } else { 1 };
    let call: Box<dyn FnMut() -> weft::Result<RunReport>> = match trains {
        false => Box::new(move || Ok(layer.run_blocking(&x, &RunOptions::default())?.2)),
        true => {
            let dy = Tensor::from_slice(gpu, &[t, n, h], &noise(t * n * h, 5, 1.0))?;
            Box::new(move || {
                let (_, _, tape) = layer.train_blocking(&x, &TrainOptions::default())?;
                let mut report = *tape.report();
                report.add(&layer.backward_blocking(&tape, &dy, None)?.report);
                Ok(report)
            })
        }
    };
    Ok(Ready { call, before: None, bytes, flops: None, cells: None, workspace: None, results })
}

/// A fast stream of numbers in [-scale, scale): xorshift (Marsaglia 2003).
pub fn noise(count: usize, mut seed: u32, scale: f32) -> Vec<f32> {
    let next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        ((seed >> 8) as f32 / (1u32 << 23) as f32 - 1.0) * scale
    };
    std::iter::repeat_with(next).take(count).collect()
}
