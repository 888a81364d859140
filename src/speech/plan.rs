//! The plan of Silero VAD v6 (16 kHz) on a chunk of audio: every layer over all frames at once, but for
//! the LSTM, whose steps follow one another. One recording, whatever the length.

use super::FRAME;
use crate::dense::{Activation, ConvLayer};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{AudioFrameParams, AudioMagnitudeParams, Kernel};

/// Samples of the frame before that a frame sees.
pub(super) const CONTEXT: usize = 64;
/// Samples that the network sees: context, then the frame.
const WINDOW: usize = CONTEXT + FRAME;
/// With the reflection pad on the right.
const WIDTH: usize = WINDOW + 64;
/// Frequencies of the short-time Fourier transform.
const BINS: u32 = 129;
/// Features of a frame, and units of the LSTM.
pub(super) const UNITS: u32 = 128;
/// Workgroup size of `shaders/audio/*.wgsl`.
const GROUP: u64 = 256;

/// Real and imaginary parts of four windows of 256 samples, Hann and Fourier in the weights.
pub(super) const STFT: ConvLayer =
    ConvLayer { channels_in: 1, channels_out: 2 * BINS, kernel: 256, stride: 128, padding: 0, activation: Activation::Identity };

/// The convolutions on the magnitudes; together they leave one column of the four.
pub(super) const ENCODER: [ConvLayer; 4] = [relu(BINS, 128, 1), relu(128, 64, 2), relu(64, 64, 2), relu(64, UNITS, 1)];

const fn relu(channels_in: u32, channels_out: u32, stride: u32) -> ConvLayer {
    ConvLayer { channels_in, channels_out, kernel: 3, stride, padding: 1, activation: Activation::Relu }
}

/// Weights of the part before the LSTM.
pub(super) struct EncoderWeights {
    pub stft: Binding,
    /// Weight and bias of each.
    pub layers: Vec<[Binding; 2]>,
}

/// Records audio -> features: the context of the first frame and the frames, to [frames, 128].
pub(super) fn record_encoder(recording: &mut Recording, caps: &Caps, audio: Binding, weights: &EncoderWeights, frames: u32) -> BufferId {
    let mut length = WIDTH as u32;
    let framed = workspace(recording, "framed", [frames, 1, length]);
    let set = recording.bind(&[audio, framed]);
    let params = AudioFrameParams { frames, hop: FRAME as u32, window: WINDOW as u32, width: length };
    let values = u64::from(frames) * u64::from(length);
    recording.dispatch(caps.shader(Kernel::AudioFrame), set, &params, fold(values.div_ceil(GROUP), caps.max_workgroups), values);

    let spectrum = workspace(recording, "spectrum", [frames, STFT.channels_out, STFT.length_out(length)]);
    STFT.record(recording, caps, [framed, weights.stft, spectrum], None, frames, length);
    length = STFT.length_out(length);

    let mut features = workspace(recording, "magnitude", [frames, BINS, length]);
    let set = recording.bind(&[spectrum, features]);
    let params = AudioMagnitudeParams { batch: frames, plane: BINS * length };
    let values = u64::from(frames) * u64::from(params.plane);
    recording.dispatch(caps.shader(Kernel::AudioMagnitude), set, &params, fold(values.div_ceil(GROUP), caps.max_workgroups), values);

    for (layer, &[weight, bias]) in ENCODER.iter().zip(&weights.layers) {
        let next = workspace(recording, "features", [frames, layer.channels_out, layer.length_out(length)]);
        layer.record(recording, caps, [features, weight, next], Some(bias), frames, length);
        length = layer.length_out(length);
        features = next;
    }
    features.buffer
}

fn workspace(recording: &mut Recording, label: &'static str, shape: [u32; 3]) -> Binding {
    let buffer = recording.workspace(label, shape.iter().fold(4, |bytes, &side| bytes * u64::from(side)));
    recording.whole(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoder_leaves_one_column() {
        let mut length = STFT.length_out(WIDTH as u32);
        assert_eq!(length, 4);
        for layer in ENCODER {
            length = layer.length_out(length);
        }
        assert_eq!(length, 1);
    }
}
