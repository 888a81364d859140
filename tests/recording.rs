//! How the `vad` example reads recordings: formats, channels, rates, and files that are none.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../examples/vad/audio.rs"]
mod audio;

use audio::Recording;
use hound::{SampleFormat, WavSpec, WavWriter};
use std::f64::consts::TAU;
use std::fs;
use std::path::{Path, PathBuf};

const RATE: u32 = 16_000;

/// A file that goes away with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("weft-{}-{name}", std::process::id())))
    }

    fn bytes(name: &str, bytes: &[u8]) -> Self {
        let file = Self::new(name);
        fs::write(&file.0, bytes).unwrap();
        file
    }

    /// `frames` of as many values as there are channels, full scale ±1.
    fn wav(name: &str, spec: WavSpec, frames: impl Iterator<Item = Vec<f64>>) -> Self {
        let file = Self::new(name);
        let mut writer = WavWriter::create(&file.0, spec).unwrap();
        for value in frames.flatten() {
            match spec.sample_format {
                SampleFormat::Float => writer.write_sample(value as f32).unwrap(),
                SampleFormat::Int => {
                    let scale = (1u64 << (spec.bits_per_sample - 1)) as f64;
                    writer.write_sample((value * scale).round().clamp(-scale, scale - 1.0) as i32).unwrap();
                }
            }
        }
        writer.finalize().unwrap();
        file
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16, sample_format: SampleFormat) -> WavSpec {
    WavSpec { channels, sample_rate, bits_per_sample, sample_format }
}

fn read(path: &Path) -> anyhow::Result<Vec<f32>> {
    let mut recording = Recording::open(path, RATE)?;
    let mut samples = Vec::new();
    while let Some(piece) = recording.next()? {
        samples.extend(piece);
    }
    assert_eq!(samples.len() as u64, recording.samples());
    Ok(samples)
}

fn complaint(path: &Path) -> String {
    format!("{:#}", read(path).unwrap_err())
}

/// A tone of 200 Hz, half of full scale.
fn tone(rate: u32) -> impl Fn(usize) -> f64 {
    move |i| 0.5 * (TAU * 200.0 * i as f64 / f64::from(rate)).sin()
}

#[test]
fn every_sample_format_reads_the_same() {
    let formats =
        [(8, SampleFormat::Int), (16, SampleFormat::Int), (24, SampleFormat::Int), (32, SampleFormat::Int), (32, SampleFormat::Float)];
    let value = tone(RATE);
    for (bits, format) in formats {
        let file = File::wav(&format!("{bits}-{format:?}"), spec(1, RATE, bits, format), (0..1000).map(|i| vec![value(i)]));
        // Half a step of the format, and the rounding of f32.
        let tolerance = 0.51 / (1u64 << (bits - 1)) as f64 + 1e-7;
        let samples = read(&file.0).unwrap();
        assert_eq!(samples.len(), 1000);
        for (i, &sample) in samples.iter().enumerate() {
            assert!((f64::from(sample) - value(i)).abs() <= tolerance, "{bits} bit {format:?} [{i}]: {sample}, expected {}", value(i));
        }
    }
}

#[test]
fn channels_are_averaged() {
    let value = tone(RATE);
    let file = File::wav("three", spec(3, RATE, 32, SampleFormat::Float), (0..500).map(|i| vec![value(i), 0.25, -value(i) / 2.0]));
    for (i, &sample) in read(&file.0).unwrap().iter().enumerate() {
        assert!((f64::from(sample) - (value(i) / 2.0 + 0.25) / 3.0).abs() < 1e-6);
    }
}

