//! LSTM: GPU time forward, input projection included, and CPU time of what comes before a launch a step. `cargo bench --bench recurrent`.

mod common;

use criterion::{BenchmarkId, Criterion};
use weft::recurrent::{Cell, Layer, LayerWeights, RunOptions, Tier};
use weft::{Context, Result, Tensor};

/// Numbers that are not all the same.
fn values(count: usize, scale: f32) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.71).sin() * scale).collect()
}

/// A layer of H inputs and H units.
fn layer(gpu: &Context, h: usize) -> Result<Layer> {
    let weights = values(4 * h * h, 1.0 / (h as f32).sqrt());
    let weights = LayerWeights { input_size: h, hidden_size: h, weight_ih: &weights, weight_hh: &weights, bias: None, parameters: &[] };
    Layer::new(gpu, &Cell::lstm(), &weights)
}

fn forward(criterion: &mut Criterion, gpu: &Context) -> Result<()> {
    let mut group = criterion.benchmark_group("lstm forward");
    for [t, n, h] in [[50, 1, 128], [50, 4, 128], [20, 1, 256]] {
        let x = Tensor::from_slice(gpu, &[t, n, h], &values(t * n * h, 1.0))?;
        let lstm = layer(gpu, h)?;
        let id = BenchmarkId::from_parameter(format!("T{t} N{n} H{h}"));
        common::measure(&mut group, id, || Ok(lstm.run_blocking(&x, &RunOptions::default())?.2))?;
    }
    group.finish();
    Ok(())
}

/// CPU time of a call of 500 steps with a launch each: until everything is recorded, and from there until the queue has it.
fn recording(criterion: &mut Criterion, gpu: &Context) -> Result<()> {
    let (t, n, h) = (500, 1, 64);
    let lstm = layer(gpu, h)?.with_tier(Tier::Stepped);
    let mut group = criterion.benchmark_group("lstm stepped, CPU");
    group.bench_function("plan forward T500", |bencher| bencher.iter(|| lstm.plan(t, n)));
    group.bench_function("plan training and backward T500", |bencher| bencher.iter(|| lstm.plan_training(t, n)));
    let x = Tensor::from_slice(gpu, &[t, n, h], &values(t * n * h, 1.0))?;
    common::measure_by(&mut group, BenchmarkId::from_parameter("encode forward T500"), || {
        Ok(lstm.run_blocking(&x, &RunOptions::default())?.2.encode)
    })?;
    group.finish();
    Ok(())
}

fn main() -> Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let gpu = common::context()?;
    forward(&mut criterion, &gpu)?;
    recording(&mut criterion, &gpu)?;
    criterion.final_summary();
    Ok(())
}
