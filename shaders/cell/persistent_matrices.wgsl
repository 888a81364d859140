enable f16;
enable wgpu_cooperative_matrix;
// The persistent tier, forward, in f16, by the matrices that subgroups of some devices multiply: as cell/persistent.wgsl, but that a
// workgroup has the h of SIDE sequences at once, and that its subgroups hold the weights as matrices. What units hand to each other is
// y in f16, two numbers in a word: a word of zeros is written with a -0.
// What is missing where workgroups did not run together, cell/local.wgsl does.
// Twin: src/cpu/cells/step.rs.
#import cell_call
// [frames, batch, hidden] of f16, as bits; hidden is a multiple of eight.
@group(0) @binding(6) @coherent @volatile
var<storage, read_write> y: array<vec4u>;
// [batch, hidden], cleared to 0 beforehand: the steps of this launch that are left undone.
@group(0) @binding(7)
var<storage, read_write> late: array<u32>;

#ifdef SIDE8
#shape SIDE 8
alias Left = coop_mat8x8<f16, A>;
alias Right = coop_mat8x8<f16, B>;
alias Sum = coop_mat8x8<f32, C>;
#else
#shape SIDE 16
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sum = coop_mat16x16<f32, C>;
#endif
// Matrices of a workgroup along the rows, and along k, and how many subgroups share in each.
#shape TILES 2
#shape DEPTH 8
#shape TILE_GROUPS 2
#shape DEPTH_GROUPS 4
// Sequences of a workgroup, a multiple of SIDE.
#shape GROUP 16
// What an invocation reads of a chunk of SIDE sequences, by eight.
#shape LOADS 1
// States of the cell.
#shape STATES 2
// How often a word is looked at.
#shape SPINS 300000
// 1: on devices that run the subgroups of a workgroup one after the other, which wait for each other at barriers only.
#shape IN_TURN 0
// For tests: a workgroup along the units that stops at this step.
#shape FAULT_GROUP 4294967295
#shape FAULT_STEP 0

const SUBGROUP = SIDE * SIDE / 8u;
const LANES = TILE_GROUPS * DEPTH_GROUPS * SUBGROUP;
// Units of a matrix, and of the workgroup: four rows each, one behind the other, with those that are there to fill up.
const TILE_UNITS = SIDE / 4u;
const UNITS = TILES * TILE_UNITS;
const CHUNKS = GROUP / SIDE;
// Columns, with those that are there to fill up, in fours and in eights; two fours more to a line: other memory banks.
const FOURS = DEPTH * SIDE / 4u;
const EIGHTS = FOURS / 2u;
const PITCH = FOURS + 2u;
// A word of y that stands for nothing.
const MINUS_ZERO = 0x80000000u;

// [SIDE, PITCH]
var<workgroup> wg_h: array<vec4<f16>, SIDE * PITCH>;
// [DEPTH_GROUPS, TILES, SIDE sequences, TILE_UNITS]
var<workgroup> wg_parts: array<vec4f, DEPTH_GROUPS * TILES * SIDE * TILE_UNITS>;
// [STATES, GROUP, UNITS]
var<workgroup> wg_states: array<f32, STATES * GROUP * UNITS>;
var<workgroup> wg_late: atomic<u32>;

// Eight columns of h before a step: where in y they are, and their words; these are 0 if they are yet to be read.
struct Source {
    at: u32,
    words: vec4u,
}

fn pair_at(at: u32) -> u32 {
    let word = pack2x16float(vec2f(states[at], states[at + 1u]));
    return select(word, MINUS_ZERO, word == 0u);
}

