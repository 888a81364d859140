//! Which tier runs the steps of a call, and why no other.

#[cfg(not(target_family = "wasm"))]
use super::geometry::Geometry;
#[cfg(not(target_family = "wasm"))]
use super::matrices::Matrices;
use super::{Problem, Walk};
#[cfg(not(target_family = "wasm"))]
use super::{normed, persistent, tier, tune};
use crate::device::Caps;
use crate::error::{Error, Result};
use crate::recurrent::{Refusal, Tier};

/// Steps below which a launch each is no worse.
#[cfg(not(target_family = "wasm"))]
const FEW_FRAMES: u64 = 8;
/// Share of a submit's work that a launch of the local tier may have: its workgroups are as many as sequences, most cores idle.
#[cfg(not(target_family = "wasm"))]
const LOCAL_SHARE: u64 = 64;

/// Rounds of loops that a launch may take on software adapters, which end all loops silently after 65,535 together; waits take some.
const SOFTWARE_ROUNDS: u64 = 16_384;
/// The same of a launch that does what another one left: it waits for nothing.
#[cfg(not(target_family = "wasm"))]
const SOFTWARE_ROUNDS_AFTER: u64 = 65_000;

/// Weights, bytes, beyond which the local tier is not worth a trial.
#[cfg(not(target_family = "wasm"))]
const MOST_READ_ALONE: u64 = 64 << 10;

/// Which half of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Forward,
    /// In stretches of so many frames at most.
    Backward {
        most: u64,
    },
}

/// A tier, as it is laid out for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Scan,
    Stepped,
    #[cfg(not(target_family = "wasm"))]
    Local,
    #[cfg(not(target_family = "wasm"))]
    Persistent(Geometry),
    /// The same in f16, by matrices.
    #[cfg(not(target_family = "wasm"))]
    Matrices(Matrices),
}

impl Way {
    pub(super) fn tier(&self) -> Tier {
        match self {
            Self::Scan => Tier::Scan,
            Self::Stepped => Tier::Stepped,
            #[cfg(not(target_family = "wasm"))]
            Self::Local => Tier::Local,
            #[cfg(not(target_family = "wasm"))]
            Self::Persistent(_) | Self::Matrices(_) => Tier::Persistent,
        }
    }

    /// Whether weights and y of f16 stay such numbers on the way.
    pub(super) fn takes_halves(&self) -> bool {
        #[cfg(not(target_family = "wasm"))]
        return matches!(self, Self::Matrices(_));
        #[cfg(target_family = "wasm")]
        false
    }

    /// Frames of a stretch that a launch may take, of so many.
    pub(super) fn limited(&self, caps: &Caps, problem: &Problem, all: u64) -> u64 {
        let most = if caps.is_software() { all.min(SOFTWARE_ROUNDS / self.rounds(problem)).max(1) } else { all };
        match self {
            Self::Stepped => all,
            #[cfg(not(target_family = "wasm"))]
            Self::Local => {
                most.min(caps.submit_work() / LOCAL_SHARE / (problem.shape.rows * problem.hidden * problem.hidden).max(1)).max(1)
            }
            #[cfg(not(target_family = "wasm"))]
            Self::Persistent(geometry) => Self::finished(caps, problem, most).min(normed::most_frames(caps, problem, geometry)),
            #[cfg(not(target_family = "wasm"))]
            Self::Matrices(_) => Self::finished(caps, problem, most),
            Self::Scan => most,
        }
    }

    /// Frames of so many that the local tier can do in one launch, should this tier leave them all.
    #[cfg(not(target_family = "wasm"))]
    fn finished(caps: &Caps, problem: &Problem, most: u64) -> u64 {
        if caps.is_software() { most.min(SOFTWARE_ROUNDS_AFTER / Self::Local.rounds(problem)).max(1) } else { most }
    }

    /// Rounds of loops that a frame takes within a launch, at most.
    #[cfg_attr(target_family = "wasm", expect(unused_variables, reason = "the ways that look at it are not there"))]
    fn rounds(&self, problem: &Problem) -> u64 {
        match self {
            Self::Scan | Self::Stepped => 1,
            #[cfg(not(target_family = "wasm"))]
            Self::Local => (problem.hidden / 4 + 1) * (problem.shape.rows * problem.hidden / 32 + 4),
            #[cfg(not(target_family = "wasm"))]
            Self::Persistent(_) | Self::Matrices(_) => 8 * (1 + problem.batch.min(64)),
        }
    }
}

/// What runs the steps, why, and why nothing else does.
#[derive(Clone, Debug)]
pub(in crate::recurrent) struct Choice {
    pub(super) way: Way,
    pub why: String,
    pub refused: Vec<Refusal>,
}

impl Choice {
    pub fn tier(&self) -> Tier {
        self.way.tier()
    }
}

