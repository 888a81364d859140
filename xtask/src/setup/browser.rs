//! Chromium from the distribution: no browser is downloaded by a test framework.

use crate::failure::Result;

pub fn install() -> Result {
    if let Some(path) = crate::browser::chromium() {
        println!("  {}", path.display());
        return Ok(());
    }
    if cfg!(target_os = "linux") {
        super::apt::install("Chromium", &["chromium"])?;
    }
    crate::browser::need_chromium().map(drop)
}
