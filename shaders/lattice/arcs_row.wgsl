// Row pass for lattices of any arcs: one read of the scores gives the weights of the arcs that leave a
// cell, and the normalisers of its row for the gradient pass. Twin: src/cpu/arcs/row.rs.
//
// The sum of a row is shared by LANES invocations; what is done once a row is done by one.
#import arcs_table
#import row_pass
#import arcs_tiles
#import picked
#import arcs_fixed

// Words of the cells, in pairs.
@group(0) @binding(3)
var<storage, read_write> arcs: array<vec2u>;

// Channels of durations; at least 1.
override DURATIONS: u32 = 1u;
override DURATION_PLACES: u32 = TILE_ROWS * DURATIONS;
// Rows whose other symbols are summed: all, or 1 if that is not wanted.
override OTHERS_ROWS: u32 = 1u;
// If arcs are constants: symbols that they name, the next label among them; words of a cell.
override SYMBOLS: u32 = 1u;
override WORDS: u32 = 1u;

// A cell whose sums are known.
struct Weighed {
    // Its row of the tile, and the first pack of that in the window.
    slot: u32,
    first: u32,
    // Its label; where there is none, the blank.
    label: u32,
    has_label: bool,
    // Whether it comes after a wildcard.
    is_wild: bool,
    // Frames before the middle of the utterance.
    lead: f32,
    // log2 of the sum of the symbols that are normalised together, of that of all but the blank and the next label as they
    // are scored, and of that of the durations; of nothing: LOG_ZERO.
    normaliser: f32,
    others: f32,
    duration_normaliser: f32,
    // log2 of what HAT's blank leaves to the labels.
    leave: f32,
    // The symbol that was read last, and its log2 weight.
    symbol: u32,
    weight: f32,
    status: u32,
}

// Of each row: its first pack in the window, or NO_ROW if it is not to be read; log2 of its sum. Of those whose others are
// wanted, the label, and log2 of that sum.
var<workgroup> wg_firsts: array<u32, TILE_ROWS>;
var<workgroup> wg_sums: array<f32, TILE_ROWS>;
var<workgroup> wg_labels: array<u32, OTHERS_ROWS>;
var<workgroup> wg_others: array<f32, OTHERS_ROWS>;
// log2 weights of the durations of each row: of one invocation each.
var<workgroup> wg_durations: array<f32, DURATION_PLACES>;

fn log2_of(sum: LogSum) -> f32 {
    return select(sum.peak + log2(sum.sum), LOG_ZERO, is_log_zero(sum.peak));
}

// The share of one lane in the sum of all symbols that are normalised together, in the row from pack `first` on.
fn symbols_sum(first: u32, vocab: u32, lane: u32) -> RowSum {
    // No symbol: beyond the row.
    let without = select(params.vocab, params.blank, SCORES == HAT);
    var part = row_sum(first, vocab / PACK, lane, without);
    if (lane == 0u) {
        // Symbols in a pack with durations.
        for (var v = vocab / PACK * PACK; v < vocab; v++) {
            if (v != without) {
                let score = score_at(first, v);
                part.unusable = part.unusable || score.unusable;
                part.sum = log_sum_merge(part.sum, LogSum(score.x, 1.0));
            }
        }
    }
    return part;
}

// Likewise of all symbols but the blank and the label.
fn others_sum(first: u32, vocab: u32, lane: u32, label: u32) -> RowSum {
    var sum = log_sum_empty();
    var unusable = false;
    for (var i = lane; i < (vocab + PACK - 1u) / PACK; i += LANES) {
        let packed = read_scores(first + i);
        let symbols = symbols_of(i);
        let wanted = (symbols != Bits(params.blank)) & (symbols != Bits(label)) & (symbols < Bits(vocab));
        unusable = unusable || has_unusable(select(Bits(0u), bits_of(packed), wanted));
        sum = log_sum_add1(sum, select(Scores(LOG_ZERO), clean_scores(packed) * LOG2_E, wanted));
    }
    return RowSum(sum, unusable);
}

