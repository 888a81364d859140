// Sweep for lattices of short arcs: forward and backward variables of every cell, and the cost. What it
// cannot do exactly, it leaves to arcs_sweep.wgsl.
// Twin: src/cpu/arcs/sweep.rs.
//
// One workgroup walks one utterance in one direction, an invocation a column: at step k, column j takes
// frame s = k - j. The backward walk is the forward walk in mirrored coordinates. What crosses frames
// stays in registers: forward the sums that later frames will be entered with, backward the variables of
// frames that come later. So columns speak by one number a step.
//
// Arithmetic: all that a column holds is f32, relative to one exponent that is set anew before every STEPS
// steps, so that the largest that it has, or can be given during these steps, lies near 2^116. What it can be given is
// what the columns before it hold, or that times the largest weights of labels on the way: beside the paths of a model
// trained with durations a label is 2^-15 to 2^-30, and what four columns hold spans more than f32 does. A variable below
// 2^-66 might have lost digits, or the next ones might; one above 2^123 comes near the end of f32. Then the utterance is
// left to the other sweep. So is one with weights that are zero where an arc is, or below 2^-60, or above 16 (arcs_row.wgsl): within these
// bounds a product of a variable and a weight is a normal f32. And a column that was entered once stays above zero,
// because one arc takes one frame and no label.
#import arcs_sweep_pass

// Words of the cells, in pairs.
@group(0) @binding(2)
var<storage, read> arcs: array<vec2f>;

// Steps between two settings of a column's exponent.
const STEPS = 4u;
// Exponent of the largest that a column holds, as f32 has it; the smallest and the largest variable, as bits.
const TOP = 243;
const LEAST = 0x1e800000u;
const MOST = 0x7d000000u;
// Variables are stored relative to 2^116, but scaled by 2^-60 before their logarithm is taken: f32 ends at 2^-126.
const OFFSET = -56.0;
// log2 of no probability.
const NEVER = -5.0e6;

// Arcs of the kind.
override ARCS: u32 = 2u;
// Most frames that one takes, at most 8.
override REACH: u32 = 1u;
// 1 if arcs that emit a label may lead to the end.
override LABEL_ENDS: u32 = 0u;
// 1 if what comes to a column forward is bounded by the weights of labels on its way: where labels are far less likely than what is
// beside them, as a symbol and a duration together are.
override WEIGHED: u32 = 0u;
// Twice the frames of each arc, and its labels.
override ARC_0: u32 = 2u;
override ARC_1: u32 = 1u;
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

var<workgroup> wg_lost: atomic<u32>;
var<workgroup> wg_ends: bool;
// Rounds between two looks whether something was lost.
const LOOK = 16u;

// What one workgroup walks.
struct Walk {
    utterance: Utterance,
    kind: Kind,
    backward: bool,
    // First elements of its direction in `lattice` and `anchors`.
    lattice: u32,
    anchors: u32,
    // Places of a line, and of all lines.
    columns: u32,
    places: u32,
}

// What a column keeps of REACH + 1 frames: the next one, and so on.
struct Frames {
    near: vec4f,
    far: vec4f,
    last: f32,
}

struct Column {
    // Forward: what its own cells gave to its next frames. Backward: its variables in the frames after.
    own: Frames,
    // Forward: what its cells gave to the next column. Backward: the variables of the column before.
    other: Frames,
    // What the next column is given.
    give: f32,
    // Its last variable.
    y: f32,
    // Of all that.
    exponent: i32,
    // Smallest variable so far, but zero: bits less one. And the largest.
    least: u32,
    most: u32,
    // Exponent that the stored variables are relative to; EXPONENT_ZERO before the column is entered.
    anchor: i32,
}

// The weights of a cell.
struct Weights {
    w0: vec2f,
    w1: vec2f,
    w2: vec2f,
    w3: vec2f,
    w4: vec2f,
    w5: vec2f,
}

// Weights of STEPS steps ahead, and their places.
struct Ahead {
    w0: Weights,
    w1: Weights,
    w2: Weights,
    w3: Weights,
    p0: u32,
    p1: u32,
    p2: u32,
    p3: u32,
    // The line after them.
    line: u32,
}

fn arc_word_at(cell: u32, a: u32) -> u32 {
    return bitcast<u32>(arcs[a / 2u * params.places + cell][a % 2u]);
}

