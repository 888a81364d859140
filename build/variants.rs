//! The variants table: `shaders/variants`, one line a kernel.

use super::compose::{Fault, Origin};
use std::path::Path;

/// One text to compose.
#[derive(Clone, Debug)]
pub struct Variant {
    /// `lattice/row`: the file, without its ending.
    pub file: String,
    /// `lattice_row` or `lattice_row_subgroups`.
    pub name: String,
    /// `LatticeRow`: the kernel, whatever its variant.
    pub kernel: String,
    /// Whether browsers do without it.
    pub native: bool,
    /// Whether browsers could run it, but the package for them has no use for it.
    pub training: bool,
    /// Whether it is the first of its kernel: `plain`, where there is such.
    pub first: bool,
    /// Flags of this variant, upper case, as `#ifdef` sees them.
    pub flags: Vec<String>,
}

/// Flags a variant may set: `subgroups` is a device feature that `Caps` knows; a plan chooses the others by
/// its problem (`packN`: N elements a load; `f16`: elements of two bytes; `unaligned`: of those, rows that begin in the middle of a
/// word; `in_place`: output over input; `coop`: cooperative matrices, of 16 x 16 or with `side8` of 8 x 8; `nt`, `nn`, `tn`: how the
/// factors of a product lie; `coherent`: four words at once of what other workgroups write; `normed`: with layer norms; `bands`: lattices of bands, of joiners, for
/// which the package has no use).
const FLAGS: [&str; 14] =
    ["subgroups", "pack2", "pack4", "f16", "unaligned", "in_place", "coop", "side8", "nt", "nn", "tn", "coherent", "normed", "bands"];

impl Variant {
    /// Whether the table for wasm has it.
    pub fn is_in_package(&self) -> bool {
        !self.training && !self.is_native_only() && !self.flags.iter().any(|flag| flag == "BANDS")
    }

    /// Whether it exists for wgpu's own backends alone: kernels that wait for other workgroups, which a browser might never run
    /// together; cooperative matrices, an extension of naga's, which no browser has and Tint does not know. Such a variant stays
    /// out of the table for wasm and is not shown to Tint.
    pub fn is_native_only(&self) -> bool {
        self.native || self.flags.iter().any(|flag| flag == "COOP")
    }
}

/// Reads the table. A line is `FILE: plain | FLAG[+FLAG…] | …`; `plain` must come first, because
/// every kernel has a variant that runs anywhere; but in a line that begins with `native`, whose kernels are not for browsers, and which
/// plans may choose for the features of a device alone. A line that begins with `training` is held to all that browsers demand, but
/// stays out of their table.
pub fn read(root: &Path) -> Result<Vec<Variant>, Vec<Fault>> {
    let origin = |line| Origin { file: "variants".into(), line };
    let fault = |line, message: String| Fault { origin: origin(line), variant: "table".into(), message };
    let text = std::fs::read_to_string(root.join("variants")).map_err(|e| vec![fault(0, e.to_string())])?;
    let (mut variants, mut faults) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let number = index + 1;
        let Some((file, list)) = line.split_once(':') else {
            faults.push(fault(number, format!("`{line}` is not FILE: plain | FLAG …")));
            continue;
        };
        let (native, file) = file.trim().strip_prefix("native ").map_or((false, file.trim()), |file| (true, file));
        let (training, file) = file.strip_prefix("training ").map_or((false, file), |file| (true, file));
        let base = file.replace('/', "_");
        for (place, flags) in list.split('|').map(str::trim).enumerate() {
            if (flags == "plain") != (place == 0) && !native {
                faults.push(fault(number, format!("{file}: `plain` must come first and once")));
            }
            let flags: Vec<&str> = if flags == "plain" { Vec::new() } else { flags.split('+').map(str::trim).collect() };
            if let Some(unknown) = flags.iter().find(|f| !FLAGS.contains(f)) {
                faults.push(fault(number, format!("{file}: unknown flag `{unknown}`, known are {FLAGS:?}")));
            }
            let mut name = base.clone();
            for flag in &flags {
                name = format!("{name}_{flag}");
            }
            variants.push(Variant {
                file: file.to_owned(),
                name,
                kernel: camel_case(&base),
                native,
                training,
                first: place == 0,
                flags: flags.iter().map(|f| f.to_uppercase()).collect(),
            });
        }
    }
    if faults.is_empty() { Ok(variants) } else { Err(faults) }
}

fn camel_case(snake: &str) -> String {
    snake
        .split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
        })
        .collect()
}
