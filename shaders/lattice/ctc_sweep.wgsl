// CTC sweep: forward and backward variables of every state, and the cost; or, with BEST, the best way
// into every state.
// Twin: src/cpu/ctc/sweep.rs.
//
// One workgroup walks one utterance in one direction, a frame a step, an invocation a unit of COLUMNS
// columns: one, two or four, as many as a short target can spare invocations for. The backward walk goes
// through the units, and the columns within them, from the last to the first.
// Columns beyond the target hold nothing there; in the forward walk what they hold leads nowhere.
// Targets wider than the workgroup are cut into blocks, walked one after the other; what a block gives
// to the next is kept in memory.
#import ctc_sweep_pass
#import scaled_columns

// Weights of the labels: `groups` of four a frame.
@group(0) @binding(2)
var<storage, read> arcs: array<Words>;
// Of each group of a frame the blanks, then the labels, as log2 relative to an anchor: forward variables
// with the frame's own weight, backward variables without.
@group(0) @binding(4)
var<storage, read_write> lattice: array<Floats>;
// Exponents that the variables of a chunk are relative to. With BEST: the choices of a chunk, four bits a
// frame.
@group(0) @binding(5)
var<storage, read_write> anchors: array<Ints>;

// Units of a group.
const UNITS = 4u / COLUMNS;
// The best path instead of all: choices are stored, and one step more than there are frames is made, for
// the choice of the last state.
override BEST: bool = false;
// 1: only what the sweep in floats left.
override FOLLOWS: u32 = 0u;

// Blocks to walk.
var<workgroup> wg_blocks: u32;

// The columns of an invocation between two steps.
struct Column {
    // Forward: the blanks. Backward: the blanks and labels of a column together.
    first: Columns,
    labels: Columns,
    // What the next column is given: forward the labels, backward what the label before may go on to.
    out: Columns,
}

fn edge_at(walk: Walk, k: u32, block: u32) -> u32 {
    let list = (2u * walk.slot + select(0u, 1u, walk.backward)) * 2u + block % 2u;
    return (params.edges_at + 2u * (list * params.edge_stride + k)) * UNITS;
}

fn arcs_at(walk: Walk, k: u32, unit: u32) -> Words {
    let words = arcs[row_at(walk, k) * params.groups * UNITS + unit];
    return select(words, reverse_words(words), Bools(walk.backward));
}

fn may_skip(walk: Walk, unit: u32) -> Bools {
    let u = COLUMNS * unit;
#ifdef PACK4
    let skip = vec4u(skips(walk, u), skips(walk, u + 1u), skips(walk, u + 2u), skips(walk, u + 3u));
#else
#ifdef PACK2
    let skip = vec2u(skips(walk, u), skips(walk, u + 1u));
#else
    let skip = skips(walk, u);
#endif
#endif
    return select(skip, reverse_words(skip), Bools(walk.backward)) == Words(1u);
}

fn pack_scaled(a: Scaled) -> vec2u {
    return vec2u(bitcast<u32>(a.e), bitcast<u32>(a.m));
}

fn unpack_scaled(a: vec2u) -> Scaled {
    return Scaled(bitcast<i32>(a.x), bitcast<f32>(a.y));
}

// What the next invocation is given.
fn outgoing(column: Column) -> vec2u {
    return pack_scaled(Scaled(last_int(column.out.e), last_float(column.out.m)));
}

// Before the first frame: the walk stands in the blank of its first column.
fn start(walk: Walk, j: u32) -> Column {
    let zero = columns_zero();
    let first = select(0u, 3u - walk.utterance.labels % 4u, walk.backward);
    let one = columns_select(zero, Columns(Ints(0), Floats(1.0)), COLUMNS * j + numbers() == Words(first));
    return Column(one, zero, columns_select(zero, one, Bools(walk.backward)));
}

fn tidy(c: Column) -> Column {
    return Column(columns_tidy(c.first), columns_tidy(c.labels), columns_tidy(c.out));
}

