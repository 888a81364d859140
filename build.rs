//! Composes, validates, reflects and lints every shader variant, and writes the typed table
//! (`OUT_DIR/shaders.rs`) that `src/device/shader.rs` includes. A bad shader stops the build, with
//! every error at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "build/compose.rs"]
mod compose;
#[path = "build/lint.rs"]
mod lint;
#[path = "build/reflect.rs"]
mod reflect;
#[path = "build/variants.rs"]
mod variants;

use compose::{Composed, Fault};
use reflect::Reflection;
use variants::Variant;

fn main() {
    println!("cargo::rerun-if-changed=shaders");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed=WEFT_DUMP_SHADERS");
    let root = Path::new("shaders");
    match build(root) {
        Ok(shaders) => {
            let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("shaders.rs");
            fs::write(&out, table(&shaders)).expect("OUT_DIR is writable");
            if let Some(folder) = env::var_os("WEFT_DUMP_SHADERS") {
                dump(Path::new(&folder), &shaders);
            }
        }
        Err(faults) => {
            for fault in &faults {
                println!("cargo::error=shaders/{fault}");
            }
        }
    }
}

/// One checked variant.
struct Shader {
    variant: Variant,
    composed: Composed,
    reflection: Reflection,
}

fn build(root: &Path) -> Result<Vec<Shader>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut shaders = Vec::new();
    for variant in variants::read(root)? {
        let checked = compose::compose(root, &variant.file, &variant.name, &variant.flags).and_then(|composed| {
            let reflection = reflect::reflect(&variant, &composed)?;
            let broken = lint::lint(&variant, &composed, &reflection);
            if broken.is_empty() { Ok((composed, reflection)) } else { Err(broken) }
        });
        match checked {
            Ok((composed, reflection)) => shaders.push(Shader { variant, composed, reflection }),
            Err(found) => faults.extend(found),
        }
    }
    // By name, so that the table is the same on every machine.
    shaders.sort_by(|a, b| a.variant.name.cmp(&b.variant.name));
    if faults.is_empty() { Ok(shaders) } else { Err(faults) }
}

/// The generated Rust: `enum Kernel` and `static SHADERS`.
fn table(shaders: &[Shader]) -> String {
    let kernels: BTreeMap<&str, &str> = shaders.iter().map(|s| (s.variant.kernel.as_str(), s.variant.file.as_str())).collect();
    let mut out = String::from("/// A kernel, whatever its variant: one file of `shaders/`.\n");
    out += "#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\npub enum Kernel {\n";
    for (kernel, file) in &kernels {
        let _ = writeln!(out, "    /// `shaders/{file}.wgsl`\n    {kernel},");
    }
    out += "}\n\n/// Every variant of every kernel, by name.\npub static SHADERS: &[Shader] = &[\n";
    for Shader { variant, composed, reflection } in shaders {
        let _ = writeln!(
            out,
            "    Shader {{ name: {:?}, kernel: Kernel::{}, subgroups: {}, writable: &{:?}, params_bytes: {}, workgroup_size: {:?}, workgroup_bytes: {}, constants: &{:?}, wgsl: {:?} }},",
            variant.name,
            variant.kernel,
            variant.flags.iter().any(|f| f == "SUBGROUPS"),
            reflection.writable,
            reflection.params_bytes,
            reflection.workgroup_size,
            reflection.workgroup_bytes,
            reflection.constants,
            squeeze(&composed.text),
        );
    }
    out + "];\n"
}

/// Drops comments and indentation: the text travels in every binary and every web page.
fn squeeze(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .fold(String::new(), |out, line| out + line + "\n")
}

/// `WEFT_DUMP_SHADERS=DIR`: the final text of each variant, for native (`NAME.wgsl`) and for
/// browsers (`NAME.web.wgsl`), whose compilers demand an `enable` line that naga refuses.
fn dump(folder: &Path, shaders: &[Shader]) {
    fs::create_dir_all(folder).expect("WEFT_DUMP_SHADERS must name a folder that can be made");
    for Shader { variant, composed, .. } in shaders {
        let header = if variant.flags.iter().any(|f| f == "SUBGROUPS") { "enable subgroups;\n" } else { "" };
        let write = |name: String, text: &str| {
            fs::write(folder.join(&name), text).unwrap_or_else(|e| panic!("WEFT_DUMP_SHADERS: cannot write {name}: {e}"));
        };
        write(format!("{}.wgsl", variant.name), &composed.text);
        write(format!("{}.web.wgsl", variant.name), &format!("{header}{}", composed.text));
    }
}
