//! Composes, validates, reflects and lints every shader variant, and writes the typed table
//! (`OUT_DIR/shaders.rs`) that `src/device/shader.rs` includes. A bad shader stops the build, with
//! every error at once.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

#[path = "build/compose.rs"]
mod compose;
#[path = "build/lint.rs"]
mod lint;
#[path = "build/minify.rs"]
mod minify;
#[path = "build/reflect.rs"]
mod reflect;
#[path = "src/device/unroll.rs"]
mod unroll;
#[path = "build/variants.rs"]
mod variants;

use compose::{Composed, Fault};
use reflect::Reflection;
use variants::Variant;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=shaders");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=src/device/unroll.rs");
    println!("cargo::rerun-if-env-changed=WEFT_DUMP_SHADERS");
    let mut shaders = match build(Path::new("shaders")) {
        Ok(shaders) => shaders,
        Err(faults) => {
            faults.iter().for_each(|fault| println!("cargo::error=shaders/{fault}"));
            return Ok(());
        }
    };
    let is_wasm = env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm");
    // Browsers could not compile the others, or have no use for them.
    shaders.retain(|shader| !is_wasm || shader.variant.is_in_package());
    let parts: Vec<[String; 3]> = shaders
        .iter()
        .map(|shader| shader.composed.rolled.as_deref().unwrap_or(&shader.composed).parts().map(|part| minify::squeeze(&part)))
        .collect();
    // Before and behind the slot.
    let mut texts: Vec<String> = parts.iter().flat_map(|[before, _, behind]| [before.clone(), behind.clone()]).collect();
    if is_wasm {
        let slots: Vec<&str> = parts.iter().map(|[_, slot, _]| slot.as_str()).collect();
        texts = minify::minify(&texts, &slots);
        for ((shader, [_, sample, _]), text) in shaders.iter().zip(&parts).zip(texts.chunks_exact(2)) {
            reflect::same(&shader.variant, &shader.reflection, &format!("{}{sample}{}", text[0], text[1]))?;
        }
    }
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(PathBuf::from(out).join("shaders.rs"), table(&shaders, &texts))?;
    if let Some(folder) = env::var_os("WEFT_DUMP_SHADERS") {
        dump(Path::new(&folder), &shaders).map_err(|error| format!("WEFT_DUMP_SHADERS: {}: {error}", folder.display()))?;
    }
    Ok(())
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
    for (index, shader) in shaders.iter().enumerate() {
        let plain = shaders[..index].iter().find(|plain: &&Shader| plain.variant.kernel == shader.variant.kernel);
        if plain.is_some_and(|plain| {
            let [own, first] = [&shader.reflection, &plain.reflection].map(|reflection| &reflection.writable);
            plain.reflection.params != shader.reflection.params || !(first.starts_with(own) || own.starts_with(first))
        }) {
            let message = "its params must be those of the plain variant, its bindings the first of them, or more".to_owned();
            faults.push(Fault { origin: shader.composed.origin_of(0), variant: shader.variant.name.clone(), message });
        }
    }
    // By name, so that the table is the same on every machine.
    shaders.sort_by(|a, b| a.variant.name.cmp(&b.variant.name));
    if faults.is_empty() { Ok(shaders) } else { Err(faults) }
}

/// The generated Rust: `enum Kernel`, `static SHADERS`, and the params of each kernel.
fn table(shaders: &[Shader], all: &[String]) -> String {
    let kernels: BTreeMap<&str, &str> = shaders.iter().map(|s| (s.variant.kernel.as_str(), s.variant.file.as_str())).collect();
    let mut out = String::from("/// A kernel, whatever its variant: one file of `shaders/`.\n");
    out += "#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\npub enum Kernel {\n";
    for (kernel, file) in &kernels {
        let _ = writeln!(out, "    /// `shaders/{file}.wgsl`\n    {kernel},");
    }
    out += "}\n\nimpl Kernel {\n    /// The variant that runs anywhere; or, of a kernel that asks for features, its first.\n    pub fn plain(self) -> &'static Shader {\n        match self {\n";
    for (index, shader) in shaders.iter().enumerate().filter(|(_, s)| s.variant.first) {
        let _ = writeln!(out, "            Self::{} => &SHADERS[{index}],", shader.variant.kernel);
    }
    out += "        }\n    }\n}\n\n";
    let mut texts = Texts::default();
    let _ = writeln!(out, "/// Every variant of every kernel, by name.\npub static SHADERS: [Shader; {}] = [", shaders.len());
    for (Shader { variant, composed, reflection }, text) in shaders.iter().zip(all.chunks_exact(2)) {
        let [before, behind] = [texts.add(&text[0]), texts.add(&text[1])];
        let _ = writeln!(
            out,
            "    Shader {{ name: {:?}, kernel: Kernel::{kernel}, subgroups: {}, flags: &{:?}, writable: &{:?}, params_bytes: size_of::<{kernel}Params>() as u32, has_slot: {}, shape: &{:?}, before: &{before:?}, behind: &{behind:?} }},",
            variant.name,
            variant.flags.iter().any(|f| f == "SUBGROUPS"),
            variant.flags.iter().filter(|f| *f != "SUBGROUPS").map(|f| f.to_lowercase()).collect::<Vec<_>>(),
            reflection.writable,
            composed.slot.is_some(),
            composed.shape.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            kernel = variant.kernel,
        );
    }
    let _ = writeln!(out, "];\n\n/// What the texts of all variants are pieced together from.\nstatic TEXTS: &str = {:?};", texts.text);
    out + &params(shaders)
}

