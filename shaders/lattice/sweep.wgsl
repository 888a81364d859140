// Sweep: forward and backward variables of every cell, and the cost, for lattices of two arcs: blank
// (one frame on) and label (one position on, and LABEL_FRAMES frames).
// Twin: src/cpu/lattice/sweep.rs.
//
// One workgroup walks one utterance in one direction, an invocation a column, two frames of it a step:
// at step k, column j takes the frames 2 (k - j) and 2 (k - j) + 1. The backward walk is the forward
// walk in mirrored coordinates. Steps before a column's first frame add zeros to zeros; what steps
// after its last one compute reaches such steps of the next columns only.
// Lattices wider than the workgroup are cut into blocks of columns, walked one after the other; a block
// reads the last column of the block before it back from memory.
#import sweep_pass

// Weights of the arcs of two frames: blank, label, blank, label.
@group(0) @binding(2)
var<storage, read> arcs: array<vec4u>;
// Pairs of the forward, then of the backward variables: log2, relative to an anchor.
@group(0) @binding(3)
var<storage, read_write> lattice: array<vec2f>;

// Frames that a label takes: 0 (RNN-T), or 1 (monotonic).
override LABEL_FRAMES: u32 = 0u;

// What one workgroup walks.
struct Walk {
    utterance: Utterance,
    backward: bool,
    // Whether some weight needs more than the plain decoding.
    wide: bool,
    // First elements of its direction in `lattice` and `anchors`.
    lattice: u32,
    anchors: u32,
    // Places of a line, and of all lines.
    columns: u32,
    places: u32,
}

struct Pair {
    // Of the earlier and of the later frame.
    early: Scaled,
    late: Scaled,
}

// A column between two steps.
struct Column {
    // What its next frame is entered with from its last one.
    carry: Scaled,
    // What the next column is entered with, in the frames of the last step.
    give: Pair,
    // What the column before gave at the far end of the last step.
    held: Scaled,
}

fn pack_pair(pair: Pair) -> vec4u {
    return vec4u(bitcast<u32>(pair.early.e), bitcast<u32>(pair.early.m), bitcast<u32>(pair.late.e), bitcast<u32>(pair.late.m));
}

fn unpack_pair(bits: vec4u) -> Pair {
    return Pair(Scaled(bitcast<i32>(bits.x), bitcast<f32>(bits.y)), Scaled(bitcast<i32>(bits.z), bitcast<f32>(bits.w)));
}

fn weight(walk: Walk, word: u32) -> Scaled {
    if (walk.wide) {
        return any_weight(word);
    }
    return plain_weight(word);
}

// The place of column j in a line that begins at 0.
fn column_of(walk: Walk, j: u32) -> u32 {
    return walk.utterance.first_place + position(walk, j);
}

fn empty_column(walk: Walk, j: u32) -> Column {
    let zero = scaled_zero();
    var column = Column(zero, Pair(zero, zero), zero);
    if (j == 0u) {
        column.carry = scaled_one();
        if (walk.backward && LABEL_FRAMES == 1u) {
            // The last label may end the lattice.
            column.give.early = scaled_one();
        }
    }
    return column;
}

fn tidy(c: Column) -> Column {
    var column = Column(scaled_tidy(c.carry), Pair(scaled_tidy(c.give.early), scaled_tidy(c.give.late)), c.held);
    if (LABEL_FRAMES == 1u) {
        column.held = scaled_tidy(c.held);
    }
    return column;
}

// Forward: cells are weighted on leaving them. In the order of time.
fn step_forward(walk: Walk, c: Column, come: Pair, w: vec4u) -> Column {
    var early = come.early;
    var late = come.late;
    if (LABEL_FRAMES == 1u) {
        early = c.held;
        late = come.early;
    }
    let y0 = scaled_add(c.carry, early);
    let y1 = scaled_add(scaled_mul(y0, weight(walk, w.x)), late);
    return Column(scaled_mul(y1, weight(walk, w.z)), Pair(y0, y1), come.late);
}

