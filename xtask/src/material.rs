//! The weights and the recording that the page and the package tests use.

use std::path::PathBuf;

use crate::command::Cmd;
use crate::failure::{Failure, Result};

pub struct Material {
    /// Silero VAD as safetensors.
    pub weights: PathBuf,
    /// A WAV of speech, 16 kHz, mono.
    pub sample: PathBuf,
}

impl Material {
    /// Fetched on first use by the VAD example, which keeps them in a cache.
    pub fn fetch() -> Result<Self> {
        let listed = vad_example()?.arg("--fetch-only").output()?;
        let files: Vec<PathBuf> = listed.lines().map(PathBuf::from).filter(|path| path.is_file()).collect();
        match <[PathBuf; 2]>::try_from(files) {
            Ok([weights, sample]) => Ok(Self { weights, sample }),
            Err(_) => Err(Failure::new(
                format!("`vad --fetch-only` printed `{}` and not the paths of two files", listed.trim()),
                "cargo run --release --example vad -- --fetch-only",
            )),
        }
    }
}

/// The VAD example, built, with room for its arguments.
pub fn vad_example() -> Result<Cmd> {
    // By itself, so that minutes of compiling are seen, and are not the program's output.
    Cmd::cargo().args(["build", "--release", "--example", "vad"]).run()?;
    Ok(Cmd::cargo().args(["run", "--quiet", "--release", "--example", "vad", "--"]))
}