fn weights_at(cell: u32) -> Weights {
    var w: Weights;
    w.w0 = arcs[cell];
    if (ARCS > 2u) {
        w.w1 = arcs[params.places + cell];
    }
    if (ARCS > 4u) {
        w.w2 = arcs[2u * params.places + cell];
    }
    if (ARCS > 6u) {
        w.w3 = arcs[3u * params.places + cell];
    }
    if (ARCS > 8u) {
        w.w4 = arcs[4u * params.places + cell];
    }
    if (ARCS > 10u) {
        w.w5 = arcs[5u * params.places + cell];
    }
    return w;
}

#ifdef BANDS
// No place: the band has no cell there.
const NO_PLACE = 0xffffffffu;

// Of column j from step k on, which is the line. What is read does not wait for where the band lies.
fn look_ahead(walk: Walk, k: u32, j: u32) -> Ahead {
    var a: Ahead;
    let s = k - j;
    let p = vec4u(
        cell_place(walk, s, j),
        cell_place(walk, s + 1u, j),
        cell_place(walk, s + 2u, j),
        cell_place(walk, s + 3u, j),
    );
    let known = vec4<bool>(has_cell(walk, s, j), has_cell(walk, s + 1u, j), has_cell(walk, s + 2u, j), has_cell(walk, s + 3u, j));
    a.w0 = weights_if(p.x, known.x);
    a.w1 = weights_if(p.y, known.y);
    a.w2 = weights_if(p.z, known.z);
    a.w3 = weights_if(p.w, known.w);
    a.p0 = select(NO_PLACE, p.x, known.x);
    a.p1 = select(NO_PLACE, p.y, known.y);
    a.p2 = select(NO_PLACE, p.z, known.z);
    a.p3 = select(NO_PLACE, p.w, known.w);
    a.line = k + STEPS;
    return a;
}

// Those of a cell, or zeros.
fn weights_if(cell: u32, known: bool) -> Weights {
    var w = weights_at(cell);
    w.w0 = select(vec2f(0.0), w.w0, known);
    w.w1 = select(vec2f(0.0), w.w1, known);
    w.w2 = select(vec2f(0.0), w.w2, known);
    w.w3 = select(vec2f(0.0), w.w3, known);
    w.w4 = select(vec2f(0.0), w.w4, known);
    w.w5 = select(vec2f(0.0), w.w5, known);
    return w;
}
#else
// All at once: what waits for one load waits for all that were issued before.
fn look_ahead(walk: Walk, line: u32, column: u32) -> Ahead {
    var a: Ahead;
    a.p0 = line + column;
    let line1 = next_line(walk, line);
    a.p1 = line1 + column;
    let line2 = next_line(walk, line1);
    a.p2 = line2 + column;
    let line3 = next_line(walk, line2);
    a.p3 = line3 + column;
    a.line = next_line(walk, line3);
    a.w0 = weights_at(a.p0);
    a.w1 = weights_at(a.p1);
    a.w2 = weights_at(a.p2);
    a.w3 = weights_at(a.p3);
    return a;
}
#endif

// 2^n; 0 below -126.
fn power(n: i32) -> f32 {
    return bitcast<f32>(u32(clamp(n, -127, 127) + 127) << 23u);
}

fn no_frames() -> Frames {
    return Frames(vec4f(0.0), vec4f(0.0), 0.0);
}

// One frame on.
fn pass_on(f: Frames) -> Frames {
    return Frames(vec4f(f.near.yzw, f.far.x), vec4f(f.far.yzw, f.last), 0.0);
}

// One frame on, and a new one before the first.
fn push(f: Frames, x: f32) -> Frames {
    return Frames(vec4f(x, f.near.xyz), vec4f(f.near.w, f.far.xyz), f.far.w);
}

// Of the first `count`.
fn scale_frames(f: Frames, count: u32, s: f32) -> Frames {
    var out = f;
    out.near *= s;
    if (count > 4u) {
        out.far *= s;
    }
    if (count > 8u) {
        out.last *= s;
    }
    return out;
}

fn largest_of(f: Frames, count: u32) -> f32 {
    var x = max(max(f.near.x, f.near.y), max(f.near.z, f.near.w));
    if (count > 4u) {
        x = max(x, f.far.x);
    }
    if (count > 5u) {
        x = max(x, max(f.far.y, max(f.far.z, f.far.w)));
    }
    if (count > 8u) {
        x = max(x, f.last);
    }
    return x;
}

