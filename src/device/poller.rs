//! A thread that polls the device while somebody waits for it: on native, nothing else calls the
//! callbacks of a readback.

use super::lost::Lost;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Wakes with each readback; ends when its engine is dropped.
pub(super) struct Poller {
    wake: Option<mpsc::Sender<wgpu::SubmissionIndex>>,
    thread: Option<JoinHandle<wgpu::Device>>,
    lost: Lost,
}

impl Poller {
    pub(super) fn new(device: wgpu::Device, lost: Lost) -> Self {
        let (wake, woken) = mpsc::channel();
        let spawned = std::thread::Builder::new().name("weft poller".to_owned()).spawn({
            let lost = lost.clone();
            move || {
                while let Ok(submission) = woken.recv() {
                    wait_for(&device, &lost, &submission);
                }
                device
            }
        });
        let thread = spawned.map_err(|error| lost.fire(format!("no thread to poll the device with: {error}"))).ok();
        Self { wake: Some(wake), thread, lost }
    }

    /// Somebody waits for this submission.
    pub(super) fn wake(&self, submission: wgpu::SubmissionIndex) {
        if self.wake.as_ref().is_none_or(|wake| wake.send(submission).is_err()) {
            self.lost.fire("the thread that polls the device has ended".to_owned());
        }
    }
}

impl Drop for Poller {
    /// Waits for the thread and takes the device back from it, so that the last reference goes here: a
    /// device that is destroyed on a thread that ends, or beside the driver's own exit handlers, crashes
    /// NVIDIA's driver 580.
    fn drop(&mut self) {
        self.wake = None;
        let other = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id());
        if other.is_some_and(|thread| thread.join().is_err()) {
            log::error!("the poller thread panicked");
        }
    }
}

/// Waits for a submission, in slices, so that a lost device ends the wait.
fn wait_for(device: &wgpu::Device, lost: &Lost, submission: &wgpu::SubmissionIndex) {
    while lost.check().is_ok() {
        match poll(device, lost, Some(submission.clone()), Duration::from_millis(200)) {
            Err(wgpu::PollError::Timeout) => {}
            Ok(()) => return,
            Err(error) => return log::warn!("poll: {error}"),
        }
    }
}

/// One poll, by any thread; `None` waits for everything submitted so far. wgpu panics where the driver
/// says in the middle of a poll that the device is gone: that counts as the loss it is.
fn poll(
    device: &wgpu::Device,
    lost: &Lost,
    submission_index: Option<wgpu::SubmissionIndex>,
    timeout: Duration,
) -> Result<(), wgpu::PollError> {
    let wait = wgpu::PollType::Wait { submission_index, timeout: Some(timeout) };
    match catch_unwind(AssertUnwindSafe(|| device.poll(wait))) {
        Ok(polled) => polled.map(|_| ()),
        Err(_) => {
            lost.fire("it failed while it was polled".to_owned());
            Ok(())
        }
    }
}

/// After a failure: lets the device tell whether it is lost. It may tell so a little later than its
/// first call fails, hence several looks.
pub(super) fn settle(device: &wgpu::Device, lost: &Lost) {
    for _ in 0..20 {
        if lost.check().is_err() {
            return;
        }
        if let Err(error) = poll(device, lost, None, Duration::from_millis(50)) {
            log::debug!("poll: {error}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits a while for the work under way, whose end frees the memory of destroyed buffers.
pub(super) fn reclaim(device: &wgpu::Device, lost: &Lost) {
    if let Err(error) = poll(device, lost, None, Duration::from_secs(2)) {
        log::debug!("poll: {error}");
    }
}
