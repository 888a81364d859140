//! A recording of speech.

use super::package::{Source, cached};
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// MIT licence. Ten seconds of a man reading, 16 kHz.
const SAMPLE: Source = Source {
    package: "moonshine-voice==0.1.5",
    platform: Some("win_amd64"),
    path: "moonshine_voice/assets/beckett.wav",
    sha256: "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
};

/// A recording of speech; fetched on first use.
pub fn sample() -> Result<PathBuf> {
    cached("beckett.wav", |folder| SAMPLE.fetch(folder)).context("cannot get the sample recording (or give one: vad FILE.wav)")
}