// LANES invocations a row, in a stride, so that neighbours read neighbours; then one a row.
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
    // The row that an invocation has of its own, if it has one.
    let own = min(local, TILE_ROWS - 1u);
    let place = locate(utterance, tile_row(utterance, group.x + group.y * groups.x, own));
    if (local < TILE_ROWS) {
        wg_firsts[own] = select(NO_ROW, place.start / PACK, place.is_cell);
        if (kind.others) {
            wg_labels[own] = label_at(utterance, place.u);
        }
    }
    workgroupBarrier();
    let lane = local % LANES;
    var status = 0u;
    for (var i = 0u; i < ROWS; i++) {
        let slot = shared_row(i, local / LANES);
        let first = wg_firsts[slot];
        if (!is_picked()) {
            let part = symbols_sum(first, select(kind.vocab, 0u, first == NO_ROW), lane);
            status |= select(0u, STATUS_NON_FINITE, part.unusable);
#ifdef SUBGROUPS
            let sum = log_sum_reduce(part.sum, local, subgroup_lane, subgroup_size);
#else
            let sum = log_sum_reduce(part.sum, local);
#endif
            if (lane == 0u) {
                wg_sums[slot] = log2_of(sum);
            }
        }
        if (kind.others) {
            let part = others_sum(first, select(kind.vocab, 0u, first == NO_ROW), lane, wg_labels[slot]);
            status |= select(0u, STATUS_NON_FINITE, part.unusable);
#ifdef SUBGROUPS
            let sum = log_sum_reduce(part.sum, local, subgroup_lane, subgroup_size);
#else
            let sum = log_sum_reduce(part.sum, local);
#endif
            if (lane == 0u) {
                wg_others[slot] = log2_of(sum);
            }
        }
    }
    workgroupBarrier();
#ifdef BANDS
    let is_kept = place.is_cell;
#else
    let is_kept = place.exists && place.t < utterance.frames && place.u <= utterance.labels;
#endif
    if (local < TILE_ROWS && is_kept) {
        status |= keep(utterance, kind, place, own);
    }
    if (status != 0u) {
        atomicOr(&results[n], status);
    }
}

// Stores the words of a cell, and gives the status that follows.
fn keep(utterance: Utterance, kind: Kind, place: Row, slot: u32) -> u32 {
    let lead = 0.5 * f32(utterance.frames - 1u) - f32(place.t);
    var row = Weighed(slot, place.start / PACK, label_at(utterance, place.u), place.u < utterance.labels,
        after_wildcard(utterance, place.u), lead, LOG_ZERO, LOG_ZERO, LOG_ZERO, 0.0, NONE, 0.0, 0u);
    if (place.is_cell) {
        if (!is_picked()) {
            row.normaliser = wg_sums[slot];
        }
        if (kind.others) {
            row.others = wg_others[slot];
        }
        if (SCORES == HAT) {
            row.leave = log2_sigmoid(-score_at(row.first, params.blank).x);
        }
        weigh_durations(&row, kind);
    }
    let cell = place_at(utterance, place.t, place.u);
    if (FIXED) {
        fixed_keep(&row, kind, cell, place.is_cell);
        return row.status;
    }
    let words = kind.arcs + kind.thens;
    let normalisers = select(1u + select(0u, 1u, kind.durations > 0u), 0u, is_picked());
    let all_words = words + normalisers + select(0u, 1u, kind.others);
    for (var first = 0u; first < all_words; first += 2u) {
        var pair = vec2u(0u);
        for (var word = first; word < min(first + 2u, all_words); word++) {
            var bits = 0u;
            if (word < words) {
                bits = weight_of(&row, kind, word, place.is_cell);
            } else {
                var x = select(row.duration_normaliser, row.normaliser, word == words);
                x = select(x, row.others, word == words + normalisers);
                bits = bitcast<u32>(select(x, 0.0, is_log_zero(x)));
            }
            pair = select(vec2u(pair.x, bits), vec2u(bits, 0u), word == first);
        }
        arcs[first / 2u * params.places + cell] = pair;
    }
    return row.status;
}

