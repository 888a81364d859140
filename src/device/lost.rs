//! The signal that a device is gone. Whoever waits for the GPU waits for this as well, so that a
//! pending readback ends with an error instead of never.

use crate::error::Error;
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{Either, Shared, select};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

/// Fires once, when the device is lost; clones share it.
#[derive(Clone)]
pub(super) struct Lost {
    signal: Shared<oneshot::Receiver<String>>,
    trigger: Arc<Mutex<Option<oneshot::Sender<String>>>>,
}

impl Lost {
    pub(super) fn new() -> Self {
        let (sender, receiver) = oneshot::channel();
        Self { signal: receiver.shared(), trigger: Arc::new(Mutex::new(Some(sender))) }
    }

    /// Says that the device is gone. Later calls change nothing.
    pub(super) fn fire(&self, reason: String) {
        if let Some(sender) = self.trigger.lock().unwrap_or_else(PoisonError::into_inner).take() {
            log::error!("device lost: {reason}");
            let _ = sender.send(reason);
        }
    }

    /// An error if the device is gone already.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.signal.clone().now_or_never() {
            Some(reason) => Err(gone(reason)),
            None => Ok(()),
        }
    }

    /// The result of `work`, or `DeviceLost` if that comes first.
    pub(super) async fn or<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        let work = pin!(work);
        match select(work, self.signal.clone()).await {
            Either::Left((done, _)) => Ok(done),
            Either::Right((reason, _)) => Err(gone(reason)),
        }
    }
}

fn gone(reason: Result<String, oneshot::Canceled>) -> Error {
    Error::DeviceLost { reason: reason.unwrap_or_else(|_| "unknown reason".to_owned()) }
}
