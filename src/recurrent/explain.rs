//! Plans of layers, for people.

use super::plan::{Choice, Problem};
use super::{Refusal, Tier};
use crate::device::recording::Recording;
use std::fmt;

/// What a call of a layer would do: printed, its buffers and launches in their order. Nothing runs.
#[derive(Clone)]
pub struct Plan {
    recording: Recording,
    choice: Choice,
    cell: String,
    sides: [u64; 3],
    half: &'static str,
    serial_steps: u64,
    tape_bytes: u64,
}

/// Which tier takes the steps of a call, why, and what that costs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The tier.
    pub tier: Tier,
    /// Why it.
    pub why: String,
    /// The others, and why not they.
    pub refused: Vec<Refusal>,
    /// Kernel launches, products over all frames included.
    pub launches: u64,
    /// Steps that wait for each other, one after the other: a step of a stepped tier is a launch, of others a wait within one.
    pub serial_steps: u64,
    /// Bytes that the call takes beside its input, its results and the tape, for as long as it runs.
    pub workspace_bytes: u64,
    /// Bytes that the tape keeps between forward and backward: the states of every frame, and what is projected. x comes on top, which is the caller's.
    pub tape_bytes: u64,
    /// The cell, T, N and H, and which half of the call, for the headline.
    call: String,
}

impl Plan {
    pub(super) fn new((recording, choice): (Recording, Choice), problem: &Problem, cell: &str, half: &'static str) -> Self {
        let &Problem { frames, batch, hidden, .. } = problem;
        // What is projected is kept besides the states.
        let planes = problem.shape.states.saturating_mul(frames + 1) + problem.projection.map_or(0, |_| frames);
        let kept = planes.saturating_mul(batch).saturating_mul(hidden).saturating_mul(4);
        Self {
            serial_steps: problem.serial_steps(choice.tier()),
            tape_bytes: if problem.training { kept } else { 0 },
            recording,
            choice,
            cell: cell.to_owned(),
            sides: [frames, batch, hidden],
            half,
        }
    }

    /// Which tier takes the steps, why, why no other, and what the call costs.
    pub fn explain(&self) -> Explanation {
        let [frames, batch, hidden] = self.sides;
        Explanation {
            tier: self.choice.tier(),
            why: self.choice.why.clone(),
            refused: self.choice.refused.clone(),
            launches: self.recording.dispatches() as u64,
            serial_steps: self.serial_steps,
            workspace_bytes: self.recording.workspace_bytes(),
            tape_bytes: self.tape_bytes,
            call: format!("{} T{frames} N{batch} H{hidden}, {}", self.cell, self.half),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.recording.fmt(f)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.explain().fmt(f)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: the {} tier ({})", self.call, self.tier, self.why)?;
        for Refusal { tier, reason, possible } in &self.refused {
            writeln!(f, "  not {tier}{}: {reason}", if *possible { ", which could" } else { "" })?;
        }
        writeln!(f, "  launches {}, serial steps {}", self.launches, self.serial_steps)?;
        write!(f, "  workspace {} B, tape {} B", self.workspace_bytes, self.tape_bytes)
    }
}
