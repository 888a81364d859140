//! How the workgroups of the persistent tier are laid out.

use super::Problem;
use super::geometry::Geometry;
use super::normed::Toll;
use crate::device::Caps;

/// Registers of a core, and of an invocation at most; those that a kernel takes besides weights and what it reads.
const CORE_REGISTERS: u32 = 65_536;
const LANE_REGISTERS: u32 = 255;
const OWN_REGISTERS: u32 = 40;

/// Beyond this no device has as many registers.
const MOST_HIDDEN: u32 = 1 << 14;

/// Units and columns whose weights an invocation may hold, and how many invocations may stand side by side for different units.
const UNITS: [u32; 6] = [1, 2, 3, 4, 5, 8];
const COLUMNS: [u32; 7] = [2, 4, 8, 12, 16, 20, 32];
const UNIT_LANES: [u32; 5] = [1, 2, 4, 8, 16];

/// Layouts that are worth a trial.
const FEW: usize = 3;

/// The layout of the least cost, if the registers of workgroups that run together hold the weights.
pub(super) fn geometry(caps: &Caps, problem: &Problem, backward: bool) -> Option<Geometry> {
    best(caps, sides(problem), backward, problem.shape.parameters > 0, Toll::of(problem, backward))
}

/// The few layouts of the least cost, the least first, no two of which differ only in how sequences are chunked.
pub(super) fn geometries(caps: &Caps, problem: &Problem, backward: bool) -> Vec<Geometry> {
    let mut all = all(caps, sides(problem), backward, problem.shape.parameters > 0, Toll::of(problem, backward));
    all.sort_by_key(|&(cost, _)| cost);
    let mut few: Vec<Geometry> = Vec::new();
    for (_, geometry) in all {
        let of_lanes = |g: &Geometry| [g.lane_units, g.lane_columns, g.unit_lanes, g.group];
        if few.len() < FEW && few.iter().all(|known| of_lanes(known) != of_lanes(&geometry)) {
            few.push(geometry);
        }
    }
    few
}

/// [Rows of the product, hidden, batch].
fn sides(problem: &Problem) -> [u32; 3] {
    [problem.shape.rows, problem.hidden, problem.batch].map(|side| u32::try_from(side).unwrap_or(u32::MAX))
}

/// The geometry of the least cost, for [rows of the product, hidden, batch], and norms over all units.
fn best(caps: &Caps, sides: [u32; 3], backward: bool, parameters: bool, norms: Toll) -> Option<Geometry> {
    all(caps, sides, backward, parameters, norms).into_iter().min_by_key(|&(cost, _)| cost).map(|(_, geometry)| geometry)
}

/// All that a device can run, with their costs.
fn all(caps: &Caps, [rows, hidden, batch]: [u32; 3], backward: bool, parameters: bool, norms: Toll) -> Vec<(u64, Geometry)> {
    let mut all = Vec::new();
    if hidden > MOST_HIDDEN {
        return all;
    }
    let batches = batches(batch);
    for units in UNITS {
        for columns in COLUMNS {
            if is_held([units, columns, rows], backward) {
                for unit_lanes in UNIT_LANES {
                    for &part in &batches {
                        let geometry = Geometry::new(caps, hidden, [units, columns], unit_lanes, part);
                        if runs(caps, &geometry, [rows, hidden, batch], backward, parameters, norms) {
                            let cost = cost(&geometry, [rows, hidden], backward) + norm_cost(caps, &geometry, hidden, norms);
                            all.push((cost, geometry));
                        }
                    }
                }
            }
        }
    }
    all
}

/// Whether a device can run a layout, wherever that comes from.
pub(super) fn takes(caps: &Caps, problem: &Problem, backward: bool, geometry: &Geometry) -> bool {
    let &Geometry { lane_units: units, lane_columns: columns, unit_lanes, group, chunk, tile, .. } = geometry;
    let [rows, hidden, batch] = sides(problem);
    hidden <= MOST_HIDDEN
        && UNITS.contains(&units)
        && COLUMNS.contains(&columns)
        && UNIT_LANES.contains(&unit_lanes)
        && is_held([units, columns, rows], backward)
        && batches(batch).contains(&[group, chunk, tile])
        && *geometry == Geometry::new(caps, hidden, [units, columns], unit_lanes, [group, chunk, tile])
        && runs(caps, geometry, [rows, hidden, batch], backward, problem.shape.parameters > 0, Toll::of(problem, backward))
}

