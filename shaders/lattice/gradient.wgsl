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

// What all elements of a row share.
struct Values {
    // Its first pack.
    first: u32,
    label: u32,
    occupied: Occupancy,
    normaliser: f32,
}

// Probabilities that a path takes the arcs of a cell.
struct Occupancy {
    blank: f32,
    label: f32,
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

var<workgroup> wg_values: array<Values, SLOTS * ROWS>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    // The scores that the row pass read last may still be in a cache.
    let n = params.first_utterance + groups.z - 1u - group.z;
    let utterance = utterance(n);
    if (local < QUADS) {
        let number = groups.x * groups.y - 1u - (group.x + group.y * groups.x);
        fill(utterance, n, number * QUADS + local, local);
    }
    workgroupBarrier();
    let lane = local % LANES;
    let slot = local / LANES;
    for (var i = 0u; i < ROWS; i++) {
        let values = wg_values[i * SLOTS + slot];
        if (values.first != NO_ROW) {
            write_row(values, utterance.scale, lane);
        }
    }
}

// Puts the values of the rows of a quad where their slots find them.
fn fill(utterance: Utterance, n: u32, number: u32, local: u32) {
    let total = Total(
        (results[n] & STATUS_MASK) == STATUS_OK,
        bitcast<i32>(results[2u * params.utterances + n]),
        exp2(-bitcast<f32>(results[3u * params.utterances + n])),
    );
    let quad = locate_quad(utterance, number);
    let frames = tensor_frames(n);
    let row0 = locate_frame(utterance, frames, quad, 0u);
    let row1 = locate_frame(utterance, frames, quad, 1u);
    let row2 = locate_frame(utterance, frames, quad, 2u);
    let row3 = locate_frame(utterance, frames, quad, 3u);
    // Rows before the beginning wrap.
    let t = quad.frame - utterance.begin_frame;
    let u = quad.position - utterance.begin_label;
    var label = params.vocab;
    var blanks = vec4f(0.0);
    var labels = vec4f(0.0);
    var normalisers = vec4f(0.0);
    if (total.is_ok && t < utterance.frames && u <= utterance.labels) {
        let place = quad_at(utterance, t, u);
        let own = Run(lattice[place], vec4i(anchors[place]));
        let blank_words = arcs[place];
        let label_words = arcs[params.places + place];
        normalisers = bitcast<vec4f>(arcs[2u * params.places + place]);
        // Arcs of constant weight have no gradient.
        if (!after_wildcard(utterance, u)) {
            blanks = probabilities(total, own, blank_words, after(utterance, t, u, 1u));
        }
        let next = label_at(utterance, u);
        if (next != WILDCARD && u < utterance.labels) {
            label = symbol_of(next);
            labels = params.label_scale * probabilities(total, own, label_words, after(utterance, t, u + 1u, LABEL_FRAMES));
        }
    }
    set_values(local, row0, Values(0u, label, Occupancy(blanks.x, labels.x), normalisers.x));
    set_values(QUADS + local, row1, Values(0u, label, Occupancy(blanks.y, labels.y), normalisers.y));
    set_values(2u * QUADS + local, row2, Values(0u, label, Occupancy(blanks.z, labels.z), normalisers.z));
    set_values(3u * QUADS + local, row3, Values(0u, label, Occupancy(blanks.w, labels.w), normalisers.w));
}

fn set_values(at: u32, row: Row, values: Values) {
    var kept = values;
    kept.first = select(NO_ROW, row.start / PACK, row.exists);
    if (!row.is_cell) {
        kept.occupied = Occupancy(0.0, 0.0);
    }
    wg_values[at] = kept;
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
    let place = params.places + 1u + quad_at(utterance, t, u);
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

fn write_row(values: Values, scale: f32, lane: u32) {
    let first = values.first;
    let packs = params.vocab / PACK;
    // A cell that no path visits need not be read.
    if (values.occupied.blank + values.occupied.label <= 0.0) {
        for (var i = lane; i < packs; i += LANES) {
            store(first + i, Scores(0.0));
        }
        return;
    }
    let last = packs - 1u;
    // Four at a time: their loads overlap.
    for (var i = lane; i < packs; i += 4u * LANES) {
        let a = load(first + i);
        let b = load(first + min(i + LANES, last));
        let c = load(first + min(i + 2u * LANES, last));
        let d = load(first + min(i + 3u * LANES, last));
        store(first + i, gradient_of(values, scale, i, a));
        if (i + LANES < packs) {
            store(first + i + LANES, gradient_of(values, scale, i + LANES, b));
        }
        if (i + 2u * LANES < packs) {
            store(first + i + 2u * LANES, gradient_of(values, scale, i + 2u * LANES, c));
        }
        if (i + 3u * LANES < packs) {
            store(first + i + 3u * LANES, gradient_of(values, scale, i + 3u * LANES, d));
        }
    }
}

fn load(at: u32) -> Packed {
    if (SCORES == LOG_PROBS || SCORES == GATHERED) {
        return Packed(0u);
    }
    return scores[at];
}

fn gradient_of(values: Values, scale: f32, pack: u32, packed: Packed) -> Scores {
    let stay = values.occupied.blank;
    let come = values.occupied.label;
    let symbols = symbols_of(pack);
    let is_blank = symbols == Bits(params.blank);
    let is_label = symbols == Bits(values.label);
    var g = Scores(0.0);
    if (SCORES == LOG_PROBS || SCORES == GATHERED) {
        g = select(g, Scores(-stay), is_blank);
        g = select(g, Scores(-come), is_label);
    } else {
        let x = max(unpack_scores(packed) * LOG2_E, Scores(LOG_ZERO));
        let p = exp2(min(x - values.normaliser, Scores(0.0)));
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
