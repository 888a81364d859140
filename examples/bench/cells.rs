//! The recurrent cells, input projection included: forward, and forward with backward.

use super::case::{Case, Labels, Ready, Steps};
use std::time::{Duration, Instant};
use weft::dense::convert_blocking;
use weft::recurrent::{Cell, Layer, LayerWeights, Plan, RunOptions, Tier, TrainOptions};
use weft::{Context, DType, RunReport, Tensor};

/// H (= input size) and N; T = 500.
const SIZES: &[[usize; 2]] = &[[256, 1], [256, 16], [512, 16], [640, 1], [640, 16], [1024, 1], [1024, 16], [1024, 64]];
/// Sizes of cells with norms or other products, of each tier by name, and of ragged batches.
const MORE_SIZES: &[[usize; 2]] = &[[256, 16], [512, 16], [1024, 16]];
const TIER_SIZES: &[[usize; 2]] =
    &[[64, 1], [64, 16], [128, 1], [256, 1], [256, 16], [512, 1], [512, 16], [640, 1], [640, 16], [1024, 1], [1024, 16], [1024, 64]];
/// Beyond this H the local tier takes hundreds of milliseconds.
const MOST_LOCAL: usize = 256;
const RAGGED_SIZES: &[[usize; 2]] = &[[256, 16], [640, 16], [1024, 64]];
/// Sizes in f16.
const HALF_SIZES: &[[usize; 2]] = &[[256, 16], [512, 16], [640, 16], [1024, 16], [1024, 64]];
const QUICK_SIZES: &[[usize; 2]] = &[[16, 1], [32, 2]];

const TIERS: [(&str, Tier); 3] = [("lstm-stepped", Tier::Stepped), ("lstm-local", Tier::Local), ("lstm-persistent", Tier::Persistent)];

/// One layer that is timed: its cell and how it is called.
#[derive(Clone, Copy)]
struct Row {
    op: &'static str,
    cell: fn() -> Cell,
    tier: Option<Tier>,
    dtype: DType,
    ragged: bool,
    trains: bool,
}

/// Every case of the table, in its order.
pub fn cases(quick: bool) -> Vec<Case> {
    let t = if quick { 10 } else { 500 };
    let row = |op, cell| Row { op, cell, tier: None, dtype: DType::F32, ragged: false, trains: false };
    let plain = [row("lstm", Cell::lstm as fn() -> Cell), row("gru", Cell::gru), row("li-gru", Cell::li_gru)];
    let more = [
        row("sli-gru", Cell::sli_gru as fn() -> Cell),
        row("layer-norm-lstm", Cell::layer_norm_lstm),
        row("layer-norm-gru", Cell::layer_norm_gru),
        row("gru-reset-before", Cell::gru_reset_before),
        row("min-gru", || Cell::min_gru(false)),
    ];
    let halves = plain.map(|row| Row { dtype: DType::F16, ..row });
    let ragged = [Row { ragged: true, ..plain[0] }];
    let tiers = TIERS.map(|(op, tier)| Row { tier: Some(tier), ..row(op, Cell::lstm) });
    let mut cases = Vec::new();
    for (sizes, rows) in [(SIZES, &plain[..]), (HALF_SIZES, &halves), (RAGGED_SIZES, &ragged), (MORE_SIZES, &more), (TIER_SIZES, &tiers)] {
        for &[h, n] in if quick { QUICK_SIZES } else { sizes } {
            let rows = rows.iter().filter(|row| row.tier != Some(Tier::Local) || h <= MOST_LOCAL);
            let both = rows.flat_map(|&row| [false, true].map(|trains| Row { trains, ..row }));
            cases.extend(both.map(|row| case(row, [t, n, h])));
        }
    }
    cases
}

fn case(row: Row, [t, n, h]: [usize; 3]) -> Case {
    let direction = if row.trains { "forward+backward" } else { "forward" };
    let lengths = if row.ragged { "ragged" } else { "full" };
    let labels = Labels {
        op: row.op,
        input: "x",
        dtype: if row.dtype == DType::F16 { "f16" } else { "f32" },
        layout: "padded",
        lengths,
        data: "flat",
        direction,
    };
    Case { labels, shape: vec![("h", h), ("t", t), ("n", n)], prepare: Box::new(move |gpu: &Context| ready(gpu, row, [t, n, h])) }
}

