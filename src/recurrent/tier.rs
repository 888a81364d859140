//! What runs the steps of a layer, by name.

use std::fmt;

/// What runs the steps of a layer. Plans choose one; [`Layer::with_tier`](super::Layer::with_tier) asks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// A launch a step, or two where a cell has two products or norms over its units: any cell with a product, on any device.
    Stepped,
    /// One launch for a stretch of steps, a workgroup a sequence, which reads all weights at each step: cells with one product. Not in
    /// browsers.
    Local,
    /// One launch for a stretch of steps, on workgroups that keep their weights in registers and wait for each other: the same cells, on
    /// cards that run as many workgroups together. Not in browsers.
    Persistent,
    /// One launch for a stretch of steps, an invocation a unit: cells without a product, and no others.
    Scan,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stepped, Self::Local, Self::Persistent, Self::Scan];

    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stepped => "stepped",
            Self::Local => "local",
            Self::Persistent => "persistent",
            Self::Scan => "scan",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A tier that does not run the steps of a call, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The tier.
    pub tier: Tier,
    /// What stands against it.
    pub reason: String,
    /// Whether it could run them, if it was asked for.
    pub possible: bool,
}
