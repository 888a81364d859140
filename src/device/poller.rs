//! A thread that polls the device while somebody waits for it: on native, nothing else calls the
//! callbacks of a readback.

use super::lost::Lost;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Wakes with each readback; ends when its engine is dropped.
pub(super) struct Poller {
    wake: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<wgpu::Device>>,
}

impl Poller {
    pub(super) fn new(device: wgpu::Device, lost: Lost) -> Self {
        let (wake, woken) = mpsc::channel();
        let spawned = std::thread::Builder::new().name("weft poller".to_owned()).spawn({
            let lost = lost.clone();
            move || {
                while woken.recv().is_ok() {
                    poll(&device, &lost);
                }
                device
            }
        });
        let thread = spawned.map_err(|error| lost.fire(format!("no thread to poll the device with: {error}"))).ok();
        Self { wake: Some(wake), thread }
    }

    pub(super) fn wake(&self) {
        // Without a thread the device counts as lost, and the waiting call hears of it there.
        let _ = self.wake.as_ref().map(|wake| wake.send(()));
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

/// Waits for everything submitted so far, in slices, so that a lost device ends the wait.
fn poll(device: &wgpu::Device, lost: &Lost) {
    loop {
        let slice = wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_millis(200)) };
        match device.poll(slice) {
            Err(wgpu::PollError::Timeout) if lost.check().is_ok() => {}
            Err(wgpu::PollError::Timeout) | Ok(_) => return,
            Err(error) => {
                log::warn!("poll: {error}");
                return;
            }
        }
    }
}

/// After a failure: lets the device tell whether it is lost. It may tell so a little later than its
/// first call fails, hence several looks.
pub(super) fn settle(device: &wgpu::Device, lost: &Lost) {
    for _ in 0..20 {
        let briefly = wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_millis(50)) };
        if let Err(error) = device.poll(briefly) {
            log::debug!("poll: {error}");
        }
        if lost.check().is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
