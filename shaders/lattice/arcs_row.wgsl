// Row pass for lattices of any arcs: one read of the scores gives the weights of the arcs that leave a
// cell, and the normalisers of its row for the gradient pass. Twin: src/cpu/arcs/row.rs.
#import arcs_table
#import row_pass
#import arcs_tiles
#import picked

// Symbols that arcs name, and the next label.
override SYMBOLS: u32 = 2u;
// Channels of durations; at least 1.
override DURATIONS: u32 = 1u;
override SYMBOL_PLACES: u32 = TILE_ROWS * SYMBOLS;
override DURATION_PLACES: u32 = TILE_ROWS * DURATIONS;

// A row whose sum is known.
struct Weighed {
    t: u32,
    // Its label; where there is none, the blank.
    label: u32,
    // Its place in the lattice.
    cell: u32,
    // First pack in the window.
    first: u32,
    // Of the IS_, HAS_ bits.
    flags: u32,
    // log2; of the symbols that are normalised together.
    normaliser: f32,
    // log2 of the sum of all symbols but the blank and the next label, as they are scored; none: LOG_ZERO.
    others: f32,
}

// A place of the lattice; one that the band allows.
const IS_PLACE = 1u;
const IS_CELL = 2u;
// Whether any symbol is possible; whether it has a label; whether it comes after a wildcard.
const HAS_SYMBOLS = 4u;
const HAS_LABEL = 8u;
const IS_WILD = 16u;

// The rows of the workgroup, the log2 weights of their symbols, the base-2 scores of their durations, and the
// log2 normalisers of those.
var<workgroup> wg_rows: array<Weighed, TILE_ROWS>;
var<workgroup> wg_symbols: array<f32, SYMBOL_PLACES>;
var<workgroup> wg_durations: array<f32, DURATION_PLACES>;
var<workgroup> wg_normalisers: array<f32, TILE_ROWS>;

// log2 of what HAT's blank leaves to the labels.
fn blank_leaves(row: Weighed) -> f32 {
    if (SCORES == HAT) {
        return log2_sigmoid(-score_at(row.first, params.blank).x);
    }
    return 0.0;
}

// log2 weight of a symbol; sets `status` where its score is unusable.
fn symbol_weight(row: Weighed, kind: Kind, symbol: u32, status: ptr<function, u32>) -> f32 {
    let score = score_at(row.first, symbol);
    *status |= select(0u, STATUS_NON_FINITE, score.unusable);
    var w = score.x;
    if (SCORES == HAT && symbol == params.blank) {
        w = select(log2_sigmoid(w), LOG_ZERO, is_log_zero(w));
    } else if (!is_picked()) {
        w = select(LOG_ZERO, w - row.normaliser, (row.flags & HAS_SYMBOLS) != 0u);
        w += blank_leaves(row);
    }
    return w - kind.sigma;
}

fn others_weight(row: Weighed, kind: Kind) -> f32 {
    var w = row.others;
    if (!is_picked()) {
        w = w - row.normaliser + blank_leaves(row);
    }
    return select(w - kind.sigma, LOG_ZERO, is_log_zero(row.others));
}

// The share of one lane in the sum of all symbols but the blank and the label.
fn others_sum(first: u32, vocab: u32, lane: u32, label: u32) -> RowSum {
    var sum = log_sum_empty();
    var unusable = false;
    let none = Scores(LOG_ZERO);
    for (var i = lane; i < (vocab + PACK - 1u) / PACK; i += LANES) {
        let packed = read_scores(first + i);
        let symbols = symbols_of(i);
        let wanted = (symbols != Bits(params.blank)) & (symbols != Bits(label)) & (symbols < Bits(vocab));
        unusable = unusable || has_unusable(select(Bits(0u), bits_of(packed), wanted));
        sum = log_sum_add(sum, select(none, clean_scores(packed) * LOG2_E, wanted), none, none, none);
    }
    return RowSum(sum, unusable);
}

// The weight of a symbol that an arc names.
fn named_weight(slot: u32, name: u32, wild: bool) -> f32 {
    return select(wg_symbols[name * TILE_ROWS + slot], params.wildcard, wild);
}

fn arc_weight(row: Weighed, slot: u32, kind: Kind, arc: Arc, lead: f32) -> f32 {
    let wild = (row.flags & IS_WILD) != 0u;
    var w = arc.constant;
    if (arc.labels == 1u) {
        w += params.delay * lead;
    }
    if (arc.token == NEXT_LABEL) {
        if (row.label != WILDCARD) {
            w += wg_symbols[kind.named * TILE_ROWS + slot];
            w += select(0.0, params.eos_delay * lead, row.label == params.eos);
        }
    } else if (arc.token == OTHERS) {
        w += others_weight(row, kind);
    } else if (arc.token != NONE) {
        w += named_weight(slot, arc.names & 0xffffu, wild);
    }
    if (arc.duration != NONE) {
        let normaliser = wg_normalisers[slot];
        w += select(wg_durations[arc.duration * TILE_ROWS + slot] - normaliser, LOG_ZERO, is_log_zero(normaliser));
    }
    return w;
}

// LANES invocations a row, for its sum; then one invocation a symbol or an arc of a row, one after the other of
// all rows.
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
    let own_slot = local / LANES;
    let place = locate(utterance, tile_row(utterance, group.x + group.y * groups.x, own_slot));
    let lane = local % LANES;
    let first = place.start / PACK;
    let reads = place.is_cell && !is_picked();
    // No symbol: beyond the row.
    let without = select(params.vocab, params.blank, SCORES == HAT);
    let own = row_sum(first, select(0u, kind.vocab / PACK, reads), lane, without);
    var status = select(0u, STATUS_NON_FINITE, own.unusable);
    var share = own.sum;
    if (reads && lane == 0u) {
        // Symbols in a pack with durations.
        for (var v = kind.vocab / PACK * PACK; v < kind.vocab; v++) {
            if (v != without) {
                let score = score_at(first, v);
                status |= select(0u, STATUS_NON_FINITE, score.unusable);
                share = log_sum_merge(share, LogSum(score.x, 1.0));
            }
        }
    }

