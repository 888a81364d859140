//! How a recording becomes passes and submits: as few as possible, none so long that a watchdog
//! (about two seconds on Windows, and in browsers) kills it.

use super::caps::{Caps, DeviceKind};
use super::recording::{Command, Dispatch, Recording};

/// Consecutive commands that go into one compute pass.
pub(super) struct Pass<'a> {
    /// Buffers to clear before the pass.
    pub clears: Vec<usize>,
    /// Launches, in order.
    pub dispatches: Vec<&'a Dispatch>,
    /// Whether the queue gets everything up to here before more is encoded.
    pub submit: bool,
}

/// Elementary operations a submit: about a quarter of a second of slow hardware of that kind.
pub(super) fn budget(caps: &Caps) -> u64 {
    match caps.kind {
        DeviceKind::Discrete => 200_000_000_000,
        DeviceKind::Integrated | DeviceKind::Virtual | DeviceKind::Unknown => 20_000_000_000,
        DeviceKind::Software | DeviceKind::Cpu => 500_000_000,
    }
}

/// Cuts a recording. A single dispatch is never cut: plans keep each within a window of a buffer.
pub(super) fn passes(recording: &Recording, budget: u64) -> Vec<Pass<'_>> {
    let empty = || Pass { clears: Vec::new(), dispatches: Vec::new(), submit: false };
    let mut passes = vec![empty()];
    let mut spent = 0u64;
    for command in &recording.commands {
        let Some(last) = passes.last_mut() else { break };
        match command {
            Command::Clear(buffer) if last.dispatches.is_empty() => last.clears.push(buffer.0),
            Command::Clear(buffer) => passes.push(Pass { clears: vec![buffer.0], ..empty() }),
            Command::Dispatch(dispatch) => {
                spent = spent.saturating_add(dispatch.work);
                if spent > budget && !last.dispatches.is_empty() {
                    last.submit = true;
                    spent = dispatch.work;
                    passes.push(Pass { dispatches: vec![dispatch], ..empty() });
                } else {
                    last.dispatches.push(dispatch);
                }
            }
        }
    }
    passes.retain(|p| !p.clears.is_empty() || !p.dispatches.is_empty());
    if let Some(last) = passes.last_mut() {
        last.submit = true;
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dense::{Activation, record_linear};

    fn three_layers() -> Recording {
        let mut recording = Recording::new();
        let x = recording.bound("x", 64 * 64 * 4);
        let w = recording.bound("w", 64 * 64 * 4);
        let y = recording.workspace("y", 64 * 64 * 4);
        let caps = Caps::portable();
        for _ in 0..3 {
            let windows = [recording.whole(x), recording.whole(w), recording.whole(y)];
            record_linear(&mut recording, &caps, windows, None, [64; 3], [Activation::Identity; 2]).unwrap();
        }
        recording.clear(y);
        recording
    }

    #[test]
    fn everything_in_one_submit_when_it_fits() {
        let recording = three_layers();
        let passes = passes(&recording, u64::MAX);
        assert_eq!(passes.iter().map(|p| p.dispatches.len()).collect::<Vec<_>>(), [3, 0]);
        assert_eq!(passes.iter().map(|p| p.submit).collect::<Vec<_>>(), [false, true]);
        assert_eq!(passes[1].clears.len(), 1);
    }

    #[test]
    fn long_work_is_cut_but_nothing_is_lost() {
        let recording = three_layers();
        let passes = passes(&recording, 1);
        assert_eq!(passes.iter().map(|p| p.dispatches.len()).sum::<usize>(), 3);
        assert_eq!(passes.iter().filter(|p| p.submit).count(), 3);
    }
}