/// The tier that the problem asks for; or the way that was found to be the fastest; or the first that can and should.
///
/// # Errors
/// [`Error::Tier`] if the one that is asked for cannot.
#[cfg(not(target_family = "wasm"))]
pub(super) fn choose(caps: &Caps, problem: &Problem, side: Side) -> Result<Choice> {
    if let Some(super::Trial(way)) = problem.trial {
        return Ok(Choice { way, why: "tried".to_owned(), refused: Vec::new() });
    }
    let measured = tune::known(caps, problem, side).filter(|_| problem.tier.is_none() && problem.frames >= FEW_FRAMES);
    let (mut chosen, mut refused) = (None, Vec::new());
    // The best first; each refusal of one that could is about the others' being better.
    for tier in [Tier::Scan, Tier::Persistent, Tier::Local, Tier::Stepped] {
        let way = possible(tier, caps, problem, side);
        let why = match (&way, problem.tier) {
            (Err(reason), _) => Err(reason.clone()),
            (Ok(_), None) if measured.is_some_and(|measured| measured.tier() == tier) => Ok("the fastest, by measurement".to_owned()),
            (Ok(_), None) if measured.is_some() => Err("slower, by measurement".to_owned()),
            (Ok(_), Some(asked)) if asked == tier => Ok("asked for".to_owned()),
            (Ok(_), Some(asked)) => Err(format!("the {asked} tier was asked for")),
            (Ok(_), None) if chosen.is_some() => Err("slower".to_owned()),
            (Ok(way), None) => worth(way, caps, problem),
        };
        match (way, why) {
            (Ok(way), Ok(why)) => chosen = Some((measured.unwrap_or(way), why)),
            (way, Err(reason)) => refused.push(Refusal { tier, reason, possible: way.is_ok() }),
            (Err(_), Ok(_)) => {}
        }
    }
    let others = |refused: &[Refusal]| {
        let names: Vec<&str> = refused.iter().filter(|refusal| refusal.possible).map(|refusal| refusal.tier.name()).collect();
        names.join(", ")
    };
    match (chosen, problem.tier) {
        (Some((way, why)), _) => Ok(Choice { way, why, refused }),
        (None, asked) => {
            let tier = asked.unwrap_or(Tier::Stepped);
            let reason = refused.iter().find(|refusal| refusal.tier == tier).map(|refusal| refusal.reason.clone());
            Err(Error::Tier { tier: tier.name(), reason: reason.unwrap_or_default(), others: others(&refused) })
        }
    }
}

/// In browsers there is no choice, and what nobody prints is left out of the module.
#[cfg(target_family = "wasm")]
pub(super) fn choose(_: &Caps, problem: &Problem, _: Side) -> Result<Choice> {
    let way = if problem.walk() == Walk::Scan { Way::Scan } else { Way::Stepped };
    match problem.tier {
        Some(tier) if tier != way.tier() => {
            let reason = match tier {
                Tier::Scan => "the cell has a product",
                Tier::Stepped => "the cell has no product",
                Tier::Local | Tier::Persistent => "not in browsers",
            };
            Err(Error::Tier { tier: tier.name(), reason: reason.to_owned(), others: way.tier().name().to_owned() })
        }
        _ => Ok(Choice { way, why: String::new(), refused: Vec::new() }),
    }
}

/// All that can run the steps and might be the fastest; the first is what a plan takes without measurements.
#[cfg(not(target_family = "wasm"))]
pub(super) fn candidates(caps: &Caps, problem: &Problem, side: Side) -> Vec<Way> {
    let bytes = 4 * problem.shape.rows.saturating_mul(problem.hidden).saturating_mul(problem.hidden);
    let mut ways: Vec<Way> =
        choose(caps, &Problem { tunings: None, ..problem.clone() }, side).into_iter().map(|choice| choice.way).collect();
    let tiers = [Tier::Stepped, Tier::Local].into_iter().filter(|&tier| tier != Tier::Local || bytes <= MOST_READ_ALONE);
    ways.extend(tiers.filter_map(|tier| possible(tier, caps, problem, side).ok()));
    if ways.iter().any(|way| way.tier() == Tier::Persistent) {
        ways.extend(tier::geometries(caps, problem, side != Side::Forward).into_iter().map(Way::Persistent));
    }
    let mut distinct: Vec<Way> = Vec::new();
    for way in ways {
        if !distinct.contains(&way) {
            distinct.push(way);
        }
    }
    distinct
}