// Backward: cells are weighted on entering them. The later frame first; `absent` if there is none.
fn step_backward(walk: Walk, c: Column, come: Pair, w: vec4u, absent: bool) -> Column {
    var early = come.early;
    var late = come.late;
    if (LABEL_FRAMES == 1u) {
        early = come.late;
        late = c.held;
    }
    var y1 = scaled_add(scaled_mul(c.carry, weight(walk, w.z)), scaled_mul(late, weight(walk, w.w)));
    y1 = Scaled(select(y1.e, c.carry.e, absent), select(y1.m, c.carry.m, absent));
    let y0 = scaled_add(scaled_mul(y1, weight(walk, w.x)), scaled_mul(early, weight(walk, w.y)));
    return Column(y0, Pair(y0, y1), come.early);
}

// One step of one column: its two cells are entered and stored. `age` is k - j; below `last_age`, which is
// 0 for a column that is not there, it is a step of the lattice.
fn step(walk: Walk, before: Column, age: u32, last_age: u32, at: u32, come: Pair, w: vec4u, anchor: ptr<function, i32>) -> Column {
    var column: Column;
    if (walk.backward) {
        column = step_backward(walk, before, come, w, age == 0u && walk.utterance.frames % 2u == 1u);
    } else {
        column = step_forward(walk, before, come, w);
    }
    // A column begins at its own scale.
    let first = column.give.early;
    *anchor = select(*anchor, first.e, age == 0u && first.m > 0.0);
    let place = select(params.places, at, age < last_age);
    lattice[walk.lattice + place] = vec2f(scaled_log2(column.give.early, *anchor), scaled_log2(column.give.late, *anchor));
    if (!walk.backward) {
        column.give = Pair(scaled_mul(column.give.early, weight(walk, w.y)), scaled_mul(column.give.late, weight(walk, w.w)));
    }
    return column;
}

// Stores the anchor of the steps k .. k + CHUNK of a column.
fn drop_anchor(walk: Walk, k: u32, j: u32, anchor: i32) {
    let known = k / CHUNK < walk.utterance.chunks && j <= walk.utterance.labels;
    anchors[walk.anchors + select(params.anchors, anchor_at(walk.utterance, k, j), known)] = anchor;
}

fn anchor_of(column: Column) -> i32 {
    return select(0, column.carry.e, column.carry.m > 0.0);
}

// What column first - 1 gives to column first at step k, read back from memory.
fn edge_into(walk: Walk, k: u32, first: u32) -> vec4u {
    var edge = Pair(scaled_zero(), scaled_zero());
    if (is_pair(walk, k - 1u, first - 1u)) {
        let at = line_of(walk, i32(k) - 1) + column_of(walk, first - 1u);
        let anchor = anchors[walk.anchors + anchor_at(walk.utterance, k - 1u, first - 1u)];
        let x = lattice[walk.lattice + at];
        edge = Pair(scaled_exp2(x.x, anchor), scaled_exp2(x.y, anchor));
        if (!walk.backward) {
            let w = arcs[at];
            edge = Pair(scaled_mul(edge.early, weight(walk, w.y)), scaled_mul(edge.late, weight(walk, w.w)));
        }
    }
    return pack_pair(edge);
}

// Weights of CHUNK steps ahead, and their places.
struct Ahead {
    w0: vec4u,
    w1: vec4u,
    w2: vec4u,
    w3: vec4u,
    w4: vec4u,
    w5: vec4u,
    w6: vec4u,
    w7: vec4u,
    p0: u32,
    p1: u32,
    p2: u32,
    p3: u32,
    p4: u32,
    p5: u32,
    p6: u32,
    p7: u32,
    // The line after them.
    line: u32,
}

fn look_ahead(walk: Walk, k: i32, column: u32) -> Ahead {
    var a: Ahead;
    a.line = line_of(walk, k);
    a.p0 = a.line + column;
    a.w0 = arcs[a.p0];
    a.line = next_line(walk, a.line);
    a.p1 = a.line + column;
    a.w1 = arcs[a.p1];
    a.line = next_line(walk, a.line);
    a.p2 = a.line + column;
    a.w2 = arcs[a.p2];
    a.line = next_line(walk, a.line);
    a.p3 = a.line + column;
    a.w3 = arcs[a.p3];
    a.line = next_line(walk, a.line);
    a.p4 = a.line + column;
    a.w4 = arcs[a.p4];
    a.line = next_line(walk, a.line);
    a.p5 = a.line + column;
    a.w5 = arcs[a.p5];
    a.line = next_line(walk, a.line);
    a.p6 = a.line + column;
    a.w6 = arcs[a.p6];
    a.line = next_line(walk, a.line);
    a.p7 = a.line + column;
    a.w7 = arcs[a.p7];
    a.line = next_line(walk, a.line);
    return a;
}

