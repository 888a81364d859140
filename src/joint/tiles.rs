//! Which rows are made together.

use crate::lattice::{Problem, Window};
use std::ops::Range;

/// Rows of a tile: a side of a grid.
pub(super) const MOST_ROWS: u64 = 65_535;

/// Cuts the rows of some utterances into tiles of `most_rows`: several utterances, at most `most_utterances`, that are whole, or rows of
/// one, in pieces of about the same size, of whole frames where these are small.
pub(super) fn windows(problem: &Problem, chunk: Range<usize>, most_rows: u64, most_utterances: usize) -> Vec<Window> {
    let row_bytes = 4 * problem.row as u64;
    let mut windows = Vec::new();
    let mut push = |utterances: Range<usize>, rows: Range<u64>, first_unit: u64, count: u64| {
        if count > 0 {
            windows.push(Window { part: 0, utterances, rows, first_unit, shift: 0, offset: 0, bytes: count * row_bytes });
        }
    };
    let mut n = chunk.start;
    while n < chunk.end {
        let first = problem.utterances[n];
        let rows_to = |last: usize| problem.utterances[last].first_row + problem.utterances[last].rows - first.first_row;
        let last = (n..chunk.end).take(most_utterances.max(1)).take_while(|&last| rows_to(last) <= most_rows).last();
        if let Some(last) = last {
            push(n..last + 1, 0..u64::MAX, first.first_row, rows_to(last));
            n = last + 1;
            continue;
        }
        let pieces = first.rows.div_ceil(most_rows);
        let mut each = first.rows.div_ceil(pieces);
        let frame = u64::from(first.positions);
        if each.next_multiple_of(frame) <= most_rows {
            each = each.next_multiple_of(frame);
        } else if each > frame {
            each -= each % frame;
        }
        for from in (0..first.rows).step_by(each as usize) {
            let to = (from + each).min(first.rows);
            push(n..n + 1, from..to, first.first_row + from, to - from);
        }
        n += 1;
    }
    windows
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Every row is in one tile, which is no larger than it may be.
    #[test]
    fn tiles_cover_the_rows() {
        let (frames, labels) = ([7, 0, 100, 3, 3, 1], [2, 5, 9, 0, 1, 30]);
        let problem = Problem::packed(5, 5, [&frames, &labels], None).unwrap();
        let all: u64 = problem.utterances.iter().map(|u| u.rows).sum();
        for most_rows in [1, 2, 9, 10, 11, 64, 999, 5_000] {
            for most_utterances in [1, 2, 100] {
                let mut next = 0;
                for window in windows(&problem, 0..6, most_rows, most_utterances) {
                    let count = window.bytes / 20;
                    assert_eq!(window.first_unit, next);
                    assert!((1..=most_rows).contains(&count) && window.utterances.len() <= most_utterances);
                    next += count;
                }
                assert_eq!(next, all, "tiles of {most_rows}");
            }
        }
    }
}
