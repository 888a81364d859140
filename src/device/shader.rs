//! The typed table of every shader variant, written by the build script.

use std::cmp::Ordering;
use std::fmt;

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// One checked, reflected variant of a kernel.
pub struct Shader {
    /// `lattice_row`, `lattice_row_subgroups`.
    pub name: &'static str,
    /// The kernel that this is a variant of.
    pub kernel: Kernel,
    /// Whether it needs subgroup operations.
    pub subgroups: bool,
    /// Its other flags (`shaders/variants`), in their order there.
    pub flags: &'static [&'static str],
    /// Access of the storage bindings 1, 2, …: true = read_write. Binding 0 is the uniform `params`.
    pub writable: &'static [bool],
    /// Bytes of the uniform `params`.
    pub params_bytes: u32,
    /// Whether its text has a place for a [`Program`](super::program::Program), without which it is none.
    pub has_slot: bool,
    /// Numbers that its text is unrolled by: pipeline constants that must be known before it is compiled.
    pub shape: &'static [&'static str],
    /// Byte ranges of `TEXTS` that make up its text: before the slot, and behind it.
    before: &'static [[usize; 2]],
    behind: &'static [[usize; 2]],
}

impl Shader {
    /// The WGSL text, without `enable` lines; `slot` is the text of a program, for kernels that have a place for one.
    pub fn wgsl(&self, slot: &str) -> String {
        let text = |pieces: &'static [[usize; 2]]| pieces.iter().filter_map(|&[begin, end]| TEXTS.get(begin..end));
        text(self.before).chain([slot]).chain(text(self.behind)).collect()
    }

    /// Bytes of the text.
    pub fn text_bytes(&self) -> usize {
        self.before.iter().chain(self.behind).map(|[begin, end]| end - begin).sum()
    }
}

/// Variants are told apart by their names.
impl PartialEq for Shader {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Shader {}

impl PartialOrd for Shader {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Shader {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(other.name)
    }
}

impl fmt::Debug for Shader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
