//! What fills the slot of a kernel: functions that a plan brings along.

use std::cmp::Ordering;
use std::fmt;

/// A function of numbers, for many at once: slices of the same length in, and out. What it does not use may be empty.
pub type Lanes = dyn Fn(&[&[f32]], &mut [&mut [f32]]) + Send + Sync;

/// WGSL constants and functions for the slot of a kernel (`#slot` in its file), and the same for the kernel's twin.
pub struct Program {
    text: String,
    constants: Vec<(&'static str, u32)>,
    twins: Vec<(&'static str, Box<Lanes>)>,
}

impl Program {
    /// Constants; a WGSL text of functions that may use them, and those of the functions that kernels call, by name.
    pub(crate) fn new(constants: Vec<(&'static str, u32)>, functions: &str, twins: Vec<(&'static str, Box<Lanes>)>) -> Self {
        let declared: String = constants.iter().map(|(name, value)| format!("const {name} = {value}u;\n")).collect();
        Self { text: declared + functions, constants, twins }
    }

    /// One of its constants; 0 if it has none of that name.
    pub(crate) fn constant(&self, name: &str) -> u32 {
        self.constants.iter().find(|(known, _)| *known == name).map_or(0, |&(_, value)| value)
    }

    /// The WGSL text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// One of its functions.
    pub(crate) fn twin(&self, name: &str) -> Option<&Lanes> {
        self.twins.iter().find(|(known, _)| *known == name).map(|(_, twin)| &**twin)
    }
}

/// Programs are told apart by their texts.
impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Program {}

impl PartialOrd for Program {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Program {
    fn cmp(&self, other: &Self) -> Ordering {
        if std::ptr::eq(self, other) { Ordering::Equal } else { self.text.cmp(&other.text) }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