// Whether the scale would take something to where f32 ends.
fn is_lost(x: f32, s: f32) -> bool {
    return x > 0.0 && x * s < 1.1754944e-38;
}

fn are_lost(f: Frames, count: u32, s: f32) -> bool {
    var lost = is_lost(f.near.x, s) || is_lost(f.near.y, s) || is_lost(f.near.z, s) || is_lost(f.near.w, s);
    if (count > 4u) {
        lost = lost || is_lost(f.far.x, s);
    }
    if (count > 5u) {
        lost = lost || is_lost(f.far.y, s) || is_lost(f.far.z, s) || is_lost(f.far.w, s);
    }
    if (count > 8u) {
        lost = lost || is_lost(f.last, s);
    }
    return lost;
}

// What an arc gives: forward, z is the variable times the weight.
fn give_own(f: Frames, arc: u32, z: f32) -> Frames {
    let is_own = (arc & 1u) == 0u;
    let frame = vec4u((arc >> 1u) - 1u);
    var to = f;
    to.near = select(f.near, f.near + z, (frame == vec4u(0u, 1u, 2u, 3u)) & vec4<bool>(is_own));
    to.far = select(f.far, f.far + z, (frame == vec4u(4u, 5u, 6u, 7u)) & vec4<bool>(is_own));
    return to;
}

fn give_other(f: Frames, arc: u32, z: f32) -> Frames {
    let is_other = (arc & 1u) == 1u;
    let frame = vec4u(arc >> 1u);
    var to = f;
    to.near = select(f.near, f.near + z, (frame == vec4u(0u, 1u, 2u, 3u)) & vec4<bool>(is_other));
    to.far = select(f.far, f.far + z, (frame == vec4u(4u, 5u, 6u, 7u)) & vec4<bool>(is_other));
    to.last = select(f.last, f.last + z, frame.x == 8u && is_other);
    return to;
}

fn give_arc(c: Column, arc: u32, z: f32) -> Column {
    var to = c;
    to.own = give_own(c.own, arc, z);
    to.other = give_other(c.other, arc, z);
    return to;
}

fn frame_of(f: Frames, d: u32) -> f32 {
    // Of a constant one of these is left.
    let near = select(select(f.near.x, f.near.y, d == 1u), select(f.near.z, f.near.w, d == 3u), d >= 2u);
    let far = select(select(f.far.x, f.far.y, d == 5u), select(f.far.z, f.far.w, d == 7u), d >= 6u);
    return select(select(near, far, d >= 4u), f.last, d == 8u);
}

// Where an arc leads: backward.
fn take_arc(c: Column, arc: u32) -> f32 {
    if ((arc & 1u) == 1u) {
        return frame_of(c.other, arc >> 1u);
    }
    return frame_of(c.own, (arc >> 1u) - 1u);
}

// Adds what an arc leads to, unless it takes no frame.
fn take_late(y: f32, c: Column, arc: u32, w: f32, exists: bool) -> f32 {
    if (arc == 1u || !exists) {
        return y;
    }
    return y + take_arc(c, arc) * w;
}

// Adds what an arc leads to that takes no frame and emits a label.
fn take_now(y: f32, c: Column, arc: u32, w: f32) -> f32 {
    if (arc == 1u) {
        return y + c.other.near.x * w;
    }
    return y;
}

fn note(c: Column, y: f32) -> Column {
    var to = c;
    to.y = y;
    to.least = min(c.least, bitcast<u32>(y) - 1u);
    to.most = max(c.most, bitcast<u32>(y));
    return to;
}

