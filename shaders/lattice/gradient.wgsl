// Gradient pass: d cost / d scores from the softmax, recomputed, and the occupancies of the two arcs
// of a cell. Everything outside the lattice, and every utterance that is not ok, gets exact zeros.
// Twin: src/cpu/lattice/gradient.rs.
#import quad_rows
#import lattice_status
#import gradients

@group(0) @binding(1)
var<storage, read> batch: array<u32>;
// Of all quads: weights of the blanks, then of the labels, then log2 normalisers.
@group(0) @binding(2)
var<storage, read> arcs: array<vec4u>;
// Variables of all quads, forward, then backward; and what they are relative to.
@group(0) @binding(3)
var<storage, read> lattice: array<vec4f>;
@group(0) @binding(4)
var<storage, read> anchors: array<i32>;
// Status words [N], cost bits [N], log2 of the total: exponents [N], rests [N].
@group(0) @binding(5)
var<storage, read> results: array<u32>;

// Frames that a label takes.
override LABEL_FRAMES: u32 = 0u;
// Whether a row is read before the row before it is worked on. For rows of one piece only.
override AHEAD: bool = false;

// What the rows of a quad share, and what they do not: probabilities that a path takes the arcs of a cell, and
// the log2 normaliser.
struct Values {
    label: u32,
    blanks: vec4f,
    labels: vec4f,
    normalisers: vec4f,
}

// Variables of four frames: y, and what each is relative to.
struct Run {
    y: vec4f,
    relative_to: vec4i,
}

// What a launch knows of one utterance.
struct Total {
    is_ok: bool,
    e: i32,
    // 1 / rest.
    m: f32,
}

// By row, in the order of quad_row: its first element. By quad: its label, and three times four frames.
// Named sizes: naga 30 fails where a constant without a name comes before one that another array takes.
override PLACES: u32 = SLOTS * ROWS;
override VALUES: u32 = 3u * QUADS;
var<workgroup> wg_starts: array<u32, PLACES>;
var<workgroup> wg_labels: array<u32, QUADS>;
var<workgroup> wg_values: array<vec4f, VALUES>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    // The scores that the row pass read last may still be in a cache.
    let n = params.first_utterance + groups.z - 1u - group.z;
    let number = groups.x * groups.y - 1u - (group.x + group.y * groups.x);
    let utterance = utterance(n);
    if (local < QUADS) {
        fill(utterance, n, number * QUADS + local, local);
    }
    workgroupBarrier();
    let lane = local % LANES;
    let slot = local / LANES;
    let pieces = (most_packs(params.vocab) + PIECE - 1u) / PIECE;
    if (!AHEAD) {
        for (var i = 0u; i < ROWS; i++) {
            let row = row_of(i, slot);
            for (var piece = 0u; piece < pieces; piece++) {
                let at = piece * PIECE + lane;
                write_packs(row, at, read_packs(row, at), utterance.scale);
            }
        }
        return;
    }
    var row = row_of(0u, slot);
    var packs = read_packs(row, lane);
    for (var i = 0u; i < ROWS; i++) {
        for (var piece = 0u; piece < pieces; piece++) {
            let at = piece * PIECE + lane;
            var next = row;
            var next_at = at + PIECE;
            if (piece + 1u == pieces) {
                next = row_of(min(i + 1u, ROWS - 1u), slot);
                next_at = lane;
            }
            let next_packs = read_packs(next, next_at);
            write_packs(row, at, packs, utterance.scale);
            row = next;
            packs = next_packs;
        }
    }
}

// Puts what the rows of a quad need where their slots find it.
fn fill(utterance: Utterance, n: u32, number: u32, local: u32) {
    let quad = locate_quad(utterance, number);
    let values = values_of(utterance, n, quad);
    wg_labels[local] = values.label;
    wg_values[local] = values.blanks;
    wg_values[QUADS + local] = values.labels;
    wg_values[2u * QUADS + local] = values.normalisers;
    let frames = tensor_frames(n);
    for (var f = 0u; f < FRAMES; f++) {
        let row = locate_frame(utterance, frames, quad, f);
        wg_starts[f * QUADS + local] = select(NO_ROW, row.start, row.exists);
        if (!row.is_cell) {
            wg_values[local][f] = 0.0;
            wg_values[QUADS + local][f] = 0.0;
        }
    }
}