#ifdef SUBGROUPS
// Of the device: the fewer, the more workgroup memory.
override SMALLEST_SUBGROUP: u32 = 4u;
override SLOTS: u32 = WIDTH / SMALLEST_SUBGROUP + 1u;
// What the last column of each subgroup gave before each step of a chunk; slot 0 is the block before.
// Twice: one half is read while the other is written.
var<workgroup> wg_edges: array<vec4u, 2u * SLOTS * CHUNK>;

fn edges_at(half: u32, slot: u32) -> u32 {
    return (half % 2u * SLOTS + slot) * CHUNK;
}

// The column before, by a shuffle; across subgroups by `edge`.
fn come_from(own: vec4u, edge: vec4u, lane: u32) -> Pair {
    let left = vec4u(subgroupShuffleUp(own.x, 1u), subgroupShuffleUp(own.y, 1u), subgroupShuffleUp(own.z, 1u), subgroupShuffleUp(own.w, 1u));
    return unpack_pair(select(left, edge, lane == 0u));
}

// Subgroup s lags s chunks behind subgroup 0, so that the edge which it needs is complete: one barrier
// a chunk.
fn walk_block(walk: Walk, first: u32, local: u32, lane: u32, size: u32) {
    let j = first + local;
    let last_age = select(0u, walk.utterance.lines, j <= walk.utterance.labels);
    let subgroup = local / size;
    let columns = min(WIDTH, walk.columns - first);
    let chunks = (walk.utterance.lines + columns - 1u + CHUNK - 1u) / CHUNK;
    let rounds = chunks + (columns + size - 1u) / size - 1u;
    // Nothing comes from a subgroup that has not begun.
    for (var i = local; i < 2u * SLOTS * CHUNK; i += WIDTH) {
        wg_edges[i] = pack_pair(Pair(scaled_zero(), scaled_zero()));
    }
    workgroupBarrier();
    if (first > 0u && local < CHUNK) {
        wg_edges[edges_at(1u, 0u) + local] = edge_into(walk, first + local, first);
    }
    workgroupBarrier();

    var column = empty_column(walk, j);
    let place = column_of(walk, j);
    // Before a subgroup's first chunk k wraps or lies before its columns: no cell.
    var k = first - subgroup * CHUNK;
    var ahead = look_ahead(walk, i32(k), place);
    for (var round = 0u; round < rounds; round++) {
        column = tidy(column);
        var anchor = anchor_of(column);
        let behind = edges_at(round + 1u, subgroup);
        let e0 = wg_edges[behind];
        let e1 = wg_edges[behind + 1u];
        let e2 = wg_edges[behind + 2u];
        let e3 = wg_edges[behind + 3u];
        let e4 = wg_edges[behind + 4u];
        let e5 = wg_edges[behind + 5u];
        let e6 = wg_edges[behind + 6u];
        let e7 = wg_edges[behind + 7u];

        let o0 = pack_pair(column.give);
        column = step(walk, column, k - j, last_age, ahead.p0, come_from(o0, e0, lane), ahead.w0, &anchor);
        ahead.p0 = ahead.line + place;
        ahead.w0 = arcs[ahead.p0];
        ahead.line = next_line(walk, ahead.line);
        let o1 = pack_pair(column.give);
        column = step(walk, column, k + 1u - j, last_age, ahead.p1, come_from(o1, e1, lane), ahead.w1, &anchor);
        ahead.p1 = ahead.line + place;
        ahead.w1 = arcs[ahead.p1];
        ahead.line = next_line(walk, ahead.line);
        let o2 = pack_pair(column.give);
        column = step(walk, column, k + 2u - j, last_age, ahead.p2, come_from(o2, e2, lane), ahead.w2, &anchor);
        ahead.p2 = ahead.line + place;
        ahead.w2 = arcs[ahead.p2];
        ahead.line = next_line(walk, ahead.line);
        let o3 = pack_pair(column.give);
        column = step(walk, column, k + 3u - j, last_age, ahead.p3, come_from(o3, e3, lane), ahead.w3, &anchor);
        ahead.p3 = ahead.line + place;
        ahead.w3 = arcs[ahead.p3];
        ahead.line = next_line(walk, ahead.line);
        let o4 = pack_pair(column.give);
        column = step(walk, column, k + 4u - j, last_age, ahead.p4, come_from(o4, e4, lane), ahead.w4, &anchor);
        ahead.p4 = ahead.line + place;
        ahead.w4 = arcs[ahead.p4];
        ahead.line = next_line(walk, ahead.line);
        let o5 = pack_pair(column.give);
        column = step(walk, column, k + 5u - j, last_age, ahead.p5, come_from(o5, e5, lane), ahead.w5, &anchor);
        ahead.p5 = ahead.line + place;
        ahead.w5 = arcs[ahead.p5];
        ahead.line = next_line(walk, ahead.line);
        let o6 = pack_pair(column.give);
        column = step(walk, column, k + 6u - j, last_age, ahead.p6, come_from(o6, e6, lane), ahead.w6, &anchor);
        ahead.p6 = ahead.line + place;
        ahead.w6 = arcs[ahead.p6];
        ahead.line = next_line(walk, ahead.line);
        let o7 = pack_pair(column.give);
        column = step(walk, column, k + 7u - j, last_age, ahead.p7, come_from(o7, e7, lane), ahead.w7, &anchor);
        ahead.p7 = ahead.line + place;
        ahead.w7 = arcs[ahead.p7];
        ahead.line = next_line(walk, ahead.line);
        drop_anchor(walk, k, j, anchor);

        if (lane == size - 1u) {
            let to = edges_at(round, subgroup + 1u);
            wg_edges[to] = o0;
            wg_edges[to + 1u] = o1;
            wg_edges[to + 2u] = o2;
            wg_edges[to + 3u] = o3;
            wg_edges[to + 4u] = o4;
            wg_edges[to + 5u] = o5;
            wg_edges[to + 6u] = o6;
            wg_edges[to + 7u] = o7;
        }
        k += CHUNK;
        if (first > 0u && local < CHUNK) {
            wg_edges[edges_at(round, 0u) + local] = edge_into(walk, first + (round + 1u) * CHUNK + local, first);
        }
        workgroupBarrier();
    }
}
#else
// What each column gives to the next, after the even and after the odd steps: one is read while the
// other is written. Place 0 is the block before.
var<workgroup> wg_columns: array<vec4u, 2u * (WIDTH + 1u)>;