// The log2 weights of the symbols that arcs name; the next label's is the last.
fn fixed_symbols(row: ptr<function, Weighed>, kind: Kind) -> Dozen {
    var symbols = Dozen(vec4f(0.0), vec4f(0.0), vec4f(0.0));
    if (SYMBOLS > 1u) {
        symbols.a.x = named_weight(row, kind, name_of(kind, 0u));
    }
    if (SYMBOLS > 2u) {
        symbols.a.y = named_weight(row, kind, name_of(kind, 1u));
    }
    if (SYMBOLS > 3u) {
        symbols.a.z = named_weight(row, kind, name_of(kind, 2u));
    }
    if (SYMBOLS > 4u) {
        symbols.a.w = named_weight(row, kind, name_of(kind, 3u));
    }
    if (SYMBOLS > 5u) {
        symbols.b.x = named_weight(row, kind, name_of(kind, 4u));
    }
    if (SYMBOLS > 6u) {
        symbols.b.y = named_weight(row, kind, name_of(kind, 5u));
    }
    if (SYMBOLS > 7u) {
        symbols.b.z = named_weight(row, kind, name_of(kind, 6u));
    }
    if (SYMBOLS > 8u) {
        symbols.b.w = named_weight(row, kind, name_of(kind, 7u));
    }
    if (SYMBOLS > 9u) {
        symbols.c.x = named_weight(row, kind, name_of(kind, 8u));
    }
    if (SYMBOLS > 10u) {
        symbols.c.y = named_weight(row, kind, name_of(kind, 9u));
    }
    if (SYMBOLS > 11u) {
        symbols.c.z = named_weight(row, kind, name_of(kind, 10u));
    }
    return symbols;
}

// Word i of a cell: the weight of an arc, or a normaliser.
fn fixed_word(row: ptr<function, Weighed>, symbols: Dozen, label: f32, i: u32, code: u32, is_cell: bool) -> u32 {
    if (i >= ARCS) {
        return bitcast<u32>(select((*row).normaliser, 0.0, is_log_zero((*row).normaliser)));
    }
    let is_label = arc_labels(code) == 1u;
    let is_open = !is_label || (*row).has_label;
    let symbol = (code >> SYMBOL_SHIFT) & 127u;
    var w = 0.0;
    if (is_label) {
        w = params.delay * (*row).lead;
    }
    if (symbol == SYMBOLS - 1u) {
        w += label;
    } else if (symbol < SYMBOLS) {
        w += dozen_at(symbols, symbol);
    }
    let bits = arc_word(select(LOG_ZERO, w, is_open && is_cell));
    (*row).status |= select(0u, STATUS_WIDE, is_open && !is_short_weight(bits));
    return bits;
}

// Stores the words of a cell, if arcs are constants.
fn fixed_keep(row: ptr<function, Weighed>, kind: Kind, cell: u32, is_cell: bool) {
    var symbols = Dozen(vec4f(0.0), vec4f(0.0), vec4f(0.0));
    var label = 0.0;
    if (is_cell) {
        symbols = fixed_symbols(row, kind);
        if ((*row).has_label && (*row).label != WILDCARD) {
            label = symbol_weight(row, kind, symbol_of((*row).label));
            label += select(0.0, params.eos_delay * (*row).lead, (*row).label == params.eos);
        }
    }
    if (WORDS > 0u) {
        arcs[cell] = vec2u(
            fixed_word(row, symbols, label, 0u, ARC_0, is_cell),
            fixed_word(row, symbols, label, 1u, ARC_1, is_cell),
        );
    }
    if (WORDS > 2u) {
        arcs[params.places + cell] = vec2u(
            fixed_word(row, symbols, label, 2u, ARC_2, is_cell),
            fixed_word(row, symbols, label, 3u, ARC_3, is_cell),
        );
    }
    if (WORDS > 4u) {
        arcs[2u * params.places + cell] = vec2u(
            fixed_word(row, symbols, label, 4u, ARC_4, is_cell),
            fixed_word(row, symbols, label, 5u, ARC_5, is_cell),
        );
    }
    if (WORDS > 6u) {
        arcs[3u * params.places + cell] = vec2u(
            fixed_word(row, symbols, label, 6u, ARC_6, is_cell),
            fixed_word(row, symbols, label, 7u, ARC_7, is_cell),
        );
    }
    if (WORDS > 8u) {
        arcs[4u * params.places + cell] = vec2u(
            fixed_word(row, symbols, label, 8u, ARC_8, is_cell),
            fixed_word(row, symbols, label, 9u, ARC_9, is_cell),
        );
    }
    if (WORDS > 10u) {
        arcs[5u * params.places + cell] = vec2u(
            fixed_word(row, symbols, label, 10u, ARC_10, is_cell),
            fixed_word(row, symbols, label, 11u, ARC_11, is_cell),
        );
    }
    if (WORDS > 12u) {
        arcs[6u * params.places + cell] = vec2u(
            fixed_word(row, symbols, label, 12u, 0u, is_cell),
            0u,
        );
    }
}

