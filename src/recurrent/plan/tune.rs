//! Which way is the fastest, measured: a table that is filled as layers of new sizes come, for contexts that ask for it.

use super::geometry::Geometry;
use super::matrices::Matrices;
use super::ways::{Side, Way, candidates, is_possible};
use super::{Problem, Trial, backward, forward};
use crate::device::recording::{BufferInfo, Recording, Role};
use crate::device::tunings::digest;
use crate::device::{Caps, Context, Storage};
use crate::error::{Error, Result};
use std::time::{Duration, Instant};

/// Steps that a trial has, unless the call has fewer.
const TRIAL_FRAMES: u64 = 64;
/// Timed runs of each way, of which the best counts.
const RUNS: usize = 3;
/// After this no other way is tried: compiling one takes most of the time.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is asked of the table: the cell by its text, H, N, and which half of the call.
fn question(problem: &Problem, side: Side) -> String {
    let half = if side == Side::Forward { "forward" } else { "backward" };
    format!("{half}; H {}; N {}; cell {:016x}", problem.hidden, problem.batch, digest(problem.program.text()))
}

/// What the table answers.
fn answer(way: &Way) -> String {
    let numbers = match way {
        Way::Scan => return "scan".to_owned(),
        Way::Stepped => return "stepped".to_owned(),
        Way::Local => return "local".to_owned(),
        &Way::Persistent(Geometry { lane_units, lane_columns, unit_lanes, column_lanes, group, chunk, tile, stages }) => {
            ("persistent", vec![lane_units, lane_columns, unit_lanes, column_lanes, group, chunk, tile, stages])
        }
        &Way::Matrices(Matrices { side, tiles, depth, tile_groups, depth_groups, group }) => {
            ("matrices", vec![side, tiles, depth, tile_groups, depth_groups, group])
        }
    };
    numbers.1.iter().fold(numbers.0.to_owned(), |text, number| format!("{text} {number}"))
}

fn understood(answer: &str) -> Option<Way> {
    let mut words = answer.split(' ');
    let name = words.next()?;
    let numbers: Vec<u32> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    match (name, &*numbers) {
        ("scan", []) => Some(Way::Scan),
        ("stepped", []) => Some(Way::Stepped),
        ("local", []) => Some(Way::Local),
        ("persistent", &[lane_units, lane_columns, unit_lanes, column_lanes, group, chunk, tile, stages]) => {
            Some(Way::Persistent(Geometry { lane_units, lane_columns, unit_lanes, column_lanes, group, chunk, tile, stages }))
        }
        ("matrices", &[side, tiles, depth, tile_groups, depth_groups, group]) => {
            Some(Way::Matrices(Matrices { side, tiles, depth, tile_groups, depth_groups, group }))
        }
        _ => None,
    }
}

/// The way that was found to be the fastest, if this context goes by what was measured and this size was.
pub(super) fn known(caps: &Caps, problem: &Problem, side: Side) -> Option<Way> {
    let answer = problem.tunings.as_ref()?.find(caps, &question(problem, side))?;
    // What was measured on one layer may not be for another of the same cell: heads, projections, zoneout. And files may have anything.
    understood(&answer).filter(|way| is_possible(way, caps, problem, side))
}

