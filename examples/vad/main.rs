//! Finds speech in a recording: Silero VAD v6 on weft's kernels.
//!
//! ```text
//! cargo run --release --example vad -- FILE.wav
//! cargo run --release --example vad -- --json FILE.wav
//! cargo run --release --example vad                # a sample recording, fetched once
//! ```
//!
//! The weights are fetched on first use (`fetch/`). The adapter is chosen by `WGPU_BACKEND`,
//! `WGPU_ADAPTER_NAME` and `WGPU_POWER_PREF`.

mod audio;
mod fetch;

use anyhow::{Context as _, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use weft::speech::{Segment, SegmentOptions, Vad, segments};
use weft::{Context, ContextOptions, Error, Weights};

/// Finds speech in a WAV recording (Silero VAD v6).
#[derive(Parser)]
#[command(name = "vad", version)]
struct Arguments {
    /// The recording: WAV of any sample rate and number of channels. Without it, a sample recording.
    file: Option<PathBuf>,
    /// Prints one JSON object: device, backend, probabilities (one per 512 samples at 16 kHz), segments.
    #[arg(long)]
    json: bool,
    /// Runs on the CPU, whatever adapters there are.
    #[arg(long)]
    cpu: bool,
    /// Weights to use instead of the fetched ones (safetensors, named as `weft::speech::Vad` says).
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Fetches the weights and the sample recording, prints their paths (weights first), and ends.
    #[arg(long)]
    fetch_only: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vad: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if arguments.fetch_only {
        println!("{}\n{}", fetch::weights()?.display(), fetch::sample()?.display());
        return Ok(());
    }
    let file = arguments.file.clone().map_or_else(fetch::sample, Ok)?;
    // Before anything slow: a bad file is told at once.
    let recording = audio::Recording::open(&file, Vad::SAMPLE_RATE).with_context(|| file.display().to_string())?;
    let weights = arguments.weights.clone().map_or_else(fetch::weights, Ok)?;
    let weights = Weights::read(&weights)?;
    let context = context(arguments.cpu)?;
    let vad = Vad::load(&context, &weights)?;

    let found = find(&vad, recording).with_context(|| file.display().to_string())?;
    let caps = context.caps();
    if arguments.json {
        let segments: Vec<_> = found.segments.iter().map(|s| serde_json::json!({ "start_s": s.start_s, "end_s": s.end_s })).collect();
        println!(
            "{}",
            serde_json::json!({
                "device": caps.adapter,
                "backend": caps.backend,
                "probabilities": found.probabilities,
                "segments": segments,
            })
        );
    } else {
        report(&file, &found);
        println!("ran on {} ({}, {:?})", caps.adapter, caps.backend, caps.kind);
    }
    Ok(())
}

/// The adapter of the environment's choice, or the CPU where there is none.
fn context(cpu: bool) -> Result<Context> {
    if cpu {
        return Ok(Context::cpu());
    }
    match Context::new_blocking(ContextOptions::from_env()) {
        Ok(context) => Ok(context),
        Err(error @ (Error::NoAdapter { .. } | Error::NoDevice { .. })) => {
            eprintln!("vad: {error}\nvad: running on the CPU instead");
            Ok(Context::cpu())
        }
        Err(error) => Err(error.into()),
    }
}

struct Found {
    probabilities: Vec<f32>,
    segments: Vec<Segment>,
    /// Seconds of sound.
    seconds: f64,
    /// Time for reading, resampling and the network.
    took: Duration,
}

fn find(vad: &Vad, mut recording: audio::Recording) -> Result<Found> {
    let started = Instant::now();
    let samples = recording.samples();
    // Hidden where standard error is no terminal.
    let bar = ProgressBar::new(samples / Vad::SAMPLE_RATE as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos} of {len} s, {eta} left")?);
    let mut stream = vad.stream()?;
    let mut probabilities = Vec::with_capacity(samples as usize / Vad::FRAME);
    let mut ready = Vec::new();
    while let Some(piece) = recording.next()? {
        ready.extend(piece);
        // In large batches: one launch a layer for all frames of one.
        if ready.len() >= Vad::BATCH * Vad::FRAME {
            probabilities.extend(stream.push_blocking(&ready)?);
            ready.clear();
            bar.set_position((probabilities.len() * Vad::FRAME) as u64 / u64::from(Vad::SAMPLE_RATE));
        }
    }
    probabilities.extend(stream.push_blocking(&ready)?);
    bar.finish_and_clear();
    let segments = segments(&probabilities, samples as usize, &SegmentOptions::default());
    Ok(Found { probabilities, segments, seconds: recording.seconds(), took: started.elapsed() })
}

fn report(file: &Path, found: &Found) {
    for segment in &found.segments {
        println!("{} - {}  speech, {:.2} s", clock(segment.start_s), clock(segment.end_s), segment.end_s - segment.start_s);
    }
    if found.segments.is_empty() {
        println!("no speech");
    }
    let took = found.took.as_secs_f64();
    let factor = if found.seconds > 0.0 { took / found.seconds } else { 0.0 };
    println!("{}: {:.2} s of sound in {took:.2} s, real-time factor {factor:.4}", file.display(), found.seconds);
}

/// h:mm:ss.cc, without hours where there are none.
fn clock(seconds: f64) -> String {
    let hundredths = (seconds * 100.0).round() as u64;
    let (hours, rest) = (hundredths / 360_000, hundredths % 360_000);
    let short = format!("{:02}:{:02}.{:02}", rest / 6000, rest / 100 % 60, rest % 100);
    if hours > 0 { format!("{hours}:{short}") } else { short }
}
