// CTC sweep in plain floats: forward and backward variables of every state, and the cost. What it cannot do
// exactly, it leaves to ctc_sweep.wgsl.
// Twin: src/cpu/ctc/sweep.rs.
//
// One workgroup walks one utterance in one direction, a frame a step, an invocation four columns. The backward
// walk goes through the columns from the last to the first.
// All that a column holds is f32, relative to one exponent that is set anew before every STEPS steps, so that the
// largest that it has, or can be given during these steps, lies near 2^116. A variable below 2^-66 might have
// lost digits, or the next ones might; then the utterance is left to the other sweep. So is one with weights below
// 2^-60 (ctc_row.wgsl): else a product of a variable and a weight is a normal f32. Weights are probabilities:
// nothing grows by more than a few bits in STEPS steps.
#import ctc_sweep_pass

// Weights of the labels: `groups` of four a frame; 0 where there is none.
@group(0) @binding(2)
var<storage, read> arcs: array<vec4f>;
// Of each group of a frame the blanks, then the labels, as log2 relative to an anchor: forward variables
// with the frame's own weight, backward variables without.
@group(0) @binding(4)
var<storage, read_write> lattice: array<vec4f>;
// Exponents that the variables of a chunk are relative to.
@group(0) @binding(5)
var<storage, read_write> anchors: array<vec4i>;

// An invocation has a group.
const UNITS = 1u;
// Steps between two settings of the exponents; columns of an invocation.
const STEPS = 4u;
// Times that they are set in a round of the subgroups.
const PARTS = 2u;
// Exponent of the largest that a column holds, as f32 has it; the smallest variable, as bits.
const TOP = 243;
const LEAST = 0x1e800000u;
// Variables are stored relative to 2^116, but scaled by 2^-60 before their logarithm is taken: f32 ends at 2^-126.
const OFFSET = -56.0;
// log2 of no probability.
const NEVER = -1.0e9;

var<workgroup> wg_wide: bool;
var<workgroup> wg_lost: atomic<u32>;
var<workgroup> wg_ends: bool;
// Rounds between two looks whether something was lost.
const LOOK = 16u;

// The columns of an invocation between two steps, in the order of the walk.
struct Columns {
    // Forward: the blanks. Backward: the blanks and labels of a column together.
    first: vec4f,
    labels: vec4f,
    // What the next column is given: forward the labels, backward what the label before may go on to.
    out: vec4f,
    exponent: vec4i,
    // Exponents that the stored variables are relative to; EXPONENT_ZERO before a column is entered.
    anchor: vec4i,
    // Smallest variable so far, but zero: bits less one.
    least: u32,
}

// Weights of STEPS steps: of the labels and of the blank.
struct Ahead {
    w0: vec4f,
    w1: vec4f,
    w2: vec4f,
    w3: vec4f,
    blanks: vec4f,
}

fn in_order(walk: Walk, x: vec4f) -> vec4f {
    return select(x, x.wzyx, walk.backward);
}

fn look_ahead(walk: Walk, k: u32, unit: u32) -> Ahead {
    return Ahead(
        in_order(walk, arcs[row_at(walk, k) * params.groups + unit]),
        in_order(walk, arcs[row_at(walk, k + 1u) * params.groups + unit]),
        in_order(walk, arcs[row_at(walk, k + 2u) * params.groups + unit]),
        in_order(walk, arcs[row_at(walk, k + 3u) * params.groups + unit]),
        bitcast<vec4f>(vec4u(blank_at(walk, k), blank_at(walk, k + 1u), blank_at(walk, k + 2u), blank_at(walk, k + 3u))),
    );
}

// 1 where a label may follow the one before without a blank between them.
fn skips_of(walk: Walk, unit: u32) -> vec4f {
    let u = 4u * unit;
    return in_order(walk, vec4f(vec4u(skips(walk, u), skips(walk, u + 1u), skips(walk, u + 2u), skips(walk, u + 3u))));
}

// Before the first frame: the walk stands in the blank of its first column.
fn start(walk: Walk, j: u32) -> Columns {
    let first = select(0u, 3u - walk.utterance.labels % 4u, walk.backward);
    let one = select(vec4f(0.0), vec4f(1.0), vec4u(4u * j) + vec4u(0u, 1u, 2u, 3u) == vec4u(first));
    return Columns(one, vec4f(0.0), select(vec4f(0.0), one, walk.backward), vec4i(0), vec4i(EXPONENT_ZERO), 0xffffffffu);
}

// 2^n; 0 below -126.
fn power(n: vec4i) -> vec4f {
    return bitcast<vec4f>(vec4u(clamp(n, vec4i(-127), vec4i(127)) + vec4i(127)) << vec4u(23u));
}

