//! What is done with files and folders, with errors that name them.

use std::fs;
use std::path::Path;

use crate::failure::{Failure, Result};

pub fn create(dir: &Path) -> Result {
    fs::create_dir_all(dir).map_err(|e| Failure::io("create", dir, &e))
}

/// A folder that is not there is as good as removed.
pub fn remove(dir: &Path) -> Result {
    if !dir.exists() {
        return Ok(());
    }
    fs::remove_dir_all(dir).map_err(|e| Failure::io("remove", dir, &e))
}

pub fn rename(from: &Path, to: &Path) -> Result {
    fs::rename(from, to).map_err(|e| Failure::io("move", from, &e))
}

pub fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|e| Failure::io("write", path, &e))
}

#[cfg(unix)]
pub fn executable(path: &Path, text: &str) -> Result {
    use std::os::unix::fs::PermissionsExt;
    write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|e| Failure::io("make executable", path, &e))
}

#[cfg(unix)]
pub fn link(to: &Path, at: &Path) -> Result {
    std::os::unix::fs::symlink(to, at).map_err(|e| Failure::io("link", at, &e))
}

#[cfg(not(unix))]
pub fn executable(path: &Path, _: &str) -> Result {
    Err(no_unix(path))
}

#[cfg(not(unix))]
pub fn link(_: &Path, at: &Path) -> Result {
    Err(no_unix(at))
}

#[cfg(not(unix))]
fn no_unix(path: &Path) -> Failure {
    Failure::new(format!("cannot make {}: this is no Unix system", path.display()), "rustup target add wasm32-unknown-unknown")
}