/// Whether an invocation may hold the weights of so many units, columns and rows: beyond this they leave no room for anything else.
/// Forward columns come by four; backward, 12 and 20 were slow.
fn is_held([units, columns, rows]: [u32; 3], backward: bool) -> bool {
    units * columns * rows <= 160 && (columns >= 4 || backward) && !(columns % 8 == 4 && columns > 4 && backward)
}

fn runs(caps: &Caps, geometry: &Geometry, [rows, hidden, batch]: [u32; 3], backward: bool, parameters: bool, norms: Toll) -> bool {
    let workgroups = u64::from(hidden.div_ceil(geometry.units())) * u64::from(batch.div_ceil(geometry.group));
    workgroups <= u64::from(caps.together)
        && geometry.fits(caps, backward, parameters, norms.exchanges > 0)
        && registers(geometry, [rows, hidden], backward, norms).is_some()
}

/// Sequences of a workgroup, those that it has at once, and those that it multiplies together.
fn batches(batch: u32) -> Vec<[u32; 3]> {
    let mut all = Vec::new();
    for group in [1, 2, 4, 8, 16, 32, 64] {
        for chunk in [1, 2, 4, 8] {
            // Of layouts that cost the same the first is taken.
            for tile in [4, 2, 1] {
                // Sequences one after the other, without a chunk, wait for each word anew.
                if tile <= chunk && chunk <= group && (chunk > 1 || group == 1) && group < batch.saturating_mul(2) {
                    all.push([group, chunk, tile]);
                }
            }
        }
    }
    all
}

/// Registers of an invocation, if a core has as many.
fn registers(geometry: &Geometry, [rows, hidden]: [u32; 2], backward: bool, norms: Toll) -> Option<u32> {
    let loads = if backward { geometry.column_loads() } else { geometry.quad_loads() };
    let sums = geometry.tile * geometry.lane_units * if backward { 1 } else { rows };
    let read = loads * 5 + sums;
    let sums_of_others = norms.exchanges.min(1) * 5 * unit_loads(geometry, hidden);
    let read = if norms.shares && geometry.group == geometry.chunk { read.max(sums_of_others) } else { read + sums_of_others };
    let count = geometry.lane_units * geometry.lane_columns * rows + read + OWN_REGISTERS + norms.registers;
    let lanes = geometry.lanes().next_multiple_of(32);
    Some(count).filter(|&count| count <= LANE_REGISTERS.min(CORE_REGISTERS / lanes))
}

/// Workgroups whose sums over their units an invocation reads.
fn unit_loads(geometry: &Geometry, hidden: u32) -> u32 {
    hidden.div_ceil(geometry.units()).div_ceil(geometry.units())
}

/// About how many cycles more a step takes in which units wait for each other to be normalised: chunks do so one after the other.
fn norm_cost(caps: &Caps, geometry: &Geometry, hidden: u32, norms: Toll) -> u64 {
    let stages = geometry.unit_stages(caps);
    let through_memory = if geometry.units() >> stages > 1 { 80 + 8 * (geometry.units() >> stages) } else { 0 };
    let sum = 30 * stages + through_memory;
    let wait = 900 + 3 * hidden.div_ceil(geometry.units()) + 40 * unit_loads(geometry, hidden);
    u64::from(norms.exchanges * (geometry.group / geometry.chunk) * (2 * sum + wait))
}