// One step forward; x is what comes from the column before.
fn step_forward(before: Column, x: f32, w: Weights, known: bool) -> Column {
    var c = before;
    let y = select(0.0, c.own.near.x + x, known);
    c.own = pass_on(c.own);
    c.other = pass_on(c.other);
    c = give_arc(c, ARC_0, y * w.w0.x);
    if (ARCS > 1u) {
        c = give_arc(c, ARC_1, y * w.w0.y);
    }
    if (ARCS > 2u) {
        c = give_arc(c, ARC_2, y * w.w1.x);
    }
    if (ARCS > 3u) {
        c = give_arc(c, ARC_3, y * w.w1.y);
    }
    if (ARCS > 4u) {
        c = give_arc(c, ARC_4, y * w.w2.x);
    }
    if (ARCS > 5u) {
        c = give_arc(c, ARC_5, y * w.w2.y);
    }
    if (ARCS > 6u) {
        c = give_arc(c, ARC_6, y * w.w3.x);
    }
    if (ARCS > 7u) {
        c = give_arc(c, ARC_7, y * w.w3.y);
    }
    if (ARCS > 8u) {
        c = give_arc(c, ARC_8, y * w.w4.x);
    }
    if (ARCS > 9u) {
        c = give_arc(c, ARC_9, y * w.w4.y);
    }
    if (ARCS > 10u) {
        c = give_arc(c, ARC_10, y * w.w5.x);
    }
    if (ARCS > 11u) {
        c = give_arc(c, ARC_11, y * w.w5.y);
    }
    c.give = c.other.near.x;
    return note(c, y);
}

fn step_backward(before: Column, x: f32, w: Weights, known: bool) -> Column {
    var c = before;
    c.other = push(c.other, x);
    // What the column before has just given comes last: all else is summed while that is on its way.
    var y = 0.0;
    y = take_late(y, c, ARC_0, w.w0.x, ARCS > 0u);
    y = take_late(y, c, ARC_1, w.w0.y, ARCS > 1u);
    y = take_late(y, c, ARC_2, w.w1.x, ARCS > 2u);
    y = take_late(y, c, ARC_3, w.w1.y, ARCS > 3u);
    y = take_late(y, c, ARC_4, w.w2.x, ARCS > 4u);
    y = take_late(y, c, ARC_5, w.w2.y, ARCS > 5u);
    y = take_late(y, c, ARC_6, w.w3.x, ARCS > 6u);
    y = take_late(y, c, ARC_7, w.w3.y, ARCS > 7u);
    y = take_late(y, c, ARC_8, w.w4.x, ARCS > 8u);
    y = take_late(y, c, ARC_9, w.w4.y, ARCS > 9u);
    y = take_late(y, c, ARC_10, w.w5.x, ARCS > 10u);
    y = take_late(y, c, ARC_11, w.w5.y, ARCS > 11u);
    y = take_now(y, c, ARC_0, w.w0.x);
    y = take_now(y, c, ARC_1, w.w0.y);
    y = take_now(y, c, ARC_2, w.w1.x);
    y = take_now(y, c, ARC_3, w.w1.y);
    y = take_now(y, c, ARC_4, w.w2.x);
    y = take_now(y, c, ARC_5, w.w2.y);
    y = take_now(y, c, ARC_6, w.w3.x);
    y = take_now(y, c, ARC_7, w.w3.y);
    y = take_now(y, c, ARC_8, w.w4.x);
    y = take_now(y, c, ARC_9, w.w4.y);
    y = take_now(y, c, ARC_10, w.w5.x);
    y = take_now(y, c, ARC_11, w.w5.y);
    y = select(0.0, y, known);
    c.own = push(c.own, y);
    c.give = y;
    return note(c, y);
}

fn step(walk: Walk, c: Column, x: f32, w: Weights, known: bool) -> Column {
    if (walk.backward) {
        return step_backward(c, x, w, known);
    }
    return step_forward(c, x, w, known);
}

// A column before its first frame: the walk stands in the first frame of the first column, or backward just
// before that.
fn start(walk: Walk, j: u32) -> Column {
    var c = Column(no_frames(), no_frames(), 0.0, 0.0, 0, 0xffffffffu, 0u, EXPONENT_ZERO);
    c.own.near.x = select(0.0, 1.0, j == 0u);
    c.give = select(0.0, 1.0, j == 0u && walk.backward && LABEL_ENDS == 1u);
    return c;
}

fn top_of(x: f32, exponent: i32) -> i32 {
    return select(EXPONENT_ZERO, exponent + i32(bitcast<u32>(x) >> 23u), x > 0.0);
}

fn column_top(c: Column) -> i32 {
    return top_of(max(largest_of(c.own, REACH), largest_of(c.other, REACH + 1u)), c.exponent);
}