/// The texts of all variants, what they share once: they travel in every binary and every web page.
#[derive(Default)]
struct Texts {
    text: String,
    /// Lines of the text, and where each begins.
    lines: Vec<(String, usize)>,
    /// Where three lines in a row first stand.
    known: BTreeMap<[String; 3], usize>,
}

impl Texts {
    /// The byte ranges that make up a text; what is not there yet is appended.
    fn add(&mut self, text: &str) -> Vec<[usize; 2]> {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let three = |at: usize| lines.get(at..at + 3).map(|l| [l[0].to_owned(), l[1].to_owned(), l[2].to_owned()]);
        let mut pieces: Vec<[usize; 2]> = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            let (begin, count) = match three(at).and_then(|key| self.known.get(&key).copied()) {
                Some(place) => {
                    let same = lines[at..].iter().zip(&self.lines[place..]).take_while(|(a, (b, _))| **a == b.as_str()).count();
                    (self.lines[place].1, same)
                }
                None => {
                    self.lines.push((lines[at].to_owned(), self.text.len()));
                    self.text.push_str(lines[at]);
                    if let Some(first) = self.lines.len().checked_sub(3) {
                        let last = &self.lines[first..];
                        self.known.entry([last[0].0.clone(), last[1].0.clone(), last[2].0.clone()]).or_insert(first);
                    }
                    (self.text.len() - lines[at].len(), 1)
                }
            };
            let end = begin + lines[at..at + count].iter().map(|line| line.len()).sum::<usize>();
            match pieces.last_mut() {
                Some(last) if last[1] == begin => last[1] = end,
                _ => pieces.push([begin, end]),
            }
            at += count;
        }
        pieces
    }
}

/// The params of each kernel, as Rust structs; kernels that share their params share the struct.
fn params(shaders: &[Shader]) -> String {
    let mut out = String::new();
    let mut known: Vec<(&[(String, String)], &str)> = Vec::new();
    for Shader { variant: Variant { file, kernel, .. }, reflection, .. } in shaders.iter().filter(|s| s.variant.first) {
        let members = reflection.params.as_slice();
        let _ = writeln!(out, "\n/// `Params` of `shaders/{file}.wgsl`.");
        if let Some((_, same)) = known.iter().find(|(other, _)| *other == members) {
            let _ = writeln!(out, "pub type {kernel}Params = {same}Params;");
            continue;
        }
        known.push((members, kernel));
        let _ = writeln!(out, "#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]\n#[repr(C)]\npub struct {kernel}Params {{");
        for (name, ty) in members {
            let _ = writeln!(out, "    pub {name}: {ty},");
        }
        out += "}\n";
    }
    out
}

/// `WEFT_DUMP_SHADERS=DIR`: the final text of each variant, for native (`NAME.wgsl`) and for
/// browsers (`NAME.web.wgsl`; none of what is native only), whose compilers demand an `enable` line that naga refuses.
fn dump(folder: &Path, shaders: &[Shader]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for Shader { variant, composed, .. } in shaders {
        let header = if variant.flags.iter().any(|f| f == "SUBGROUPS") { "enable subgroups;\n" } else { "" };
        fs::write(folder.join(format!("{}.wgsl", variant.name)), &composed.text)?;
        if variant.is_native_only() {
            continue;
        }
        fs::write(folder.join(format!("{}.web.wgsl", variant.name)), format!("{header}{}", composed.text))?;
    }
    Ok(())
}