// One step: enters the frame and stores its variables. `wide`: some weight needs more than the plain
// decoding.
fn step(
    walk: Walk,
    wide: bool,
    column: ptr<function, Column>,
    choices: ptr<function, Words>,
    k: u32,
    j: u32,
    come: Scaled,
    skip: Bools,
    words: Words,
    word: u32,
    anchor: Ints,
) {
    let c = *column;
    var w: Columns;
    var blank: Scaled;
    if (wide) {
        w = any_weights(words);
        blank = any_weight(word);
    } else {
        w = plain_weights(words);
        blank = plain_weight(word);
    }
    let blanks = Columns(Ints(blank.e), Floats(blank.m));
    let before = columns_shift(c.out, come);
    if (BEST) {
        let from_label = columns_less(c.first, before);
        let first = columns_select(c.first, before, from_label);
        let both = from_label & skip;
        let other = columns_select(c.first, before, both);
        let moves = columns_less(c.labels, other);
        let labels = columns_mul(columns_select(c.labels, other, moves), w);
        *column = Column(columns_mul(first, blanks), labels, labels);
        let way = select(Words(0u), select(Words(2u), Words(4u), both), moves);
        let choice = select(Words(0u), Words(1u), from_label) | way;
        *choices |= choice << Words(4u * (k % CHUNK));
    } else {
        let wanted = k < walk.utterance.frames && j < walk.units;
        let at = select(params.lattice_dump * UNITS, lattice_at(walk, k, unit_of(walk, j)), wanted);
        if (walk.backward) {
            let entered = columns_add(c.labels, before);
            lattice[at] = reverse_floats(columns_log2(c.first, anchor));
            lattice[at + UNITS] = reverse_floats(columns_log2(entered, anchor));
            let labels = columns_mul(entered, w);
            let blank_next = columns_mul(c.first, blanks);
            let both = columns_add(blank_next, labels);
            *column = Column(both, labels, columns_select(blank_next, both, skip));
        } else {
            let both = columns_add(c.first, before);
            let first = columns_mul(both, blanks);
            let labels = columns_mul(columns_add(c.labels, columns_select(c.first, both, skip)), w);
            lattice[at] = columns_log2(first, anchor);
            lattice[at + UNITS] = columns_log2(labels, anchor);
            *column = Column(first, labels, labels);
        }
    }
}

// The larger exponent of each column, EXPONENT_ZERO in an empty one.
fn exponents(c: Column) -> Ints {
    return max(c.first.e, c.labels.e);
}

// The exponent of what comes in, if anything does.
fn later_exponent(before: i32, edge: vec2u) -> i32 {
    return select(before, bitcast<i32>(edge.x), bitcast<f32>(edge.y) > 0.0);
}

// The weights of the steps of a chunk, on their way. A chunk ahead, and in registers of their own: what waits
// for a load would hold up the steps.
struct Ahead {
    w0: Words,
    w1: Words,
    w2: Words,
    w3: Words,
    w4: Words,
    w5: Words,
    w6: Words,
    w7: Words,
    b0: u32,
    b1: u32,
    b2: u32,
    b3: u32,
    b4: u32,
    b5: u32,
    b6: u32,
    b7: u32,
}

fn load_chunk(walk: Walk, k: u32, unit: u32) -> Ahead {
    return Ahead(
        arcs_at(walk, k, unit),
        arcs_at(walk, k + 1u, unit),
        arcs_at(walk, k + 2u, unit),
        arcs_at(walk, k + 3u, unit),
        arcs_at(walk, k + 4u, unit),
        arcs_at(walk, k + 5u, unit),
        arcs_at(walk, k + 6u, unit),
        arcs_at(walk, k + 7u, unit),
        blank_at(walk, k),
        blank_at(walk, k + 1u),
        blank_at(walk, k + 2u),
        blank_at(walk, k + 3u),
        blank_at(walk, k + 4u),
        blank_at(walk, k + 5u),
        blank_at(walk, k + 6u),
        blank_at(walk, k + 7u),
    );
}

fn drop_anchor(walk: Walk, k: u32, j: u32, filled: Ints) -> Ints {
    let anchor = select(filled, Ints(0), filled <= Ints(EXPONENT_ZERO));
    let stored = bitcast<Ints>(reverse_words(bitcast<Words>(anchor)));
    store_anchor(walk, k, j, select(anchor, stored, Bools(walk.backward)));
    return anchor;
}

fn store_anchor(walk: Walk, k: u32, j: u32, x: Ints) {
    let at = select(params.anchor_dump * UNITS, anchor_at(walk, k, unit_of(walk, j)), k < walk.steps && j < walk.units);
    anchors[at] = x;
}

// What the last column of the block before gave before step k.
fn edge_into(walk: Walk, k: u32, block: u32) -> vec2u {
    var edge = pack_scaled(scaled_zero());
    if (block > 0u && k < walk.steps) {
        let at = edge_at(walk, k, block - 1u);
        edge = bitcast<vec2u>(vec2i(last_int(anchors[at]), last_int(anchors[at + 1u])));
    }
    return edge;
}

fn keep_edge(walk: Walk, k: u32, block: u32, edge: vec2u) {
    if (k < walk.steps) {
        let at = edge_at(walk, k, block);
        anchors[at] = Ints(bitcast<i32>(edge.x));
        anchors[at + 1u] = Ints(bitcast<i32>(edge.y));
    }
}

