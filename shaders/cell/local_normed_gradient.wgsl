// The local tier of cells with layer norms, backward: one dispatch runs many steps, a workgroup all steps of one sequence, an
// invocation every 256th unit.
// It also does what the persistent tier left undone (FINISHES). At a step that some unit has finished, all workgroups had handed out
// their sums, and these are still there; at all others every unit has what the sums are of.
// Twin: src/cpu/cells/row_gradient.rs.
#import cell_back
#import cell_back_norms
// [frames, batch, hidden], of each the rows, which this kernel does not look at; [frames, batch, SUM_VECTORS, UNIT_GROUPS], the sums.
#import exchange
alias Total = vec4f;
#import row_total
#import left_product

override FINISHES: u32 = 0u;
// Workgroups along the units that handed out sums, and what their vectors hold.
override UNIT_GROUPS: u32 = 1u;
override SUM_VALUES: u32 = 2u;

const LANES = 256u;
var<workgroup> wg_most: atomic<u32>;
var<workgroup> wg_left: u32;

// The gradients of a unit at a frame of a sequence that runs, but for what norms take away: `carry` has that of its h in it.
fn back_of(frame: u32, n: u32, unit: u32, before: Before, moments: vec2f) -> UnitBack {
    let at = n * params.hidden + unit;
    let d = carry_at(at, CELL_STATES) + vec4f(before.dy, 0.0, 0.0, 0.0);
    let seen = with_affine(before, gains_at(unit), bias_at(unit));
    return unit_back(frame, at, seen, parameters_at(unit), masks_at(at), state_affine_at(unit), moments, d);
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
    let n = group.x + group.y * groups.x;
    let is_there = n < params.batch;
    // The most steps that any unit has left, with one more for what the first step leaves to the states before it.
    if (local == 0u) {
        atomicStore(&wg_most, select(params.frames + 1u, 0u, FINISHES != 0u));
    }
    workgroupBarrier();
    if (FINISHES != 0u && is_there) {
        var most = 0u;
        for (var unit = local; unit < hidden; unit += LANES) {
            most = max(most, undone_at(n * hidden + unit));
        }
        atomicMax(&wg_most, most);
    }
    workgroupBarrier();
    if (local == 0u) {
        wg_left = min(atomicLoad(&wg_most), params.frames + 1u);
    }
    let left = workgroupUniformLoad(&wg_left);
    for (var k = params.frames + 1u - left; k <= params.frames; k++) {
        let frame = frame_of(k);
        let is_frame = k < params.frames;
        let running = is_there && is_frame && runs(n, frame);
        let has_next = is_there && k > 0u && runs(n, frame_of(k - 1u)) && !begins_anew(n, frame_of(k - 1u));
        for (var unit = local; unit < hidden && has_next; unit += LANES) {
            let at = n * hidden + unit;
            if (FINISHES == 0u || k + undone_at(at) > params.frames) {
                carry[at] += left_product(frame_of(k - 1u), n, unit);
            }
        }

        var moments = vec2f();
        var of_means = OfMeans();
        if (running) {
            moments = moments_at(frame, n);
            of_means = of_means_at(frame, n);
        }
        var sums: Sums;
        for (var vector = 0u; vector < SUM_VECTORS; vector++) {
            let first = params.frames * plane() + ((k * params.batch + n) * SUM_VECTORS + vector) * UNIT_GROUPS;
            var sum = vec4f();
            var missing = 0.0;
            if (FINISHES != 0u && running) {
                for (var g = local; g < UNIT_GROUPS; g += LANES) {
                    let words = handed_at(first + g, SUM_VALUES);
                    sum += bitcast<vec4f>(words);
                    missing += select(0.0, 1.0, any(words == vec4u()));
                }
            }
            let all_missing = row_total(vec4f(missing, 0.0, 0.0, 0.0), local, subgroup_size).x;
            if (FINISHES == 0u || all_missing > 0.0) {
                sum = vec4f();
                for (var unit = local; unit < hidden && running; unit += LANES) {
                    let before = before_at(frame, n, unit);
                    let back = back_of(frame, n, unit, before, moments);
                    sum += unit_sums(vector, back.g.r * gains_at(unit), before.r, back.shown * state_affine_at(unit).x, back.hat);
                }
            }
            sums[vector] = row_total(sum, local, subgroup_size);
        }

        for (var unit = local; unit < hidden && is_there; unit += LANES) {
            let at = n * hidden + unit;
            if (FINISHES != 0u && k + undone_at(at) <= params.frames) {
                continue;
            }
            var g = CellGradient();
            g.s = carry_at(at, CELL_STATES);
            if (running) {
                let before = before_at(frame, n, unit);
                let back = back_of(frame, n, unit, before, moments);
                g = back.g;
                if (CELL_STATE_NORM != 0u) {
                    let seen = with_affine(before, gains_at(unit), bias_at(unit));
                    let of_state = of_normalised(seen.x, seen.r, seen.s, parameters_at(unit), masks_at(at), moments.y);
                    g = less(g, mean_part(sums[STATE_VECTOR].zw, back.hat), of_state);
                    add_carry(at + STATE_SUMS * plane(), CELL_STATE_GAIN, vec4f(back.shown * back.hat, vec3f()));
                    add_carry(at + (STATE_SUMS + CELL_STATE_GAIN) * plane(), CELL_STATE_BIAS, vec4f(back.shown, vec3f()));
                }
                if (CELL_PARAMETERS > 0u) {
                    add_carry(at + CELL_STATES * plane(), CELL_PARAMETERS, g.p);
                }
                if (CELL_NORM != 0u) {
                    if (CELL_NORM_GAIN != 0u) {
                        add_carry(at + GAIN_SUMS * plane(), CELL_ROWS, g.r * before.r);
                    }
                    add_carry(at + BIAS_SUMS * plane(), CELL_ROWS, g.r);
                    let all = with_means(sums, of_means);
                    g.r = before_norm(g.r * gains_at(unit), before.r, factors_at(frame, n), all[0], all[1]);
                }
            }
            if (is_frame) {
                g.s = select(g.s, vec4f(), begins_anew(n, frame));
                set_gradients(frame, n, unit, g);
            }
            set_carry(at, CELL_STATES, g.s);
        }
        storageBarrier();
    }
    if (FINISHES != 0u && is_there && left > 0u) {
        for (var unit = local; unit < hidden; unit += LANES) {
            set_undone(n * hidden + unit, 0u);
        }
    }
}
