//! Reads a WAV file as a stream of mono samples at the rate of the network, piece by piece: an hour of
//! sound takes no more memory than a minute.

use anyhow::{Context as _, Result, bail, ensure};
use hound::{SampleFormat, WavReader, WavSpec};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Sample rates that sound cards know, with room on both sides. A header with another is broken.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// Frames that are read from the file at a time.
const BLOCK: usize = 1 << 15;

/// A recording on its way to mono at `rate`.
pub struct Recording {
    reader: WavReader<BufReader<File>>,
    spec: WavSpec,
    rate: u32,
    resampler: Option<Stretch>,
    /// Frames of the file.
    frames: u64,
    /// Frames read.
    read: u64,
}

impl Recording {
    /// Opens a WAV file: integers of 8 to 32 bit or 32-bit floats, any rate, any number of channels.
    pub fn open(path: &Path, rate: u32) -> Result<Self> {
        let file = std::fs::metadata(path).context("cannot open it")?;
        ensure!(!file.is_dir(), "a folder, not a WAV recording");
        ensure!(!file.is_file() || file.len() > 0, "the file is empty");
        let reader = WavReader::open(path).map_err(|error| match error {
            hound::Error::IoError(io) => anyhow::Error::new(io).context("not a WAV recording, or cut short within its header"),
            hound::Error::FormatError(reason) => {
                anyhow::anyhow!("not a WAV recording ({reason}); convert it, as with `ffmpeg -i FILE out.wav`")
            }
            other => anyhow::anyhow!("a kind of WAV that cannot be read ({other}); convert it, as with `ffmpeg -i FILE out.wav`"),
        })?;
        let spec = reader.spec();
        ensure!(spec.channels > 0, "the header says 0 channels");
        ensure!(
            RATES.contains(&spec.sample_rate),
            "the header says {} Hz; expected {} to {}",
            spec.sample_rate,
            RATES.start(),
            RATES.end()
        );
        let frames = u64::from(reader.duration());
        let resampler = if spec.sample_rate == rate { None } else { Some(Stretch::new(spec.sample_rate, rate, frames)?) };
        Ok(Self { reader, spec, rate, resampler, frames, read: 0 })
    }

    /// Seconds of sound.
    pub fn seconds(&self) -> f64 {
        self.frames as f64 / f64::from(self.spec.sample_rate)
    }

    /// Samples at the target rate, in all.
    pub fn samples(&self) -> u64 {
        resampled(self.frames, self.spec.sample_rate, self.rate)
    }

    /// The next samples at the target rate; none at the end.
    pub fn next(&mut self) -> Result<Option<Vec<f32>>> {
        let wanted = (self.frames - self.read).min(BLOCK as u64) as usize;
        if wanted == 0 {
            return match self.resampler.take() {
                Some(resampler) => resampler.finish().map(Some),
                None => Ok(None),
            };
        }
        let mono = self.mono(wanted)?;
        self.read += wanted as u64;
        match &mut self.resampler {
            Some(resampler) => resampler.push(&mono).map(Some),
            None => Ok(Some(mono)),
        }
    }

    /// The mean over the channels of the next `frames` frames.
    fn mono(&mut self, frames: usize) -> Result<Vec<f32>> {
        let wanted = frames * usize::from(self.spec.channels);
        let values: Result<Vec<f32>, hound::Error> = match self.spec.sample_format {
            SampleFormat::Float => self.reader.samples::<f32>().take(wanted).collect(),
            SampleFormat::Int => {
                let scale = 1.0 / (1u64 << (self.spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
                self.reader.samples::<i32>().take(wanted).map(|s| s.map(|s| s as f32 * scale)).collect()
            }
        };
        let values = match values {
            Ok(values) => values,
            Err(hound::Error::IoError(_)) => bail!(self.truncated()),
            Err(other) => {
                bail!("{} bits a sample cannot be read ({other}); convert it, as with `ffmpeg -i FILE out.wav`", self.spec.bits_per_sample)
            }
        };
        ensure!(values.len() == wanted, self.truncated());
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            let frame = self.read + at as u64 / u64::from(self.spec.channels);
            bail!("the sample at {:.3} s is {}, not a number", frame as f64 / f64::from(self.spec.sample_rate), values[at]);
        }
        let share = 1.0 / f32::from(self.spec.channels);
        Ok(values.chunks_exact(usize::from(self.spec.channels)).map(|frame| frame.iter().sum::<f32>() * share).collect())
    }

    fn truncated(&self) -> String {
        format!("the recording is truncated: its header promises {:.2} s", self.seconds())
    }
}

/// Frames after resampling.
fn resampled(frames: u64, from: u32, to: u32) -> u64 {
    (u128::from(frames) * u128::from(to)).div_ceil(u128::from(from)) as u64
}

/// A resampler whose output begins where the input begins and has the length that the rates say.
struct Stretch {
    inner: Fft<f32>,
    pending: Vec<f32>,
    /// Samples of the filter's delay that are still to be dropped.
    skip: usize,
    /// Samples still to come.
    left: u64,
}

impl Stretch {
    fn new(from: u32, to: u32, frames: u64) -> Result<Self> {
        let inner = Fft::new(from as usize, to as usize, 1024, 1, FixedSync::Both)
            .with_context(|| format!("cannot resample from {from} to {to} Hz"))?;
        let skip = inner.output_delay();
        Ok(Self { inner, pending: Vec::new(), skip, left: resampled(frames, from, to) })
    }

    fn push(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        self.pending.extend_from_slice(samples);
        let step = self.inner.input_frames_next();
        let whole = self.pending.len() / step * step;
        let mut out = Vec::new();
        for start in (0..whole).step_by(step) {
            self.process(start..start + step, &mut out)?;
        }
        self.pending.drain(..whole);
        Ok(out)
    }

    /// What is still in the filter, as silence pushes it out.
    fn finish(mut self) -> Result<Vec<f32>> {
        let mut out = Vec::new();
        while self.left > 0 {
            self.process(0..self.pending.len(), &mut out)?;
            self.pending.clear();
        }
        Ok(out)
    }

    fn process(&mut self, part: std::ops::Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let input = &self.pending[part];
        let length = self.inner.output_frames_next();
        let mut block = vec![0.0; length];
        let from = InterleavedSlice::new(input, 1, input.len())?;
        let mut to = InterleavedSlice::new_mut(&mut block, 1, length)?;
        let (_, made) = self.inner.process_into_buffer(&from, &mut to, Some(&Indexing::new().partial_len(input.len())))?;
        let skipped = self.skip.min(made);
        self.skip -= skipped;
        let kept = ((made - skipped) as u64).min(self.left);
        self.left -= kept;
        out.extend_from_slice(&block[skipped..skipped + kept as usize]);
        Ok(())
    }
}
