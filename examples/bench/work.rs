//! What is timed: the three classic shapes of the transducer literature, and cells of usual sizes.

use super::{Bench, Case};
use serde_json::json;
use weft::lattice::{Blank, LossBatch, TransducerLoss};
use weft::recurrent::{CellWeights, Gru, Lstm};
use weft::{Error, Tensor};

/// T, U+1, V as warp-rnnt's benchmark has them, and the batch sizes to try.
const SHAPES: [([usize; 3], &[usize]); 3] =
    [([150, 40, 28], &[1, 16, 128]), ([150, 20, 5000], &[1, 16, 64, 128]), ([1500, 300, 50], &[1, 16, 32, 64])];

/// H (= input size) and N; T = 500.
const CELLS: [[usize; 2]; 6] = [[128, 1], [256, 1], [256, 16], [640, 1], [640, 16], [1024, 16]];

/// A fast stream of numbers in [-1, 1): xorshift (Marsaglia 2003).
fn noise(count: usize, mut seed: u32) -> Vec<f32> {
    let next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        (seed >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// The RNN-T loss, with and without gradient.
pub fn losses(bench: &mut Bench, quick: bool) -> weft::Result<()> {
    for ([t, u, v], batches) in SHAPES {
        let [t, u, v] = if quick { [t / 10, u / 5, v / 10] } else { [t, u, v] };
        for &n in if quick { &batches[..1] } else { batches } {
            match loss(bench, n, [t, u, v]) {
                // The largest batches do not fit into one buffer, or the card: said, not hidden.
                Err(error @ (Error::LimitExceeded { .. } | Error::OutOfMemory { .. })) => {
                    println!("rnnt n={n} t={t} u={u} v={v}: {error}");
                    bench.gpu.trim();
                }
                other => other?,
            }
        }
    }
    Ok(())
}

fn loss(bench: &mut Bench, n: usize, [t, u, v]: [usize; 3]) -> weft::Result<()> {
    let gpu = bench.gpu.clone();
    let logits = Tensor::from_slice(&gpu, &[n, t, u, v], &noise(n * t * u * v, 1))?;
    let targets: Vec<u32> = (0..n * (u - 1)).map(|i| 1 + (i * 7 % (v - 1)) as u32).collect();
    let (frames, labels) = (vec![t as u32; n], vec![u as u32 - 1; n]);
    let batch = LossBatch { logits: &logits, targets: &targets, frames: &frames, labels: &labels };
    for (direction, gradients, passes) in [("loss", false, 1.0), ("loss+grad", true, 3.0)] {
        let loss = TransducerLoss::rnnt(Blank(0)).gradients(gradients).build(&gpu)?;
        let bytes = passes * logits.bytes() as f64;
        let shape = json!({"n": n, "t": t, "u": u, "v": v});
        let case = Case { op: "rnnt", input: "logits", shape, direction, bytes, launches: if gradients { 3 } else { 2 } };
        bench.measure(case, || Ok(loss.run_blocking(&batch)?.report))?;
    }
    Ok(())
}

/// LSTM and GRU forward, input projection included.
pub fn cells(bench: &mut Bench, quick: bool) -> weft::Result<()> {
    for [h, n] in CELLS {
        let (h, n, t) = if quick { (h / 8, n.min(2), 10) } else { (h, n, 500) };
        let gpu = bench.gpu.clone();
        let x = Tensor::from_slice(&gpu, &[t, n, h], &noise(t * n * h, 2))?;
        let scale = 1.0 / (h as f32).sqrt();
        let weights: Vec<f32> = noise(8 * h * h + 8 * h, 3).into_iter().map(|w| w * scale).collect();
        let part = |gates: usize, at: usize| &weights[at * gates * h * h..][..gates * h * h];
        let bias = |gates: usize| (&weights[8 * h * h..][..gates * h], &weights[8 * h * h..][..gates * h]);
        // x, the projection written and read, y, and every weight once.
        let bytes = |gates: usize| 4.0 * (t * n * (2 * h + 2 * gates * h) + 2 * gates * h * h) as f64;
        let shape = json!({"n": n, "t": t, "i": h, "h": h, "layers": 1});
        let case =
            |op, gates| Case { op, input: "x", shape: shape.clone(), direction: "forward", bytes: bytes(gates), launches: t as u32 + 1 };
        let layer = |gates: usize| CellWeights {
            input_size: h,
            hidden_size: h,
            weight_ih: part(gates, 0),
            weight_hh: part(gates, 1),
            bias: Some(bias(gates)),
        };
        let lstm = Lstm::new(&gpu, &layer(4))?;
        bench.measure(case("lstm", 4), || Ok(lstm.forward_reported_blocking(&x, None, None)?.2))?;
        let gru = Gru::new(&gpu, &layer(3))?;
        bench.measure(case("gru", 3), || Ok(gru.forward_reported_blocking(&x, None, None)?.2))?;
    }
    Ok(())
}
