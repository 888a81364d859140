//! What is done with files and folders, with errors that name them.

use std::fs;
use std::path::{Path, PathBuf};

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

pub fn remove_file(path: &Path) -> Result {
    fs::remove_file(path).map_err(|e| Failure::io("remove", path, &e))
}

pub fn rename(from: &Path, to: &Path) -> Result {
    fs::rename(from, to).map_err(|e| Failure::io("move", from, &e))
}

pub fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|e| Failure::io("write", path, &e))
}

pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| Failure::io("read", path, &e))
}

/// The files of a folder whose names end so, in no order.
pub fn with_extension(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).map_err(|e| Failure::io("read", dir, &e))?;
    let paths = entries.map(|entry| entry.map(|e| e.path()).map_err(|e| Failure::io("read", dir, &e)));
    let fits = |path: &Result<PathBuf>| path.as_ref().map_or(true, |p| p.extension().is_some_and(|e| e == extension));
    paths.filter(fits).collect()
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
