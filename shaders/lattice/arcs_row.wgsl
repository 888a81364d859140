// Row pass for lattices of any arcs: one read of the scores gives the weights of the arcs that leave a
// cell, and the normalisers of its row for the gradient pass. Twin: src/cpu/arcs/row.rs.
#import arcs_table
#import row_pass
#import picked

// Channels of durations; at least 1.
override DURATIONS: u32 = 1u;
override ROW_PLACES: u32 = WORKGROUP / LANES;
override DURATION_PLACES: u32 = ROW_PLACES * DURATIONS;

// The log-sum of each row of the workgroup, and the base-2 scores of its durations.
var<workgroup> wg_rows: array<LogSum, ROW_PLACES>;
var<workgroup> wg_durations: array<f32, DURATION_PLACES>;

// A row whose sum is known.
struct Weighed {
    // First pack in the window.
    first: u32,
    // log2; of the symbols that are normalised together, and of the durations.
    normaliser: f32,
    duration_normaliser: f32,
    // Whether any symbol, any duration is possible.
    has_symbols: bool,
    has_durations: bool,
    // log2 of what HAT's blank leaves to the labels.
    leave: f32,
    // log2 of the sum of all symbols but the blank and the next label, as they are scored.
    others: f32,
    has_others: bool,
    unusable: bool,
}

// Score of channel v, as a base-2 logarithm.
fn channel_score(row: ptr<function, Weighed>, v: u32) -> f32 {
    let score = score_at((*row).first, v);
    (*row).unusable = (*row).unusable || score.unusable;
    return score.x;
}

fn symbol_weight(row: ptr<function, Weighed>, kind: Kind, symbol: u32) -> f32 {
    let x = channel_score(row, symbol);
    var w = x;
    if (SCORES == HAT && symbol == params.blank) {
        w = select(log2_sigmoid(x), LOG_ZERO, is_log_zero(x));
    } else if (!is_picked()) {
        w = select(LOG_ZERO, x - (*row).normaliser + (*row).leave, (*row).has_symbols);
    }
    return w - kind.sigma;
}

fn others_weight(row: ptr<function, Weighed>, kind: Kind) -> f32 {
    var w = (*row).others;
    if (!is_picked()) {
        w = w - (*row).normaliser + (*row).leave;
    }
    return select(LOG_ZERO, w - kind.sigma, (*row).has_others);
}

// The share of one lane in the sum of all symbols but the blank and the label.
fn others_sum(first: u32, vocab: u32, lane: u32, label: u32) -> RowSum {
    var sum = log_sum_empty();
    var unusable = false;
    let none = Scores(LOG_ZERO);
    for (var i = lane; i < (vocab + PACK - 1u) / PACK; i += LANES) {
        let packed = scores[first + i];
        let symbols = symbols_of(i);
        let wanted = (symbols != Bits(params.blank)) & (symbols != Bits(label)) & (symbols < Bits(vocab));
        unusable = unusable || has_unusable(select(Bits(0u), bits_of(packed), wanted));
        sum = log_sum_add(sum, select(none, clean_scores(packed) * LOG2_E, wanted), none, none, none);
    }
    return RowSum(sum, unusable);
}

fn duration_weight(row: ptr<function, Weighed>, kind: Kind, duration: u32) -> f32 {
    let x = channel_score(row, kind.vocab + duration);
    if (is_picked()) {
        return x;
    }
    return select(LOG_ZERO, x - (*row).duration_normaliser, (*row).has_durations);
}

// Of a symbol that an arc names.
fn named_weight(row: ptr<function, Weighed>, kind: Kind, symbol: u32, wild: bool) -> f32 {
    if (wild) {
        return params.wildcard;
    }
    return symbol_weight(row, kind, symbol);
}

fn arc_weight(row: ptr<function, Weighed>, kind: Kind, arc: Arc, label: u32, lead: f32, wild: bool) -> f32 {
    var w = arc.constant;
    if (arc.labels == 1u) {
        w += params.delay * lead;
    }
    if (arc.token == NEXT_LABEL) {
        if (label != WILDCARD) {
            w += symbol_weight(row, kind, symbol_of(label));
            w += select(0.0, params.eos_delay * lead, label == params.eos);
        }
    } else if (arc.token == OTHERS) {
        w += others_weight(row, kind);
    } else if (arc.token != NONE) {
        w += named_weight(row, kind, arc.token, wild);
    }
    if (arc.duration != NONE) {
        w += duration_weight(row, kind, arc.duration);
    }
    return w;
}