// Of step k of this launch, for a sequence from a column on. A sequence that runs at this frame, but not at the one before, comes with
// the states from before the launch: it cannot have begun anew since.
fn source_of(k: u32, n: u32, column: u32) -> Source {
    var source = Source(0u, vec4u(MINUS_ZERO));
    let frame = frame_of(k);
    if (n < params.batch && runs(n, frame) && !begins_anew(n, frame)) {
        let before = frame_of(k - 1u);
        if (k > 0u && runs(n, before)) {
            source.at = (frame_at(params.y_first, before, plane()) + n * params.hidden + column) / 8u;
            source.words = vec4u();
        } else {
            let at = slot_at(params.steps) + n * params.hidden + column;
            source.words = vec4u(pair_at(at), pair_at(at + 2u), pair_at(at + 4u), pair_at(at + 6u));
        }
    }
    return source;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let hidden = params.hidden;
    let first = group.y * GROUP;
    let subgroup = local / SUBGROUP;
    let tile_first = subgroup / DEPTH_GROUPS * (TILES / TILE_GROUPS);
    let depth_group = subgroup % DEPTH_GROUPS;
    let depth_first = depth_group * (DEPTH / DEPTH_GROUPS);
    let weight_pitch = FOURS;
    let weight_first = (group.x * TILES + tile_first) * SIDE * FOURS + depth_first * (SIDE / 4u);
#repeat r TILES / TILE_GROUPS
#repeat k DEPTH / DEPTH_GROUPS
    let at_w$(r)_$(k) = weight_first + $(r)u * SIDE * FOURS + $(k)u * (SIDE / 4u);
    let w$(r)_$(k) = coopLoadT<Left>(&weight_hh[at_w$(r)_$(k)], weight_pitch);
#end
#end

    // One invocation two units and a sequence of the chunk finishes a step.
    let own = local / (UNITS / 2u);
    let place = local % (UNITS / 2u) * 2u;
    let unit = group.x * UNITS + place;
    let is_owner = own < SIDE && unit < hidden;
#repeat e 2
    var bias$e = vec4f();
    var p$e = vec4f();
#end
    if (is_owner) {
#repeat e 2
        bias$e = bias_at(unit + $(e)u);
        p$e = parameters_at(unit + $(e)u);
#end
        for (var q = 0u; q < CHUNKS; q++) {
            let n = first + q * SIDE + own;
            if (n < params.batch) {
#repeat e 2
                let s$e = states_at(params.steps, n * hidden + unit + $(e)u);
#repeat i STATES
                wg_states[($(i)u * GROUP + q * SIDE + own) * UNITS + place + $(e)u] = s$e[$i];
#end
#end
            }
        }
    }
    if (local == 0u) {
        atomicStore(&wg_late, 0u);
    }
    workgroupBarrier();

    let keeps_all = params.slots > params.frames;
    var limit = SPINS;
    let is_even = params.has_lengths == 0u && params.resets_first == 0u;
    let part_first = (place / TILE_UNITS * SIDE + own) * TILE_UNITS + place % TILE_UNITS;
#repeat e 2
    var next_x$e = vec4f();
#end
    if (is_owner && first + own < params.batch) {
#repeat e 2
        next_x$e = inputs_at(params.first, first + own, unit + $(e)u);
#end
    }
    // What this invocation reads of each chunk: sequences, and columns by eight. What is past the last sequence is read of that one: nobody
    // takes what comes of it.
#repeat j LOADS
    let of$j = (local + $(j)u * LANES) / EIGHTS;
    let eight$j = (local + $(j)u * LANES) % EIGHTS;
    let is_read$j = of$j < SIDE && eight$j * 8u < hidden;
    let sequence$j = min(of$j, SIDE - 1u);
    var from$j = Source(0u, vec4u(MINUS_ZERO));
    if (is_read$j) {
        from$j = source_of(0u, first + sequence$j, eight$j * 8u);
    }
#end

    for (var k = 0u; k < params.frames; k++) {
        let frame = frame_of(k);
        for (var q = 0u; q < CHUNKS; q++) {
            let n = first + q * SIDE + own;
            let finishes = is_owner && n < params.batch;
            let at = n * hidden + unit;
            let is_last = q + 1u == CHUNKS;
            let next_k = select(k, k + 1u, is_last);
            let next_q = select(q + 1u, 0u, is_last);
            let has_next = next_k < params.frames;

            // What the end of this step takes: it has come when it is needed.
            let y_at = frame_at(params.y_first, frame, plane()) + at;
            var running = false;
#repeat e 2
            let x$e = next_x$e;
            var s$e = vec4f();
            var m$e = vec4f();
#end
            if (finishes) {
#repeat e 2
#repeat i STATES
                s$e[$i] = wg_states[($(i)u * GROUP + q * SIDE + own) * UNITS + place + $(e)u];
#end
                m$e = masks_at(at + $(e)u);
#end
                running = runs(n, frame);
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
                let new$j = y[from$j.at];
#end
#repeat j LOADS
                from$j.words = select(from$j.words, new$j, any(from$j.words == vec4u()));
#end
            }
            // Such devices end all loops of a subgroup silently after 65,535 rounds together.
            if (IN_TURN != 0u) {
                limit -= min(spins, limit - 1u);
            }
#repeat j LOADS
            if (of$j < SIDE) {
                let four$j = of$j * PITCH + 2u * eight$j;
                wg_h[four$j] = vec4<f16>(vec4f(unpack2x16float(from$j.words.x), unpack2x16float(from$j.words.y)));
                wg_h[four$j + 1u] = vec4<f16>(vec4f(unpack2x16float(from$j.words.z), unpack2x16float(from$j.words.w)));
            }
#end
            workgroupBarrier();
            if (has_next) {
                if (is_even && next_k > 0u) {
                    let base = frame_at(params.y_first, frame_of(next_k - 1u), plane()) / 8u;
#repeat j LOADS
                    if (is_read$j) {
                        let n$j = min(first + next_q * SIDE + sequence$j, params.batch - 1u);
                        from$j = Source(base + n$j * (hidden / 8u) + eight$j, vec4u());
                    }
#end
                } else {
#repeat j LOADS
                    if (is_read$j) {
                        from$j = source_of(next_k, first + next_q * SIDE + sequence$j, eight$j * 8u);
                    }
#end
                }
                // While this chunk is computed, the words of the next one come.
                if (CHUNKS > 1u) {
#repeat j LOADS
                    let ahead$j = y[from$j.at];
#end
#repeat j LOADS
                    from$j.words = select(from$j.words, ahead$j, any(from$j.words == vec4u()));
#end
                }
            }
            // Asked for after the words: loads are answered in their order.
            let next_n = first + next_q * SIDE + own;
            if (has_next && is_owner && next_n < params.batch) {
#repeat e 2
                next_x$e = inputs_at(frame_of(next_k), next_n, unit + $(e)u);
#end
            }

#repeat r TILES / TILE_GROUPS
            var sum$r = Sum();
#end
            let h_pitch = PITCH;
#repeat k DEPTH / DEPTH_GROUPS
            let at_h$k = (depth_first + $(k)u) * (SIDE / 4u);
            let h$k = coopLoad<Right>(&wg_h[at_h$k], h_pitch);
#repeat r TILES / TILE_GROUPS
            sum$r = coopMultiplyAdd(w$(r)_$(k), h$k, sum$r);
#end
#end
            let part_pitch = TILE_UNITS;
#repeat r TILES / TILE_GROUPS
            let at_part$r = (depth_group * TILES + tile_first + $(r)u) * SIDE * TILE_UNITS;
            coopStore(sum$r, &wg_parts[at_part$r], part_pitch);
#end
            workgroupBarrier();

            if (finishes) {
                let step = params.steps + k;
                let stops = atomicLoad(&wg_late) != 0u || (group.x == FAULT_GROUP && step >= FAULT_STEP);
#repeat e 2
                var r$e = bias$e;
#repeat g DEPTH_GROUPS
                r$e += wg_parts[part_first + $(e)u + $(g)u * TILES * SIDE * TILE_UNITS];
#end
#end
                if (stops) {
                    late[at] = max(late[at], params.frames - k);
                    late[at + 1u] = max(late[at + 1u], params.frames - k);
                } else {
                    if (running) {
#repeat e 2
                        s$e = zoned_out(frame, at + $(e)u, cell_update(x$e, r$e, s$e, p$e, m$e), s$e);
#end
                        let word = pack2x16float(vec2f(s0.x, s1.x));
                        y[y_at / 8u][y_at / 2u % 4u] = select(word, MINUS_ZERO, word == 0u);
                    }
#repeat e 2
                    s$e = states_before(step + 1u, frame_of(k + 1u), n, s$e);
#repeat i STATES
                    wg_states[($(i)u * GROUP + q * SIDE + own) * UNITS + place + $(e)u] = s$e[$i];
#end
                    if (keeps_all) {
                        set_states(step + 1u, at + $(e)u, s$e);
                    }
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
            let n = first + q * SIDE + own;
            if (n < params.batch) {
#repeat e 2
                var last$e = vec4f();
#repeat i STATES
                last$e[$i] = wg_states[($(i)u * GROUP + q * SIDE + own) * UNITS + place + $(e)u];
#end
                set_states(params.steps + params.frames, n * hidden + unit + $(e)u, last$e);
#end
            }
        }
    }
}