fn is_weighed(walk: Walk) -> bool {
    return WEIGHED == 1u && !walk.backward;
}

// Top of what forward can go on to the next column within STEPS steps: what later frames will be entered with comes too late.
fn near_top(c: Column) -> i32 {
    return top_of(max(max(max(c.own.near.x, c.own.near.y), c.own.near.z), largest_of(c.other, STEPS)), c.exponent);
}

// The larger of some weight and of that of an arc, if it emits a label and takes at most `frames` frames.
fn most_of(most: f32, arc: u32, w: f32, frames: u32) -> f32 {
    if ((arc & 1u) == 1u && (arc >> 1u) <= frames) {
        return max(most, w);
    }
    return most;
}

fn label_most(before: f32, w: Weights, frames: u32) -> f32 {
    var most = most_of(before, ARC_0, w.w0.x, frames);
    most = most_of(most, ARC_1, w.w0.y, frames);
    most = most_of(most, ARC_2, w.w1.x, frames);
    most = most_of(most, ARC_3, w.w1.y, frames);
    most = most_of(most, ARC_4, w.w2.x, frames);
    most = most_of(most, ARC_5, w.w2.y, frames);
    most = most_of(most, ARC_6, w.w3.x, frames);
    most = most_of(most, ARC_7, w.w3.y, frames);
    most = most_of(most, ARC_8, w.w4.x, frames);
    most = most_of(most, ARC_9, w.w4.y, frames);
    most = most_of(most, ARC_10, w.w5.x, frames);
    return most_of(most, ARC_11, w.w5.y, frames);
}

// log2, rounded up, of the most that forward goes on to the next column of what comes to one, where it comes to a third within STEPS
// steps.
fn gain_of(ahead: Ahead) -> i32 {
    let most = label_most(label_most(label_most(0.0, ahead.w0, 2u), ahead.w1, 1u), ahead.w2, 0u);
    return i32(bitcast<u32>(most) >> 23u) - 126;
}

// Scales a column by 2^d; to zero if d < -126.
fn rescale(walk: Walk, before: Column, d: i32) -> Column {
    var c = before;
    let s = power(d);
    if (d < 0) {
        // What its own cells gave outweighs what comes late from before, but nothing makes up for them.
        let first = before.own.near.x;
        var lost = is_lost(first, s);
#ifdef BANDS
        // The next cell, which outweighs what was given to later ones, may be none of the band.
        lost = lost || (!walk.backward && are_lost(before.own, REACH, s));
#endif
        if (!walk.backward || first == 0.0) {
            lost = lost || are_lost(before.other, REACH + 1u, s);
        }
        c.least = select(c.least, 0u, lost);
    }
    c.own = scale_frames(before.own, REACH, s);
    c.other = scale_frames(before.other, REACH + 1u, s);
    c.give = before.give * s;
    return c;
}

// Sets the exponent of a column; `own` is the largest that it has, `top` that it has or can be given.
fn align(walk: Walk, before: Column, own: i32, top: i32) -> Column {
    var c = before;
    // Within what two factors can do, or one where the exponent sinks. If more comes than this leaves room for, that shows as infinite.
    let wanted = max(top - TOP, EXPONENT_ZERO);
    c.exponent = select(wanted, clamp(wanted, before.exponent - 126, before.exponent + 252), own > EXPONENT_ZERO);
    var d = before.exponent - c.exponent;
    if (d < -126 && own > EXPONENT_ZERO) {
        c = rescale(walk, c, -126);
        d += 126;
    }
    return rescale(walk, c, d);
}

// How variables of the next steps are stored: relative to what their frames' anchor is.
struct Anchors {
    // Steps to the next frame that begins a CHUNK: from there on the anchor is the exponent.
    steps: u32,
    // What is to be added before that frame.
    offset: f32,
}