fn columns_at(k: u32) -> u32 {
    return k % 2u * (WIDTH + 1u);
}

// What was given at step k - 1.
fn come_from(k: u32, local: u32) -> Pair {
    workgroupBarrier();
    return unpack_pair(wg_columns[columns_at(k + 1u) + local]);
}

fn give(walk: Walk, k: u32, first: u32, local: u32, column: Column) {
    wg_columns[columns_at(k) + local + 1u] = pack_pair(column.give);
    if (local == 0u) {
        var edge = pack_pair(Pair(scaled_zero(), scaled_zero()));
        if (first > 0u) {
            edge = edge_into(walk, k + 1u, first);
        }
        wg_columns[columns_at(k)] = edge;
    }
}

// Neighbours exchange through workgroup memory: one barrier a step.
fn walk_block(walk: Walk, first: u32, local: u32, lane: u32, size: u32) {
    let j = first + local;
    let last_age = select(0u, walk.utterance.lines, j <= walk.utterance.labels);
    let columns = min(WIDTH, walk.columns - first);
    let end = first + (walk.utterance.lines + columns - 1u + CHUNK - 1u) / CHUNK * CHUNK;
    var column = empty_column(walk, j);
    let place = column_of(walk, j);
    var ahead = look_ahead(walk, i32(first), place);
    workgroupBarrier();
    give(walk, first - 1u, first, local, column);
    for (var k = first; k < end; k += CHUNK) {
        column = tidy(column);
        var anchor = anchor_of(column);
        for (var i = 0u; i < CHUNK; i++) {
            let w = ahead.w0;
            let at = ahead.p0;
            ahead.w0 = ahead.w1;
            ahead.p0 = ahead.p1;
            ahead.w1 = ahead.w2;
            ahead.p1 = ahead.p2;
            ahead.w2 = ahead.w3;
            ahead.p2 = ahead.p3;
            ahead.w3 = ahead.w4;
            ahead.p3 = ahead.p4;
            ahead.w4 = ahead.w5;
            ahead.p4 = ahead.p5;
            ahead.w5 = ahead.w6;
            ahead.p5 = ahead.p6;
            ahead.w6 = ahead.w7;
            ahead.p6 = ahead.p7;
            ahead.p7 = ahead.line + place;
            ahead.w7 = arcs[ahead.p7];
            ahead.line = next_line(walk, ahead.line);
            var come = come_from(k + i, local);
            if (i == 0u) {
                // Given before the columns were tidied; else what moves on at every step never would be.
                come = Pair(scaled_tidy(come.early), scaled_tidy(come.late));
            }
            column = step(walk, column, k + i - j, last_age, at, come, w, &anchor);
            give(walk, k + i, first, local, column);
        }
        drop_anchor(walk, k, j, anchor);
    }
}
#endif