/// About how many cycles a step takes on a GPU with four schedulers a core and 64 B a cycle from its cache, fitted to measured times
/// of LSTMs on an H100.
fn cost(geometry: &Geometry, [rows, hidden]: [u32; 2], backward: bool) -> u64 {
    let &Geometry { lane_units, lane_columns, unit_lanes, group, chunk, tile, stages, .. } = geometry;
    let warps = geometry.lanes().div_ceil(32);
    let products = chunk * lane_units * lane_columns * rows * warps.div_ceil(4);
    let word_bytes = if backward { 16 } else { 4 };
    let exchanged = chunk * hidden * word_bytes / 40;
    let mut values = tile * lane_units;
    let mut shuffles = 0;
    for _ in 0..stages {
        values = if values % 2 == 0 { values / 2 } else { values };
        shuffles += values;
    }
    shuffles *= 2 * warps * (chunk / tile) * if backward { 1 } else { rows };
    let own = if backward { lane_columns } else { lane_columns / 4 };
    let staged = match chunk {
        1 if backward => 250 * own.saturating_sub(2),
        1 => 300 * own.saturating_sub(1),
        _ => chunk * own * warps * (8 / unit_lanes).max(2) / 2 + chunk * hidden * word_bytes / 128,
    };
    let parts = (geometry.column_lanes >> stages) * if backward { 6 } else { 12 };
    let finish = if backward { 450 } else { 400 };
    let loads = 25 * if backward { geometry.column_loads() } else { geometry.quad_loads() };
    let item = products + exchanged + shuffles + staged + parts + finish + loads + 12 * warps;
    // Words of others take a while to come, and the more there are, the longer until the last has; other chunks fill that time.
    // Neither few nor many invocations are quick.
    let lanes = geometry.lanes();
    let few = if backward && chunk > 1 { 8 * 256u32.saturating_sub(lanes) } else { 4 * 128u32.saturating_sub(lanes) };
    let wait = 700 + 3 * hidden.div_ceil(geometry.units()) + 100 * stages + few + lanes.saturating_sub(320);
    let items = group / chunk;
    u64::from(items * item + wait / items)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::device::DeviceKind;

    pub(in crate::recurrent::plan) fn large() -> Caps {
        Caps {
            kind: DeviceKind::Discrete,
            subgroups: Some([32, 32]),
            max_invocations: 1024,
            max_workgroup_bytes: 49_152,
            together: 132,
            ..Caps::portable()
        }
    }

    #[test]
    fn weights_stay_in_registers_wherever_they_fit() {
        let caps = large();
        for rows in 1..=4 {
            for hidden in [1, 2, 31, 64, 100, 256, 512, 640, 1000] {
                for batch in [1, 2, 3, 16, 17] {
                    let toll = |exchanges, registers| Toll { exchanges, registers, shares: registers > 24 };
                    let none = toll(0, 0);
                    for (backward, norms) in
                        [(false, none), (true, none), (false, toll(1, 12)), (false, toll(2, 16)), (true, toll(1, 24)), (true, toll(1, 40))]
                    {
                        if norms.exchanges > 0 && hidden > if norms.shares { 512 } else { 640 } {
                            continue;
                        }
                        let sides = [rows, hidden, batch];
                        let Some(geometry) = best(&caps, sides, backward, backward, norms) else {
                            panic!("{sides:?} backward {backward} {norms:?}")
                        };
                        assert!(geometry.fits(&caps, backward, backward, norms.exchanges > 0), "{geometry:?}");
                        assert!(geometry.column_lanes * geometry.lane_columns >= hidden, "{geometry:?}");
                        assert!(geometry.group % geometry.chunk == 0 && geometry.chunk % geometry.tile == 0 && geometry.group <= 64);
                        assert!(registers(&geometry, [rows, hidden], backward, norms).is_some());
                        let workgroups = hidden.div_ceil(geometry.units()) * batch.div_ceil(geometry.group);
                        assert!(workgroups <= 132, "{sides:?}: {geometry:?}");
                        // Lanes that sum by shuffles are in one subgroup.
                        assert!(
                            geometry.lanes() % (geometry.unit_lanes << geometry.stages) == 0
                                && geometry.unit_lanes << geometry.stages <= 32
                        );
                    }
                }
            }
        }
        // 64 MB of weights: more than any device has registers. And sides that no product of 32 bits holds.
        assert_eq!(best(&caps, [4, 2048, 1], false, false, Toll::default()), None);
        assert_eq!(best(&caps, [4, u32::MAX, u32::MAX], true, false, Toll::default()), None);
        assert_eq!(best(&caps, [1, 1, u32::MAX], true, false, Toll::default()), None);
    }

    #[test]
    fn few_workgroups_hold_small_layers_only() {
        let caps = Caps { together: 2, ..large() };
        assert!(best(&caps, [4, 64, 1], false, false, Toll::default()).is_some());
        assert_eq!(best(&caps, [4, 512, 1], false, false, Toll::default()), None);
    }
}
