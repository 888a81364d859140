// The persistent tier, forward: one dispatch runs many steps. A workgroup owns some hidden units of some sequences, and keeps the
// weights of those units in registers. What units hand to each other at each step is y itself: it is cleared to 0 beforehand,
// h = 0 is written as -0, and who needs a word waits until it is not 0. No word is written twice, so nothing else must be ordered.
//
// In cells with layer norms they hand sums of their units to each other besides (NORMED).
//
// WebGPU does not promise that all workgroups run at once. So waiting has an end: a workgroup that waited too long stops, and says
// so in `late`; so do, after it, those that wait for it. What is missing then, cell/local.wgsl does, or cell/local_normed.wgsl.
// Twin: src/cpu/cells/step.rs.
#import cell_call
// [frames, batch, hidden], as bits
#ifdef COHERENT
@group(0) @binding(6) @coherent @volatile
var<storage, read_write> y: array<vec4u>;
#else
@group(0) @binding(6)
var<storage, read_write> y: array<atomic<u32>>;
#endif
// [batch, hidden], cleared to 0 beforehand: the steps of this launch that are left undone. If NORMED, behind them for each norm of the
// product, as bits, the sums of the columns of its rows.
@group(0) @binding(7)
var<storage, read_write> late: array<u32>;
#import minus_zero

// An invocation holds the weights of LANE_UNITS units with LANE_COLUMNS (a multiple of four) columns. Of a workgroup's
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
// Sequences of a workgroup; those whose h it has at once; those that are multiplied together.
#shape GROUP 1
#shape CHUNK 1
#shape TILE 1
// What an invocation reads of a chunk, by four.
#shape LOADS 1
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
// Columns by four, with those that are there to fill up.
const QUADS = COLUMN_LANES * LANE_COLUMNS / 4u;
const PARTS = COLUMN_LANES >> STAGES;
const VALUES = TILE * LANE_UNITS;
const CHUNKS = GROUP / CHUNK;
// With one sequence an invocation reads what it multiplies; with more, all read for all.
const IS_DIRECT = CHUNK == 1u;

// [CHUNK, QUADS]
var<workgroup> wg_h: array<vec4f, CHUNK * QUADS>;
// [2, PARTS, CHUNK, UNITS]: sums of this chunk, and of the one before, which may still be read.
var<workgroup> wg_parts: array<CellRows, 2u * PARTS * CHUNK * UNITS>;
// [GROUP, UNITS]
var<workgroup> wg_states: array<vec4f, GROUP * UNITS>;
var<workgroup> wg_late: atomic<u32>;

#import row_weights
#ifdef NORMED
#import cell_norms
#import group_sums

// What the mean of the product is made of.
fn column_means(column: u32) -> vec4f {
    let first = plane() + column;
    var sums = vec4f();
    if (CELL_NORM == 1u) {
        sums = vec4f(bitcast<f32>(late[first]));
    } else if (CELL_NORM == 2u) {
        for (var row = 0u; row < CELL_ROWS; row++) {
            sums[row] = bitcast<f32>(late[first + row * params.hidden]);
        }
    }
    return sums / span_size();
}
#endif

fn weight_at(unit: u32, column: u32) -> CellRows {
    if (unit < params.hidden && column < params.hidden) {
#ifdef NORMED
        return cell_narrow(weight_lanes_at(unit * params.hidden + column) - column_means(column));
#else
        return cell_narrow(weight_lanes_at(unit * params.hidden + column));
#endif
    }
    return CellRows();
}

// Four words of y, 0 where they are not there yet. `count` of them are of the same sequence.
fn words_at(at: u32, count: u32) -> vec4u {
#ifdef COHERENT
    return y[at / 4u];
#else
    var words = vec4u(atomicLoad(&y[at]), vec3u(MINUS_ZERO));
    if (count > 1u) {
        words.y = atomicLoad(&y[at + 1u]);
    }
    if (count > 2u) {
        words.z = atomicLoad(&y[at + 2u]);
    }
    if (count > 3u) {
        words.w = atomicLoad(&y[at + 3u]);
    }
    return words;
#endif
}

fn publish(at: u32, h: f32) {
    let bits = bitcast<u32>(h);
    let word = select(bits, MINUS_ZERO, bits == 0u);
#ifdef COHERENT
    y[at / 4u][at % 4u] = word;
#else
    atomicStore(&y[at], word);
#endif
}

