// Sweep: forward and backward variables of every cell, and the cost, for lattices of two arcs: blank
// (one frame on) and label (one position on, and LABEL_FRAMES frames).
// Twin: src/cpu/lattice/sweep.rs.
//
// One workgroup walks one utterance in one direction, an invocation a column, four frames of it, a quad, a
// step: at step k, column j takes quad k - j. The backward walk is the forward walk in mirrored
// coordinates. Steps before a column's first quad add zeros to zeros; what steps after its last one
// compute reaches such steps of the next columns only.
// Lattices wider than the workgroup are cut into blocks of columns, walked one after the other; a block
// reads the last column of the block before it back from memory.
//
// The quick walk keeps a quad as four floats with one exponent. That holds unless variables of a column
// differ by 2^200 within a few frames; a cell that got lost in this way is noticed, and the utterance is
// walked again, carefully: a frame a step, an exponent for each variable. So are utterances with weights of
// zero, or such that f32 does not hold.
#import sweep_pass
#import quads

// Weights of the arcs of a quad: blanks of all places, then labels of all places.
@group(0) @binding(2)
var<storage, read> arcs: array<vec4u>;
// Quads, forward, then backward.
@group(0) @binding(3)
var<storage, read_write> lattice: array<vec4f>;

// Frames that a label takes: 0 (RNN-T), or 1 (monotonic).
override LABEL_FRAMES: u32 = 0u;

// Steps of a chunk of the quick walk. Their weights are read together, a chunk ahead: a device that waits for
// reads in the order in which they were begun would wait at each step for one that had only just begun.
const STEPS = 4u;
// The sum of a quad lies near 2^100 when its exponent is chosen.
const HEIGHT = 100;
// A smaller one may have lost digits.
const LEAST = 7.9e-31;
// Exponent of what is zero so far.
const NEVER = -0x20000000;

// What one workgroup walks.
struct Walk {
    utterance: Utterance,
    backward: bool,
    // First elements of its direction in `lattice` and `anchors`.
    first: u32,
    // Places of a line, and of all lines.
    columns: u32,
    places: u32,
}

// Variables of four frames in the order of the walk: y * 2^e.
struct Quad {
    y: vec4f,
    e: i32,
    // The exponent that brings their sum to 2^HEIGHT.
    top: i32,
}

// A column between two steps.
struct Column {
    // What it computed last.
    quad: Quad,
    // What its next frame is entered with, but for the weight of the blank, which is known ahead in the
    // forward walk.
    carry: f32,
    blank: f32,
    // What the next label enters with from the last frame of the column before, if it takes a frame.
    held: f32,
    // The smallest variable so far.
    least: f32,
}

// What of a column is real. A step takes its quad k - j, its age.
struct Bounds {
    // Quads; 0 of a column that is not there.
    quads: u32,
    // The frames that no path can reach come first: all before this quad, and in it those where `beside` is 1.
    reached: u32,
    beside: vec4f,
    // The place that takes what no cell wants.
    spare: u32,
}

// Where a step reads and writes.
struct Way {
    line: u32,
    // The line of the step before.
    before: u32,
    // The places of this column, and of that whose labels enter it, in a line that begins at 0.
    own: u32,
    left: u32,
}

struct Weights {
    place: u32,
    blanks: vec4u,
    labels: vec4u,
}

var<workgroup> wg_lost: atomic<u32>;
var<workgroup> wg_careful: bool;

fn no_quad() -> Quad {
    return Quad(vec4f(0.0), NEVER, NEVER);
}

// The exponent for variables of that sum; by at most HEIGHT smaller than `e`.
fn top_of(sum: f32, e: i32) -> i32 {
    return e + i32(bitcast<u32>(sum + 1.0) >> 23u) - (127 + HEIGHT);
}

fn sum_of(y: vec4f) -> f32 {
    return (y.x + y.y) + (y.z + y.w);
}

fn empty_column(walk: Walk, j: u32) -> Column {
    var column = Column(no_quad(), 0.0, 1.0, 0.0, 1.0);
    if (j == 0u) {
        column.carry = 1.0;
        column.quad.e = 0;
        column.quad.top = -HEIGHT;
        if (walk.backward && LABEL_FRAMES == 1u) {
            // The last label may end the lattice.
            column.quad.y.w = 1.0;
        }
    }
    return column;
}

// Frames that the last quad has too many.
fn missing_frames(walk: Walk) -> u32 {
    return FRAMES * walk.utterance.lines - walk.utterance.frames;
}