fn values_of(utterance: Utterance, n: u32, quad: QuadPlace) -> Values {
    let total = Total(
        (results[n] & STATUS_MASK) == STATUS_OK,
        bitcast<i32>(results[2u * params.utterances + n]),
        exp2(-bitcast<f32>(results[3u * params.utterances + n])),
    );
    var values = Values(params.vocab, vec4f(0.0), vec4f(0.0), vec4f(0.0));
    // Rows before the beginning wrap.
    let t = quad.frame - utterance.begin_frame;
    let u = quad.position - utterance.begin_label;
    if (total.is_ok && t < utterance.frames && u <= utterance.labels) {
        let place = quad_at(utterance, t, u);
        let own = Run(lattice[place], vec4i(anchors[place]));
        // Arcs of constant weight have no gradient.
        if (!after_wildcard(utterance, u)) {
            values.blanks = probabilities(total, own, arcs[place], after(utterance, t, u, 1u));
        }
        let next = label_at(utterance, u);
        if (next != WILDCARD && u < utterance.labels) {
            values.label = symbol_of(next);
            let come = after(utterance, t, u + 1u, LABEL_FRAMES);
            values.labels = params.label_scale * probabilities(total, own, arcs[params.places + place], come);
        }
        if (SCORES == LOGITS || SCORES == HAT) {
            values.normalisers = bitcast<vec4f>(arcs[2u * params.places + place]);
        }
    }
    return values;
}

// The backward variables of column u, four frames from t + later on, t the first of a quad.
fn after(utterance: Utterance, t: u32, u: u32, later: u32) -> Run {
    let run = backward(utterance, t, u);
    if (later == 0u) {
        return run;
    }
    let next = backward(utterance, t + FRAMES, u);
    return Run(vec4f(run.y.yzw, next.y.x), vec4i(run.relative_to.yzw, next.relative_to.x));
}

fn backward(utterance: Utterance, t: u32, u: u32) -> Run {
    if (t >= utterance.frames) {
        // (T, U) is the end. In a quad with other frames it is kept with them.
        return Run(vec4f(select(0.0, 1.0, u == utterance.labels)), vec4i(0));
    }
    let place = params.anchors + quad_at(utterance, t, u);
    return Run(lattice[place], vec4i(anchors[place]));
}

fn probabilities(total: Total, cells: Run, words: vec4u, to: Run) -> vec4f {
    return vec4f(
        probability(total, cells.y.x, cells.relative_to.x, words.x, to.y.x, to.relative_to.x),
        probability(total, cells.y.y, cells.relative_to.y, words.y, to.y.y, to.relative_to.y),
        probability(total, cells.y.z, cells.relative_to.z, words.z, to.y.z, to.relative_to.z),
        probability(total, cells.y.w, cells.relative_to.w, words.w, to.y.w, to.relative_to.w),
    );
}

// Probability that a path takes an arc of that weight, from the variables at its ends.
fn probability(total: Total, y: f32, relative_to: i32, word: u32, to: f32, to_relative_to: i32) -> f32 {
    let cell = variable(y, relative_to);
    let weight = any_weight(word);
    let after = variable(to, to_relative_to);
    // Exponents are added as integers: large ones cancel without rounding. Where one is that of zero, so is m.
    return cell.m * weight.m * after.m * total.m * power_of_two(min(cell.e + weight.e + after.e - total.e, 4));
}

// What all elements of a row share.
struct RowValues {
    // Its first element.
    start: u32,
    label: u32,
    stay: f32,
    come: f32,
    normaliser: f32,
}

// Packs that an invocation works on at once, so that their loads overlap: 1, 2 or 4, what a row has for it.
override DEPTH: u32 = 4u;
// Those of the LANES invocations of a row together.
override PIECE: u32 = DEPTH * LANES;

