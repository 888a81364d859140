//! The standard library's source out of a Debian package, without touching apt's own state.

use std::fs;
use std::path::{Path, PathBuf};

use super::wasm_std::TARGET;
use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::files::{create, write};
use crate::paths;

/// Suites that may carry a newer compiler than the system's own.
const SUITES: [&str; 6] = ["bookworm-backports", "trixie", "trixie-backports", "forky", "sid", "experimental"];

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Whether this is a Debian, whose packages can be fetched.
pub fn here() -> bool {
    paths::on_path("apt-get").is_some() && Path::new(KEYRING).is_file()
}

/// Unpacks `library/` of the compiler's source below `work` and gives back its path.
pub fn rust_library(release: &str, work: &Path) -> Result<PathBuf> {
    let apt = PrivateApt::new(work)?;
    apt.run("apt-get", &["-qq", "update"])?;
    let listed = apt.cmd("apt-cache").args(["madison", "rust-src"]).output()?;
    let Some(version) = version_of(release, &listed) else {
        return Err(none(release, "Debian has no rust-src of this version"));
    };
    apt.run("apt-get", &["-qq", "download", &format!("rust-src={version}")])?;
    let package = only_package(work)?;
    let inside = format!("./usr/src/rustc-{release}/library");
    Cmd::new("dpkg-deb")
        .args(["--fsys-tarfile".as_ref(), package.as_os_str()])
        .pipe(Cmd::new("tar").args(["-x", "-C"]).arg(work).arg(&inside))?;
    let library = work.join(&inside);
    if library.join("Cargo.lock").is_file() { Ok(library) } else { Err(none(release, "the package has no library/Cargo.lock")) }
}

fn none(release: &str, why: &str) -> Failure {
    Failure::new(format!("no source of the standard library {release}: {why}"), format!("rustup target add {TARGET}"))
}

/// apt with lists, caches and sources of its own.
struct PrivateApt<'a> {
    work: &'a Path,
}

impl<'a> PrivateApt<'a> {
    fn new(work: &'a Path) -> Result<Self> {
        for folder in ["lists/partial", "cache/archives/partial", "sources"] {
            create(&work.join(folder))?;
        }
        write(&work.join("sources/debian.sources"), &sources(&mirror()?))?;
        Ok(Self { work })
    }

    fn cmd(&self, program: &str) -> Cmd {
        let at = |name: &str| self.work.join(name).display().to_string();
        let options = [
            "Dir::Etc::SourceList=/dev/null".into(),
            format!("Dir::Etc::SourceParts={}", at("sources")),
            format!("Dir::State::Lists={}", at("lists")),
            format!("Dir::Cache={}", at("cache")),
            // apt's own user may not write into this folder.
            "APT::Sandbox::User=root".into(),
            "Acquire::Languages=none".into(),
        ];
        Cmd::new(program)
            .args(options.iter().flat_map(|option| ["-o", option]))
            .dir(self.work)
            .way_out(format!("check that apt reaches its mirror, or: rustup target add {TARGET}"))
    }

    fn run(&self, program: &str, args: &[&str]) -> Result {
        self.cmd(program).args(args).run()
    }
}

/// The mirror from which the system's own packages come.
fn mirror() -> Result<String> {
    let listed = Cmd::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI)"])
        .args(["Created-By: Packages", "Origin: Debian", "Label: Debian"])
        .output()?;
    listed.lines().next().map(str::to_owned).ok_or_else(|| Failure::new("apt knows no Debian mirror", "apt-get update, then again"))
}

fn sources(mirror: &str) -> String {
    SUITES.map(|suite| format!("Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n\n")).concat()
}

/// The last listed package version of exactly this compiler release.
fn version_of(release: &str, madison: &str) -> Option<String> {
    let exact = format!("{release}+");
    madison
        .lines()
        .filter_map(|line| line.split('|').nth(1).map(str::trim))
        .filter(|version| version.starts_with(&exact))
        .max()
        .map(str::to_owned)
}

fn only_package(work: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(work).map_err(|e| Failure::io("list", work, &e))?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|kind| kind == "deb"))
        .ok_or_else(|| Failure::new("apt downloaded no package", format!("rustup target add {TARGET}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADISON: &str = "\
  rust-src | 1.95.0+dfsg1-1~exp1 | mirror experimental/main amd64 Packages
  rust-src | 1.95.0+dfsg1-2 | mirror sid/main amd64 Packages
  rust-src | 1.95.01+dfsg1-2 | mirror sid/main amd64 Packages
  rust-src | 1.85.0+dfsg3-1 | mirror trixie/main amd64 Packages
";

    #[test]
    fn only_the_same_release_will_do() {
        assert_eq!(version_of("1.95.0", MADISON).as_deref(), Some("1.95.0+dfsg1-2"));
        assert_eq!(version_of("1.85.0", MADISON).as_deref(), Some("1.85.0+dfsg3-1"));
        assert_eq!(version_of("1.9", MADISON), None);
    }
}