fn bounds(walk: Walk, j: u32, spare: u32) -> Bounds {
    var first = 0u;
    if (LABEL_FRAMES == 1u) {
        first = select(j, max(j, 1u) - 1u, walk.backward);
    }
    first += select(0u, missing_frames(walk), walk.backward);
    return Bounds(
        select(0u, walk.utterance.lines, j <= walk.utterance.labels),
        first / FRAMES,
        select(vec4f(0.0), vec4f(1.0), vec4u(0u, 1u, 2u, 3u) < vec4u(first % FRAMES)),
        spare,
    );
}

// One step of one column: its four cells are entered.
fn enter(walk: Walk, before: Column, come: Quad, w: Weights) -> Column {
    var column = before;
    var b = bitcast<vec4f>(w.blanks);
    var l = bitcast<vec4f>(w.labels);
    if (walk.backward) {
        b = b.wzyx;
        l = l.wzyx;
    } else {
        column.blank = b.w;
        b = vec4f(before.blank, b.xyz);
    }
    let e = max(before.quad.top, come.top);
    let scale = power_of_two(before.quad.e - e);
    let x = come.y * power_of_two(come.e - e);
    var into = x * l;
    if (LABEL_FRAMES == 1u) {
        let held = before.held * scale;
        if (walk.backward) {
            column.held = x.w;
            into = vec4f(held, x.xyz) * l;
        } else {
            column.held = into.w;
            into = vec4f(held, into.xyz);
        }
    }
    let y0 = before.carry * scale * b.x + into.x;
    let y1 = y0 * b.y + into.y;
    let y2 = y1 * b.z + into.z;
    let y3 = y2 * b.w + into.w;
    column.carry = y3;
    column.quad.y = vec4f(y0, y1, y2, y3);
    column.quad.e = e;
    var sum = sum_of(column.quad.y);
    if (LABEL_FRAMES == 1u) {
        sum += column.held;
    }
    column.quad.top = top_of(sum, e);
    return column;
}

// Enters and stores the quad of one step.
fn step(walk: Walk, before: Column, come: Quad, w: Weights, age: u32, bounds: Bounds) -> Column {
    var column = enter(walk, before, come, w);
    let y = column.quad.y;
    var low = y;
    if (walk.backward || LABEL_FRAMES == 1u) {
        low += select(vec4f(0.0), bounds.beside, age == bounds.reached);
    }
    let smallest = min(min(low.x, low.y), min(low.z, low.w));
    let is_there = age < bounds.quads;
    column.least = min(before.least, select(1.0, smallest, is_there && age >= bounds.reached));
    let place = walk.first + select(bounds.spare, w.place, is_there);
    lattice[place] = select(y, y.wzyx, walk.backward);
    anchors[place] = column.quad.e << 1u;
    return column;
}

fn chunks(steps: u32) -> u32 {
    return (steps + STEPS - 1u) / STEPS;
}

fn way_of(walk: Walk, k: u32, j: u32) -> Way {
    let u = position(walk, j);
    let first = walk.utterance.first_place;
    return Way(line_of(walk, i32(k)), line_of(walk, i32(k) - 1), first + u, first + max(u, 1u) - 1u);
}

// The weights of the next step.
fn look_ahead(walk: Walk, way: ptr<function, Way>) -> Weights {
    let place = (*way).line + (*way).own;
    // Labels are weighted where they are left: forward, that is the column before.
    let labels = select((*way).before + (*way).left, place, walk.backward);
    let weights = Weights(place, arcs[place], arcs[params.places + labels]);
    (*way).before = (*way).line;
    (*way).line = next_line(walk, (*way).line);
    return weights;
}

// What column first - 1 computed before step k, read back from memory.
fn edge_into(walk: Walk, k: u32, first: u32) -> Quad {
    var edge = no_quad();
    if (is_pair(walk, k - 1u, first - 1u)) {
        let place = walk.first + walk.utterance.first_place + line_of(walk, i32(k) - 1) + position(walk, first - 1u);
        let y = lattice[place];
        edge.y = select(y, y.wzyx, walk.backward);
        edge.e = anchors[place] >> 1u;
        edge.top = top_of(sum_of(y), edge.e);
    }
    return edge;
}

#ifdef SUBGROUPS
// Of the device: the fewer, the more workgroup memory.
override SMALLEST_SUBGROUP: u32 = 4u;
override SLOTS: u32 = WIDTH / SMALLEST_SUBGROUP + 1u;
// The last column of each subgroup before each step of a chunk; slot 0 is the block before. Twice: one half
// is read while the other is written. The last slot takes what no subgroup wants.
var<workgroup> wg_edges: array<vec4f, (2u * SLOTS + 1u) * STEPS>;
var<workgroup> wg_exponents: array<vec2i, (2u * SLOTS + 1u) * STEPS>;

