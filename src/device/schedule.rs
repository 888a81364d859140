//! How a recording becomes passes and submits: as few as possible, none so long that a watchdog
//! (about two seconds on Windows, and in browsers) kills it.

use super::recording::{Binding, Command, Dispatch, Recording};

/// Consecutive commands that go into one compute pass.
#[derive(Default)]
pub(super) struct Pass<'a> {
    /// Buffers to clear before the pass.
    pub clears: Vec<usize>,
    /// Launches, in order.
    pub dispatches: Vec<&'a Dispatch>,
    /// Copies after the pass: from, to.
    pub copies: Vec<(Binding, Binding)>,
    /// Whether the pass ends here.
    cut: bool,
    /// Whether the queue gets everything up to here before more is encoded.
    pub submit: bool,
}

/// Cuts a recording into submits of at most `budget` elementary operations, but never a single command:
/// plans keep each launch small by themselves. `apart`: no pass has more than one launch.
pub(super) fn passes(recording: &Recording, budget: u64, apart: bool) -> Vec<Pass<'_>> {
    let mut passes: Vec<Pass<'_>> = Vec::new();
    let mut spent = 0u64;
    for command in &recording.commands {
        let work = match command {
            Command::Clear(buffer) => recording.buffers[buffer.0].bytes / 4,
            Command::Copy(from, _) => from.bytes / 4,
            Command::Dispatch(dispatch) => dispatch.work,
            Command::Cut => 0,
        };
        spent = spent.saturating_add(work);
        if spent > budget {
            spent = work;
            passes.last_mut().into_iter().for_each(|last| last.submit = true);
        }
        // Clears come before the launches of a pass, copies after them.
        let takes = |last: &Pass<'_>| match command {
            Command::Clear(_) => last.dispatches.is_empty() && last.copies.is_empty() && !last.cut,
            Command::Dispatch(_) => last.copies.is_empty() && !last.cut,
            Command::Copy(..) | Command::Cut => true,
        };
        let open = passes.pop_if(|last| !last.submit && takes(last));
        if open.is_none() && matches!(command, Command::Cut) {
            continue;
        }
        let mut pass = open.unwrap_or_default();
        match command {
            Command::Clear(buffer) => pass.clears.push(buffer.0),
            Command::Dispatch(dispatch) => {
                pass.dispatches.push(dispatch);
                pass.cut |= apart;
            }
            Command::Copy(from, to) => pass.copies.push((*from, *to)),
            Command::Cut => pass.cut = true,
        }
        passes.push(pass);
    }
    passes.last_mut().into_iter().for_each(|last| last.submit = true);
    passes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::recording::BufferId;
    use crate::device::shader::Kernel;

    /// Launches of 100 operations each, after a clear of 64 where `clears` says so.
    fn recording(clears: &[bool]) -> Recording {
        let shader = Kernel::AudioMagnitude.plain();
        let mut recording = Recording::new();
        let x = recording.bound("x", 256);
        let y = recording.workspace("y", 256);
        let windows = [recording.whole(x), recording.whole(y)];
        let set = recording.bind(&windows);
        for &clear in clears {
            if clear {
                recording.clear(y);
            }
            recording.dispatch(shader, set, &[1u32, 4], [1, 1, 1], 100);
        }
        recording
    }

    /// Clears and launches of each pass, and whether it ends a submit.
    fn shape(recording: &Recording, budget: u64) -> Vec<(usize, usize, bool)> {
        passes(recording, budget, false).iter().map(|p| (p.clears.len(), p.dispatches.len(), p.submit)).collect()
    }

    #[test]
    fn everything_in_one_submit_when_it_fits() {
        let mut recording = recording(&[false; 3]);
        assert_eq!(shape(&recording, u64::MAX), [(0, 3, true)]);
        let y = BufferId(1);
        recording.clear(y);
        recording.clear(y);
        assert_eq!(shape(&recording, u64::MAX), [(0, 3, false), (2, 0, true)]);
        assert!(shape(&Recording::new(), 1).is_empty());
    }

    #[test]
    fn long_work_is_cut_but_nothing_is_lost() {
        assert_eq!(shape(&recording(&[false; 5]), 250), [(0, 2, true), (0, 2, true), (0, 1, true)]);
        assert_eq!(shape(&recording(&[false; 3]), 1), [(0, 1, true); 3]);
    }

    #[test]
    fn clears_between_the_launches_do_not_keep_work_together() {
        assert_eq!(shape(&recording(&[true; 4]), 350), [(1, 1, false), (1, 1, true), (1, 1, false), (1, 1, true)]);
        assert_eq!(shape(&recording(&[true; 3]), u64::MAX), [(1, 1, false), (1, 1, false), (1, 1, true)]);
    }

    #[test]
    fn cuts_end_passes_and_copies_come_after_them() {
        let mut recording = recording(&[false]);
        let (x, y) = (recording.whole(BufferId(0)), recording.whole(BufferId(1)));
        let set = recording.bind(&[x, y]);
        let launch = |recording: &mut Recording| recording.dispatch(Kernel::AudioMagnitude.plain(), set, &[1u32, 4], [1, 1, 1], 100);
        recording.cut();
        recording.cut();
        launch(&mut recording);
        launch(&mut recording);
        recording.copy(x, y);
        launch(&mut recording);
        assert_eq!(shape(&recording, u64::MAX), [(0, 1, false), (0, 2, false), (0, 1, true)]);
        assert_eq!(passes(&recording, u64::MAX, false).iter().map(|p| p.copies.len()).collect::<Vec<_>>(), [0, 1, 0]);
    }
}
