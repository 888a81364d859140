//! Memory of a transducer's joiner and loss, forward and backward: with all logits at once, and fused.
//!
//! `cargo run --release --example joint_memory`. The table is of plans alone: nothing of its size is allocated. Then a small batch goes both
//! ways on this machine's adapter, and their costs are compared.

use weft::dense::Linear;
use weft::joint::{Joiner, JointBatch, JointLoss, JointShape};
use weft::lattice::{Blank, Logits, LossBatch, LossShape, TransducerLoss};
use weft::{Caps, Context, ContextOptions, DType, Result, Tensor};

const MIB: f64 = 1024.0 * 1024.0;
/// What all must fit in: the largest batches of the table.
const ROOM: u64 = 8 << 30;
/// Larger ones are not looked for.
const MOST: usize = 2048;

/// N, T, U + 1, H and V; the first two are those of `cargo xtask bench --part joint`.
const SHAPES: [[usize; 5]; 5] =
    [[32, 188, 91, 640, 1024], [64, 500, 120, 640, 4096], [16, 150, 41, 512, 500], [16, 750, 100, 512, 5000], [16, 250, 60, 1024, 32_000]];

fn main() -> Result<()> {
    let gpu = Context::new_blocking(ContextOptions::from_env()).unwrap_or_else(|error| {
        println!("{error}\n");
        Context::cpu()
    });
    // An adapter of today: the plans of a software one would be its own.
    let caps = if gpu.caps().is_software() { Caps { max_buffer_bytes: 1 << 40, ..Caps::cpu() } } else { gpu.caps().clone() };
    println!("MiB beside inputs, weights and their gradients; the largest N up to {MOST} that takes at most {} GiB", ROOM >> 30);
    println!(
        "| N | T | U + 1 | H | V | all logits | fused f32 | fused f16 | all / f32 | N all logits | N fused f32 | N fused f16 | f32 / all |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for [n, t, u, h, v] in SHAPES {
        let output = Linear::new(&gpu, [v, h], &vec![0.0; v * h], Some(&vec![0.0; v]))?;
        let joiner = Joiner::new(None, None, output)?;
        let halves = joiner.to_f16_blocking()?;
        let whole = |n| materialised(&gpu, &caps, n, [t, u, h, v]);
        let f32s = |n| fused(&joiner, &caps, n, [t, u], DType::F32);
        let f16s = |n| fused(&halves, &caps, n, [t, u], DType::F16);
        let [a, b, c] = [whole(n)?, f32s(n)?, f16s(n)?].map(|bytes| bytes as f64 / MIB);
        let [x, y, z] = [largest(&whole)?, largest(&f32s)?, largest(&f16s)?];
        let [less, more] = [a / b, y as f64 / x.max(1) as f64];
        println!("| {n} | {t} | {u} | {h} | {v} | {a:.0} | {b:.0} | {c:.0} | {less:.0} | {x} | {y} | {z} | {more:.0} |");
    }
    both_ways(&gpu)
}

/// Bytes of logits of f32 without padding, of the hidden layer, of the gradients of both, and of lattices.
fn materialised(gpu: &Context, caps: &Caps, n: usize, [t, u, h, v]: [usize; 4]) -> Result<u64> {
    let loss = TransducerLoss::rnnt(Blank(0)).gradients(true).build(gpu)?;
    // Lattices know no vocabulary.
    let lattices = loss.plan(LossShape { utterances: n, frames: t, positions: u, vocab: 2 }, caps)?.workspace_bytes();
    let rows = (n * t * u) as u64;
    Ok(lattices + rows * 4 * (2 * v + 2 * h) as u64)
}

fn fused(joiner: &Joiner, caps: &Caps, n: usize, [t, u]: [usize; 2], dtype: DType) -> Result<u64> {
    let loss = JointLoss::new(joiner, TransducerLoss::rnnt(Blank(0)).gradients(true))?;
    let h = joiner.output().map_or(0, Linear::inputs);
    let shape = JointShape { utterances: n, frames: t, positions: u, inputs: [h, h], dtype };
    Ok(loss.plan(shape, caps)?.workspace_bytes())
}

/// The largest batch that fits. What no plan can hold does not.
fn largest(bytes: &dyn Fn(usize) -> Result<u64>) -> Result<usize> {
    let fits = |n: usize| bytes(n).is_ok_and(|bytes| bytes <= ROOM);
    let mut beyond = 1;
    while fits(beyond) {
        beyond *= 2;
        if beyond > MOST {
            return Ok(MOST);
        }
    }
    let mut most = beyond / 2;
    while beyond - most > 1 {
        let middle = usize::midpoint(most, beyond);
        if fits(middle) { most = middle } else { beyond = middle }
    }
    Ok(most)
}

/// A small batch, with all logits at once and fused.
fn both_ways(gpu: &Context) -> Result<()> {
    let [n, t, u, h, v] = [2, 12, 5, 16, 40];
    let noise = |count: usize, factor: f32| (0..count).map(|i| ((i * i) as f32 * factor).sin()).collect::<Vec<f32>>();
    let (encoder, predictor, weight) = (noise(n * t * h, 0.37), noise(n * u * h, 0.73), noise(v * h, 0.19));
    let output = Linear::new(gpu, [v, h], &weight, None)?;
    let upload = |side: usize, values: &[f32]| Tensor::from_slice(gpu, &[n, side, h], values);
    let (e, p) = (upload(t, &encoder)?, upload(u, &predictor)?);
    let targets: Vec<u32> = (0..n * (u - 1)).map(|i| 1 + i as u32 % 9).collect();
    let (frames, labels) = (vec![t as u32; n], vec![u as u32 - 1; n]);

    let loss = JointLoss::new(&Joiner::new(None, None, output.clone())?, TransducerLoss::rnnt(Blank(0)).gradients(true))?;
    let fused = loss.run_blocking(&JointBatch::new(&e, &p, &targets, &frames, &labels))?;

    let mut hidden = Vec::with_capacity(n * t * u * h);
    for cell in 0..n * t * u {
        let (position, frame) = (cell / (t * u) * u + cell % u, cell / u);
        hidden.extend((0..h).map(|column| (encoder[frame * h + column] + predictor[position * h + column]).tanh()));
    }
    let logits = output.forward_blocking(&Tensor::from_slice(gpu, &[n, t, u, h], &hidden)?)?;
    let whole = TransducerLoss::rnnt(Blank(0)).build(gpu)?;
    let whole = whole.run_blocking(&LossBatch::new(Logits::padded(&logits), &targets, &frames, &labels))?;
    println!("\n{}: costs fused {:?}, with all logits {:?}", gpu.caps().adapter, fused.costs, whole.costs);
    Ok(())
}
