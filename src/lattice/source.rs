//! Where the scores of a plan come from, and where their gradients go.

use super::layout::Problem;
use super::options::Gradients;
use super::window::{Window, windows};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording};
use crate::error::{Result, within};
use std::ops::Range;

/// What a plan knows by the time that rows are wanted.
#[derive(Clone, Copy)]
#[cfg_attr(target_family = "wasm", expect(dead_code, reason = "read where rows are made, which the package does not"))]
pub(crate) struct Batch {
    /// Headers of the utterances and what follows them.
    pub words: Binding,
    /// Their status words, first of all.
    pub results: Binding,
}

/// Scores in windows: tensors that are there, or rows that are made where they are wanted.
pub(crate) trait Source {
    /// The windows of some utterances, whose lattices lie side by side.
    fn windows(&mut self, problem: &Problem, chunk: Range<usize>, caps: &Caps) -> Result<Vec<Window>>;

    /// Whether anybody wants gradients.
    fn has_gradients(&self) -> bool;

    /// Declares what the caller gives behind the results, and what a chunk takes.
    fn declare(&mut self, problem: &Problem, chunks: &[Range<usize>], recording: &mut Recording);

    /// What comes before everything else; of a batch that is done by several plans, before each, of which this may be the first.
    fn begin(&mut self, problem: &Problem, recording: &mut Recording, batch: Batch, is_first: bool) -> Result<()>;

    /// The scores of a window, for the row pass. They must stay until the next window is asked for.
    fn scores(&mut self, problem: &Problem, recording: &mut Recording, batch: Batch, window: &Window) -> Result<Binding>;

    /// Where the gradient pass writes the gradients of a window, and where it reads the scores, unless it is in place.
    fn gradients(&mut self, recording: &mut Recording, batch: Batch, window: &Window) -> Result<(Binding, Option<Binding>)>;

    /// What follows from the gradients of a window.
    fn follow(&mut self, problem: &Problem, recording: &mut Recording, batch: Batch, window: &Window) -> Result<()>;

    /// What comes after everything else.
    fn end(&mut self, problem: &Problem, recording: &mut Recording, batch: Batch) -> Result<()>;
}

/// The caller's tensors.
pub(super) struct Tensors {
    scores: Vec<BufferId>,
    gradients: Vec<BufferId>,
    wanted: Gradients,
}

impl Tensors {
    /// Declares the scores.
    pub fn of(recording: &mut Recording, problem: &Problem, wanted: Gradients, caps: &Caps) -> Result<Self> {
        for part in &problem.parts {
            within("logits: bytes of the tensor", part.bytes, caps.max_buffer_bytes, "split the batch into parts")?;
        }
        let scores = problem.parts.iter().map(|part| recording.bound("scores", part.bytes.next_multiple_of(4))).collect();
        Ok(Self { scores, gradients: Vec::new(), wanted })
    }
}

impl Source for Tensors {
    fn windows(&mut self, problem: &Problem, chunk: Range<usize>, caps: &Caps) -> Result<Vec<Window>> {
        windows(problem, chunk, caps)
    }

    fn has_gradients(&self) -> bool {
        !self.gradients.is_empty()
    }

    fn declare(&mut self, problem: &Problem, _: &[Range<usize>], recording: &mut Recording) {
        self.gradients = match self.wanted {
            Gradients::Separate => problem.parts.iter().map(|part| recording.bound("gradients", part.bytes.next_multiple_of(4))).collect(),
            Gradients::InPlace => self.scores.clone(),
            Gradients::None => Vec::new(),
        };
    }

    fn begin(&mut self, problem: &Problem, recording: &mut Recording, _: Batch, is_first: bool) -> Result<()> {
        if is_first && !problem.dense && self.wanted == Gradients::Separate {
            // Between the rows.
            self.gradients.iter().for_each(|&buffer| recording.clear(buffer));
        }
        Ok(())
    }

    fn scores(&mut self, _: &Problem, _: &mut Recording, _: Batch, window: &Window) -> Result<Binding> {
        Ok(window.binding(self.scores[window.part]))
    }

    fn gradients(&mut self, _: &mut Recording, _: Batch, window: &Window) -> Result<(Binding, Option<Binding>)> {
        let scores = window.binding(self.scores[window.part]);
        Ok((window.binding(self.gradients[window.part]), (self.wanted == Gradients::Separate).then_some(scores)))
    }

    fn follow(&mut self, _: &Problem, _: &mut Recording, _: Batch, _: &Window) -> Result<()> {
        Ok(())
    }

    fn end(&mut self, _: &Problem, _: &mut Recording, _: Batch) -> Result<()> {
        Ok(())
    }
}