// LANES invocations a row: together for its sum, then each for some of its arcs.
@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
#ifdef SUBGROUPS
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
    let n = params.first_utterance + group.z;
    let utterance = utterance(n);
    let kind = kind_of(n);
    let number = (group.x + group.y * groups.x) * (WORKGROUP / LANES) + local / LANES;
    let place = locate(utterance, number);
    let lane = local % LANES;
    let reads = place.is_cell && !is_picked();
    // No symbol: beyond the row.
    let without = select(params.vocab, params.blank, SCORES == HAT);
    let own = row_sum(place.start / PACK, select(0u, kind.vocab / PACK, reads), lane, without);
    var row = Weighed(place.start / PACK, 0.0, 0.0, true, true, 0.0, 0.0, false, own.unusable);
    var share = own.sum;
    if (reads && lane == 0u) {
        // Symbols in a pack with durations.
        for (var v = kind.vocab / PACK * PACK; v < kind.vocab; v++) {
            if (v != without) {
                share = log_sum_merge(share, LogSum(channel_score(&row, v), 1.0));
            }
        }
    }

#ifdef SUBGROUPS
    let reduced = log_sum_reduce(share, local, subgroup_lane, subgroup_size);
#else
    let reduced = log_sum_reduce(share, local);
#endif
    if (lane == 0u) {
        wg_rows[local / LANES] = reduced;
    }
    let durations_at = local / LANES * DURATIONS;
    if (reads) {
        for (var d = lane; d < kind.durations; d += LANES) {
            wg_durations[durations_at + d] = channel_score(&row, kind.vocab + d);
        }
    }
    workgroupBarrier();
    let sum = wg_rows[local / LANES];

    if (reads) {
        row.has_symbols = !is_log_zero(sum.peak);
        row.normaliser = select(0.0, sum.peak + log2(sum.sum), row.has_symbols);
        var peak = LOG_ZERO;
        for (var d = 0u; d < kind.durations; d++) {
            peak = max(peak, wg_durations[durations_at + d]);
        }
        var total = 0.0;
        for (var d = 0u; d < kind.durations; d++) {
            total += exp2(wg_durations[durations_at + d] - peak);
        }
        row.has_durations = !is_log_zero(peak);
        row.duration_normaliser = select(0.0, peak + log2(max(total, 1.0)), row.has_durations);
        if (SCORES == HAT) {
            row.leave = log2_sigmoid(-channel_score(&row, params.blank));
        }
    }

    if (kind.others) {
        let share = others_sum(place.start / PACK, select(0u, kind.vocab, place.is_cell), lane, label_at(utterance, place.u));
#ifdef SUBGROUPS
        let sum = log_sum_reduce(share.sum, local, subgroup_lane, subgroup_size);
#else
        let sum = log_sum_reduce(share.sum, local);
#endif
        row.has_others = !is_log_zero(sum.peak);
        row.others = select(0.0, sum.peak + log2(sum.sum), row.has_others);
        row.unusable = row.unusable || share.unusable;
    }

    var status = 0u;
    if (place.exists && place.t < utterance.frames && place.u <= utterance.labels) {
        let cell = place_at(utterance, place.t, place.u);
        let label = label_at(utterance, place.u);
        let lead = 0.5 * f32(utterance.frames - 1u) - f32(place.t);
        let wild = after_wildcard(utterance, place.u);
        let words = kind.arcs + kind.thens;
        for (var word = lane; word < words; word += LANES) {
            var w = LOG_ZERO;
            if (place.is_cell) {
                if (word < kind.arcs) {
                    let arc = arc_of(kind, word);
                    // Nothing lies beyond the last position.
                    if (arc.is_active && (arc.labels == 0u || place.u < utterance.labels)) {
                        w = arc_weight(&row, kind, arc, label, lead, wild);
                    }
                } else {
                    let arc = arc_of(kind, arc_of_then(kind, word - kind.arcs));
                    w = named_weight(&row, kind, arc.then, wild);
                }
            }
            let bits = arc_word(w);
            arcs[word_at(params.places, cell, word)] = bits;
            status |= select(STATUS_WIDE, 0u, is_plain_weight(bits));
        }
        if (kind.others && lane == 0u) {
            let normalisers = select(1u + select(0u, 1u, kind.durations > 0u), 0u, is_picked());
            arcs[word_at(params.places, cell, words + normalisers)] = bitcast<u32>(row.others);
        }
        if (!is_picked() && lane == 0u) {
            arcs[word_at(params.places, cell, words)] = bitcast<u32>(row.normaliser);
            if (kind.durations > 0u) {
                arcs[word_at(params.places, cell, words + 1u)] = bitcast<u32>(row.duration_normaliser);
            }
        }
    }
    status |= select(0u, STATUS_NON_FINITE, row.unusable);
    if (status != 0u) {
        atomicOr(&results[n], status);
    }
}