#ifdef BANDS
// Sets the anchor of a column, which is stored with each variable.
fn anchor(walk: Walk, c: ptr<function, Column>, s: u32, j: u32) -> Anchors {
    (*c).anchor = select((*c).exponent + TOP - 127, 0, (*c).exponent < EXPONENT_ZERO / 2);
    return Anchors(0u, OFFSET);
}
#else
// Sets the anchor of a column and stores it. Its first step is at frame s.
fn anchor(walk: Walk, c: ptr<function, Column>, s: u32, j: u32) -> Anchors {
    let steps = (0u - s) % CHUNK;
    // Before anything can come in, there is no exponent.
    let own = select((*c).exponent + TOP - 127, EXPONENT_ZERO, (*c).exponent < EXPONENT_ZERO / 2);
    let old = (*c).anchor;
    let now = select(old, own, steps == 0u || old == EXPONENT_ZERO);
    let is_there = s / CHUNK < walk.utterance.chunks && j <= walk.utterance.labels;
    if (is_there) {
        anchors[walk.anchors + anchor_at(walk.utterance, s, j)] = select(now, 0, now == EXPONENT_ZERO);
    }
    (*c).anchor = select(now, own, steps < STEPS);
    return Anchors(steps, f32(own - now) + OFFSET);
}
#endif

// Offset as in Anchors.
fn store(walk: Walk, place: u32, c: Column, offset: f32, known: bool) {
    let x = log2(c.y * 8.6736174e-19) + offset;
    // One place for what no cell wants would be stored to by all that have none, one after the other.
#ifdef BANDS
    if (known && place != NO_PLACE) {
        lattice[walk.lattice + place] = select(x, NEVER, c.y == 0.0);
        anchors[walk.anchors + place] = c.anchor;
    }
#else
    if (known) {
        lattice[walk.lattice + place] = select(x, NEVER, c.y == 0.0);
    }
#endif
}

// How what the column before gives is scaled; its exponent is `left`, and `given` the top of what it gives.
fn factor(c: ptr<function, Column>, left: i32, given: i32) -> f32 {
    let d = left - (*c).exponent;
    let above = d > 127 && (*c).exponent > EXPONENT_ZERO;
    // What no factor keeps is nothing beside variables above 2^-66 if it is below 2^-90.
    let below = d < -126 && given - (*c).exponent > 127 - 91;
    (*c).least = select((*c).least, 0u, above || below);
    return power(d);
}

fn note_lost(c: Column, limit: u32) {
    if (limit > 0u && (c.least < LEAST || c.most > MOST)) {
        atomicStore(&wg_lost, 1u);
    }
}

// Whether the walk may end, because something was lost already.
fn may_end(c: Column, limit: u32, local: u32) -> bool {
    note_lost(c, limit);
    workgroupBarrier();
    if (local == 0u) {
        wg_ends = atomicLoad(&wg_lost) != 0u;
    }
    return workgroupUniformLoad(&wg_ends);
}

#ifdef SUBGROUPS
// Of the device: the fewer, the more workgroup memory.
override SMALLEST_SUBGROUP: u32 = 4u;
override SLOTS: u32 = WIDTH / SMALLEST_SUBGROUP + 1u;
// What the last column of each subgroup gave before each of STEPS steps, and the exponent of that; slot 0 is
// before the first. Twice: one half is read while the other is written.
var<workgroup> wg_edges: array<vec4f, 2u * SLOTS>;
var<workgroup> wg_exponents: array<i32, 2u * SLOTS>;

fn edge_at(half: u32, slot: u32) -> u32 {
    return half % 2u * SLOTS + slot;
}

fn shifted(x: i32, edge: i32, lane: u32) -> i32 {
    return select(subgroupShuffleUp(x, 1u), edge, lane == 0u);
}

// Top of what comes to a column, which holds `own`, from the STEPS ones before: from further away nothing does in so many steps, and
// of the farthest only what it gives at once.
fn given_top(walk: Walk, c: Column, own: i32, ahead: Ahead, edge: vec4f, edge_exponent: i32, lane: u32) -> i32 {
    let two = max(edge.x, edge.y);
    let three = max(two, edge.z);
    let all = top_of(max(three, edge.w), edge_exponent);
    var top = own;
    if (is_weighed(walk)) {
        let near = near_top(c);
        let gain = gain_of(ahead);
        top = max(near, shifted(top_of(c.give, c.exponent), top_of(edge.x, edge_exponent), lane) + gain);
        top = max(near, shifted(top, top_of(two, edge_exponent), lane) + gain);
        top = max(near, shifted(top, top_of(three, edge_exponent), lane) + gain);
    } else {
        top = max(own, shifted(own, all, lane));
        top = max(top, select(subgroupShuffleUp(top, 2u), all, lane < 2u));
    }
    return shifted(top, all, lane);
}