fn walk_blocks(walk: Walk, blocks: u32, local: u32, lane: u32, size: u32) {
    for (var block = 0u; block < blocks; block++) {
        walk_block(walk, block * WIDTH, local, lane, size);
        // The next block, and the last lines, read what other invocations stored.
        storageBarrier();
    }
}

// What all paths to the end bring.
fn total_of(walk: Walk) -> Scaled {
    if (walk.utterance.frames == 0u) {
        return scaled_zero();
    }
    let t = walk.utterance.frames - 1u;
    let last = leave(walk, t, walk.utterance.labels, 0u);
    var total = last;
    if (LABEL_FRAMES == 1u && walk.utterance.labels > 0u) {
        total = scaled_add(last, leave(walk, t, walk.utterance.labels - 1u, 1u));
    }
    return scaled_tidy(total);
}

// The forward variable of a cell, with the weight of its arc 0 (blank) or 1 (label).
fn leave(walk: Walk, t: u32, u: u32, arc: u32) -> Scaled {
    let at = place_at(walk.utterance, t / 2u, u);
    let anchor = anchors[walk.anchors + anchor_at(walk.utterance, t / 2u + u, u)];
    let x = scaled_exp2(lattice[walk.lattice + at][t % 2u], anchor);
    return scaled_mul(x, any_weight(arcs[at][2u * (t % 2u) + arc]));
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
    let slot = min(number / params.directions, params.count - 1u);
    let exists = number < params.count * params.directions;
    let direction = number % params.directions;
    let n = params.first_utterance + slot;
    let utterance = utterance(n);
    if (local == 0u) {
        wg_wide = (results[n] & STATUS_WIDE) != 0u;
    }
    let wide = workgroupUniformLoad(&wg_wide);
    var walk = Walk(utterance, false, false, 0u, 0u, utterance.labels + 1u, (utterance.labels + 1u) * utterance.lines);
    let blocks = select(0u, utterance.labels / WIDTH + 1u, exists && utterance.frames > 0u);
#ifndef SUBGROUPS
    let subgroup_lane = 0u;
    let subgroup_size = 0u;
#endif
    // Calls with constants of their own: branches within a step would double its time.
    if (direction == 1u) {
        walk.backward = true;
        walk.lattice = params.places + 1u;
        walk.anchors = params.anchors + 1u;
        if (wide) {
            walk.wide = true;
            walk_blocks(walk, blocks, local, subgroup_lane, subgroup_size);
        } else {
            walk.wide = false;
            walk_blocks(walk, blocks, local, subgroup_lane, subgroup_size);
        }
    } else if (wide) {
        walk.wide = true;
        walk_blocks(walk, blocks, local, subgroup_lane, subgroup_size);
    } else {
        walk_blocks(walk, blocks, local, subgroup_lane, subgroup_size);
    }
    if (local == 0u && exists && direction == 0u) {
        finish(n, utterance.frames == 0u, total_of(walk));
    }
}
