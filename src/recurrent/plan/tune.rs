//! Which way is the fastest, measured: a table that is filled as layers of new sizes come, for contexts that ask for it.

use super::matrices::Matrices;
use super::ways::{Side, Way, candidates};
use super::{Problem, Trial, backward, forward};
use crate::device::program::Program;
use crate::device::recording::{BufferInfo, Recording, Role};
use crate::device::{Caps, Context, Storage};
use crate::error::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Steps that a trial has, unless the call has fewer.
const TRIAL_FRAMES: u64 = 64;
/// Timed runs of each way, of which the best counts.
const RUNS: usize = 3;
/// After this no other way is tried: compiling one takes most of the time.
const PATIENCE: Duration = Duration::from_millis(500);

/// What was found for one size on one device.
struct Entry {
    caps: Caps,
    key: Key,
    way: Way,
}

/// The cell by its text, H, N, and which half of the call.
type Key = (Arc<Program>, [u64; 2], bool);

static TABLE: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

fn table() -> MutexGuard<'static, Vec<Entry>> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(problem: &Problem, side: Side) -> Key {
    (problem.program.clone(), [problem.hidden, problem.batch], side != Side::Forward)
}

/// The way that was found to be the fastest, if this context goes by what was measured and this size was.
pub(super) fn known(caps: &Caps, problem: &Problem, side: Side) -> Option<Way> {
    let key = key(problem, side);
    let table = table();
    let entry = table.iter().find(|entry| entry.key == key && entry.caps == *caps).filter(|_| problem.tunes);
    // What was measured on one layer may not be for another of the same cell: heads, projections, zoneout.
    entry.map(|entry| entry.way).filter(|way| !way.takes_halves() || Matrices::of(caps, problem).is_some())
}

/// Measures the ways that can run such a call, if the context asks for that and it was not done yet. Without timestamps, nothing.
///
/// # Errors
/// [`Error::DeviceLost`]; a way that fails otherwise is none.
pub(in crate::recurrent) async fn measure(context: &Context, caps: &Caps, problem: &Problem, is_backward: bool) -> Result<()> {
    let side = if is_backward { Side::Backward { most: problem.frames } } else { Side::Forward };
    if !problem.tunes || !caps.timestamps || problem.tier.is_some() || known(caps, problem, side).is_some() {
        return Ok(());
    }
    let ways = candidates(caps, problem, side);
    if ways.len() < 2 {
        return Ok(());
    }
    let start = Instant::now();
    let mut best: Option<(Duration, Way)> = None;
    for way in ways {
        if best.is_some() && start.elapsed() > PATIENCE {
            break;
        }
        let time = match trial(context, caps, problem, way, is_backward).await {
            Err(error @ Error::DeviceLost { .. }) => return Err(error),
            other => other.ok().flatten(),
        };
        // The first is the model's choice: what is hardly faster than that does not take its place.
        if let Some(time) = time.filter(|time| best.is_none_or(|(least, _)| *time * 100 < least * 95)) {
            best = Some((time, way));
        }
    }
    if let Some((_, way)) = best {
        table().push(Entry { caps: caps.clone(), key: key(problem, side), way });
    }
    Ok(())
}

/// GPU time of a short call this way, on zeros.
async fn trial(context: &Context, caps: &Caps, problem: &Problem, way: Way, is_backward: bool) -> Result<Option<Duration>> {
    let problem = Problem {
        frames: problem.frames.min(TRIAL_FRAMES),
        lengths: false,
        resets: false,
        training: is_backward,
        trial: Some(Trial(way)),
        ..problem.clone()
    };
    let (recording, _) = if is_backward { backward(caps, &problem, true)? } else { forward(caps, &problem, false)? };
    let bound = zeros(context, &recording)?;
    let bound: Vec<_> = bound.iter().collect();
    let mut best: Option<Duration> = None;
    for run in 0..=RUNS {
        let report = context.run_timed_on(&recording, &bound).await?;
        // The first compiles, and brings memory and clocks up.
        best = report.gpu_time.filter(|_| run > 0).into_iter().chain(best).min();
    }
    Ok(best)
}

fn zeros(context: &Context, recording: &Recording) -> Result<Vec<Storage>> {
    let bound = recording.buffers.iter().filter(|buffer| matches!(buffer.role, Role::Bound(_)));
    let storage = |buffer: &BufferInfo| {
        let storage = context.allocate(buffer.bytes)?;
        context.clear(&storage, buffer.bytes)?;
        Ok(storage)
    };
    bound.map(storage).collect()
}
