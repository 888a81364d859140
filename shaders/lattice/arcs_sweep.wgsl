// Sweep for lattices of any arcs: forward and backward variables of every cell, and the cost.
// Twin: src/cpu/arcs/sweep.rs.
//
// One workgroup walks one utterance in one direction, an invocation a column: at step k, column j takes
// frame s = k - j. The backward walk is the forward walk in mirrored coordinates: frames and columns
// counted from the end. An arc of d frames and l labels enters a cell from step k - (d + l) of column
// j - l; the last RING steps of every column are kept in workgroup memory, earlier ones are read back.
// Steps before a column's first frame add zeros to zeros; what steps after its last one compute reaches
// such steps of the next columns only.
// Lattices wider than the workgroup are cut into blocks of columns, walked one after the other; a block
// reads the last column of the block before it back from memory.
#import arcs_sweep_pass

// Words of the cells.
@group(0) @binding(2)
var<storage, read> arcs: array<u32>;
// Steps that are kept: more than any arc crosses, or as many as there is memory for.
override RING: u32 = 8u;
// 1: only what the sweep of short arcs left.
override FOLLOWS: u32 = 0u;
// Whether some arc crosses RING steps or more.
override FAR: u32 = 0u;
// Arcs of the kind.
override ARCS: u32 = 2u;
// Of the first 16: twice the steps that they cross, and their labels. Constants, so that a compiler may
// work with them.
override ARC_0: u32 = 2u;
override ARC_1: u32 = 3u;
override ARC_2: u32 = 2u;
override ARC_3: u32 = 2u;
override ARC_4: u32 = 2u;
override ARC_5: u32 = 2u;
override ARC_6: u32 = 2u;
override ARC_7: u32 = 2u;
override ARC_8: u32 = 2u;
override ARC_9: u32 = 2u;
override ARC_10: u32 = 2u;
override ARC_11: u32 = 2u;
override ARC_12: u32 = 2u;
override ARC_13: u32 = 2u;
override ARC_14: u32 = 2u;
override ARC_15: u32 = 2u;
// Words of a step in the ring.
override STRIDE: u32 = WIDTH + 1u;