// The word of an arc, or of a symbol that one reads one position on.
fn weight_of(row: ptr<function, Weighed>, kind: Kind, word: u32, is_cell: bool) -> u32 {
    var w = LOG_ZERO;
    // Whether sweeps may take the arc to have a weight.
    var is_open = true;
    if (word < kind.arcs) {
        let arc = arc_of(kind, word);
        // Nothing lies beyond the last position.
        is_open = arc.is_active && (arc.labels == 0u || (*row).has_label);
        if (is_open && is_cell) {
            w = arc_weight(row, kind, arc);
        }
    } else if (is_cell) {
        w = named_weight(row, kind, arc_of(kind, arc_of_then(kind, word - kind.arcs)).then);
    }
    let bits = arc_word(w);
    (*row).status |= select(0u, STATUS_WIDE, is_open && !is_short_weight(bits));
    return bits;
}

fn arc_weight(row: ptr<function, Weighed>, kind: Kind, arc: Arc) -> f32 {
    var w = arc.constant;
    if (arc.labels == 1u) {
        w += params.delay * (*row).lead;
    }
    if (arc.token == NEXT_LABEL) {
        if ((*row).label != WILDCARD) {
            w += symbol_weight(row, kind, symbol_of((*row).label));
            w += select(0.0, params.eos_delay * (*row).lead, (*row).label == params.eos);
        }
    } else if (arc.token == OTHERS) {
        w += others_weight(row, kind);
    } else if (arc.token != NONE) {
        w += named_weight(row, kind, arc.token);
    }
    if (arc.duration != NONE) {
        w += wg_durations[arc.duration * TILE_ROWS + (*row).slot];
    }
    return w;
}

// The weight of a symbol that an arc names.
fn named_weight(row: ptr<function, Weighed>, kind: Kind, symbol: u32) -> f32 {
    if ((*row).is_wild) {
        return params.wildcard;
    }
    return symbol_weight(row, kind, symbol);
}

fn symbol_weight(row: ptr<function, Weighed>, kind: Kind, symbol: u32) -> f32 {
    // Arcs of one symbol mostly follow each other.
    if (!FIXED && symbol == (*row).symbol) {
        return (*row).weight;
    }
    let score = score_at((*row).first, symbol);
    (*row).status |= select(0u, STATUS_NON_FINITE, score.unusable);
    var w = score.x;
    if (SCORES == HAT && symbol == params.blank) {
        w = select(log2_sigmoid(w), LOG_ZERO, is_log_zero(w));
    } else if (!is_picked()) {
        w = select(w - (*row).normaliser, LOG_ZERO, is_log_zero((*row).normaliser)) + (*row).leave;
    }
    (*row).symbol = symbol;
    (*row).weight = w - kind.sigma;
    return (*row).weight;
}

fn others_weight(row: ptr<function, Weighed>, kind: Kind) -> f32 {
    var w = (*row).others;
    if (!is_picked()) {
        w = w - select((*row).normaliser, 0.0, is_log_zero((*row).normaliser)) + (*row).leave;
    }
    return select(w - kind.sigma, LOG_ZERO, is_log_zero((*row).others));
}

// Keeps the log2 weights of the durations, and their normaliser.
fn weigh_durations(row: ptr<function, Weighed>, kind: Kind) {
    var peak = LOG_ZERO;
    for (var d = 0u; d < kind.durations; d++) {
        let score = score_at((*row).first, kind.vocab + d);
        (*row).status |= select(0u, STATUS_NON_FINITE, score.unusable);
        wg_durations[d * TILE_ROWS + (*row).slot] = score.x;
        peak = max(peak, score.x);
    }
    if (is_picked()) {
        return;
    }
    var total = 0.0;
    for (var d = 0u; d < kind.durations; d++) {
        total += exp2(wg_durations[d * TILE_ROWS + (*row).slot] - peak);
    }
    let normaliser = select(peak + log2(max(total, 1.0)), LOG_ZERO, is_log_zero(peak));
    for (var d = 0u; d < kind.durations; d++) {
        let at = d * TILE_ROWS + (*row).slot;
        wg_durations[at] = select(wg_durations[at] - normaliser, LOG_ZERO, is_log_zero(peak));
    }
    (*row).duration_normaliser = normaliser;
}
