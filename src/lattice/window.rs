//! Windows: what a kernel sees of tensors that are larger than one binding.

use super::layout::Problem;
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId};
use crate::error::{Result, within};
use std::ops::Range;

/// Utterances of one launch: the third side of a grid.
const MOST_UTTERANCES: usize = 65_535;

/// Rows of some utterances of a part, or some rows of one.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub part: usize,
    pub utterances: Range<usize>,
    /// Rows of each utterance.
    pub rows: Range<u64>,
    /// The first unit that a kernel counts from, and the elements before it.
    pub first_unit: u64,
    pub shift: u32,
    pub offset: u64,
    pub bytes: u64,
}

impl Window {
    pub fn binding(&self, buffer: BufferId) -> Binding {
        Binding { buffer, offset: self.offset, bytes: self.bytes.next_multiple_of(4) }
    }
}

/// Cuts the rows of some utterances into windows: each begins at an aligned offset of its part.
pub(super) fn windows(problem: &Problem, chunk: Range<usize>, caps: &Caps) -> Result<Vec<Window>> {
    let mut windows = Vec::new();
    for (part, held) in problem.parts.iter().enumerate() {
        let utterances = held.utterances.start.max(chunk.start)..held.utterances.end.min(chunk.end);
        if utterances.is_empty() || held.bytes == 0 {
            continue;
        }
        if problem.dense {
            dense(problem, part, utterances, caps, &mut windows)?;
        } else {
            within(
                "logits: bytes of a tensor with strides",
                held.bytes,
                caps.max_window_bytes(),
                "use padded or packed logits, which are read in windows",
            )?;
            let whole = Window { part, utterances: 0..0, rows: 0..u64::MAX, first_unit: 0, shift: 0, offset: 0, bytes: held.bytes };
            let starts = utterances.clone().step_by(MOST_UTTERANCES.min(caps.max_workgroups as usize).max(1));
            windows
                .extend(starts.map(|first| Window { utterances: first..(first + MOST_UTTERANCES).min(utterances.end), ..whole.clone() }));
        }
    }
    Ok(windows)
}

/// Windows of rows that follow each other in memory.
fn dense(problem: &Problem, part: usize, utterances: Range<usize>, caps: &Caps, windows: &mut Vec<Window>) -> Result<()> {
    let row_bytes = problem.row as u64 * problem.dtype.bytes();
    let limit = caps.max_window_bytes();
    let cut = |rows: Range<u64>| {
        let begin = rows.start * row_bytes;
        let shift = begin % caps.storage_alignment.max(4);
        (begin - shift, shift, (rows.end - rows.start) * row_bytes + shift)
    };
    let most = MOST_UTTERANCES.min(caps.max_workgroups as usize).max(1);
    let mut n = utterances.start;
    while n < utterances.end {
        let first = problem.utterances[n];
        let end = |n: usize| problem.utterances[n].first_row + problem.utterances[n].rows;
        let fits = |last: usize| cut(first.first_row..end(last)).2 <= limit;
        let last = (n..utterances.end.min(n + most)).take_while(|&last| fits(last)).last();
        let whole = Window { part, utterances: n..n + 1, rows: 0..u64::MAX, first_unit: first.first_row, shift: 0, offset: 0, bytes: 0 };
        let mut push = |rows: Range<u64>, window: Window| {
            let (offset, shift, bytes) = cut(rows.clone());
            if rows.end > rows.start {
                windows.push(Window { first_unit: rows.start, offset, shift: (shift / problem.dtype.bytes()) as u32, bytes, ..window });
            }
        };
        if let Some(last) = last {
            push(first.first_row..end(last), Window { utterances: n..last + 1, ..whole });
            n = last + 1;
            continue;
        }
        // One utterance alone is too large.
        let worst = row_bytes + caps.storage_alignment.max(4) - 1;
        within("logits: bytes of one row and its alignment", worst, limit, "use a smaller vocabulary, or Context::cpu()")?;
        let rows = (limit - (caps.storage_alignment.max(4) - 1)) / row_bytes;
        for from in (0..first.rows).step_by(rows as usize) {
            let to = (from + rows).min(first.rows);
            push(first.first_row + from..first.first_row + to, Window { rows: from..to, ..whole.clone() });
        }
        n += 1;
    }
    Ok(())
}
