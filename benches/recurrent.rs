//! LSTM forward, input projection included. `cargo bench --bench recurrent`.

mod common;

use criterion::{BenchmarkId, Criterion};
use weft::recurrent::{Cell, Layer, LayerWeights, RunOptions};
use weft::{Result, Tensor};

fn lstm(criterion: &mut Criterion) -> Result<()> {
    let gpu = common::context()?;
    let mut group = criterion.benchmark_group("lstm forward");
    for [t, n, h] in [[50, 1, 128], [50, 4, 128], [20, 1, 256]] {
        let values = |count: usize, scale: f32| -> Vec<f32> { (0..count).map(|i| (i as f32 * 0.71).sin() * scale).collect() };
        let x = Tensor::from_slice(&gpu, &[t, n, h], &values(t * n * h, 1.0))?;
        let weights = values(4 * h * h, 1.0 / (h as f32).sqrt());
        let layer = LayerWeights { input_size: h, hidden_size: h, weight_ih: &weights, weight_hh: &weights, bias: None, parameters: &[] };
        let lstm = Layer::new(&gpu, &Cell::lstm(), &layer)?;
        let id = BenchmarkId::from_parameter(format!("T{t} N{n} H{h}"));
        common::measure(&mut group, id, || Ok(lstm.run_blocking(&x, &RunOptions::default())?.2))?;
    }
    group.finish();
    Ok(())
}

fn main() -> Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    lstm(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