fn edges_at(half: u32, slot: u32) -> u32 {
    return (half % 2u * SLOTS + slot) * STEPS;
}

fn set_edge(at: u32, quad: Quad) {
    wg_edges[at] = quad.y;
    wg_exponents[at] = vec2i(quad.e, quad.top);
}

fn edge(at: u32) -> Quad {
    let exponents = wg_exponents[at];
    return Quad(wg_edges[at], exponents.x, exponents.y);
}

// The column before, by shuffles; across subgroups by `edge`. A subgroup calls it as a whole: whether it does
// depends on its number, which is the same for all of its invocations; that is more than can be proved.
@diagnostic(off, subgroup_uniformity)
fn come_from(own: Quad, edge: Quad, lane: u32) -> Quad {
    let y = vec4f(subgroupShuffleUp(own.y.x, 1u), subgroupShuffleUp(own.y.y, 1u), subgroupShuffleUp(own.y.z, 1u), subgroupShuffleUp(own.y.w, 1u));
    let e = subgroupShuffleUp(own.e, 1u);
    let top = subgroupShuffleUp(own.top, 1u);
    let first = lane == 0u;
    return Quad(select(y, edge.y, first), select(e, edge.e, first), select(top, edge.top, first));
}

// Subgroup s begins a chunk after the one before it has reached its first column, so that the edge which it
// needs is complete: one barrier a chunk. Gives the smallest variable of a column.
fn walk_block(walk: Walk, first: u32, spare: u32, local: u32, lane: u32, size: u32) -> f32 {
    let j = first + local;
    let bounds = bounds(walk, j, spare);
    let subgroup = local / size;
    let columns = min(WIDTH, walk.columns - first);
    let subgroups = (columns + size - 1u) / size;
    let lag = size / STEPS + 1u;
    // The rounds in which a subgroup has cells, and one step more, for its edge.
    let begin = subgroup * lag;
    let own = min(size, columns - min(columns, subgroup * size));
    let end = begin + select(0u, chunks(walk.utterance.lines + own), own > 0u);
    let rounds = (subgroups - 1u) * lag + chunks(walk.utterance.lines + columns - (subgroups - 1u) * size);
    workgroupBarrier();
    if (local < STEPS) {
        var edge = no_quad();
        if (first > 0u) {
            edge = edge_into(walk, first + local, first);
        }
        set_edge(edges_at(1u, 0u) + local, edge);
        set_edge(edges_at(0u, 0u) + local, no_quad());
    }
    workgroupBarrier();

    var column = empty_column(walk, j);
    let k = first + subgroup * size;
    var age = k - j;
    var way = way_of(walk, k, j);
    var w0 = look_ahead(walk, &way);
    var w1 = look_ahead(walk, &way);
    var w2 = look_ahead(walk, &way);
    var w3 = look_ahead(walk, &way);
    for (var round = 0u; round < rounds; round++) {
        if (round >= begin && round < end) {
            let next0 = look_ahead(walk, &way);
            let next1 = look_ahead(walk, &way);
            let next2 = look_ahead(walk, &way);
            let next3 = look_ahead(walk, &way);
            let read = edges_at(round + 1u, subgroup);
            let write = select(2u * SLOTS * STEPS, edges_at(round, subgroup + 1u), lane == size - 1u);
            let edge0 = edge(read);
            let edge1 = edge(read + 1u);
            let edge2 = edge(read + 2u);
            let edge3 = edge(read + 3u);
            set_edge(write, column.quad);
            column = step(walk, column, come_from(column.quad, edge0, lane), w0, age, bounds);
            set_edge(write + 1u, column.quad);
            column = step(walk, column, come_from(column.quad, edge1, lane), w1, age + 1u, bounds);
            set_edge(write + 2u, column.quad);
            column = step(walk, column, come_from(column.quad, edge2, lane), w2, age + 2u, bounds);
            set_edge(write + 3u, column.quad);
            column = step(walk, column, come_from(column.quad, edge3, lane), w3, age + 3u, bounds);
            w0 = next0;
            w1 = next1;
            w2 = next2;
            w3 = next3;
            age += STEPS;
        }
        if (first > 0u && local < STEPS) {
            set_edge(edges_at(round, 0u) + local, edge_into(walk, first + (round + 1u) * STEPS + local, first));
        }
        workgroupBarrier();
    }
    return column.least;
}
#else
// Each column before the even and before the odd steps: one is read while the other is written. Place 0 is
// the block before.
var<workgroup> wg_columns: array<vec4f, 2u * (WIDTH + 1u)>;
var<workgroup> wg_exponents: array<vec2i, 2u * (WIDTH + 1u)>;

