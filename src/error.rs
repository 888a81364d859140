//! One error type: every case carries the number and the way out.

use thiserror::Error;

/// What a call of this crate can answer instead of a result.
///
/// Data that is bad in one utterance only (a NaN among its logits, no frames) is not an error: it is a
/// [status](crate::lattice::Status) of that utterance, and its neighbours keep their results.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter fits what was asked for.
    #[error("no GPU adapter: {tried}; install a Vulkan, Metal or DX12 driver, or use Context::cpu()")]
    NoAdapter {
        /// What was looked for, and what was found instead.
        tried: String,
    },
    /// The adapter would not give a device.
    #[error("adapter {adapter} gave no device: {message}")]
    NoDevice {
        /// Name of the adapter.
        adapter: String,
        /// What the driver said.
        message: String,
    },
    /// The device lacks a feature that was asked for.
    #[error("{adapter} has no {feature}: {help}")]
    MissingFeature {
        /// The feature.
        feature: &'static str,
        /// Name of the adapter.
        adapter: String,
        /// The way out.
        help: &'static str,
    },
    /// More than the device grants, or than the caller allows.
    #[error("{what} needs {need}, the limit is {have}: {help}")]
    LimitExceeded {
        /// What is too large, with its unit.
        what: &'static str,
        /// The number that would be needed.
        need: u64,
        /// The limit.
        have: u64,
        /// The way out.
        help: &'static str,
    },
    /// A shape does not fit.
    #[error("{argument}: expected {expected}, got {got}")]
    Shape {
        /// Name of the argument.
        argument: &'static str,
        /// The shape that fits, in words.
        expected: String,
        /// The shape that came.
        got: String,
    },
    /// A length runs past its tensor.
    #[error("{argument}[{utterance}] = {length} is beyond the tensor, which has {max}")]
    Length {
        /// Name of the argument.
        argument: &'static str,
        /// Index of the utterance in the batch.
        utterance: usize,
        /// The length that came.
        length: usize,
        /// The largest that fits.
        max: usize,
    },
    /// A label that the lattice cannot emit.
    #[error("targets[{utterance}][{position}] = {label} {problem} (vocabulary {vocab}, blank {blank})")]
    Label {
        /// Index of the utterance in the batch.
        utterance: usize,
        /// Position in its target.
        position: usize,
        /// The label that came.
        label: u32,
        /// `is outside the vocabulary` or `is the blank`.
        problem: &'static str,
        /// V.
        vocab: usize,
        /// The blank's index.
        blank: usize,
    },
    /// An argument has a value that makes no sense.
    #[error("{argument} = {value}: {help}")]
    Value {
        /// Name of the argument.
        argument: &'static str,
        /// The value that came.
        value: String,
        /// What it must be.
        help: &'static str,
    },
    /// A tier of recurrent layers that was asked for cannot run the call.
    #[error("the {tier} tier cannot run this: {reason}; what can: {others}")]
    Tier {
        /// The tier.
        tier: &'static str,
        /// What stands against it.
        reason: String,
        /// The tiers that can.
        others: String,
    },
    /// A tensor belongs to another context than the call.
    #[error("{argument} lives in another context: upload it into the context of the call")]
    OtherContext {
        /// Name of the argument.
        argument: &'static str,
    },
    /// A weights file or one of its tensors is not what it must be.
    #[error("weights: {name}: {problem}")]
    Weights {
        /// Tensor or file.
        name: String,
        /// What is wrong, with numbers.
        problem: String,
    },
    /// The driver refused a shader that the build accepted: a bug here or there.
    #[error("kernel {kernel} was refused by the driver: {message}")]
    ShaderCompile {
        /// Name of the shader variant.
        kernel: &'static str,
        /// What the driver said.
        message: String,
    },
    /// The device has no memory for this call; the context stays usable.
    #[error("the device is out of memory ({bytes} B asked for): use smaller batches or free tensors")]
    OutOfMemory {
        /// Bytes that the call asked for, or, in browsers, a tensor that was made since the last one.
        bytes: u64,
    },
    /// The device is gone (driver reset, unplugged, destroyed). A new context works.
    #[error("the device was lost: {reason}; make a new Context")]
    DeviceLost {
        /// What the driver said.
        reason: String,
    },
    /// The driver found a mistake that this crate should not have made.
    #[error("GPU error: {message}")]
    Gpu {
        /// What the driver said.
        message: String,
    },
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// `Result` with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A number for a message. In browsers their own code prints it: that of the standard library would be a tenth of the module.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn number(x: f32) -> String {
    x.to_string()
}

/// A number for a message. In browsers their own code prints it: that of the standard library would be a tenth of the module.
#[cfg(target_family = "wasm")]
pub(crate) fn number(x: f32) -> String {
    // The digits of an f32, not of the f64 that it is to JavaScript.
    let digits = js_sys::Number::from(f64::from(x)).to_precision(7).map(String::from).unwrap_or_default();
    js_sys::Number::from(js_sys::parse_float(&digits)).to_string_with_radix(10).map(String::from).unwrap_or_default()
}

/// Fails where more is needed than the device grants.
pub(crate) fn within(what: &'static str, need: u64, have: u64, help: &'static str) -> Result<()> {
    if need > have { Err(Error::LimitExceeded { what, need, have, help }) } else { Ok(()) }
}