fn come_from(give: f32, edge: f32, lane: u32) -> f32 {
    return select(subgroupShuffleUp(give, 1u), edge, lane == 0u);
}

// Subgroup s lags s times STEPS steps behind subgroup 0, so that what it needs of the one before is complete:
// one barrier for all these steps.
fn walk_lattice(walk: Walk, local: u32, lane: u32, size: u32) {
    let j = local;
    let limit = select(0u, walk.utterance.frames, j <= walk.utterance.labels);
    let subgroup = local / size;
    let rounds = (walk.utterance.frames + walk.columns - 1u + STEPS - 1u) / STEPS + 1u + (walk.columns + size - 1u) / size - 1u;
    for (var i = local; i < 2u * SLOTS; i += WIDTH) {
        wg_edges[i] = vec4f(0.0);
        wg_exponents[i] = EXPONENT_ZERO;
    }
    var c = start(walk, j);
    // Before a subgroup's first step k wraps.
    var k = 0u - subgroup * STEPS;
#ifdef BANDS
    let place = j;
    var ahead = look_ahead(walk, k, place);
#else
    let place = walk.utterance.first_place + position(walk, j);
    var ahead = look_ahead(walk, line_of(walk, i32(k)), place);
#endif
    workgroupBarrier();
    for (var round = 0u; round < rounds; round++) {
        let next = look_ahead(walk, ahead.line, place);
        let behind = edge_at(round + 1u, subgroup);
        let edge = wg_edges[behind];
        let edge_exponent = wg_exponents[behind];
        let own = column_top(c);
        let given = given_top(walk, c, own, ahead, edge, edge_exponent, lane);
        c = align(walk, c, own, max(own, given));
        let f = factor(&c, shifted(c.exponent, edge_exponent, lane), given);
        let s = k - j;
        let to = anchor(walk, &c, s, j);

        let g0 = c.give;
        c = step(walk, c, come_from(g0, edge.x, lane) * f, ahead.w0, s < limit);
        store(walk, ahead.p0, c, select(to.offset, OFFSET, to.steps == 0u), s < limit);
        let g1 = c.give;
        c = step(walk, c, come_from(g1, edge.y, lane) * f, ahead.w1, s + 1u < limit);
        store(walk, ahead.p1, c, select(to.offset, OFFSET, to.steps <= 1u), s + 1u < limit);
        let g2 = c.give;
        c = step(walk, c, come_from(g2, edge.z, lane) * f, ahead.w2, s + 2u < limit);
        store(walk, ahead.p2, c, select(to.offset, OFFSET, to.steps <= 2u), s + 2u < limit);
        let g3 = c.give;
        c = step(walk, c, come_from(g3, edge.w, lane) * f, ahead.w3, s + 3u < limit);
        store(walk, ahead.p3, c, select(to.offset, OFFSET, to.steps <= 3u), s + 3u < limit);

        if (lane == size - 1u) {
            let after = edge_at(round, subgroup + 1u);
            wg_edges[after] = vec4f(g0, g1, g2, g3);
            wg_exponents[after] = c.exponent;
        }
        ahead = next;
        k += STEPS;
        workgroupBarrier();
        if (round % LOOK == LOOK - 1u) {
            if (may_end(c, limit, local)) {
                break;
            }
        }
    }
    note_lost(c, limit);
}
#else
// What columns say to those after them, twice: one half is read while the other is written.
var<workgroup> wg_columns: array<u32, 2u * WIDTH>;
var<workgroup> wg_tops: array<vec3i, WIDTH>;

// What the column before says; calls take turns with the halves.
fn left_of(bits: u32, none: u32, half: u32, local: u32) -> u32 {
    wg_columns[half * WIDTH + local] = bits;
    workgroupBarrier();
    return select(wg_columns[half * WIDTH + max(local, 1u) - 1u], none, local == 0u);
}

fn come_from(give: f32, half: u32, local: u32) -> f32 {
    return bitcast<f32>(left_of(bitcast<u32>(give), 0u, half, local));
}