// Four columns of h before a step: where in y they are, and their words; these are 0 if they are yet to be read.
struct Source {
    at: u32,
    words: vec4u,
}

// Of step k of this launch, for a sequence and `count` columns from `column` on. A sequence that runs at this frame, but not at the
// one before, comes with the states from before the launch: it cannot have begun anew since.
fn source_of(k: u32, n: u32, column: u32, count: u32) -> Source {
    var source = Source(0u, vec4u(MINUS_ZERO));
    let frame = frame_of(k);
    if (n < params.batch && runs(n, frame) && !begins_anew(n, frame)) {
        let before = frame_of(k - 1u);
        if (k > 0u && runs(n, before)) {
            source.at = frame_at(params.y_first, before, plane()) + n * params.hidden + column;
            source.words = vec4u();
        } else {
            let at = slot_at(params.steps) + n * params.hidden + column;
            var words = vec4u(bitcast<u32>(states[at]), vec3u());
            if (count > 1u) {
                words.y = bitcast<u32>(states[at + 1u]);
            }
            if (count > 2u) {
                words.z = bitcast<u32>(states[at + 2u]);
            }
            if (count > 3u) {
                words.w = bitcast<u32>(states[at + 3u]);
            }
            source.words = select(words, vec4u(MINUS_ZERO), words == vec4u());
        }
    }
    return source;
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
    let w$(u)_$(c) = weight_at(lane_unit + $(u)u, ($(c / 4)u * COLUMN_LANES + column_lane) * 4u + $(c % 4)u);
#end
#end

    // One invocation a unit and sequence of the chunk finishes a step.
    let own = local / UNITS;
    let place = local % UNITS;
    let unit = group.x * UNITS + place;
    let is_owner = own < CHUNK && unit < hidden;
    var bias = vec4f();
    var p = vec4f();
#ifdef NORMED
    var gains = vec4f();
    var state_gain = 0.0;
    var state_bias = 0.0;
#endif
    if (is_owner) {
        bias = bias_at(unit);
#ifdef NORMED
        gains = gains_at(unit);
        state_gain = state_gain_at(unit);
        state_bias = state_bias_at(unit);
#endif
        p = parameters_at(unit);
        for (var q = 0u; q < CHUNKS; q++) {
            let n = first + q * CHUNK + own;
            if (n < params.batch) {
                wg_states[(q * CHUNK + own) * UNITS + place] = states_at(params.steps, n * hidden + unit);
            }
        }
    }
    if (local == 0u) {
        atomicStore(&wg_late, 0u);
    }
    workgroupBarrier();

    let keeps_all = params.slots > params.frames;
    var limit = SPINS;
    var next_x = vec4f();
    if (is_owner && first + own < params.batch) {
        next_x = inputs_at(params.first, first + own, unit);
    }
    // What this invocation reads of each chunk: sequences, and columns by four. What is past the edge is read of a neighbour: its
    // weights are 0.
#repeat j LOADS
    let of$j = select((local + $(j)u * LANES) / QUADS, 0u, IS_DIRECT);
    let quad$j = select((local + $(j)u * LANES) % QUADS, $(j)u * COLUMN_LANES + column_lane, IS_DIRECT);
    let column$j = min(quad$j, (hidden - 1u) / 4u) * 4u;
    let count$j = min(hidden - column$j, 4u);
    var from$j = source_of(0u, first + of$j, column$j, count$j);
#end

    for (var k = 0u; k < params.frames; k++) {
        let frame = frame_of(k);
        for (var q = 0u; q < CHUNKS; q++) {
            let n = first + q * CHUNK + own;
            let finishes = is_owner && n < params.batch;
            let at = n * hidden + unit;
            let is_last = q + 1u == CHUNKS;
            let next_k = select(k, k + 1u, is_last);
            let next_q = select(q + 1u, 0u, is_last);
            let has_next = next_k < params.frames;

            // What the end of this step takes: it has come when it is needed.
            let y_at = frame_at(params.y_first, frame, plane()) + at;
            let x = next_x;
            var s = vec4f();
            var m = vec4f();
            var running = false;
            if (finishes) {
                s = wg_states[(q * CHUNK + own) * UNITS + place];
                m = masks_at(at);
                running = EVEN != 0u || runs(n, frame);
            }
            var spins = 0u;
            loop {
                var waits = false;
#repeat j LOADS
                waits = waits || any(from$j.words == vec4u());
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
                let new$j = words_at(from$j.at, count$j);
#end
#repeat j LOADS
                from$j.words = select(from$j.words, new$j, any(from$j.words == vec4u()));
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
            let h0_$c = bitcast<vec4f>(from$c.words);
#end
#end
#repeat is_staged 1 - (1 / CHUNK)
#repeat j LOADS
            if (of$j < CHUNK) {
                wg_h[of$j * QUADS + quad$j] = bitcast<vec4f>(from$j.words);
            }
#end
            workgroupBarrier();
#end
            if (CHUNKS > 1u && has_next) {
                if (EVEN != 0u && (CHUNKS == 1u || next_k > 0u)) {
                    let base = frame_at(params.y_first, frame_of(next_k - 1u), plane());
#repeat j LOADS
                    from$j = Source(base + min(first + next_q * CHUNK + of$j, params.batch - 1u) * hidden + column$j, vec4u());
#end
                } else {
#repeat j LOADS
                    from$j = source_of(next_k, first + next_q * CHUNK + of$j, column$j, count$j);
#end
                }
                // While this chunk is computed, the words of the next one come.
#repeat j LOADS
                let ahead$j = words_at(from$j.at, count$j);
#end
#repeat j LOADS
                from$j.words = select(from$j.words, ahead$j, any(from$j.words == vec4u()));
#end
            }
            // Asked for after the words: loads are answered in their order.
            let next_n = first + next_q * CHUNK + own;
            if (has_next && is_owner && next_n < params.batch) {
                next_x = inputs_at(frame_of(next_k), next_n, unit);
            }

            let parts = (k * CHUNKS + q) % 2u * PARTS * CHUNK * UNITS;
            for (var tile = 0u; tile < CHUNK; tile += TILE) {
#repeat t TILE
#repeat u LANE_UNITS
                var a$(t)_$(u) = CellRows();
#end
#end
#repeat c LANE_COLUMNS / 4
#repeat t TILE
#repeat is_staged 1 - (1 / CHUNK)
                let h$(t)_$(c) = wg_h[(tile + $(t)u) * QUADS + $(c)u * COLUMN_LANES + column_lane];
#end
#repeat e 4
#repeat u LANE_UNITS
                a$(t)_$(u) = fma(w$(u)_$(c * 4 + e), CellRows(h$(t)_$(c)[$e]), a$(t)_$(u));
#end
#end
#end
#end
#import neighbour_sums
            }
            workgroupBarrier();

            let step = params.steps + k;
            var stops = atomicLoad(&wg_late) != 0u || (group.x == FAULT_GROUP && step >= FAULT_STEP);
            var r = vec4f();
            if (finishes) {
                r = cell_wide(wg_parts[parts + own * UNITS + place]);
#repeat g (COLUMN_LANES >> STAGES) - 1
                r += cell_wide(wg_parts[parts + ($(g + 1)u * CHUNK + own) * UNITS + place]);
#end
            }
#ifdef NORMED
#import norm_exchange
#endif
            if (finishes) {
                if (stops) {
                    late[at] = max(late[at], params.frames - k);
                } else {
                    if (running) {
#ifndef NORMED
                        let after = cell_update(x, r + bias, s, p, m);
#endif
                        s = zoned_out(frame, at, after, s);
                        publish(y_at, s.x);
                    }
                    s = states_before(step + 1u, frame_of(k + 1u), n, s);
                    wg_states[(q * CHUNK + own) * UNITS + place] = s;
                    if (keeps_all) {
                        set_states(step + 1u, at, s);
                    }
                }
            }
            if (CHUNKS == 1u && has_next) {
                if (EVEN != 0u && (CHUNKS == 1u || next_k > 0u)) {
                    let base = frame_at(params.y_first, frame_of(next_k - 1u), plane());
#repeat j LOADS
                    from$j = Source(base + min(first + next_q * CHUNK + of$j, params.batch - 1u) * hidden + column$j, vec4u());
#end
                } else {
#repeat j LOADS
                    from$j = source_of(next_k, first + next_q * CHUNK + of$j, column$j, count$j);
#end
                }
            }
            if (IN_TURN != 0u) {
                workgroupBarrier();
            }
        }
    }

    if (is_owner && !keeps_all) {
        for (var q = 0u; q < CHUNKS; q++) {
            let n = first + q * CHUNK + own;
            if (n < params.batch) {
                set_states(params.steps + params.frames, n * hidden + unit, wg_states[(q * CHUNK + own) * UNITS + place]);
            }
        }
    }
}
