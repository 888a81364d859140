//! How many workgroups run at the same time: a question that kernels ask whose workgroups wait for each other.

use super::caps::{Caps, DeviceKind};
use super::recording::{BufferId, Recording};
use super::shader::{Kernel, ProbeTogetherParams};

/// Workgroups of the launches that find out.
const GROUPS: u32 = 1024;
const ROUNDS: u32 = 64;
/// Four words before what workgroups say.
pub(super) const WORDS: u32 = 4 + ROUNDS * GROUPS;
/// Numbers that 256 invocations keep, 40 times four each.
pub(super) const SOURCE: u32 = 40 * 256 * 4;
/// Looks of a workgroup while it counts, which each does, and while it waits: a millisecond, and many, which none takes.
const SPINS: [u32; 2] = [1_000, 100_000];

/// Whether it is worth asking: elsewhere workgroups that wait may keep those from running that they wait for.
pub(super) fn may_wait(caps: &Caps) -> bool {
    caps.kind == DeviceKind::Discrete && matches!(caps.backend, "vulkan" | "dx12")
}

/// The launches; bound are the source and the words, which are all 0.
pub(super) fn recording() -> Recording {
    let mut recording = Recording::new();
    let bytes = [SOURCE, WORDS].map(|count| u64::from(count) * 4);
    let [source, words] = [("source", bytes[0]), ("words", bytes[1])].map(|(label, bytes)| recording.bound(label, bytes));
    let windows = [source, words].map(|buffer: BufferId| recording.whole(buffer));
    let set = recording.bind(&windows);
    for (phase, spins) in (0..).zip(SPINS) {
        let params = ProbeTogetherParams { phase, rounds: ROUNDS, spins, groups: GROUPS };
        recording.dispatch(Kernel::ProbeTogether.plain(), set, &params, [GROUPS, 1, 1], u64::from(GROUPS * SPINS[0]));
    }
    recording
}

/// What the words say afterwards.
pub(super) fn count(words: &[u32]) -> u32 {
    match words {
        [arrived, fewest, 0, ..] if *arrived > 0 => (u32::MAX - fewest).min(GROUPS),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_that_were_seen_count_unless_one_waited_in_vain() {
        assert_eq!(count(&[1024, u32::MAX - 132, 0, 0]), 132);
        assert_eq!(count(&[1024, u32::MAX - 132, 1, 0]), 0);
        // Nothing ran.
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&[0, 0, 0, 0]), 0);
    }

    #[test]
    fn a_card_answers_for_itself_and_others_are_not_asked() {
        let card = Caps { kind: DeviceKind::Discrete, backend: "vulkan", ..Caps::portable() };
        assert!(may_wait(&card));
        assert!(!may_wait(&Caps { kind: DeviceKind::Integrated, ..card.clone() }));
        assert!(!may_wait(&Caps { backend: "metal", ..card.clone() }));
        assert!(!may_wait(&Caps { kind: DeviceKind::Software, ..card }));
    }
}