/// A layer of noise, I = input size.
pub fn layer(gpu: &Context, cell: &Cell, [i, h]: [usize; 2]) -> weft::Result<Layer> {
    let [gates, rows] = [cell.gates().len(), cell.recurrent().len()];
    let scale = 1.0 / (h as f32).sqrt();
    let (weight_ih, weight_hh) = (noise(gates * h * i, 2, scale), noise(rows * h * h, 3, scale));
    let bias = noise(gates.max(rows) * h, 4, scale);
    let bias = Some((&bias[..gates * h], &bias[..rows * h]));
    let ones = vec![1.0; 4 * h];
    let names = LayerWeights::parameters_of(cell);
    let parameters: Vec<(&str, &[f32])> = names.iter().map(|(name, vectors)| (&**name, &ones[..vectors * h])).collect();
    let weights =
        LayerWeights { input_size: i, hidden_size: h, weight_ih: &weight_ih, weight_hh: &weight_hh, bias, parameters: &parameters };
    Layer::new(gpu, cell, &weights)
}

/// Least bytes and arithmetic of a layer's call: x, the projection written and read, y, and every weight once; the products. Backward
/// twice as much again: gradients of each factor.
pub fn least(layer: &Layer, frames: usize, trains: bool) -> [f64; 2] {
    let (i, h) = (layer.input_size(), layer.hidden_size());
    let [gates, rows] = [layer.cell().gates().len(), layer.cell().recurrent().len()];
    let weights = gates * h * i + rows * h * h;
    let bytes = 4 * (frames * (i + h + 2 * gates * h) + weights);
    let flops = 2 * frames * weights;
    [bytes, flops].map(|count| count as f64 * if trains { 3.0 } else { 1.0 })
}

/// What takes the steps of layers, one after the other.
pub fn steps(layers: &[Layer], [t, n]: [usize; 2], frames: usize, trains: bool) -> weft::Result<Steps> {
    let plans = || -> weft::Result<Vec<Plan>> {
        let mut plans = Vec::new();
        for layer in layers.iter() {
            match trains {
                false => plans.push(layer.plan(t, n)?),
                true => plans.extend(layer.plan_training(t, n)?),
            }
        }
        Ok(plans)
    };
    let all: Vec<_> = plans()?.iter().map(Plan::explain).collect();
    let mut tiers: Vec<&str> = all.iter().map(|one| one.tier.name()).collect();
    tiers.dedup();
    let waits = all.iter().filter(|one| one.tier == Tier::Persistent).map(|one| one.serial_steps).sum();
    let time = |_| -> weft::Result<Duration> {
        let before = Instant::now();
        plans()?;
        Ok(before.elapsed())
    };
    let mut times = (0..9).map(time).collect::<weft::Result<Vec<_>>>()?;
    times.sort();
    Ok(Steps { tiers: tiers.join(", "), waits, frames: frames as u64, plan: times[times.len() / 2] })
}

fn ready(gpu: &Context, row: Row, [t, n, h]: [usize; 3]) -> weft::Result<Ready> {
    let x = convert_blocking(&Tensor::from_slice(gpu, &[t, n, h], &noise(t * n * h, 1, 1.0))?, row.dtype)?;
    let layer = layer(gpu, &(row.cell)(), [h, h])?.with_tier(row.tier);
    let layer = if row.dtype == DType::F16 { layer.to_f16_blocking()? } else { layer };
    // From the whole down to half of it.
    let lengths: Vec<usize> = (0..n).map(|i| if row.ragged { t - i * t / (2 * n.max(2) - 2) } else { t }).collect();
    let frames = lengths.iter().sum();
    let [bytes, flops] = least(&layer, frames, row.trains);
    let results = x.bytes() * if row.trains { 2 } else { 1 };
    let timed = layer.clone();
    let call: Box<dyn FnMut() -> weft::Result<RunReport>> = match row.trains {
        false => Box::new(move || Ok(timed.run_blocking(&x, &RunOptions { lengths: Some(&lengths), ..RunOptions::default() })?.2)),
        true => {
            let dy = Tensor::from_slice(gpu, &[t, n, h], &noise(t * n * h, 5, 1.0))?;
            Box::new(move || {
                let run = RunOptions { lengths: Some(&lengths), ..RunOptions::default() };
                let (_, _, tape) = timed.train_blocking(&x, &TrainOptions { run, ..TrainOptions::default() })?;
                let mut report = *tape.report();
                report.add(&timed.backward_blocking(&tape, &dy, None)?.report);
                Ok(report)
            })
        }
    };
    let steps = move || steps(std::slice::from_ref(&layer), [t, n], frames, row.trains);
    let steps: Box<dyn Fn() -> weft::Result<Steps>> = Box::new(steps);
    Ok(Ready {
        call,
        before: None,
        bytes,
        flops: Some(flops),
        cells: None,
        workspace: None,
        results,
        materialised: None,
        steps: Some(steps),
    })
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
