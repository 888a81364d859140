//! Forced alignment: where in the frames is each label?
//!
//! `cargo run --release --example align [FRAMES LABELS]` aligns random scores, and says what each analysis takes.

use std::time::Instant;
use weft::lattice::{Blank, Logits, LossBatch, TransducerLoss};
use weft::{Context, ContextOptions, Result, Tensor};

fn main() -> Result<()> {
    let gpu = Context::new_blocking(ContextOptions::from_env()).unwrap_or_else(|error| {
        println!("{error}\n");
        Context::cpu()
    });
    let sides: Vec<usize> = std::env::args().skip(1).filter_map(|side| side.parse().ok()).collect();
    let (frames, labels) = if let &[frames, labels] = &sides[..] { (frames, labels) } else { (12, 4) };

    // A model's scores [N, T, U + 1, V] of one utterance, and its transcript.
    let scores: Vec<f32> = (0..frames * (labels + 1) * 8).map(|i| ((i * i) as f32 * 0.37).sin() * 3.0).collect();
    let logits = Tensor::from_slice(&gpu, &[1, frames, labels + 1, 8], &scores)?;
    let transcript: Vec<u32> = (0..labels as u32).map(|u| 1 + u % 7).collect();

    let loss = TransducerLoss::rnnt(Blank(0)).build(&gpu)?;
    let lengths = ([frames as u32], [labels as u32]);
    let batch = LossBatch::new(Logits::padded(&logits), &transcript, &lengths.0, &lengths.1);
    let start = Instant::now();
    let lattices = loss.lattice_blocking(&batch)?;
    println!("lattice on {}, kept and read back: {:?}", gpu.caps().adapter, start.elapsed());

    for (n, lattice) in (0..lattices.len()).filter_map(|n| lattices.get(n)).enumerate() {
        let start = Instant::now();
        let Some(best) = lattice.best_path() else {
            println!("utterance {n}: {:?}", lattice.status());
            continue;
        };
        println!("best path: {:?}", start.elapsed());
        println!("label  frame  posterior  mean frame");
        for ((label, emission), mean) in transcript.iter().zip(&best.emissions).zip(lattice.expected_frames()).take(20) {
            println!("{label:5}  {:5}  {:9.3}  {mean:10.2}", emission.frame, emission.posterior);
        }
        println!("log P(path, transcript) = {:.3}, log P(path | transcript) = {:.3}", best.log_prob, best.log_posterior);

        let start = Instant::now();
        let entropy = lattice.entropy().unwrap_or_default();
        println!("entropy of the alignment: {entropy:.3} nats ({:?})", start.elapsed());
        let start = Instant::now();
        let others = lattice.k_best(10);
        println!("10 best: from {:.3} to {:.3} ({:?})", best.log_prob, others[others.len() - 1].log_prob, start.elapsed());
        let start = Instant::now();
        let samples = lattice.sample(100, 1);
        let mean = samples.iter().filter_map(|path| path.emissions.first()).map(|first| f64::from(first.frame)).sum::<f64>() / 100.0;
        println!("100 samples: the first label in frame {mean:.2} on average ({:?})", start.elapsed());
    }
    Ok(())
}
