//! Time on the host, on native and in browsers.

use std::time::Duration;

/// Time since it was started.
#[cfg(not(target_family = "wasm"))]
pub(super) struct Stopwatch(std::time::Instant);

#[cfg(not(target_family = "wasm"))]
impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Milliseconds: `std::time::Instant` is missing in browsers.
#[cfg(target_family = "wasm")]
pub(super) struct Stopwatch(f64);

#[cfg(target_family = "wasm")]
impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(js_sys::Date::now())
    }

    /// Never negative, though the clock of the page may be set back.
    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_secs_f64((js_sys::Date::now() - self.0).max(0.0) / 1000.0)
    }
}