#ifdef SUBGROUPS
    let sum = log_sum_reduce(share, local, subgroup_lane, subgroup_size);
#else
    let sum = log_sum_reduce(share, local);
#endif
    var others = LOG_ZERO;
    if (kind.others) {
        let part = others_sum(first, select(0u, kind.vocab, place.is_cell), lane, label_at(utterance, place.u));
        status |= select(0u, STATUS_NON_FINITE, part.unusable);
#ifdef SUBGROUPS
        let all = log_sum_reduce(part.sum, local, subgroup_lane, subgroup_size);
#else
        let all = log_sum_reduce(part.sum, local);
#endif
        others = select(all.peak + log2(all.sum), LOG_ZERO, is_log_zero(all.peak));
    }
    if (place.is_cell) {
        for (var d = lane; d < kind.durations; d += LANES) {
            let score = score_at(first, kind.vocab + d);
            status |= select(0u, STATUS_NON_FINITE, score.unusable);
            wg_durations[d * TILE_ROWS + own_slot] = score.x;
        }
    }
    if (lane == 0u) {
        let has_symbols = reads && !is_log_zero(sum.peak);
        let is_place = place.exists && place.t < utterance.frames && place.u <= utterance.labels;
        var flags = select(0u, IS_PLACE, is_place) | select(0u, IS_CELL, place.is_cell) | select(0u, HAS_SYMBOLS, has_symbols);
        var cell = 0u;
        if (is_place) {
            cell = place_at(utterance, place.t, place.u);
            flags |= select(0u, HAS_LABEL, place.u < utterance.labels) | select(0u, IS_WILD, after_wildcard(utterance, place.u));
        }
        wg_rows[own_slot] = Weighed(place.t, label_at(utterance, place.u), cell, first, flags, select(0.0, sum.peak + log2(sum.sum), has_symbols), others);
    }
    workgroupBarrier();

    // Symbols, the next label, and the sum of the durations.
    let sums = select(0u, 1u, kind.durations > 0u);
    for (var i = local; i < (kind.named + 1u + sums) * TILE_ROWS; i += WORKGROUP) {
        let slot = i % TILE_ROWS;
        let c = i / TILE_ROWS;
        let row = wg_rows[slot];
        if ((row.flags & IS_CELL) != 0u) {
            if (c > kind.named) {
                var normaliser = 0.0;
                if (!is_picked()) {
                    var peak = LOG_ZERO;
                    for (var d = 0u; d < kind.durations; d++) {
                        peak = max(peak, wg_durations[d * TILE_ROWS + slot]);
                    }
                    var total = 0.0;
                    for (var d = 0u; d < kind.durations; d++) {
                        total += exp2(wg_durations[d * TILE_ROWS + slot] - peak);
                    }
                    normaliser = select(peak + log2(max(total, 1.0)), LOG_ZERO, is_log_zero(peak));
                }
                wg_normalisers[slot] = normaliser;
            } else {
                var symbol = symbol_of(row.label);
                var is_read = (row.flags & HAS_LABEL) != 0u && row.label != WILDCARD;
                if (c < kind.named) {
                    symbol = name_of(kind, c);
                    is_read = (row.flags & IS_WILD) == 0u;
                }
                if (is_read) {
                    wg_symbols[i] = symbol_weight(row, kind, symbol, &status);
                }
            }
        }
    }
    workgroupBarrier();

    let words = kind.arcs + kind.thens;
    let normalisers = select(1u + sums, 0u, is_picked());
    let all_words = words + normalisers + select(0u, 1u, kind.others);
    for (var i = local; i < all_words * TILE_ROWS; i += WORKGROUP) {
        let slot = i % TILE_ROWS;
        let word = i / TILE_ROWS;
        let row = wg_rows[slot];
        if ((row.flags & IS_PLACE) != 0u) {
            let is_cell = (row.flags & IS_CELL) != 0u;
            var bits = 0u;
            if (word < words) {
                var w = LOG_ZERO;
                // Whether sweeps may take the arc to have a weight.
                var is_open = true;
                if (word < kind.arcs) {
                    let arc = arc_of(kind, word);
                    // Nothing lies beyond the last position.
                    is_open = arc.is_active && (arc.labels == 0u || (row.flags & HAS_LABEL) != 0u);
                    if (is_open && is_cell) {
                        let lead = 0.5 * f32(utterance.frames - 1u) - f32(row.t);
                        w = arc_weight(row, slot, kind, arc, lead);
                    }
                } else if (is_cell) {
                    w = named_weight(slot, arc_of(kind, arc_of_then(kind, word - kind.arcs)).names >> 16u, (row.flags & IS_WILD) != 0u);
                }
                bits = arc_word(w);
                status |= select(0u, STATUS_WIDE, is_open && !is_short_weight(bits));
            } else if (word == words + normalisers) {
                bits = bitcast<u32>(select(row.others, 0.0, is_log_zero(row.others)));
            } else if (word == words) {
                bits = bitcast<u32>(row.normaliser);
            } else {
                let normaliser = wg_normalisers[slot];
                bits = bitcast<u32>(select(normaliser, 0.0, !is_cell || is_log_zero(normaliser)));
            }
            arcs[word_at(params.places, row.cell, word)] = bits;
        }
    }
    if (status != 0u) {
        atomicOr(&results[n], status);
    }
}
