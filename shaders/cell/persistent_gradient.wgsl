// The persistent tier, backward: one dispatch runs many steps, from the last to the first, as cell/persistent.wgsl does forward. A
// workgroup keeps the weights that come from some hidden units in registers. What units hand to each other at each step are the
// gradients of their rows of the recurrent product, in a buffer of their own: it is cleared to 0 beforehand, 0 is written as -0,
// and who needs a word waits until it is not 0. After the first step one more product goes to the states before it.
//
// Where there are norms, sums over units are exchanged besides, behind the rows (NORMED).
//
// A workgroup that waited too long stops, and says so in `carry`; so do, after it, those that wait for it. What is missing then,
// cell/local_gradient.wgsl does, or cell/local_normed_gradient.wgsl.
// Twin: src/cpu/cells/gradient.rs.
#import cell_back
#import row_weights
// `exchange`: [frames, batch, hidden], of each the rows.
#import exchange

// An invocation holds the weights of LANE_UNITS units with LANE_COLUMNS units that come after them. Of a workgroup's
// invocations UNIT_LANES stand side by side for different units, COLUMN_LANES for different columns.
#shape LANE_UNITS 2
#shape LANE_COLUMNS 4
#shape UNIT_LANES 4
#shape COLUMN_LANES 16
// Shuffles sum 2^STAGES neighbours along the columns; in the first HALVINGS stages each of two sums half of the values.
#ifdef SUBGROUPS
#shape STAGES 2
#shape HALVINGS 1
#else
#shape STAGES 0
#shape HALVINGS 0
#endif
// Sequences of a workgroup; those whose rows it has at once; those that are multiplied together.
#shape GROUP 1
#shape CHUNK 1
#shape TILE 1
// What an invocation reads of a chunk.
#shape LOADS 4
// 1: all sequences run at all frames, and none begins anew.
#shape EVEN 0
// How often a word is looked at.
#shape SPINS 300000
// 1: on devices that run the subgroups of a workgroup one after the other, which wait for each other at barriers only.
#shape IN_TURN 0
// For tests: a workgroup along the units that stops at this step.
#shape FAULT_GROUP 4294967295
#shape FAULT_STEP 0

const UNITS = LANE_UNITS * UNIT_LANES;
const LANES = UNIT_LANES * COLUMN_LANES;
// Columns with those that are there to fill up.
const COLUMNS = COLUMN_LANES * LANE_COLUMNS;
const PARTS = COLUMN_LANES >> STAGES;
const VALUES = TILE * LANE_UNITS;
const CHUNKS = GROUP / CHUNK;
// With one sequence an invocation reads what it multiplies; with more, all read for all.
const IS_DIRECT = CHUNK == 1u;

// [CHUNK, COLUMNS]
var<workgroup> wg_rows: array<vec4f, CHUNK * COLUMNS>;
// [2, PARTS, CHUNK, UNITS]: sums of this chunk, and of the one before, which may still be read.
var<workgroup> wg_parts: array<f32, 2u * PARTS * CHUNK * UNITS>;
// [GROUP, UNITS]: gradients of states, and of parameters, if there are any.
var<workgroup> wg_carry: array<vec4f, GROUP * UNITS>;
var<workgroup> wg_sums: array<vec4f, (GROUP * UNITS - 1u) * min(CELL_PARAMETERS, 1u) + 1u>;
var<workgroup> wg_late: atomic<u32>;

#ifdef NORMED
#import cell_back_norms
#import group_sums
#endif

// What a column's unit takes of the h of another.
fn weight_at(unit: u32, column: u32) -> CellRows {
    if (unit < params.hidden && column < params.hidden) {
        return cell_narrow(weight_lanes_at(column * params.hidden + unit));
    }
    return CellRows();
}

// sum + w * rows, one after the other.
fn with_product(sum: f32, w: CellRows, rows: vec4f) -> f32 {
    let weights = cell_wide(w);
    var total = fma(weights.x, rows.x, sum);
    if (CELL_ROWS > 1u) {
        total = fma(weights.y, rows.y, total);
    }
    if (CELL_ROWS > 2u) {
        total = fma(weights.z, rows.z, total);
    }
    if (CELL_ROWS > 3u) {
        total = fma(weights.w, rows.w, total);
    }
    return total;
}

