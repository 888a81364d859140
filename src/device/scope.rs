//! Error scopes: whatever this crate asks of a device happens within one of each kind, so that no error
//! reaches the handler of a device that somebody else owns, and none goes unseen.

use crate::error::Error;
use futures::FutureExt;
use futures::future::join3;
use std::pin::Pin;

#[cfg(not(target_family = "wasm"))]
trait Outcome: Future<Output = Option<wgpu::Error>> + Send {}
#[cfg(not(target_family = "wasm"))]
impl<F: Future<Output = Option<wgpu::Error>> + Send> Outcome for F {}
#[cfg(target_family = "wasm")]
trait Outcome: Future<Output = Option<wgpu::Error>> {}
#[cfg(target_family = "wasm")]
impl<F: Future<Output = Option<wgpu::Error>>> Outcome for F {}

/// What the scopes around some work will have caught: known at once on native, later in browsers.
#[must_use = "an error that nobody looks at is an error that nobody sees"]
pub(super) struct Scope {
    /// Bytes that the work asked for.
    bytes: u64,
    outcome: Pin<Box<dyn Outcome>>,
}

/// Does some work, which asks for so many bytes, within scopes.
pub(super) fn guarded<T>(device: &wgpu::Device, bytes: u64, work: impl FnOnce() -> T) -> (T, Scope) {
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let done = work();
    // Scopes are a stack: the last pushed pops first. Calls on a buffer that got no memory fail as well,
    // and the lack of memory says why.
    let outcome =
        join3(memory.pop(), validation.pop(), internal.pop()).map(|(memory, validation, internal)| memory.or(internal).or(validation));
    (done, Scope { bytes, outcome: Box::pin(outcome) })
}

impl Scope {
    /// Waits for what was caught.
    pub(super) async fn caught(self) -> Option<Error> {
        self.outcome.await.map(|error| typed(error, self.bytes))
    }

    /// What was caught, or the scope again where that is not known yet.
    pub(super) fn now(mut self) -> Result<Option<Error>, Self> {
        match (&mut self.outcome).now_or_never() {
            Some(caught) => Ok(caught.map(|error| typed(error, self.bytes))),
            None => Err(self),
        }
    }
}

/// An error of wgpu as this crate's, for work that asked for so many bytes.
fn typed(error: wgpu::Error, bytes: u64) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { bytes },
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => Error::Gpu { message: description },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_wgpu_are_told_apart() {
        let source = || Box::new(std::io::Error::other("driver"));
        let memory = typed(wgpu::Error::OutOfMemory { source: source() }, 1234);
        assert!(matches!(memory, Error::OutOfMemory { bytes: 1234 }));
        let invalid = typed(wgpu::Error::Validation { source: source(), description: "binding 3".to_owned() }, 1234);
        assert!(matches!(invalid, Error::Gpu { message } if message == "binding 3"));
    }
}