#ifdef SUBGROUPS
const MIN_SUBGROUP_SIZE = 4u;
// What the last column of each subgroup held before each step of a chunk, twice: one half is read
// while the other is written.
var<workgroup> wg_edges: array<vec2u, 2u * (WIDTH / MIN_SUBGROUP_SIZE) * CHUNK>;

fn edges_at(half: u32, subgroup: u32) -> u32 {
    return (half * (WIDTH / MIN_SUBGROUP_SIZE) + subgroup) * CHUNK;
}

// What comes from the invocation before, by shuffles; across subgroups by `edge`.
fn come_from(out: vec2u, edge: vec2u, lane: u32) -> Scaled {
    return unpack_scaled(select(subgroupShuffleUp(out, 1u), edge, vec2<bool>(lane == 0u)));
}

// Anchors of empty columns: those of the column before, up to eight back, which is as far as a path comes
// within a chunk; before the subgroup that of `edge`.
fn fill_from_left(own: Ints, edge: i32, lane: u32) -> Ints {
    var a = fill(own, EXPONENT_ZERO);
    a = fill(a, select(subgroupShuffleUp(last_int(a), 1u), edge, lane < 1u));
#ifndef PACK4
    a = fill(a, select(subgroupShuffleUp(last_int(a), 2u), edge, lane < 2u));
#ifndef PACK2
    a = fill(a, select(subgroupShuffleUp(last_int(a), 4u), edge, lane < 4u));
#endif
#endif
    return fill(a, select(subgroupShuffleUp(last_int(a), 1u), edge, lane < 1u));
}

// What comes into the first column of a subgroup at step i of a chunk.
fn edge_of(walk: Walk, k: u32, i: u32, block: u32, subgroup: u32, source: u32) -> vec2u {
    if (subgroup == 0u) {
        return edge_into(walk, k + i, block);
    }
    return wg_edges[source + i];
}

// Subgroup s lags s chunks behind subgroup 0, so that the edge which it needs is complete: one barrier
// a chunk.
fn walk_block(walk: Walk, wide: bool, block: u32, local: u32, lane: u32, size: u32) {
    let j = block * WIDTH + local;
    let unit = unit_of(walk, j);
    let skip = may_skip(walk, unit);
    let subgroup = local / size;
    let units = min(WIDTH, walk.units - block * WIDTH);
    let rounds = (walk.steps + CHUNK - 1u) / CHUNK + (units + size - 1u) / size - 1u;
    let keeps = local == WIDTH - 1u && j + 1u < walk.units;
    var column = start(walk, j);
    // Rounds before a subgroup's first chunk move zeros.
    for (var i = local; i < 2u * (WIDTH / MIN_SUBGROUP_SIZE) * CHUNK; i += WIDTH) {
        wg_edges[i] = pack_scaled(scaled_zero());
    }
    workgroupBarrier();
    // Wraps before the first chunk.
    var k = 0u - subgroup * CHUNK;
    var ahead = load_chunk(walk, k, unit);
    for (var round = 0u; round < rounds; round++) {
        column = tidy(column);
        let source = edges_at((round + 1u) % 2u, max(subgroup, 1u) - 1u);
        let to = edges_at(round % 2u, subgroup);
        var words = array<Words, 8>(ahead.w0, ahead.w1, ahead.w2, ahead.w3, ahead.w4, ahead.w5, ahead.w6, ahead.w7);
        var blanks = array<u32, 8>(ahead.b0, ahead.b1, ahead.b2, ahead.b3, ahead.b4, ahead.b5, ahead.b6, ahead.b7);
        ahead = load_chunk(walk, k + CHUNK, unit);
        var anchor = Ints(0);
        if (!BEST) {
            var latest = EXPONENT_ZERO;
            for (var i = 0u; i < CHUNK; i++) {
                latest = later_exponent(latest, edge_of(walk, k, i, block, subgroup, source));
            }
            anchor = fill_from_left(exponents(column), latest, lane);
            anchor = drop_anchor(walk, k, j, anchor);
        }
        var choices = Words(0u);
        for (var i = 0u; i < CHUNK; i++) {
            let edge = edge_of(walk, k, i, block, subgroup, source);
            let out = outgoing(column);
            step(walk, wide, &column, &choices, k + i, j, come_from(out, edge, lane), skip, words[i], blanks[i], anchor);
            if (lane == size - 1u) {
                wg_edges[to + i] = out;
            }
            if (keeps) {
                keep_edge(walk, k + i, block, out);
            }
        }
        if (BEST) {
            store_anchor(walk, k, j, bitcast<Ints>(choices));
        }
        k += CHUNK;
        workgroupBarrier();
    }
}
#else
// What each invocation gives to the next, before the even and before the odd steps: one is written while
// the other may still be read.
var<workgroup> wg_columns: array<vec2u, 2u * WIDTH>;
var<workgroup> wg_anchors: array<i32, WIDTH>;

