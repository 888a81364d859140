// Gradient pass: d cost / d scores from the softmax, recomputed, and the occupancies of the two arcs
// of a cell. Everything outside the lattice, and every utterance that is not ok, gets exact zeros.
// Twin: src/cpu/lattice/gradient.rs.
#import gradient_pass
#import quads

// Frames that a label takes.
override LABEL_FRAMES: u32 = 0u;

struct Occupancy {
    blank: f32,
    label: f32,
}

// The backward variable of cell (t, u); (T, U) is the end.
fn after(utterance: Utterance, t: u32, u: u32) -> Scaled {
    if (t >= utterance.frames || u > utterance.labels) {
        return Scaled(0, select(0.0, 1.0, u == utterance.labels && t == utterance.frames));
    }
    let place = params.places + 1u + quad_at(utterance, t, u);
    return variable(lattice[FRAMES * place + t % FRAMES], anchors[place]);
}

// Probability that a path takes an arc: from a cell whose forward variable is m * 2^e of the total.
fn probability(e: i32, m: f32, word: u32, to: Scaled) -> f32 {
    let weight = any_weight(word);
    // Exponents are added as integers: large ones cancel without rounding. Where one is that of zero, so is m.
    return m * weight.m * to.m * power_of_two(min(e + weight.e + to.e, 4));
}

fn occupancy(utterance: Utterance, total: Total, t: u32, u: u32) -> Occupancy {
    let place = quad_at(utterance, t, u);
    let cell = variable(lattice[FRAMES * place + t % FRAMES], anchors[place]);
    let e = cell.e - total.e;
    let m = cell.m * exp2(-total.x);
    let blank = arcs[FRAMES * place + t % FRAMES];
    let label = arcs[FRAMES * (params.places + place) + t % FRAMES];
    let stay = after(utterance, t + 1u, u);
    let come = after(utterance, t + LABEL_FRAMES, u + 1u);
    return Occupancy(probability(e, m, blank, stay), probability(e, m, label, come));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    // The scores that the row pass read last may still be in a cache.
    let n = params.first_utterance + groups.z - 1u - group.z;
    let utterance = utterance(n);
    let total = total_of(n);
    let lane = local % LANES;
    let slot = local / LANES;
    if (lane < ROWS) {
        let rows = min(params.end_row, utterance.rows) - params.first_row;
        let number = row_number(group.x + group.y * groups.x, lane, slot);
        let row = locate(utterance, select(rows, rows - 1u - number, number < rows));
        wg_values[lane * (WORKGROUP / LANES) + slot] = values_of(utterance, total, row);
    }
    workgroupBarrier();
    for (var i = 0u; i < ROWS; i++) {
        let values = wg_values[i * (WORKGROUP / LANES) + slot];
        if (values.first != NO_ROW) {
            write_row(values, utterance.scale, lane);
        }
    }
}

// What all elements of a row share.
struct Values {
    // Its first pack.
    first: u32,
    label: u32,
    occupied: Occupancy,
    normaliser: f32,
}

var<workgroup> wg_values: array<Values, WORKGROUP>;

fn values_of(utterance: Utterance, total: Total, row: Row) -> Values {
    var values = Values(select(NO_ROW, row.start / PACK, row.exists), params.vocab, Occupancy(0.0, 0.0), 0.0);
    if (row.is_cell && total.is_ok) {
        values.occupied = occupancy(utterance, total, row.t, row.u);
        values.occupied.label *= params.label_scale;
        let next = label_at(utterance, row.u);
        // Arcs of constant weight have no gradient.
        if (after_wildcard(utterance, row.u)) {
            values.occupied.blank = 0.0;
        }
        if (next == WILDCARD || row.u >= utterance.labels) {
            values.occupied.label = 0.0;
        } else {
            values.label = symbol_of(next);
        }
        values.normaliser = bitcast<f32>(arcs[params.normalisers_at + FRAMES * utterance.first_place + row.t * (utterance.labels + 1u) + row.u]);
    }
    return values;
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
