//! What is timed, and how a case is named and chosen.

use std::time::Duration;
use weft::lattice::Status;
use weft::{Context, Error, RunReport};

/// What tells a case from the others, beside its shape. The words go into the case's name, its row and
/// the file.
#[derive(Clone, Copy, Debug)]
pub struct Labels {
    /// The computation: `rnnt`, `lstm`, …
    pub op: &'static str,
    /// What it is given: `logits`, `x`, …
    pub input: &'static str,
    /// Type of the input's elements.
    pub dtype: &'static str,
    /// How utterances lie in memory.
    pub layout: &'static str,
    /// Lengths of the utterances: `full`, or `ragged` between half and the whole.
    pub lengths: &'static str,
    /// What the values look like: `flat` is noise, `band` a trained model's.
    pub data: &'static str,
    /// `loss`, `loss+grad`, `loss+grad-in-place`, `forward`.
    pub direction: &'static str,
}

/// A call with its data in place, ready to be timed.
pub struct Ready {
    /// Makes the call once.
    pub call: Box<dyn FnMut() -> weft::Result<RunReport>>,
    /// What has to be done before each call, untimed, where a call overwrites its input.
    pub before: Option<Box<dyn Fn() -> weft::Result<()>>>,
    /// Least bytes that it must move.
    pub bytes: f64,
    /// Multiplications and additions of products of matrices.
    pub flops: Option<f64>,
    /// Cells of its lattices, without the padding; a recurrent layer has none.
    pub cells: Option<u64>,
    /// Bytes that it holds beyond its input and its results, where the plan tells them.
    pub workspace: Option<u64>,
    /// Bytes of its results on the device.
    pub results: u64,
    /// Of joiners: bytes that the same call would take beyond its input with all logits at once, its results among them.
    pub materialised: Option<u64>,
    /// Tells of the steps of a recurrent layer, once it was called: cards are asked at the first call what they can.
    pub steps: Option<Box<dyn Fn() -> weft::Result<Steps>>>,
}

/// The steps of a recurrent layer, or of several.
pub struct Steps {
    /// What takes them.
    pub tiers: String,
    /// Steps that workgroups wait for each other in, within launches.
    pub waits: u64,
    /// Frames of all sequences together.
    pub frames: u64,
    /// What making the plans of a call took on the CPU, the median.
    pub plan: Duration,
}

/// Makes the data and the call of a case.
pub type Prepare = Box<dyn Fn(&Context) -> weft::Result<Ready>>;

/// One row of the table.
pub struct Case {
    pub labels: Labels,
    /// Sides by their letters, in the order in which they are shown.
    pub shape: Vec<(&'static str, usize)>,
    pub prepare: Prepare,
}

impl Case {
    /// All words of the case: `rnnt logits f32 padded full flat T150 U40 V28 N16 loss+grad`.
    pub fn name(&self) -> String {
        let l = &self.labels;
        let shape: Vec<String> = self.shape.iter().map(|(side, size)| format!("{}{size}", side.to_uppercase())).collect();
        [l.op, l.input, l.dtype, l.layout, l.lengths, l.data, &shape.join(" "), l.direction].join(" ")
    }
}

/// The report of a loss, if every utterance came out well: a time of the way out for bad utterances would be no
/// time of the loss.
pub fn all_ok(status: &[Status], costs: &[f32], report: RunReport) -> weft::Result<RunReport> {
    match status.iter().zip(costs).enumerate().find(|(_, (status, _))| **status != Status::Ok) {
        Some((utterance, (status, cost))) => {
            Err(Error::Gpu { message: format!("utterance {utterance} came out as {status:?}, cost {cost}") })
        }
        None => Ok(report),
    }
}

impl Ready {
    /// Most bytes that it holds beyond its input.
    pub fn peak(&self) -> Option<u64> {
        Some(self.workspace? + self.results)
    }
}

/// Whether a name has all words of one of the filters.
pub fn wanted(name: &str, filters: &[String]) -> bool {
    let has = |word| name.split(' ').any(|w| w.eq_ignore_ascii_case(word));
    filters.is_empty() || filters.iter().any(|filter| filter.split_whitespace().all(has))
}