/// Measures the ways that can run such a call, if the context asks for that and it was not done yet. Without timestamps, nothing.
///
/// # Errors
/// [`Error::DeviceLost`]; a way that fails otherwise is none.
pub(in crate::recurrent) async fn measure(context: &Context, caps: &Caps, problem: &Problem, is_backward: bool) -> Result<()> {
    let frames = problem.frames.min(TRIAL_FRAMES);
    let side = if is_backward { Side::Backward { most: frames } } else { Side::Forward };
    let Some(tunings) = &problem.tunings else { return Ok(()) };
    if !caps.timestamps || problem.tier.is_some() || known(caps, problem, side).is_some() {
        return Ok(());
    }
    let ways = candidates(caps, problem, side);
    if ways.len() < 2 {
        return Ok(());
    }
    tunings.refresh();
    if known(caps, problem, side).is_some() {
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
        tunings.keep(caps, question(problem, side), answer(&way));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::{persistent, tests::problem, tier::tests::large, ways::choose};
    use super::*;
    use crate::device::tunings::Tunings;
    use crate::recurrent::{Cell, Tier};
    use std::sync::Arc;

    const BACKWARD: Side = Side::Backward { most: 500 };

    fn tuned(cell: &Cell, [batch, hidden]: [u64; 2]) -> Problem {
        Problem { tunings: Some(Arc::new(Tunings::default())), ..problem(cell, 500, batch, hidden) }
    }

    fn put(caps: &Caps, problem: &Problem, side: Side, answer: &str) {
        problem.tunings.as_ref().unwrap().keep(caps, question(problem, side), answer.to_owned());
    }

    #[test]
    fn answers_are_read_as_they_were_given() {
        let (caps, lstm) = (Caps { matrices: Some(16), coherent: true, ..large() }, tuned(&Cell::lstm(), [16, 640]));
        let halves = Problem { halves: true, ..lstm.clone() };
        let mut ways = [candidates(&caps, &lstm, Side::Forward), candidates(&caps, &lstm, BACKWARD)].concat();
        ways.extend(candidates(&caps, &halves, Side::Forward));
        ways.extend([Way::Scan, Way::Local]);
        assert!(ways.iter().any(|way| matches!(way, Way::Matrices(_))));
        assert!(ways.iter().filter(|way| matches!(way, Way::Persistent(_))).count() > 4);
        for way in ways {
            assert_eq!(understood(&answer(&way)), Some(way));
        }
        for nonsense in
            ["", "fast", "stepped 1", "persistent", "persistent 1 2 3", "persistent 1 4 4 160 1 1 1 3 9", "matrices 16 2 -1 1 1 8"]
        {
            assert_eq!(understood(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn plans_go_by_the_table_of_their_device_cell_and_size() {
        let (caps, lstm) = (large(), tuned(&Cell::lstm(), [1, 640]));
        assert_eq!(tier_of(&caps, &lstm, Side::Forward), Tier::Persistent);
        put(&caps, &lstm, Side::Forward, "stepped");
        assert_eq!(tier_of(&caps, &lstm, Side::Forward), Tier::Stepped);
        // The other half; another batch, cell, driver: nothing was measured of these.
        assert_eq!(tier_of(&caps, &lstm, BACKWARD), Tier::Persistent);
        assert_eq!(tier_of(&caps, &Problem { batch: 2, ..lstm.clone() }, Side::Forward), Tier::Persistent);
        let gru = Problem { tunings: lstm.tunings.clone(), ..problem(&Cell::gru(), 500, 1, 640) };
        assert_eq!(tier_of(&caps, &gru, Side::Forward), Tier::Persistent);
        assert_eq!(tier_of(&Caps { driver: "newer".to_owned(), ..caps }, &lstm, Side::Forward), Tier::Persistent);
    }

    fn tier_of(caps: &Caps, problem: &Problem, side: Side) -> Tier {
        choose(caps, problem, side).unwrap().tier()
    }

    #[test]
    fn what_the_device_or_the_layer_cannot_run_is_not_taken() {
        let (caps, lstm) = (large(), tuned(&Cell::lstm(), [3, 64]));
        let Some(&Way::Persistent(good)) = candidates(&caps, &lstm, BACKWARD).first() else { panic!("{lstm:?}") };
        let known_as = |way: &Way| {
            put(&caps, &lstm, BACKWARD, &answer(way));
            known(&caps, &lstm, BACKWARD)
        };
        assert_eq!(known_as(&Way::Persistent(good)), Some(Way::Persistent(good)));
        for bad in [
            Geometry { lane_units: 0, ..good },
            Geometry { lane_units: 7, ..good },
            Geometry { lane_columns: good.lane_columns + 1, ..good },
            Geometry { unit_lanes: 0, ..good },
            Geometry { unit_lanes: 3, ..good },
            Geometry { column_lanes: good.column_lanes * 2, ..good },
            Geometry { column_lanes: 0, ..good },
            Geometry { group: 0, ..good },
            Geometry { group: u32::MAX, ..good },
            Geometry { chunk: good.group * 2, ..good },
            Geometry { tile: 0, ..good },
            Geometry { stages: good.stages + 1, ..good },
        ] {
            assert_eq!(known_as(&Way::Persistent(bad)), None, "{bad:?}");
            assert_eq!(choose(&caps, &lstm, BACKWARD).unwrap().way, Way::Persistent(good));
        }
        assert_eq!(known_as(&Way::Scan), None);
        // Of f16 only.
        assert_eq!(known_as(&Way::Matrices(Matrices { side: 16, tiles: 2, depth: 4, tile_groups: 1, depth_groups: 4, group: 16 })), None);
        // Fewer workgroups than the layout has.
        assert!(persistent::workgroups(&lstm, &good) > 1);
        let few = Caps { together: 1, ..caps };
        put(&few, &lstm, BACKWARD, &answer(&Way::Persistent(good)));
        assert_eq!(known(&few, &lstm, BACKWARD), None);
    }
}