struct Packs {
    a: Packed,
    b: Packed,
    c: Packed,
    d: Packed,
}

fn row_of(i: u32, slot: u32) -> RowValues {
    let own = quad_row(i, slot);
    return RowValues(
        wg_starts[i * SLOTS + slot],
        wg_labels[own.quad],
        wg_values[own.quad][own.frame],
        wg_values[QUADS + own.quad][own.frame],
        wg_values[2u * QUADS + own.quad][own.frame],
    );
}

fn span(row: RowValues) -> Span {
    return span_of(row.start, select(params.vocab, 0u, row.start == NO_ROW));
}

// Whether any path visits the cell. Else its row need not be read.
fn is_visited(row: RowValues) -> bool {
    return row.stay + row.come > 0.0;
}

fn read_packs(row: RowValues, at: u32) -> Packs {
    var packs = Packs(Packed(0u), Packed(0u), Packed(0u), Packed(0u));
    let own = span(row);
    if (own.count > 0u && is_visited(row)) {
        let last = own.count - 1u;
        packs.a = load(own.first + min(at, last));
        if (DEPTH > 1u) {
            packs.b = load(own.first + min(at + LANES, last));
        }
        if (DEPTH > 2u) {
            packs.c = load(own.first + min(at + 2u * LANES, last));
            packs.d = load(own.first + min(at + 3u * LANES, last));
        }
    }
    return packs;
}

fn write_packs(row: RowValues, at: u32, packs: Packs, scale: f32) {
    var a = Scores(0.0);
    var b = Scores(0.0);
    var c = Scores(0.0);
    var d = Scores(0.0);
    let own = span(row);
    if (is_visited(row)) {
        a = gradient_of(row, scale, symbols_in(own, at), packs.a);
        if (DEPTH > 1u) {
            b = gradient_of(row, scale, symbols_in(own, at + LANES), packs.b);
        }
        if (DEPTH > 2u) {
            c = gradient_of(row, scale, symbols_in(own, at + 2u * LANES), packs.c);
            d = gradient_of(row, scale, symbols_in(own, at + 3u * LANES), packs.d);
        }
    }
    if (at < own.count) {
        store(own, at, a);
    }
    if (DEPTH > 1u && at + LANES < own.count) {
        store(own, at + LANES, b);
    }
    if (DEPTH > 2u && at + 2u * LANES < own.count) {
        store(own, at + 2u * LANES, c);
    }
    if (DEPTH > 2u && at + 3u * LANES < own.count) {
        store(own, at + 3u * LANES, d);
    }
}

fn load(at: u32) -> Packed {
    if (SCORES == LOG_PROBS || SCORES == GATHERED) {
        return Packed(0u);
    }
    return scores[at];
}

fn gradient_of(row: RowValues, scale: f32, symbols: Bits, packed: Packed) -> Scores {
    let stay = row.stay;
    let come = row.come;
    let is_blank = symbols == Bits(params.blank);
    let is_label = symbols == Bits(row.label);
    var g = Scores(0.0);
    if (SCORES == LOG_PROBS || SCORES == GATHERED) {
        g = select(g, Scores(-stay), is_blank);
        g = select(g, Scores(-come), is_label);
    } else {
        let x = max(unpack_scores(packed) * LOG2_E, Scores(LOG_ZERO));
        let p = exp2(min(x - row.normaliser, Scores(0.0)));
        // p * both - occupied would cancel where p is near 1.
        if (SCORES == HAT) {
            let from_blank = 1.0 / (1.0 + exp2(-max(x, Scores(-126.0))));
            let to_labels = 1.0 / (1.0 + exp2(max(min(x, Scores(126.0)), Scores(-126.0))));
            g = select(come * p, come * from_blank - stay * to_labels, is_blank);
            g = select(g, come * (p - 1.0), is_label);
        } else {
            g = select((stay + come) * p, come * p - stay * (1.0 - p), is_blank);
            g = select(g, stay * p - come * (1.0 - p), is_label);
        }
    }
    return scale * clamp(g, Scores(-params.clamp), Scores(params.clamp));
}