// Top of what comes to a column, which holds `own`, from the STEPS ones before: from further away nothing does in so many steps, and
// of the farthest only what it gives at once.
fn given_top(walk: Walk, c: Column, own: i32, ahead: Ahead, local: u32) -> i32 {
    wg_tops[local] = vec3i(own, own, 0);
    if (is_weighed(walk)) {
        wg_tops[local] = vec3i(near_top(c), top_of(c.give, c.exponent), gain_of(ahead));
    }
    workgroupBarrier();
    var top = wg_tops[max(local, STEPS) - STEPS].y;
    for (var back = STEPS - 1u; back > 0u; back--) {
        let before = wg_tops[max(local, back) - back];
        top = max(before.x, top + before.z);
    }
    return select(top, EXPONENT_ZERO, local == 0u);
}

// Columns speak through workgroup memory: one barrier a step.
fn walk_lattice(walk: Walk, local: u32, lane: u32, size: u32) {
    let j = local;
    let limit = select(0u, walk.utterance.frames, j <= walk.utterance.labels);
    let end = walk.utterance.frames + walk.columns - 1u + STEPS;
    var c = start(walk, j);
#ifdef BANDS
    let place = j;
    var ahead = look_ahead(walk, 0u, place);
#else
    let place = walk.utterance.first_place + position(walk, j);
    var ahead = look_ahead(walk, line_of(walk, 0), place);
#endif
    for (var k = 0u; k < end; k += STEPS) {
        let next = look_ahead(walk, ahead.line, place);
        let own = column_top(c);
        let given = given_top(walk, c, own, ahead, local);
        c = align(walk, c, own, max(own, given));
        let left = bitcast<i32>(left_of(bitcast<u32>(c.exponent), bitcast<u32>(EXPONENT_ZERO), 0u, local));
        let f = factor(&c, left, given);
        let s = k - j;
        let to = anchor(walk, &c, s, j);
        c = step(walk, c, come_from(c.give, 1u, local) * f, ahead.w0, s < limit);
        store(walk, ahead.p0, c, select(to.offset, OFFSET, to.steps == 0u), s < limit);
        c = step(walk, c, come_from(c.give, 0u, local) * f, ahead.w1, s + 1u < limit);
        store(walk, ahead.p1, c, select(to.offset, OFFSET, to.steps <= 1u), s + 1u < limit);
        c = step(walk, c, come_from(c.give, 1u, local) * f, ahead.w2, s + 2u < limit);
        store(walk, ahead.p2, c, select(to.offset, OFFSET, to.steps <= 2u), s + 2u < limit);
        c = step(walk, c, come_from(c.give, 0u, local) * f, ahead.w3, s + 3u < limit);
        store(walk, ahead.p3, c, select(to.offset, OFFSET, to.steps <= 3u), s + 3u < limit);
        ahead = next;
        if (k / STEPS % LOOK == LOOK - 1u) {
            if (may_end(c, limit, local)) {
                break;
            }
        }
    }
    note_lost(c, limit);
}
#endif

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
    let columns = utterance.labels + 1u;
    if (local == 0u) {
        wg_wide = (results[n] & STATUS_WIDE) != 0u;
        atomicStore(&wg_lost, 0u);
    }
    let wide = workgroupUniformLoad(&wg_wide);
    var walk = Walk(utterance, kind_of(n), false, 0u, 0u, columns, columns * utterance.frames);
#ifndef SUBGROUPS
    let subgroup_lane = 0u;
    let subgroup_size = 0u;
#endif
    if (own.exists && utterance.frames > 0u && !wide) {
        // Calls with constants of their own: branches within a step would double its time.
        if (own.direction == 1u) {
            walk.backward = true;
            walk.lattice = params.places + 1u;
            walk.anchors = params.anchors + 1u;
            walk_lattice(walk, local, subgroup_lane, subgroup_size);
        } else {
            walk_lattice(walk, local, subgroup_lane, subgroup_size);
        }
    }
    // The end is read back.
    storageBarrier();
    workgroupBarrier();
    if (local == 0u && own.exists) {
#ifdef BANDS
        walk.backward = own.direction == 1u;
        walk.lattice = own.direction * (params.places + 1u);
        walk.anchors = own.direction * (params.anchors + 1u);
        clear_beside(walk);
#endif
        if (utterance.frames > 0u && (wide || atomicLoad(&wg_lost) != 0u)) {
            anchors[left_at(utterance, own.direction)] = LEFT;
        } else if (own.direction == 0u) {
            finish(n, utterance.frames == 0u, total_of(walk));
        }
    }
}