fn tops_of(x: vec4f, exponent: vec4i) -> vec4i {
    return select(vec4i(EXPONENT_ZERO), exponent + vec4i(bitcast<vec4u>(x) >> vec4u(23u)), x > vec4f(0.0));
}

// Exponents of the largest that the columns have.
fn columns_top(c: Columns) -> vec4i {
    return tops_of(max(c.first, c.labels), c.exponent);
}

// Of each column and all after it.
fn tops_after(tops: vec4i) -> vec4i {
    let far = max(tops.xy, tops.zw);
    let z = max(tops.z, tops.w);
    return vec4i(max(far.x, far.y), max(tops.y, z), z, tops.w);
}

fn is_lost(x: vec4f, s: vec4f) -> bool {
    return any((x > vec4f(0.0)) & (x * s < vec4f(1.1754944e-38)));
}

// Sets the exponents. `own` is the largest that the columns have, `before` of the four columns before: of the
// last four, three, two, and of the last.
fn align(old: Columns, own: vec4i, before: vec4i) -> Columns {
    var c = old;
    let y = max(own.x, own.y);
    let z = max(y, own.z);
    let window = max(before, vec4i(own.x, y, z, max(z, own.w)));
    // Not below what one factor can do.
    c.exponent = max(window - TOP, select(vec4i(EXPONENT_ZERO), old.exponent - 126, own > vec4i(EXPONENT_ZERO)));
    let d = old.exponent - c.exponent;
    let s = power(d);
    if (any(d < vec4i(0))) {
        c.least = select(c.least, 0u, is_lost(old.first, s) || is_lost(old.labels, s));
    }
    c.first = old.first * s;
    c.labels = old.labels * s;
    c.out = old.out * s;
    return c;
}

// How what comes from the column before each one is scaled; the exponent of the last one before is `left`.
fn factors(c: ptr<function, Columns>, left: i32) -> vec4f {
    let d = vec4i(left, (*c).exponent.xyz) - (*c).exponent;
    let out_of_range = any((d > vec4i(127)) & ((*c).exponent > vec4i(EXPONENT_ZERO)));
    (*c).least = select((*c).least, 0u, out_of_range);
    return power(d);
}

// Sets the anchors of the chunk that step k is in and stores them; gives what is to be added to the logarithms of
// the next steps.
fn anchor(walk: Walk, c: ptr<function, Columns>, k: u32, j: u32) -> vec4f {
    // Before anything can come in, there is no exponent.
    let own = select((*c).exponent + vec4i(TOP - 127), vec4i(EXPONENT_ZERO), (*c).exponent < vec4i(EXPONENT_ZERO / 2));
    let before = (*c).anchor;
    let now = select(before, own, (before == vec4i(EXPONENT_ZERO)) | vec4<bool>(k % CHUNK == 0u));
    (*c).anchor = now;
    let known = select(now, vec4i(0), now == vec4i(EXPONENT_ZERO));
    if (k < walk.steps && j < walk.units) {
        anchors[anchor_at(walk, k, unit_of(walk, j))] = select(known, known.wzyx, walk.backward);
    }
    return vec4f(own - now) + OFFSET;
}

fn logarithm(walk: Walk, x: vec4f, offset: vec4f) -> vec4f {
    return in_order(walk, select(log2(x * 8.6736174e-19) + offset, vec4f(NEVER), x == vec4f(0.0)));
}

fn smallest(a: vec4f, b: vec4f) -> u32 {
    let x = min(bitcast<vec4u>(a) - vec4u(1u), bitcast<vec4u>(b) - vec4u(1u));
    return min(min(x.x, x.y), min(x.z, x.w));
}

// One step: enters the frame and stores its variables. x is what comes from the column before the first;
// `skip_factors` are the factors where a label may follow the one before.
fn step(walk: Walk, old: Columns, k: u32, j: u32, x: f32, f: vec4f, skip: vec4f, w: vec4f, blank: f32, offset: vec4f) -> Columns {
    var c = old;
    let before = vec4f(x, old.out.xyz) * f;
    var first: vec4f;
    var labels: vec4f;
    var least: u32;
    if (walk.backward) {
        first = old.first;
        labels = old.labels + before;
        c.labels = labels * w;
        let blanks = old.first * blank;
        c.first = blanks + c.labels;
        c.out = blanks + skip * c.labels;
        least = smallest(labels, c.first);
    } else {
        first = (old.first + before) * blank;
        labels = (old.labels + (old.first + skip * before)) * w;
        c.first = first;
        c.labels = labels;
        c.out = labels;
        least = smallest(labels, first);
    }
    let known = k < walk.steps && j < walk.units;
    c.least = select(old.least, min(old.least, least), known);
    let at = lattice_at(walk, k, unit_of(walk, j));
    let log_first = logarithm(walk, first, offset);
    let log_labels = logarithm(walk, labels, offset);
    // One place for what no state wants would be stored to by all that have none, one after the other.
    if (known) {
        lattice[at] = log_first;
        lattice[at + 1u] = log_labels;
    }
    return c;
}