// Whether step k of a sequence takes what the step after it, k - 1, left.
fn takes(k: u32, n: u32) -> bool {
    if (k == 0u || n >= params.batch) {
        return false;
    }
    let next = frame_of(k - 1u);
    return runs(n, next) && !begins_anew(n, next);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let hidden = params.hidden;
    let first = group.y * GROUP;
    let unit_lane = local % UNIT_LANES;
    let column_lane = local / UNIT_LANES;
    let lane_unit = group.x * UNITS + unit_lane * LANE_UNITS;

#repeat c LANE_COLUMNS
#repeat u LANE_UNITS
    let w$(u)_$(c) = weight_at(lane_unit + $(u)u, $(c)u * COLUMN_LANES + column_lane);
#end
#end

    // One invocation a unit and sequence of the chunk finishes a step.
    let own = local / UNITS;
    let place = local % UNITS;
    let unit = group.x * UNITS + place;
    let is_owner = own < CHUNK && unit < hidden;
    var p = vec4f();
#ifdef NORMED
    var bias = vec4f();
    var gains = vec4f();
    var next_factors = vec4f();
    var next_moments = vec2f();
    var state_affine = vec2f();
    var state_sums: array<vec2f, CHUNKS>;
    var gain_sums: array<vec4f, CHUNKS>;
    var bias_sums: array<vec4f, CHUNKS>;
#endif
    if (is_owner) {
#ifdef NORMED
        bias = bias_at(unit);
        gains = gains_at(unit);
        state_affine = state_affine_at(unit);
#endif
        p = parameters_at(unit);
        for (var q = 0u; q < CHUNKS; q++) {
            let n = first + q * CHUNK + own;
            if (n < params.batch) {
                wg_carry[(q * CHUNK + own) * UNITS + place] = carry_at(n * hidden + unit, CELL_STATES);
                if (CELL_PARAMETERS > 0u) {
                    wg_sums[(q * CHUNK + own) * UNITS + place] = vec4f();
                }
            }
        }
    }
    if (local == 0u) {
        atomicStore(&wg_late, 0u);
    }
    workgroupBarrier();

    var limit = SPINS;
    var before_next = Before();
    if (is_owner && first + own < params.batch) {
        before_next = before_at(params.first, first + own, unit);
#ifdef NORMED
        next_factors = factors_at(params.first, first + own);
        next_moments = moments_at(params.first, first + own);
#endif
    }
    // What this invocation reads of each chunk: sequences and columns, and their words. What is past the edge is read of a neighbour:
    // its weights are 0.
#repeat j LOADS
    let of$j = select((local + $(j)u * LANES) / COLUMNS, 0u, IS_DIRECT);
    let place$j = select((local + $(j)u * LANES) % COLUMNS, $(j)u * COLUMN_LANES + column_lane, IS_DIRECT);
    let column$j = min(place$j, hidden - 1u);
    var words$j = vec4u(MINUS_ZERO);
    var at$j = 0u;
#end

    for (var k = 0u; k <= params.frames; k++) {
        let frame = frame_of(k);
        for (var q = 0u; q < CHUNKS; q++) {
            let n = first + q * CHUNK + own;
            let finishes = is_owner && n < params.batch;
            let at = n * hidden + unit;
            let is_last = q + 1u == CHUNKS;
            let next_k = select(k, k + 1u, is_last);
            let next_q = select(q + 1u, 0u, is_last);

            // What the end of this step takes: it has come when it is needed.
            let before = before_next;
#ifdef NORMED
            let seen = with_affine(before, gains, bias);
            let factors = next_factors;
            let moments = next_moments;
            var shown_alone = 0.0;
            var shown_of_h = 0.0;
            var state_hat = 0.0;
            var of_state = CellGradient();
            var d_shown = 0.0;
#else
            let seen = before;
#endif
            let taking = takes(k, n);
            let running = finishes && k < params.frames && (EVEN != 0u || runs(n, frame));
            // The derivative is linear: all of it that does not wait for the others is ready when they have answered.
            var alone = CellGradient();
            var of_h = CellGradient();
            of_h.s.x = 1.0;
            if (finishes) {
                let d = wg_carry[(q * CHUNK + own) * UNITS + place];
                alone.s = d;
                if (running) {
                    let m = masks_at(at);
                    let d_alone = d + vec4f(before.dy, 0.0, 0.0, 0.0);
                    let d_of_h = vec4f(1.0, 0.0, 0.0, 0.0);
#ifdef NORMED
                    let back_alone = unit_back(frame, at, seen, p, m, state_affine, moments, d_alone);
                    let back_of_h = unit_back(frame, at, seen, p, m, state_affine, moments, d_of_h);
                    alone = back_alone.g;
                    of_h = back_of_h.g;
                    if (CELL_STATE_NORM != 0u) {
                        shown_alone = back_alone.shown;
                        shown_of_h = back_of_h.shown;
                        state_hat = back_alone.hat;
                        of_state = of_normalised(seen.x, seen.r, seen.s, p, m, moments.y);
                    }
#else
                    alone = unit_gradient(frame, at, seen, p, m, d_alone);
                    of_h = unit_gradient(frame, at, seen, p, m, d_of_h);
#endif
                }
            }
            var spins = 0u;
            loop {
                var waits = false;
#repeat j LOADS
                waits = waits || any(words$j == vec4u());
#end
                if (!waits) {
                    break;
                }
                if (spins >= limit) {
                    limit = 1u;
                    atomicStore(&wg_late, 1u);
                    break;
                }
                spins++;
                // All are asked for before any is looked at: a branch in between would wait for the answer.
#repeat j LOADS
                let new$j = handed_at(at$j, CELL_ROWS);
#end
#repeat j LOADS
                words$j = select(words$j, new$j, any(words$j == vec4u()));
#end
            }
            // Such devices end all loops of a subgroup silently after 65,535 rounds together.
            if (IN_TURN != 0u) {
#ifdef SUBGROUPS
                spins = subgroupMax(spins);
#endif
                limit -= min(spins, limit - 1u);
            }

#repeat is_direct 1 / CHUNK
#repeat c LOADS
            let g0_$c = bitcast<vec4f>(words$c);
#end
#end
#repeat is_staged 1 - (1 / CHUNK)
#repeat j LOADS
            if (of$j < CHUNK) {
                wg_rows[of$j * COLUMNS + place$j] = bitcast<vec4f>(words$j);
            }
#end
            workgroupBarrier();
#end
            if (CHUNKS > 1u && next_k > 0u && next_k <= params.frames) {
                let base = (next_k - 1u) * params.batch;
#repeat j LOADS
                let n$j = first + next_q * CHUNK + of$j;
                at$j = (base + min(n$j, params.batch - 1u)) * hidden + column$j;
                words$j = vec4u();
                if (EVEN == 0u) {
                    words$j = select(vec4u(MINUS_ZERO), vec4u(), takes(next_k, n$j));
                }
#end
                // While this chunk is computed, the words of the next one come.
#repeat j LOADS
                let ahead$j = handed_at(at$j, CELL_ROWS);
#end
#repeat j LOADS
                words$j = select(words$j, ahead$j, any(words$j == vec4u()));
#end
            }
            // Asked for after the words: loads are answered in their order.
            let next_n = first + next_q * CHUNK + own;
            if (next_k < params.frames && is_owner && next_n < params.batch) {
                before_next = before_at(frame_of(next_k), next_n, unit);
#ifdef NORMED
                next_factors = factors_at(frame_of(next_k), next_n);
                next_moments = moments_at(frame_of(next_k), next_n);
#endif
            }

            let parts = (k * CHUNKS + q) % 2u * PARTS * CHUNK * UNITS;
            for (var tile = 0u; tile < CHUNK; tile += TILE) {
#repeat t TILE
#repeat u LANE_UNITS
                var a$(t)_$(u) = 0.0;
#end
#end
#repeat c LANE_COLUMNS
#repeat t TILE
#repeat is_staged 1 - (1 / CHUNK)
                let g$(t)_$(c) = wg_rows[(tile + $(t)u) * COLUMNS + $(c)u * COLUMN_LANES + column_lane];
#end
#repeat u LANE_UNITS
                a$(t)_$(u) = with_product(a$(t)_$(u), w$(u)_$(c), g$(t)_$(c));
#end
#end
#end
#import neighbour_sums
            }
            workgroupBarrier();

            var stops = atomicLoad(&wg_late) != 0u || (group.x == FAULT_GROUP && k >= FAULT_STEP);
            var g = CellGradient();
            if (finishes) {
                var total = wg_parts[parts + own * UNITS + place];
#repeat g (COLUMN_LANES >> STAGES) - 1
                total += wg_parts[parts + ($(g + 1)u * CHUNK + own) * UNITS + place];
#end
                let d = select(0.0, total, taking);
                g = CellGradient(alone.x + d * of_h.x, alone.r + d * of_h.r, alone.s + d * of_h.s, alone.p + d * of_h.p);
#ifdef NORMED
                d_shown = shown_alone + d * shown_of_h;
#endif
            }
#ifdef NORMED
#import norm_exchange_back
#endif
            if (finishes) {
                if (stops) {
                    set_undone(at, max(undone_at(at), params.frames + 1u - k));
                } else {
#ifdef NORMED
                    if (running && CELL_STATE_NORM != 0u) {
                        state_sums[q] += vec2f(d_shown * state_hat, d_shown);
                    }
                    if (running && CELL_NORM != 0u) {
                        gain_sums[q] += g.r * hat;
                        bias_sums[q] += g.r;
                        g.r = d_rows;
                    }
#endif
                    if (running) {
                        // With projection and product known as a sum only, both gradients are one.
                        if (CELL_SUMMED != 0u) {
                            hand_out(k * plane() + at, g.x, CELL_ROWS);
                        } else {
                            hand_out(k * plane() + at, g.r, CELL_ROWS);
                        }
                        if (CELL_PARAMETERS > 0u) {
                            wg_sums[(q * CHUNK + own) * UNITS + place] += g.p;
                        }
                    }
                    if (k < params.frames) {
                        g.s = select(g.s, vec4f(), begins_anew(n, frame));
                        set_gradients(frame, n, unit, g);
                    }
                    wg_carry[(q * CHUNK + own) * UNITS + place] = g.s;
                }
            }
            if (CHUNKS == 1u && next_k <= params.frames) {
                let base = (next_k - 1u) * params.batch;
#repeat j LOADS
                let n$j = first + next_q * CHUNK + of$j;
                at$j = (base + min(n$j, params.batch - 1u)) * hidden + column$j;
                words$j = vec4u();
                if (EVEN == 0u) {
                    words$j = select(vec4u(MINUS_ZERO), vec4u(), takes(next_k, n$j));
                }
#end
            }
            if (IN_TURN != 0u) {
                workgroupBarrier();
            }
        }
    }

    if (is_owner) {
        for (var q = 0u; q < CHUNKS; q++) {
            let n = first + q * CHUNK + own;
            if (n < params.batch) {
                let at = n * hidden + unit;
                set_carry(at, CELL_STATES, wg_carry[(q * CHUNK + own) * UNITS + place]);
                if (CELL_PARAMETERS > 0u) {
                    add_carry(at + CELL_STATES * plane(), CELL_PARAMETERS, wg_sums[(q * CHUNK + own) * UNITS + place]);
                }
#ifdef NORMED
                add_carry(at + STATE_SUMS * plane(), CELL_STATE_GAIN, vec4f(state_sums[q].x, vec3f()));
                add_carry(at + (STATE_SUMS + CELL_STATE_GAIN) * plane(), CELL_STATE_BIAS, vec4f(state_sums[q].y, vec3f()));
                if (CELL_NORM != 0u) {
                    add_carry(at + GAIN_SUMS * plane(), CELL_NORM_GAIN * CELL_ROWS, gain_sums[q]);
                    add_carry(at + BIAS_SUMS * plane(), CELL_ROWS, bias_sums[q]);
                }
#endif
            }
        }
    }
}