fn come_from(k: u32, local: u32, out: vec2u, edge: vec2u) -> Scaled {
    let half = k % 2u * WIDTH;
    wg_columns[half + local] = out;
    workgroupBarrier();
    return unpack_scaled(select(wg_columns[half + max(local, 1u) - 1u], edge, vec2<bool>(local == 0u)));
}

// Anchors of empty columns: those of the column before, up to eight back, which is as far as a path comes
// within a chunk; before the workgroup that of `edge`.
fn fill_from_left(own: Ints, edge: i32, local: u32) -> Ints {
    let a = fill(own, EXPONENT_ZERO);
    wg_anchors[local] = last_int(a);
    workgroupBarrier();
    var before = EXPONENT_ZERO;
    for (var back = 1u; back <= 2u * UNITS && before <= EXPONENT_ZERO; back++) {
        before = select(wg_anchors[max(local, back) - back], edge, local < back);
    }
    return fill(a, before);
}

// Neighbours exchange through workgroup memory: one barrier a step.
fn walk_block(walk: Walk, wide: bool, block: u32, local: u32) {
    let j = block * WIDTH + local;
    let unit = unit_of(walk, j);
    let skip = may_skip(walk, unit);
    let chunks = (walk.steps + CHUNK - 1u) / CHUNK;
    let keeps = local == WIDTH - 1u && j + 1u < walk.units;
    var column = start(walk, j);
    var k = 0u;
    var ahead = load_chunk(walk, k, unit);
    for (var chunk = 0u; chunk < chunks; chunk++) {
        column = tidy(column);
        var words = array<Words, 8>(ahead.w0, ahead.w1, ahead.w2, ahead.w3, ahead.w4, ahead.w5, ahead.w6, ahead.w7);
        var blanks = array<u32, 8>(ahead.b0, ahead.b1, ahead.b2, ahead.b3, ahead.b4, ahead.b5, ahead.b6, ahead.b7);
        ahead = load_chunk(walk, k + CHUNK, unit);
        var anchor = Ints(0);
        if (!BEST) {
            var latest = EXPONENT_ZERO;
            for (var i = 0u; i < CHUNK; i++) {
                latest = later_exponent(latest, edge_into(walk, k + i, block));
            }
            anchor = fill_from_left(exponents(column), latest, local);
            anchor = drop_anchor(walk, k, j, anchor);
        }
        var choices = Words(0u);
        for (var i = 0u; i < CHUNK; i++) {
            let out = outgoing(column);
            let come = come_from(k + i, local, out, edge_into(walk, k + i, block));
            step(walk, wide, &column, &choices, k + i, j, come, skip, words[i], blanks[i], anchor);
            if (keeps) {
                keep_edge(walk, k + i, block, out);
            }
        }
        if (BEST) {
            store_anchor(walk, k, j, bitcast<Ints>(choices));
        }
        k += CHUNK;
    }
}
#endif

// A state's variable, read back.
fn variable(walk: Walk, k: u32, u: u32, place: u32) -> Scaled {
    let unit = u / COLUMNS;
    let x = lattice[lattice_at(walk, k, unit) + place * UNITS];
    let anchor = anchors[anchor_at(walk, k, unit)];
    return scaled_exp2(float_at(x, u % COLUMNS), int_at(anchor, u % COLUMNS));
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
    let walk = walk_of(number, select(0u, 1u, BEST));
    let wide = (results[SEEN * params.utterances + params.first_utterance + walk.slot] & STATUS_WIDE) != 0u;
    let exists = number < params.count * params.directions;
    if (local == 0u) {
        let left = FOLLOWS == 0u || (exists && int_at(anchors[anchor_at(walk, 0u, 0u)], 0u) == LEFT);
        wg_blocks = select(0u, (walk.units + WIDTH - 1u) / WIDTH, left);
    }
    let blocks = workgroupUniformLoad(&wg_blocks);
    for (var block = 0u; block < blocks; block++) {
#ifdef SUBGROUPS
        walk_block(walk, wide, block, local, subgroup_lane, subgroup_size);
#else
        walk_block(walk, wide, block, local);
#endif
        // The next block reads the edge of this one, and the end its last variables.
        storageBarrier();
        workgroupBarrier();
    }
    if (!BEST && !walk.backward && local == 0u && exists && (FOLLOWS == 0u || blocks > 0u)) {
        finish(walk, total_of(walk));
    }
}