fn give(k: u32, place: u32, quad: Quad) {
    let at = k % 2u * (WIDTH + 1u) + place;
    wg_columns[at] = quad.y;
    wg_exponents[at] = vec2i(quad.e, quad.top);
}

// What the column before computed before step k.
fn exchange(walk: Walk, k: u32, first: u32, local: u32, own: Quad) -> Quad {
    give(k, local + 1u, own);
    if (local == 0u) {
        var edge = no_quad();
        if (first > 0u) {
            edge = edge_into(walk, k, first);
        }
        give(k, 0u, edge);
    }
    workgroupBarrier();
    let at = k % 2u * (WIDTH + 1u) + local;
    return Quad(wg_columns[at], wg_exponents[at].x, wg_exponents[at].y);
}

// Neighbours exchange through workgroup memory: one barrier a step.
fn walk_block(walk: Walk, first: u32, spare: u32, local: u32, lane: u32, size: u32) -> f32 {
    let j = first + local;
    let bounds = bounds(walk, j, spare);
    let columns = min(WIDTH, walk.columns - first);
    let end = first + walk.utterance.lines + columns - 1u;
    var column = empty_column(walk, j);
    var way = way_of(walk, first, j);
    var w0 = look_ahead(walk, &way);
    var w1 = look_ahead(walk, &way);
    var w2 = look_ahead(walk, &way);
    var w3 = look_ahead(walk, &way);
    workgroupBarrier();
    for (var k = first; k < end; k += STEPS) {
        let next0 = look_ahead(walk, &way);
        let next1 = look_ahead(walk, &way);
        let next2 = look_ahead(walk, &way);
        let next3 = look_ahead(walk, &way);
        let come0 = exchange(walk, k, first, local, column.quad);
        if (k - j < bounds.quads) {
            column = step(walk, column, come0, w0, k - j, bounds);
        }
        let come1 = exchange(walk, k + 1u, first, local, column.quad);
        if (k + 1u - j < bounds.quads) {
            column = step(walk, column, come1, w1, k + 1u - j, bounds);
        }
        let come2 = exchange(walk, k + 2u, first, local, column.quad);
        if (k + 2u - j < bounds.quads) {
            column = step(walk, column, come2, w2, k + 2u - j, bounds);
        }
        let come3 = exchange(walk, k + 3u, first, local, column.quad);
        if (k + 3u - j < bounds.quads) {
            column = step(walk, column, come3, w3, k + 3u - j, bounds);
        }
        w0 = next0;
        w1 = next1;
        w2 = next2;
        w3 = next3;
    }
    return column.least;
}
#endif

// Gives the smallest variable of the columns of an invocation.
fn walk_blocks(walk: Walk, blocks: u32, spare: u32, local: u32, lane: u32, size: u32) -> f32 {
    var least = 1.0;
    for (var block = 0u; block < blocks; block++) {
        least = min(least, walk_block(walk, block * WIDTH, spare, local, lane, size));
        // The next block, and the last lines, read what other invocations stored.
        storageBarrier();
    }
    return least;
}

// What each column computed in the even and in the odd steps of the careful walk. Place 0 is the block before.
var<workgroup> wg_cells: array<vec2u, 2u * (WIDTH + 1u)>;

fn set_cell(s: u32, place: u32, x: Scaled) {
    wg_cells[s % 2u * (WIDTH + 1u) + place] = vec2u(bitcast<u32>(x.e), bitcast<u32>(x.m));
}

fn variable_at(walk: Walk, t: u32, u: u32) -> Scaled {
    let place = walk.first + quad_at(walk.utterance, t, u);
    return variable(lattice[place][t % FRAMES], anchors[place]);
}

fn weight_at(walk: Walk, t: u32, u: u32, arc: u32) -> Scaled {
    return any_weight(arcs[arc * params.places + quad_at(walk.utterance, t, u)][t % FRAMES]);
}