/// Why a tier cannot run the steps, on whatever device.
#[cfg(not(target_family = "wasm"))]
fn refusal(tier: Tier, problem: &Problem) -> Option<&'static str> {
    match (tier, problem.walk()) {
        (Tier::Scan, Walk::Scan) => None,
        (Tier::Scan, _) => Some("units of this cell see each other, by a product"),
        (_, Walk::Scan) => Some("the cell has no product: no unit waits for another"),
        (Tier::Stepped, _) => None,
        (_, Walk::Mid) => Some("the cell's second product takes all of what the first gives"),
        (_, Walk::Rows) if problem.shape.rows == 0 || problem.shape.second > 0 => Some("the cell has norms, and not one product"),
        (Tier::Local | Tier::Persistent, _) => None,
    }
}

/// A tier's way, if it can run the steps.
#[cfg(not(target_family = "wasm"))]
fn possible(tier: Tier, caps: &Caps, problem: &Problem, side: Side) -> std::result::Result<Way, String> {
    if let Some(reason) = refusal(tier, problem) {
        return Err(reason.to_owned());
    }
    match tier {
        Tier::Scan => Ok(Way::Scan),
        Tier::Stepped => Ok(Way::Stepped),
        Tier::Local => Ok(Way::Local),
        Tier::Persistent => match Matrices::of(caps, problem).filter(|_| side == Side::Forward) {
            Some(layout) => Ok(Way::Matrices(layout)),
            None => registers(caps, problem, side).map(Way::Persistent),
        },
    }
}

/// Whether a way, wherever it comes from, can run the steps.
#[cfg(not(target_family = "wasm"))]
pub(super) fn is_possible(way: &Way, caps: &Caps, problem: &Problem, side: Side) -> bool {
    refusal(way.tier(), problem).is_none()
        && match way {
            Way::Scan | Way::Stepped | Way::Local => true,
            Way::Persistent(geometry) => {
                tier::takes(caps, problem, side != Side::Forward, geometry) && exchanged(caps, problem, geometry, side).is_ok()
            }
            Way::Matrices(layout) => side == Side::Forward && layout.is_possible(caps, problem),
        }
}

/// How the persistent tier would lay out its workgroups.
#[cfg(not(target_family = "wasm"))]
fn registers(caps: &Caps, problem: &Problem, side: Side) -> std::result::Result<Geometry, String> {
    if caps.together == 0 {
        let reason = "no workgroups may wait for each other: this is no card that can be asked how many run together, or the context \
                      does not ask (ContextOptions::with_workgroups_together)";
        return Err(reason.to_owned());
    }
    let geometry = tier::geometry(caps, problem, side != Side::Forward).ok_or_else(|| {
        let bytes = 4 * problem.shape.rows.saturating_mul(problem.hidden).saturating_mul(problem.hidden);
        format!("{bytes} B of weights do not fit the registers of the {} workgroups that run together", caps.together)
    })?;
    exchanged(caps, problem, &geometry, side)?;
    Ok(geometry)
}

/// Fails where what units hand to each other backward does not fit a buffer.
#[cfg(not(target_family = "wasm"))]
fn exchanged(caps: &Caps, problem: &Problem, geometry: &Geometry, side: Side) -> std::result::Result<(), String> {
    let Side::Backward { most } = side else { return Ok(()) };
    let (need, have) = (persistent::exchange_bytes(problem, geometry, most), caps.max_window_bytes());
    if need > have {
        return Err(format!("units would hand {need} B to each other, the largest window of a buffer has {have} B"));
    }
    Ok(())
}