fn note_lost(walk: Walk, c: Columns, j: u32) {
    if (j < walk.units && c.least < LEAST) {
        atomicStore(&wg_lost, 1u);
    }
}

// Whether the walk may end, because something was lost already.
fn may_end(walk: Walk, c: Columns, j: u32) -> bool {
    note_lost(walk, c, j);
    workgroupBarrier();
    if (j == 0u) {
        wg_ends = atomicLoad(&wg_lost) != 0u;
    }
    return workgroupUniformLoad(&wg_ends);
}

#ifdef SUBGROUPS
const MIN_SUBGROUP_SIZE = 4u;
override SLOTS: u32 = WIDTH / MIN_SUBGROUP_SIZE + 1u;
// What the last column of each subgroup gave before each step of a round, and the exponents of that; slot 0 is
// before the first. Twice: one half is read while the other is written.
var<workgroup> wg_edges: array<vec4f, 2u * SLOTS * PARTS>;
var<workgroup> wg_exponents: array<i32, 2u * SLOTS * PARTS>;

fn edge_slot(half: u32, slot: u32) -> u32 {
    return (half % 2u * SLOTS + slot) * PARTS;
}

// Subgroup s lags s rounds behind subgroup 0, so that what it needs of the one before is complete: one barrier a
// round.
fn walk_frames(walk: Walk, local: u32, lane: u32, size: u32) {
    let j = local;
    let unit = unit_of(walk, j);
    let skip = skips_of(walk, unit);
    let subgroup = local / size;
    let steps = STEPS * PARTS;
    let rounds = (walk.steps + steps - 1u) / steps + (walk.units + size - 1u) / size - 1u;
    for (var i = local; i < 2u * SLOTS * PARTS; i += WIDTH) {
        wg_edges[i] = vec4f(0.0);
        wg_exponents[i] = EXPONENT_ZERO;
    }
    var c = start(walk, j);
    // Wraps before the first step.
    var k = 0u - subgroup * steps;
    var ahead = look_ahead(walk, k, unit);
    var ahead_later = look_ahead(walk, k + STEPS, unit);
    workgroupBarrier();
    for (var round = 0u; round < rounds; round++) {
        // All at once: what waits for one load waits for all that were issued before.
        let next = look_ahead(walk, k + steps, unit);
        let next_later = look_ahead(walk, k + steps + STEPS, unit);
        for (var part = 0u; part < PARTS; part++) {
            let behind = edge_slot(round + 1u, subgroup) + part;
            let edge = wg_edges[behind];
            let edge_exponent = wg_exponents[behind];
            let own = columns_top(c);
            let edge_tops = tops_of(edge, vec4i(edge_exponent));
            let edge_top = max(max(edge_tops.x, edge_tops.y), max(edge_tops.z, edge_tops.w));
            let before = subgroupShuffleUp(tops_after(own), 1u);
            c = align(c, own, select(before, vec4i(edge_top), vec4<bool>(lane == 0u)));
            let left = subgroupShuffleUp(c.exponent.w, 1u);
            let f = factors(&c, select(left, edge_exponent, lane == 0u));
            let offset = anchor(walk, &c, k, j);

            let x0 = subgroupShuffleUp(c.out.w, 1u);
            let o0 = c.out.w;
            c = step(walk, c, k, j, select(x0, edge.x, lane == 0u), f, skip, ahead.w0, ahead.blanks.x, offset);
            let x1 = subgroupShuffleUp(c.out.w, 1u);
            let o1 = c.out.w;
            c = step(walk, c, k + 1u, j, select(x1, edge.y, lane == 0u), f, skip, ahead.w1, ahead.blanks.y, offset);
            let x2 = subgroupShuffleUp(c.out.w, 1u);
            let o2 = c.out.w;
            c = step(walk, c, k + 2u, j, select(x2, edge.z, lane == 0u), f, skip, ahead.w2, ahead.blanks.z, offset);
            let x3 = subgroupShuffleUp(c.out.w, 1u);
            let o3 = c.out.w;
            c = step(walk, c, k + 3u, j, select(x3, edge.w, lane == 0u), f, skip, ahead.w3, ahead.blanks.w, offset);

            if (lane == size - 1u) {
                let after = edge_slot(round, subgroup + 1u) + part;
                wg_edges[after] = vec4f(o0, o1, o2, o3);
                wg_exponents[after] = c.exponent.w;
            }
            ahead = ahead_later;
            k += STEPS;
        }
        ahead = next;
        ahead_later = next_later;
        workgroupBarrier();
        if (round % LOOK == LOOK - 1u) {
            if (may_end(walk, c, j)) {
                break;
            }
        }
    }
    note_lost(walk, c, j);
}
#else
// What the last column of each invocation gives, twice: one half is read while the other is written; and tops and
// exponents.
var<workgroup> wg_given: array<f32, 2u * WIDTH>;
var<workgroup> wg_tops: array<vec4i, WIDTH>;
var<workgroup> wg_exponents: array<i32, WIDTH>;