// At step s column j takes frame s - j.
fn walk_block_carefully(walk: Walk, first: u32, local: u32) {
    let j = first + local;
    let u = position(walk, j);
    let frames = walk.utterance.frames;
    let columns = min(WIDTH, walk.columns - first);
    var own = scaled_zero();
    var last = scaled_zero();
    var held = scaled_zero();
    var blank = scaled_one();
    var relative_to = 0;
    if (j == 0u) {
        own = scaled_one();
        if (walk.backward && LABEL_FRAMES == 1u) {
            last = own;
        }
    }
    for (var s = 0u; s < frames + columns - 1u; s++) {
        let f = s - local;
        let t = select(f, frames - 1u - f, walk.backward);
        set_cell(s, local + 1u, last);
        if (local == 0u) {
            var edge = scaled_zero();
            // What the column before computed of this frame.
            if (first > 0u && s < frames) {
                edge = variable_at(walk, t, position(walk, first - 1u));
            }
            set_cell(s, 0u, edge);
        }
        workgroupBarrier();
        let bits = wg_cells[s % 2u * (WIDTH + 1u) + local];
        let come = Scaled(bitcast<i32>(bits.x), bitcast<f32>(bits.y));
        if (f < frames && j <= walk.utterance.labels) {
            var label = Scaled(EXPONENT_NEVER, 0.0);
            if (walk.backward) {
                blank = weight_at(walk, t, u, 0u);
                label = weight_at(walk, t, u, 1u);
            } else if (u > 0u && t >= LABEL_FRAMES) {
                label = weight_at(walk, t - LABEL_FRAMES, u - 1u, 1u);
            }
            var into = come;
            if (LABEL_FRAMES == 1u) {
                into = held;
            }
            own = scaled_tidy(scaled_add(scaled_mul(own, blank), scaled_mul(into, label)));
            if (!walk.backward) {
                blank = weight_at(walk, t, u, 0u);
            }
            if (f == 0u || t % FRAMES == select(0u, FRAMES - 1u, walk.backward)) {
                relative_to = select(0, clamp(own.e, NEVER, -NEVER), own.m > 0.0);
            }
            let place = walk.first + quad_at(walk.utterance, t, u);
            lattice[place][t % FRAMES] = scaled_log2(own, relative_to);
            anchors[place] = (relative_to << 1u) | 1;
            if (walk.backward && f == 0u) {
                // The end, where the last quad has a frame for it.
                var end = scaled_zero();
                if (j == 0u) {
                    end = scaled_one();
                }
                for (var after = t % FRAMES + 1u; after < FRAMES; after++) {
                    lattice[place][after] = scaled_log2(end, relative_to);
                }
            }
            last = own;
        }
        held = come;
    }
}

// What all paths to the end bring.
fn total_of(walk: Walk) -> Scaled {
    if (walk.utterance.frames == 0u) {
        return scaled_zero();
    }
    let t = walk.utterance.frames - 1u;
    let labels = walk.utterance.labels;
    var total = scaled_mul(variable_at(walk, t, labels), weight_at(walk, t, labels, 0u));
    if (LABEL_FRAMES == 1u && labels > 0u) {
        total = scaled_add(total, scaled_mul(variable_at(walk, t, labels - 1u), weight_at(walk, t, labels - 1u, 1u)));
    }
    return scaled_tidy(total);
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
    let own = launched(group, groups);
    let n = own.n;
    let utterance = utterance(n);
    if (local == 0u) {
        wg_wide = (results[n] & STATUS_WIDE) != 0u;
        atomicStore(&wg_lost, 0u);
    }
    let wide = workgroupUniformLoad(&wg_wide);
    var walk = Walk(utterance, false, 0u, utterance.labels + 1u, (utterance.labels + 1u) * utterance.lines);
    let blocks = select(0u, utterance.labels / WIDTH + 1u, own.exists && utterance.frames > 0u);
    let spare = params.places + (own.number * WIDTH + local) / 32u % (params.anchors - params.places);
#ifndef SUBGROUPS
    let subgroup_lane = 0u;
    let subgroup_size = 0u;
#endif
    // Calls with constants of their own: branches within a step would double its time.
    var least = 1.0;
    if (own.direction == 1u) {
        walk.backward = true;
        walk.first = params.anchors;
        if (!wide) {
            least = walk_blocks(walk, blocks, spare, local, subgroup_lane, subgroup_size);
        }
    } else if (!wide) {
        least = walk_blocks(walk, blocks, spare, local, subgroup_lane, subgroup_size);
    }
    if (least < LEAST) {
        atomicStore(&wg_lost, 1u);
    }
    workgroupBarrier();
    if (local == 0u) {
        wg_careful = wide || atomicLoad(&wg_lost) != 0u;
    }
    if (workgroupUniformLoad(&wg_careful)) {
        for (var block = 0u; block < blocks; block++) {
            walk_block_carefully(walk, block * WIDTH, local);
            storageBarrier();
        }
    }
    if (local == 0u && own.exists && own.direction == 0u) {
        finish(n, utterance.frames == 0u, total_of(walk));
    }
}