/// Whether what can run the steps should, where nobody asked; the better ways were refused.
#[cfg(not(target_family = "wasm"))]
fn worth(way: &Way, caps: &Caps, problem: &Problem) -> std::result::Result<String, String> {
    match way {
        Way::Scan => Ok("units do not see each other".to_owned()),
        Way::Stepped => Ok("runs any product, on any device".to_owned()),
        Way::Local => Err("one workgroup a sequence reads all weights at each step".to_owned()),
        Way::Persistent(_) | Way::Matrices(_) if problem.frames < FEW_FRAMES => {
            Err(format!("{} steps are no worse by a launch each", problem.frames))
        }
        Way::Matrices(layout) => {
            let workgroups = layout.workgroups(problem);
            Ok(format!("the registers of {workgroups} of {} workgroups hold the weights, as matrices of f16", caps.together))
        }
        Way::Persistent(geometry) => {
            Ok(format!("the registers of {} of {} workgroups hold the weights", persistent::workgroups(problem, geometry), caps.together))
        }
    }
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::{tests::problem, tier::tests::large};
    use super::*;
    use crate::device::DeviceKind;
    use crate::recurrent::cells::Activation;
    use crate::recurrent::{Cell, Plan};

    const BACKWARD: Side = Side::Backward { most: 500 };

    fn tiers(caps: &Caps, problem: &Problem) -> [Tier; 2] {
        [Side::Forward, BACKWARD].map(|side| choose(caps, problem, side).unwrap().tier())
    }

    #[test]
    fn a_plan_takes_the_first_that_can_and_should() {
        let (card, browser) = (large(), Caps::portable());
        let lstm = problem(&Cell::lstm(), 500, 1, 640);
        assert_eq!(tiers(&card, &lstm), [Tier::Persistent; 2]);
        assert_eq!(tiers(&browser, &lstm), [Tier::Stepped; 2]);
        // A frame of a stream; more weights than registers; nothing to wait for; two products.
        assert_eq!(tiers(&card, &problem(&Cell::lstm(), 1, 1, 640)), [Tier::Stepped; 2]);
        assert_eq!(tiers(&card, &problem(&Cell::lstm(), 500, 1, 2000)), [Tier::Stepped; 2]);
        assert_eq!(tiers(&card, &problem(&Cell::min_gru(false), 500, 1, 640)), [Tier::Scan; 2]);
        assert_eq!(tiers(&card, &problem(&Cell::layer_norm_lstm(), 500, 1, 640)), [Tier::Persistent; 2]);
        assert_eq!(tiers(&card, &problem(&Cell::gru_reset_before(), 500, 1, 640)), [Tier::Stepped; 2]);
    }

    #[test]
    fn what_is_asked_for_is_taken_or_refused_with_the_way_out() {
        let asked = |cell: &Cell, tier| Problem { tier: Some(tier), ..problem(cell, 500, 1, 640) };
        for tier in [Tier::Stepped, Tier::Local, Tier::Persistent] {
            assert_eq!(tiers(&large(), &asked(&Cell::lstm(), tier)), [tier; 2]);
        }
        let refusal = |caps: &Caps, cell: &Cell, tier| choose(caps, &asked(cell, tier), BACKWARD).unwrap_err().to_string();
        let no_card = refusal(&Caps::portable(), &Cell::lstm(), Tier::Persistent);
        assert!(no_card.contains("with_workgroups_together") && no_card.ends_with("what can: local, stepped"), "{no_card}");
        let few = refusal(&Caps { together: 4, ..large() }, &Cell::lstm(), Tier::Persistent);
        assert!(few.contains("6553600 B of weights") && few.contains("4 workgroups"), "{few}");
        let ind_rnn = Cell::ind_rnn(Activation::Tanh).unwrap();
        assert!(refusal(&large(), &ind_rnn, Tier::Local).ends_with("no unit waits for another; what can: scan"));
        assert!(refusal(&large(), &Cell::gru_reset_before(), Tier::Local).contains("second product"));
        assert!(refusal(&large(), &Cell::lstm(), Tier::Scan).contains("see each other"));
    }

    #[test]
    fn an_explanation_says_what_and_why() {
        let (caps, problem) = (large(), problem(&Cell::lstm(), 500, 1, 640));
        let plan = Plan::new(super::super::forward(&caps, &problem, false).unwrap(), &problem, "LSTM", "forward");
        let explanation = plan.explain();
        assert_eq!((explanation.tier, explanation.serial_steps, explanation.refused.len()), (Tier::Persistent, 500, 3));
        assert!(explanation.launches < 10 && explanation.workspace_bytes > 500 * 4 * 640 * 4);
        let text = explanation.to_string();
        assert!(text.starts_with("LSTM T500 N1 H640, forward: the persistent tier (the registers of "), "{text}");
        for tier in ["scan", "local, which could", "stepped, which could"] {
            assert!(text.contains(&format!("\n  not {tier}: ")), "{text}");
        }
    }

    /// The local tier is cut where a launch would keep a driver waiting.
    #[test]
    fn launches_of_one_workgroup_a_sequence_are_short() {
        let caps = large();
        let long = |hidden| Way::Local.limited(&caps, &problem(&Cell::lstm(), 70_000, 1, hidden), 70_000);
        assert_eq!(long(32), 70_000);
        assert!(long(2000) * 4 * 2000 * 2000 <= caps.submit_work() / LOCAL_SHARE && long(2000) > 100);
    }

    /// There a stretch of the persistent tier is one that the local tier can finish, all of it.
    #[test]
    fn software_adapters_end_no_loop_of_what_finishes_a_stretch() {
        let software = Caps { kind: DeviceKind::Software, ..large() };
        for hidden in [32, 128, 256] {
            let problem = problem(&Cell::lstm(), 70_000, 1, hidden);
            let way = possible(Tier::Persistent, &software, &problem, Side::Forward).unwrap();
            let frames = way.limited(&software, &problem, 70_000);
            assert!((1..70_000).contains(&frames) && frames * Way::Local.rounds(&problem) < 65_535, "{hidden}: {frames}");
            assert_eq!(way.limited(&large(), &problem, 70_000), 70_000);
        }
    }
}