#[test]
fn any_rate_keeps_time_and_length() {
    // The resampler's filter delays by half a sample of one of the two rates at some ratios, and what is cut
    // off at the begin is whole samples: so much is left, seconds.
    let half = |rate: u32| 0.5 / f64::from(rate);
    let rates = [
        (8_000, 0.0),
        (11_025, half(11_025)),
        (22_050, half(22_050)),
        (44_099, half(44_099)),
        (44_100, half(44_100)),
        (48_000, 0.0),
        (96_000, half(RATE)),
    ];
    for (rate, delay) in rates {
        // Over a second, so that the file is read in several blocks.
        let frames = rate as usize * 5 / 4 + 7;
        let value = tone(rate);
        let file = File::wav(&format!("rate-{rate}"), spec(1, rate, 32, SampleFormat::Float), (0..frames).map(|i| vec![value(i)]));
        let samples = read(&file.0).unwrap();
        assert_eq!(samples.len(), (frames * RATE as usize).div_ceil(rate as usize), "{rate} Hz");
        // Away from the ends, where the tone begins and stops. Its slope is at most 0.5 * 2 pi * 200 a second.
        let (expected, tolerance) = (tone(RATE), 100.0 * TAU * delay + 1e-5);
        for (i, &sample) in samples.iter().enumerate().skip(1000).take(samples.len() - 2000) {
            assert!((f64::from(sample) - expected(i)).abs() < tolerance, "{rate} Hz [{i}]: {sample}, expected {}", expected(i));
        }
    }
}

#[test]
fn nothing_in_it_is_no_error() {
    for rate in [RATE, 44_100] {
        let file = File::wav(&format!("nothing-{rate}"), spec(1, rate, 16, SampleFormat::Int), std::iter::empty());
        assert!(read(&file.0).unwrap().is_empty());
    }
    // Shorter than the resampler's filter.
    let file = File::wav("short", spec(2, 44_100, 16, SampleFormat::Int), (0..3).map(|_| vec![0.1, 0.1]));
    assert_eq!(read(&file.0).unwrap().len(), 2);
}

#[test]
fn what_is_no_recording_is_told() {
    let said = complaint(Path::new("no-such-file.wav"));
    assert!(said.contains("cannot open"), "{said}");
    assert!(complaint(&std::env::temp_dir()).contains("folder"));
    assert!(complaint(&File::bytes("empty", b"").0).contains("empty"));
    let said = complaint(&File::bytes("text", b"speech, but as text, and long enough for a header").0);
    assert!(said.contains("not a WAV recording"), "{said}");

    let whole = File::wav("whole", spec(1, RATE, 16, SampleFormat::Int), (0..8000).map(|_| vec![0.1]));
    let bytes = fs::read(&whole.0).unwrap();
    for length in [1, 20, 43] {
        let said = complaint(&File::bytes(&format!("cut-{length}"), &bytes[..length]).0);
        assert!(said.contains("not a WAV recording"), "{length} B: {said}");
    }
    for length in [44, 45, 9001, bytes.len() - 1] {
        let said = complaint(&File::bytes(&format!("cut-{length}"), &bytes[..length]).0);
        assert!(said.contains("truncated") && said.contains("0.50 s"), "{length} B: {said}");
    }

    // A header that says nonsense: bytes 22 (channels), 24 (rate), 34 (bits a sample).
    for (at, value) in [(22, &[0, 0][..]), (24, &[0, 0, 0, 0]), (24, &[255; 4]), (34, &[0, 0]), (34, &[255, 255])] {
        let mut broken = bytes.clone();
        broken[at..at + value.len()].copy_from_slice(value);
        assert!(!complaint(&File::bytes(&format!("broken-{at}-{}", value[0]), &broken).0).is_empty());
    }
}

#[test]
fn a_sample_that_is_no_number_is_named_by_its_time() {
    for bad in [f64::NAN, f64::INFINITY] {
        let value = move |i: usize| if i == 4000 { bad } else { 0.0 };
        let file = File::wav(&format!("bad-{bad}"), spec(2, 8000, 32, SampleFormat::Float), (0..8000).map(|i| vec![0.0, value(i)]));
        let said = complaint(&file.0);
        assert!(said.contains("0.500 s"), "{said}");
    }
}
