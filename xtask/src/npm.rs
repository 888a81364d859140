//! The npm package: built, packed, weighed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use crate::browser::{need_node, npm};
use crate::failure::{Failure, Result};
use crate::files::{create, remove};
use crate::{paths, setup, wasm};

/// What a page may have to load of the package, compressed. Kernels of training are in it, which pages cannot call yet: they
/// are the first to go.
const BUDGET: usize = 332_000;

pub fn run(args: &[String]) -> Result {
    crate::no_arguments("npm", args)?;
    build().map(drop)
}

/// Builds and packs, refuses a package over the budget, and gives back the tarball's path.
pub fn build() -> Result<PathBuf> {
    need_node()?;
    let package = wasm::package();
    setup::node_packages(&package)?;
    wasm::build()?;
    npm().args(["run", "build"]).dir(&package).run()?;

    let out = folder();
    // Nobody should test or publish the tarball of an earlier build.
    remove(&out)?;
    create(&out)?;
    let listing = npm().args(["pack", "--json", "--pack-destination"]).arg(&out).dir(&package).output()?;
    let packed = Packed::parse(&listing)?;
    let mut sum = 0;
    println!("  {:>9}  {:>9}  file", "raw B", "gzip B");
    for file in packed.payload() {
        let path = package.join(file);
        let bytes = fs::read(&path).map_err(|e| Failure::io("read", &path, &e))?;
        let small = gzip(&bytes, &path)?;
        sum += small;
        println!("  {:>9}  {small:>9}  {file}", bytes.len());
    }
    println!("  {:>9}  {sum:>9}  all (budget {BUDGET})", "");
    let tarball = out.join(&packed.tarball);
    println!("  {}", paths::short(&tarball));
    within_budget(sum)?;
    Ok(tarball)
}

fn folder() -> PathBuf {
    paths::target().join("npm")
}

/// The tarball that the last [`build`] made.
pub fn tarball() -> Result<PathBuf> {
    let entries = fs::read_dir(folder()).into_iter().flatten().flatten();
    let is_tarball = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "tgz");
    let found = entries.map(|entry| entry.path()).find(is_tarball);
    found.ok_or_else(|| Failure::new(format!("no tarball in {}", paths::short(&folder())), "cargo xtask npm"))
}

fn within_budget(sum: usize) -> Result {
    match sum {
        0 => Err(Failure::new(
            "the package carries no .js and no .wasm",
            "look at `files` in wasm/package.json and at `npm run build` there",
        )),
        1..=BUDGET => Ok(()),
        _ => Err(Failure::new(
            format!("the package is {sum} B compressed, and {BUDGET} B is the budget"),
            "see what grew: `npx twiggy top` on the wasm, or the table above for the scripts",
        )),
    }
}

/// What `npm pack --json` says.
struct Packed {
    tarball: String,
    files: Vec<String>,
}

impl Packed {
    fn parse(listing: &str) -> Result<Self> {
        let unreadable = || Failure::new("`npm pack --json` said something that is not its usual listing", "try a newer npm");
        // Scripts that npm runs before packing may print too.
        let start = listing.find(['[', '{']).ok_or_else(unreadable)?;
        let value: Value = serde_json::from_str(&listing[start..]).map_err(|_| unreadable())?;
        // An array until npm 11, an object keyed by package name since.
        let package = match &value {
            Value::Array(all) => all.first(),
            Value::Object(all) if !all.contains_key("files") => all.values().next(),
            other => Some(other),
        };
        let package = package.ok_or_else(unreadable)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let files = package["files"].as_array().ok_or_else(unreadable)?;
        Ok(Self {
            tarball: text(&package["filename"]).ok_or_else(unreadable)?,
            files: files.iter().filter_map(|file| text(&file["path"])).collect(),
        })
    }

    /// What a browser loads, as opposed to what an editor or a reader does.
    fn payload(&self) -> impl Iterator<Item = &str> {
        self.files
            .iter()
            .map(String::as_str)
            .filter(|file| Path::new(file).extension().is_some_and(|kind| kind == "js" || kind == "mjs" || kind == "wasm"))
    }
}

fn gzip(bytes: &[u8], path: &Path) -> Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map(|small| small.len()).map_err(|e| Failure::io("compress", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = r#"[{"filename": "weft-gpu-0.1.0.tgz",
        "files": [{"path": "dist/index.js"}, {"path": "dist/index.d.ts"}, {"path": "dist/x.wasm"}]}]"#;

    #[test]
    fn the_listing_is_read_whatever_stands_before_it() {
        let packed = Packed::parse(&format!("> building\n{LISTING}")).unwrap();
        assert_eq!(packed.tarball, "weft-gpu-0.1.0.tgz");
        assert_eq!(packed.payload().collect::<Vec<_>>(), ["dist/index.js", "dist/x.wasm"]);
    }

    #[test]
    fn a_package_over_the_budget_or_without_contents_is_refused() {
        assert!(within_budget(BUDGET).is_ok());
        assert!(within_budget(BUDGET + 1).is_err());
        assert!(within_budget(0).is_err());
    }

    #[test]
    fn the_size_is_that_of_the_compressed_bytes() {
        let size = gzip(&[0; 100_000], Path::new("zeros")).unwrap();
        assert!((20..1000).contains(&size), "{size}");
    }
}