// Place 0 of a step is the last column of the block before.
var<workgroup> wg_ring: array<vec2u, RING * STRIDE>;
// Blocks of columns to walk.
var<workgroup> wg_blocks: u32;
// What one workgroup walks.
struct Walk {
    utterance: Utterance,
    kind: Kind,
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

// A column between two steps.
struct Column {
    anchor: i32,
    anchored: bool,
    // Its variable in its first frame, and the sum of them all so far: for arcs from or to any frame.
    first: Scaled,
    sum: Scaled,
}

// The weights of a step.
struct Words {
    w0: vec4u,
    w1: vec4u,
    w2: vec4u,
    w3: vec4u,
    // What the last column of the block before has at this step: variable and anchor.
    edge: vec2u,
}

fn pack_scaled(x: Scaled) -> vec2u {
    return vec2u(bitcast<u32>(x.e), bitcast<u32>(x.m));
}

fn unpack_scaled(bits: vec2u) -> Scaled {
    return Scaled(bitcast<i32>(bits.x), bitcast<f32>(bits.y));
}

fn arc_word_at(cell: u32, a: u32) -> u32 {
    return arcs[word_at(params.places, cell, a)];
}

#ifdef BANDS
// The word of arc a, which `arc` tells of, that enters step k of column j: of the cell that it comes from, backward of the cell itself.
fn word_of(walk: Walk, k: u32, j: u32, a: u32, arc: u32) -> u32 {
    if (a >= ARCS) {
        return 0u;
    }
    let columns = select(arc & 1u, 0u, walk.backward);
    let steps = select(arc >> 1u, 0u, walk.backward);
    // Where there is none they wrap.
    let from_j = j - columns;
    let from_s = k - steps - from_j;
    let word = arcs[word_at(params.places, cell_place(walk, from_s, from_j), a)];
    return select(0u, word, has_cell(walk, from_s, from_j));
}

// Of arcs a .. a + 4.
fn words_of(walk: Walk, k: u32, j: u32, a: u32, arcs: vec4u) -> vec4u {
    return vec4u(
        word_of(walk, k, j, a, arcs.x),
        word_of(walk, k, j, a + 1u, arcs.y),
        word_of(walk, k, j, a + 2u, arcs.z),
        word_of(walk, k, j, a + 3u, arcs.w),
    );
}

fn load(walk: Walk, k: u32, first: u32, local: u32) -> Words {
    var words: Words;
    let j = first + local;
    words.w0 = words_of(walk, k, j, 0u, vec4u(ARC_0, ARC_1, ARC_2, ARC_3));
    if (ARCS > 4u) {
        words.w1 = words_of(walk, k, j, 4u, vec4u(ARC_4, ARC_5, ARC_6, ARC_7));
    }
    if (ARCS > 8u) {
        words.w2 = words_of(walk, k, j, 8u, vec4u(ARC_8, ARC_9, ARC_10, ARC_11));
    }
    if (ARCS > 12u) {
        words.w3 = words_of(walk, k, j, 12u, vec4u(ARC_12, ARC_13, ARC_14, ARC_15));
    }
    if (first > 0u && local == 0u) {
        words.edge = stored_bits(walk, i32(k), first - 1u);
    }
    return words;
}
#else
// Places from a cell back to where the weights of four arcs lie. Backward, they are those of the cell
// itself.
fn places_back(walk: Walk, j: u32, arcs: vec4u) -> vec4i {
    let lines = (arcs >> vec4u(1u)) % walk.utterance.frames * walk.columns;
    let columns = min(arcs & vec4u(1u), vec4u(position(walk, j)));
    return select(vec4i(lines + columns), vec4i(0), walk.backward);
}

// The word of arc a of the cell at `place`, which wraps.
fn word_of(walk: Walk, place: i32, a: u32) -> u32 {
    if (a >= ARCS) {
        return 0u;
    }
    let cell = walk.utterance.first_place + u32(select(place, place + i32(walk.places), place < 0));
    return arcs[word_at(params.places, cell, a)];
}

// Of arcs a .. a + 4, that come from `back` places before.
fn words_of(walk: Walk, place: u32, a: u32, back: vec4i) -> vec4u {
    let origin = vec4i(i32(place)) - back;
    return vec4u(
        word_of(walk, origin.x, a),
        word_of(walk, origin.y, a + 1u),
        word_of(walk, origin.z, a + 2u),
        word_of(walk, origin.w, a + 3u),
    );
}

// The way back to the weights of the first 16 arcs.
struct Back {
    b0: vec4i,
    b1: vec4i,
    b2: vec4i,
    b3: vec4i,
}

fn load(walk: Walk, back: Back, k: u32, line: u32, first: u32, local: u32) -> Words {
    var words: Words;
    let place = line + position(walk, first + local);
    words.w0 = words_of(walk, place, 0u, back.b0);
    if (ARCS > 4u) {
        words.w1 = words_of(walk, place, 4u, back.b1);
    }
    if (ARCS > 8u) {
        words.w2 = words_of(walk, place, 8u, back.b2);
    }
    if (ARCS > 12u) {
        words.w3 = words_of(walk, place, 12u, back.b3);
    }
    if (first > 0u && local == 0u) {
        words.edge = stored_bits(walk, i32(k), first - 1u);
    }
    return words;
}
#endif

// Arcs beyond the first 16, as the constants tell those.
fn arcs_from(walk: Walk, a: u32) -> vec4u {
    return vec4u(arc_constant(walk, a), arc_constant(walk, a + 1u), arc_constant(walk, a + 2u), arc_constant(walk, a + 3u));
}

fn arc_constant(walk: Walk, a: u32) -> u32 {
    let arc = arc_of(walk.kind, min(a, ARCS - 1u));
    return 2u * (arc.frames + arc.labels) + arc.labels;
}

// What a step of one column sees.
struct Step {
    k: u32,
    // Of the ring.
    slot: u32,
    j: u32,
    local: u32,
}

// The variable that an arc comes from.
fn source(walk: Walk, at: Step, arc: u32) -> Scaled {
    let steps = arc >> 1u;
    let columns = arc & 1u;
    if (FAR == 1u && steps >= RING) {
        let origin = max(at.j, columns) - columns;
        let k = i32(at.k) - i32(steps);
        let x = stored(walk, k, origin, stored_bits(walk, k, origin));
        return Scaled(select(EXPONENT_ZERO, x.e, at.j >= columns), select(0.0, x.m, at.j >= columns));
    }
    let slot = select(at.slot + RING, at.slot, at.slot >= steps) - steps;
    return unpack_scaled(wg_ring[slot * STRIDE + at.local + 1u - columns]);
}

// What arcs a .. a + 4 bring.
fn enter(walk: Walk, at: Step, a: u32, arcs: vec4u, words: vec4u) -> Scaled {
    let x0 = source(walk, at, arcs.x);
    var x1 = scaled_zero();
    var x2 = scaled_zero();
    var x3 = scaled_zero();
    if (a + 1u < ARCS) {
        x1 = source(walk, at, arcs.y);
    }
    if (a + 2u < ARCS) {
        x2 = source(walk, at, arcs.z);
    }
    if (a + 3u < ARCS) {
        x3 = source(walk, at, arcs.w);
    }
    if (walk.wide) {
        return scaled_add(
            scaled_add(times(x0, words.x), times(x1, words.y)),
            scaled_add(times(x2, words.z), times(x3, words.w)),
        );
    }
    // Plain weights are floats as they are; their exponents, 127 too large, only tell what is largest.
    let e = select(vec4i(x0.e, x1.e, x2.e, x3.e), vec4i(EXPONENT_ZERO), words == vec4u(0u));
    let product = e + vec4i(words >> vec4u(23u));
    let largest = max(max(product.x, product.y), max(product.z, product.w));
    let scale = bitcast<vec4f>(vec4u(max(e - largest + 254, vec4i(0))) << vec4u(23u));
    let m = vec4f(x0.m, x1.m, x2.m, x3.m) * bitcast<vec4f>(words);
    return Scaled(largest - 127, dot(m, scale));
}

// What enters a cell from outside of the lattice: the start, or backward the end.
fn seed(walk: Walk, k: u32, j: u32, line: u32) -> Scaled {
    var sum = scaled_zero();
    if (!walk.backward) {
        sum = Scaled(select(EXPONENT_ZERO, 0, k == 0u && j == 0u), select(0.0, 1.0, k == 0u && j == 0u));
    } else {
        for (var a = 0u; a < walk.kind.arcs; a++) {
            let arc = arc_of(walk.kind, a);
            if (arc.may_end && arc.frames > 0u && arc.frames == k - j + 1u && arc.labels == j) {
#ifdef BANDS
                let word = word_of(walk, k, j, a, 0u);
#else
                let word = word_of(walk, i32(line + position(walk, j)), a);
#endif
                sum = scaled_tidy(scaled_add(sum, times(scaled_one(), word)));
            }
        }
    }
    return sum;
}

fn has_any_frame(kind: Kind) -> bool {
    return kind.entry > LOG2_NEVER || kind.exit_to != EXIT_NONE;
}

// Arcs from or to any frame: those into the first column come from its first frame, or from the end;
// those into the last frame of the last column come from all frames before.
fn any_frame(walk: Walk, column: Column, k: u32, j: u32, y: Scaled) -> Scaled {
    let s = k - j;
    let last = walk.utterance.frames - 1u;
    let exit_to = walk.kind.exit_to;
    var sum = y;
    if (j == 0u && s >= 1u && s <= last) {
        if (!walk.backward) {
            sum = scaled_add(sum, free_weight(walk.kind.entry, true));
        } else {
            sum = scaled_add(sum, free_weight(walk.kind.exit, exit_to == EXIT_END));
            sum = scaled_add(sum, scaled_mul(column.first, free_weight(walk.kind.exit, exit_to == EXIT_LAST_CELL)));
        }
    }
    if (j == walk.utterance.labels && s == last) {
        let weight = select(walk.kind.exit, walk.kind.entry, walk.backward);
        sum = scaled_add(sum, scaled_mul(column.sum, free_weight(weight, walk.backward || exit_to == EXIT_LAST_CELL)));
    }
    // A cell outside of the band has no arcs.
    if (walk.utterance.band_at > 0u && s <= last && j <= walk.utterance.labels) {
        let at = walk.utterance.band_at + 2u * select(s, last - s, walk.backward);
        let u = position(walk, j);
        if (u < batch[at] || u > batch[at + 1u]) {
            sum = scaled_zero();
        }
    }
    return sum;
}

// One step of one column: its cell is entered and stored.
fn step(walk: Walk, before: Column, k: u32, slot: u32, first: u32, local: u32, line: u32, words: Words) -> Column {
    var column = before;
    let j = first + local;
    let s = k - j;
    let at = Step(k, slot, j, local);
    var y = enter(walk, at, 0u, vec4u(ARC_0, ARC_1, ARC_2, ARC_3), words.w0);
    if (ARCS > 4u) {
        y = scaled_add(y, enter(walk, at, 4u, vec4u(ARC_4, ARC_5, ARC_6, ARC_7), words.w1));
    }
    if (ARCS > 8u) {
        y = scaled_add(y, enter(walk, at, 8u, vec4u(ARC_8, ARC_9, ARC_10, ARC_11), words.w2));
    }
    if (ARCS > 12u) {
        y = scaled_add(y, enter(walk, at, 12u, vec4u(ARC_12, ARC_13, ARC_14, ARC_15), words.w3));
    }
    for (var a = 16u; a < ARCS; a += 4u) {
        let arcs = arcs_from(walk, a);
#ifdef BANDS
        let far_words = words_of(walk, k, j, a, arcs);
#else
        let far_words = words_of(walk, line + position(walk, j), a, places_back(walk, j, arcs));
#endif
        y = scaled_tidy(scaled_add(y, enter(walk, at, a, arcs, far_words)));
    }
    if (k < walk.kind.reach) {
        y = scaled_add(y, seed(walk, k, j, line));
    }
    if (has_any_frame(walk.kind)) {
        y = scaled_tidy(any_frame(walk, column, k, j, y));
        if (s == 0u) {
            column.first = y;
        }
        if (s + 1u < walk.utterance.frames) {
            column.sum = scaled_tidy(scaled_add(column.sum, y));
        }
    }
    y = scaled_tidy(y);

#ifdef BANDS
    let known = has_cell(walk, s, j);
    let place = cell_place(walk, s, j);
    column.anchor = select(0, y.e, y.m > 0.0);
    anchors[walk.anchors + select(params.anchors, place, known)] = column.anchor;
#else
    let known = is_pair(walk, k, j);
    // The first variable above zero of CHUNK frames.
    column.anchored = column.anchored && s % CHUNK != 0u;
    if (!column.anchored) {
        column.anchored = y.m > 0.0;
        column.anchor = select(0, y.e, column.anchored);
        anchors[walk.anchors + select(params.anchors, anchor_at(walk.utterance, s, j), known)] = column.anchor;
    }
    let place = walk.utterance.first_place + line + position(walk, j);
#endif
    lattice[walk.lattice + select(params.places, place, known)] = scaled_log2(y, column.anchor);
    let to = slot * STRIDE + local + 1u;
    wg_ring[to] = pack_scaled(y);
    if (local == 0u && first > 0u) {
        wg_ring[to - 1u] = pack_scaled(stored(walk, i32(k), first - 1u, words.edge));
    }
    return column;
}

fn next_slot(slot: u32) -> u32 {
    return select(slot + 1u, 0u, slot + 1u == RING);
}

fn end_step() {
    if (FAR == 1u) {
        // What is read back was stored by other invocations.
        storageBarrier();
    }
    workgroupBarrier();
}

// One barrier a step: RING is more than an arc crosses, so that no step is overwritten while it is read.
fn walk_block(walk: Walk, first: u32, local: u32) {
    let columns = min(WIDTH, walk.columns - first);
    let end = first + walk.utterance.frames + columns - 1u;
    for (var slot = 0u; slot < RING; slot++) {
        wg_ring[slot * STRIDE + local + 1u] = pack_scaled(scaled_zero());
        if (local == 0u) {
            wg_ring[slot * STRIDE] = pack_scaled(scaled_zero());
        }
    }
    if (local == 0u && first > 0u) {
        let before = i32(first) - 1;
        wg_ring[(RING - 1u) * STRIDE] = pack_scaled(stored(walk, before, first - 1u, stored_bits(walk, before, first - 1u)));
    }
    var column = Column(0, false, scaled_zero(), scaled_zero());
#ifdef BANDS
    // No lines.
    let line = 0u;
    var slot = 0u;
    var words = load(walk, first, first, local);
    var next = load(walk, first + 1u, first, local);
    workgroupBarrier();
    for (var k = first; k < end; k++) {
        let later = load(walk, k + 2u, first, local);
        column = step(walk, column, k, slot, first, local, line, words);
        words = next;
        next = later;
        slot = next_slot(slot);
        end_step();
    }
#else
    let j = first + local;
    let back = Back(
        places_back(walk, j, vec4u(ARC_0, ARC_1, ARC_2, ARC_3)),
        places_back(walk, j, vec4u(ARC_4, ARC_5, ARC_6, ARC_7)),
        places_back(walk, j, vec4u(ARC_8, ARC_9, ARC_10, ARC_11)),
        places_back(walk, j, vec4u(ARC_12, ARC_13, ARC_14, ARC_15)),
    );
    // Weights of two steps ahead.
    var line = line_of(walk, i32(first));
    var ahead = next_line(walk, line);
    var slot = 0u;
    var words = load(walk, back, first, line, first, local);
    var next = load(walk, back, first + 1u, ahead, first, local);
    workgroupBarrier();
    for (var k = first; k < end; k++) {
        ahead = next_line(walk, ahead);
        let later = load(walk, back, k + 2u, ahead, first, local);
        column = step(walk, column, k, slot, first, local, line, words);
        words = next;
        next = later;
        line = next_line(walk, line);
        slot = next_slot(slot);
        end_step();
    }
#endif
    if (first + local == walk.utterance.labels) {
        wg_left = column.sum;
    }
}

@compute @workgroup_size(WIDTH)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let own = launched(group, groups);
    let n = own.n;
    let utterance = utterance(n);
    let kind = kind_of(n);
    let columns = utterance.labels + 1u;
    if (local == 0u) {
        let left = FOLLOWS == 0u || anchors[left_at(utterance, own.direction)] == LEFT;
        wg_wide = (results[n] & STATUS_WIDE) != 0u;
        wg_blocks = select(0u, utterance.labels / WIDTH + 1u, own.exists && utterance.frames > 0u && left);
        wg_left = scaled_zero();
    }
    let wide = workgroupUniformLoad(&wg_wide);
    let blocks = workgroupUniformLoad(&wg_blocks);
    let walk = Walk(
        utterance,
        kind,
        own.direction == 1u,
        wide,
        own.direction * (params.places + 1u),
        own.direction * (params.anchors + 1u),
        columns,
        columns * utterance.frames,
    );
    for (var block = 0u; block < blocks; block++) {
        walk_block(walk, block * WIDTH, local);
        // The next block, and the last lines, read what other invocations stored.
        storageBarrier();
        workgroupBarrier();
    }
#ifdef BANDS
    if (local == 0u && own.exists) {
        clear_beside(walk);
    }
#endif
    if (local == 0u && own.exists && !walk.backward && (FOLLOWS == 0u || blocks > 0u)) {
        finish(n, utterance.frames == 0u, total_of(walk));
    }
}
