//! The RNN-T loss from logits, with gradient. `cargo bench --bench loss`.

mod common;

use criterion::{BenchmarkId, Criterion};
use weft::lattice::{Blank, Logits, LossBatch, TransducerLoss};
use weft::{Result, Tensor};

fn loss(criterion: &mut Criterion) -> Result<()> {
    let gpu = common::context()?;
    let mut group = criterion.benchmark_group("rnnt loss+grad");
    // Smaller than the classic shapes, so that a software adapter ends too; those are in `cargo xtask bench`.
    for [n, t, u, v] in [[1, 50, 20, 28], [4, 50, 10, 500], [1, 200, 60, 50]] {
        let values: Vec<f32> = (0..n * t * u * v).map(|i| (i as f32 * 0.37).sin()).collect();
        let logits = Tensor::from_slice(&gpu, &[n, t, u, v], &values)?;
        let targets = vec![1; n * (u - 1)];
        let (frames, labels) = (vec![t as u32; n], vec![u as u32 - 1; n]);
        let batch = LossBatch::new(Logits::padded(&logits), &targets, &frames, &labels);
        let loss = TransducerLoss::rnnt(Blank(0)).gradients(true).build(&gpu)?;
        let id = BenchmarkId::from_parameter(format!("N{n} T{t} U{u} V{v}"));
        common::measure(&mut group, id, || Ok(loss.run_blocking(&batch)?.report))?;
    }
    group.finish();
    Ok(())
}

fn main() -> Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    loss(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