fn come_from(given: f32, half: u32, local: u32) -> f32 {
    wg_given[half * WIDTH + local] = given;
    workgroupBarrier();
    return select(wg_given[half * WIDTH + max(local, 1u) - 1u], 0.0, local == 0u);
}

// Invocations speak through workgroup memory: one barrier a step.
fn walk_frames(walk: Walk, local: u32, lane: u32, size: u32) {
    let j = local;
    let unit = unit_of(walk, j);
    let skip = skips_of(walk, unit);
    var c = start(walk, j);
    var ahead = look_ahead(walk, 0u, unit);
    for (var k = 0u; k < walk.steps; k += STEPS) {
        let next = look_ahead(walk, k + STEPS, unit);
        let own = columns_top(c);
        wg_tops[local] = tops_after(own);
        workgroupBarrier();
        c = align(c, own, select(wg_tops[max(local, 1u) - 1u], vec4i(EXPONENT_ZERO), vec4<bool>(local == 0u)));
        wg_exponents[local] = c.exponent.w;
        workgroupBarrier();
        let f = factors(&c, select(wg_exponents[max(local, 1u) - 1u], EXPONENT_ZERO, local == 0u));
        let offset = anchor(walk, &c, k, j);
        c = step(walk, c, k, j, come_from(c.out.w, 0u, local), f, skip, ahead.w0, ahead.blanks.x, offset);
        c = step(walk, c, k + 1u, j, come_from(c.out.w, 1u, local), f, skip, ahead.w1, ahead.blanks.y, offset);
        c = step(walk, c, k + 2u, j, come_from(c.out.w, 0u, local), f, skip, ahead.w2, ahead.blanks.z, offset);
        c = step(walk, c, k + 3u, j, come_from(c.out.w, 1u, local), f, skip, ahead.w3, ahead.blanks.w, offset);
        ahead = next;
        if (k / STEPS % LOOK == LOOK - 1u) {
            if (may_end(walk, c, j)) {
                break;
            }
        }
    }
    note_lost(walk, c, j);
}
#endif

// A state's variable, read back.
fn variable(walk: Walk, k: u32, u: u32, part: u32) -> Scaled {
    let x = lattice[lattice_at(walk, k, u / 4u) + part][u % 4u];
    return scaled_exp2(x, anchors[anchor_at(walk, k, u / 4u)][u % 4u]);
}

@compute @workgroup_size(WIDTH)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
#ifdef SUBGROUPS
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
    let number = group.x + group.y * groups.x;
    var walk = walk_of(number, 0u);
    if (local == 0u) {
        wg_wide = (results[SEEN * params.utterances + params.first_utterance + walk.slot] & STATUS_WIDE) != 0u;
        atomicStore(&wg_lost, 0u);
    }
    let wide = workgroupUniformLoad(&wg_wide);
#ifndef SUBGROUPS
    let subgroup_lane = 0u;
    let subgroup_size = 0u;
#endif
    if (walk.steps > 0u && !wide) {
        // Calls with constants of their own: branches within a step would cost time.
        if (number % params.directions == 1u) {
            walk.backward = true;
            walk_frames(walk, local, subgroup_lane, subgroup_size);
        } else {
            walk.backward = false;
            walk_frames(walk, local, subgroup_lane, subgroup_size);
        }
    }
    // The end is read back.
    storageBarrier();
    workgroupBarrier();
    if (local == 0u && number < params.count * params.directions) {
        if (walk.steps > 0u && (wide || atomicLoad(&wg_lost) != 0u)) {
            anchors[anchor_at(walk, 0u, 0u)] = vec4i(LEFT);
        } else if (!walk.backward) {
            finish(walk, total_of(walk));
        }
    }
}
