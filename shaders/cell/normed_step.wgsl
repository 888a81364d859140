// Cells whose product is normalised, forward, one dispatch a step: it finishes the step before, and multiplies what comes of it. A
// norm takes all units of a sequence, and workgroups do not wait for each other; so each of them finishes the step before for all
// units of its sequences, from its products and their moments, and writes its own. What the last step leaves, row.wgsl finishes.
// Workgroups are those of step.wgsl.
// Twin: src/cpu/cells/row.rs.
#import cell_call

// [frames, batch, hidden]
@group(0) @binding(6)
var<storage, read_write> y: array<f32>;
// Those of two steps in turn, half_size() apart: [batch, CELL_ROWS, hidden] products; then [batch, workgroups, 8], of each row the mean
// of a workgroup's units, and their squares around it, four and four.
@group(0) @binding(7)
var<storage, read_write> products: array<f32>;

#import cell_norms

const UNITS = 8u;
const LANES = 32u;
const MAX_BATCH = 8u;
override BATCH: u32 = 4u;
// 1: `params` are those of the step before; 0: they are those of this one, and its states are in place.
override FINISHES: u32 = 1u;
alias Rows = CellRows;
#import lane_sum
#import row_weights

fn weights_at(at: u32) -> Rows {
    return cell_narrow(weight_lanes_at(at));
}

// Mean, and 1 / deviation, of the rows of each sequence.
var<workgroup> wg_means: array<vec4f, MAX_BATCH>;
var<workgroup> wg_factors: array<vec4f, MAX_BATCH>;
// Of the invocations that sum moments, by sequences.
const SUMMING = 128u;
var<workgroup> wg_moments: array<vec4f, SUMMING>;
var<private> first_sequence: u32;

fn unit_groups() -> u32 {
    return (params.hidden + UNITS - 1u) / UNITS;
}

// Of one step, in whole windows.
fn half_size() -> u32 {
    return (params.batch * (CELL_ROWS * params.hidden + 8u * unit_groups()) + 63u) / 64u * 64u;
}

fn products_first() -> u32 {
    return params.steps % 2u * half_size();
}
#import row_products

// Where this dispatch puts its own.
fn own_first() -> u32 {
    return (params.steps + FINISHES) % 2u * half_size();
}

fn moments_at(first: u32, n: u32, unit_group: u32) -> u32 {
    return first + params.batch * CELL_ROWS * params.hidden + (n * unit_groups() + unit_group) * 8u;
}

fn moment_at(at: u32) -> vec4f {
    return vec4f(products[at], products[at + 1u], products[at + 2u], products[at + 3u]);
}

// Units of a group.
fn units_of(unit_group: u32) -> u32 {
    return min(UNITS, params.hidden - unit_group * UNITS);
}

// The states after the step before, and before a frame that begins anew.
fn finished(n: u32, unit: u32) -> vec4f {
    let at = n * params.hidden + unit;
    var s = states_at(params.steps, at);
    if (runs(n, params.first)) {
        let b = n - first_sequence;
        let normed = select(vec4f(), (product_at(n, unit) - wg_means[b]) * wg_factors[b] * gains_at(unit), row_lanes());
        let x = inputs_at(params.first, n, unit);
        let after = cell_update(x, normed + bias_at(unit), s, parameters_at(unit), masks_at(at));
        s = zoned_out(params.first, at, after, s);
    }
    return s;
}

// h before this step.
fn carried(at: u32) -> f32 {
    if (FINISHES == 0u) {
        return states[slot_at(params.steps) + at];
    }
    let n = at / params.hidden;
    return states_before(params.steps + 1u, frame_of(1u), n, finished(n, at - n * params.hidden)).x;
}
#import lane_pieces

// Sums over the invocations that share a sequence, `share` of them, of which so many have something; for the first SUMMING invocations.
fn shared_total(own: vec4f, local: u32, share: u32, count: u32) -> vec4f {
    // Those before may still be read.
    workgroupBarrier();
    if (local < SUMMING) {
        wg_moments[local] = own;
    }
    workgroupBarrier();
    let first = local % SUMMING / share * share;
    var total = vec4f();
    for (var i = 0u; i < min(share, count); i++) {
        total += wg_moments[first + i];
    }
    return total;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
#ifdef SUBGROUPS
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
#ifndef SUBGROUPS
    let subgroup_size = 1u;
#endif
    let hidden = params.hidden;
    let first = (group.y + group.z * groups.y) * BATCH;
    first_sequence = first;
    let count = unit_groups();

    if (FINISHES != 0u) {
        let share = SUMMING / BATCH;
        let b = local % SUMMING / share;
        let n = min(first + b, params.batch - 1u);
        var sum = vec4f();
        for (var g = local % share; g < count; g += share) {
            sum += f32(units_of(g)) * moment_at(moments_at(products_first(), n, g));
        }
        let mean = spans(shared_total(sum, local, share, count)) / span_size();
        // Of parts around the mean of all (Chan, Golub and LeVeque 1983).
        var squares = vec4f();
        for (var g = local % share; g < count; g += share) {
            let at = moments_at(products_first(), n, g);
            let delta = select(vec4f(), moment_at(at) - mean, row_lanes());
            squares += moment_at(at + 4u) + f32(units_of(g)) * delta * delta;
        }
        let variance = spans(shared_total(squares, local, share, count)) / span_size();
        if (local < SUMMING && local % share == 0u) {
            wg_means[b] = mean;
            wg_factors[b] = inverseSqrt(variance + norm_eps());
        }
        workgroupBarrier();
    }

    let unit = min(group.x * UNITS + local / LANES, hidden - 1u);
    multiply_pieces(unit * hidden, first, hidden, hidden, local, subgroup_size);

    let own_unit = group.x * UNITS + local % UNITS;
    let own = local / UNITS;
    let n = first + own;
    let at = n * hidden + own_unit;
    let finishes = own < BATCH && own_unit < hidden && n < params.batch;
    var product = vec4f();
    if (finishes) {
        product = cell_wide(lane_total(own, local % UNITS, subgroup_size));
        let to = own_first() + n * CELL_ROWS * hidden + own_unit;
        for (var k = 0u; k < CELL_ROWS; k++) {
            products[to + k * hidden] = product[k];
        }
        if (FINISHES != 0u) {
            let s = finished(n, own_unit);
            set_states(params.steps + 1u, at, states_before(params.steps + 1u, frame_of(1u), n, s));
            y[params.y_first + at] = select(0.0, s.x, runs(n, params.first));
        }
    }

    // Moments of the own units, for the next step. Those past the edge are 0.
    let units_here = f32(units_of(group.x));
    let mean = shared_total(product, local, UNITS, UNITS) / units_here;
    let delta = select(vec4f(), product - mean, vec4<bool>(finishes));
    let squares = shared_total(delta * delta, local, UNITS, UNITS);
    if (finishes && local % UNITS == 0u) {
        let to = moments_at(own_first(), n, group.x);
        for (var k = 0u; k < 4u; k++) {
            products[to + k] = mean[k];
            products[to + 4u + k] = squares[k];
        }
    }
}
