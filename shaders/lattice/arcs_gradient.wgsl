// Gradient pass for lattices of any arcs: d cost / d scores from the softmax, recomputed, and the
// occupancies of the arcs that read a row. Everything outside the lattice, and every utterance that is
// not ok, gets exact zeros. Twin: src/cpu/arcs/gradient.rs.
#import arcs_table
#import lattice_rows
#import lattice_status
#import gradients
#import arcs_tiles
#import picked
#import lateness
#import arcs_fixed

// Channels: symbols that arcs name, the next label, and durations. Of these, durations.
override CHANNELS: u32 = 2u;
override DURATIONS: u32 = 0u;
override CHANNEL_PLACES: u32 = TILE_ROWS * CHANNELS;
// Whether an arc reads all other symbols as one sum; rows of which one does: all, or 1.
override READS_OTHERS: bool = false;
override OTHERS_ROWS: u32 = 1u;
// Whether a row is read before the row before it is worked on. For rows of one piece only.
override AHEAD: bool = false;
// Whether gradients are clamped. If not, what arcs pull is scaled once a row.
override CLAMPS: bool = true;
// Channels of symbols.
override SYMBOLS: u32 = CHANNELS - DURATIONS;

// Where a cell is in its lattice.
struct Cell {
    t: u32,
    u: u32,
    // Its label, where there is one.
    label: u32,
    // Whether it comes after a wildcard.
    is_wild: bool,
    place: u32,
    // Its forward variable relative to the total: 2^(e + x).
    e: i32,
    x: f32,
}

// An arc that reads a row.
struct Reader {
    // Its channel among the symbols, and among the durations.
    symbol: u32,
    duration: u32,
    // Minus the derivative of the cost by its log weight: the probability that a path takes it, without a latency.
    pull: f32,
    // Of FastEmit, at symbols.
    scale: f32,
}

// What is pulled at a channel, and at the others that are normalised with it.
struct Channel {
    own: f32,
    others: f32,
}

// What the elements of a row share.
struct Shared {
    // Its first element; NO_ROW if there is none.
    start: u32,
    // The next label's symbol; NO_SYMBOL if there is none; NO_PATH if nothing pulls at the row.
    symbol: u32,
    // log2 of the sums of its symbols, and of its durations.
    normaliser: f32,
    duration_normaliser: f32,
}

// What those symbols pull together that are read as one sum, and log2 of that.
struct Others {
    pull: f32,
    sum: f32,
}

const NO_SYMBOL = 0xffffffffu;
const NO_PATH = 0xfffffffeu;
// No channel.
const NO_CHANNEL = 0xffffu;
// Stands for all symbols but the blank and the next label.
const OTHERS_CHANNEL = 0xfffeu;

// Of all rows, channel after channel: named symbols, the next label, durations.
var<workgroup> wg_channels: array<Channel, CHANNEL_PLACES>;
var<workgroup> wg_rows: array<Shared, TILE_ROWS>;
var<workgroup> wg_others: array<Others, OTHERS_ROWS>;

@group(0) @binding(1)
var<storage, read> batch: array<u32>;
// What the row pass wrote: weights and log2 normalisers.
@group(0) @binding(2)
var<storage, read> arcs: array<u32>;
// Forward, then backward variables: log2, relative to an anchor.
@group(0) @binding(3)
var<storage, read> lattice: array<f32>;
// Exponents that the variables are relative to: forward, backward.
@group(0) @binding(4)
var<storage, read> anchors: array<i32>;
// Status words [N], cost bits [N], log2 of the total: exponents [N], rests [N].
@group(0) @binding(5)
var<storage, read> results: array<u32>;

// log2 of the total of an utterance.
struct Total {
    is_ok: bool,
    e: i32,
    x: f32,
}

fn total_of(n: u32) -> Total {
    return Total(
        (results[n] & STATUS_MASK) == STATUS_OK,
        bitcast<i32>(results[2u * params.utterances + n]),
        bitcast<f32>(results[3u * params.utterances + n]),
    );
}

// log2 of a backward variable, exponent and rest.
struct After {
    e: i32,
    x: f32,
}

// Probability that a path takes an arc of log2 weight w: from a cell whose forward variable, relative to the
// total, is 2^(e + x).
fn arc_probability(e: i32, x: f32, w: f32, to: After) -> f32 {
    // Exponents are added as integers first: large ones cancel without rounding.
    return exp2(clamp(f32(e + to.e) + (x + (w + to.x)), -1e4, 1.0));
}

// Of cell (t, u); (T, U) is the end.
fn after(utterance: Utterance, t: u32, u: u32, may_end: bool) -> After {
    if (t >= utterance.frames || u > utterance.labels) {
        return After(0, select(LOG_ZERO, 0.0, may_end && u == utterance.labels && t == utterance.frames));
    }
    let anchor = anchors[params.anchors + 1u + backward_anchor(utterance, t, u)];
    return After(anchor, lattice[params.places + 1u + place_at(utterance, t, u)]);
}

// How much later the labels of paths that take an arc from cell (t, u) are than those of all, in the mean.
fn delay_of(utterance: Utterance, t: u32, u: u32, arc: Arc) -> f32 {
    let first = 2u * (params.places + 1u);
    let so_far = first + params.places + 1u + place_at(utterance, t, u);
    let to_t = t + arc.frames;
    let to_u = u + arc.labels;
    var sum = lattice[so_far] - lattice[first + place_at(utterance, 0u, 0u)];
    sum += select(0.0, lateness(utterance, t, u), arc.labels == 1u);
    if (to_t < utterance.frames && to_u <= utterance.labels) {
        sum += lattice[first + place_at(utterance, to_t, to_u)];
    }
    return sum / f32(max(utterance.labels, 1u));
}

// What arc a of a cell pulls.
fn pull(utterance: Utterance, kind: Kind, from_cell: Cell, arc: Arc, a: u32) -> f32 {
    let t = from_cell.t;
    let u = from_cell.u;
    let w = arc_log2(arcs[word_at(params.places, from_cell.place, a)]);
    let to = after(utterance, t + arc.frames, u + arc.labels, arc.may_end);
    let occupied = arc_probability(from_cell.e, from_cell.x, w, to);
    if (kind.latency > 0.0) {
        return occupied - occupied * kind.latency * delay_of(utterance, t, u, arc);
    }
    return occupied;
}

// Cell (t, u) of the lattice, which is live.
fn cell_of(utterance: Utterance, total: Total, t: u32, u: u32) -> Cell {
    let place = place_at(utterance, t, u);
    let e = anchors[forward_anchor(utterance, t, u)] - total.e;
    return Cell(t, u, label_at(utterance, u), after_wildcard(utterance, u), place, e, lattice[place] - total.x);
}

// The channel of a symbol: that of its name, for a label may be one that follows others, or the label's.
fn channel_of(kind: Kind, symbol: u32, is_label: bool) -> u32 {
    var found = select(NO_CHANNEL, kind.named, is_label);
    for (var c = 0u; c < kind.named; c++) {
        found = select(found, c, name_of(kind, c) == symbol);
    }
    return found;
}

fn reader(utterance: Utterance, kind: Kind, total: Total, row: Cell, number: u32) -> Reader {
    if (number >= kind.arcs) {
        // Emits the label before this position.
        if (row.u == 0u) {
            return Reader(NO_CHANNEL, NONE, 0.0, 1.0);
        }
        let a = arc_of_then(kind, number - kind.arcs);
        let arc = arc_of(kind, a);
        let channel = select(arc.names >> 16u, NO_CHANNEL, row.is_wild);
        return Reader(channel, NONE, pull(utterance, kind, cell_of(utterance, total, row.t, row.u - 1u), arc, a), params.label_scale);
    }
    let arc = arc_of(kind, number);
    if (arc.labels == 1u && row.u >= utterance.labels) {
        return Reader(NO_CHANNEL, NONE, 0.0, 1.0);
    }
    // Symbols of constant weight have no gradient.
    let is_constant = select(row.is_wild, row.label == WILDCARD, arc.token == NEXT_LABEL);
    var channel = select(arc.names & 0xffffu, NO_CHANNEL, is_constant || arc.token == NONE);
    if (arc.token == NEXT_LABEL && kind.thens > 0u && !is_constant) {
        channel = channel_of(kind, symbol_of(row.label), true);
    }
    if (arc.token == OTHERS) {
        channel = OTHERS_CHANNEL;
    }
    return Reader(channel, arc.duration, pull(utterance, kind, row, arc, number), select(1.0, params.label_scale, arc.labels == 1u));
}

// What arc a of a cell pulls, if arcs are constants.
fn fixed_pull(utterance: Utterance, cell: Cell, code: u32, a: u32) -> f32 {
    let columns = utterance.labels + 1u;
    let t = cell.t + arc_frames(code);
    let u = cell.u + arc_labels(code);
    let is_there = t < utterance.frames && u < columns;
#ifdef BANDS
    let to = place_at(utterance, min(t, utterance.frames - 1u), min(u, utterance.labels));
    let x = lattice[params.places + 1u + to];
    let e = anchors[params.anchors + 1u + to];
#else
    // Where there is a cell, the torus is left once at most.
    let steps = arc_frames(code) + arc_labels(code);
    let line = line_at(utterance, cell.t, cell.u) + steps;
    var to = cell.place + steps * columns + arc_labels(code);
    to -= select(0u, utterance.lines * columns, line >= utterance.lines);
    to = select(cell.place, to, is_there);
    let x = lattice[params.places + 1u + to];
    let s = max(utterance.frames, t + 1u) - 1u - t;
    let e = anchors[params.anchors + 1u + anchor_at(utterance, s, max(utterance.labels, u) - u)];
#endif
    let word = arcs[word_at(params.places, cell.place, a)];
    // Nearly all weights are plain: no logarithm.
    let is_plain = is_plain_weight(word);
    let weight = select(1.0, bitcast<f32>(word), is_plain);
    let ends = arc_may_end(code) && t == utterance.frames && u == utterance.labels;
    let log2_after = select(select(LOG_ZERO, 0.0, ends), x, is_there) + select(bitcast<f32>(word << 1u), 0.0, is_plain);
    let log2_rest = f32(cell.e + select(0, e, is_there)) + (cell.x + log2_after);
    return min(weight * exp2(clamp(log2_rest, -1e4, 126.0)), 2.0);
}

fn fixed_pulls(utterance: Utterance, cell: Cell) -> Dozen {
    var pulls = Dozen(vec4f(0.0), vec4f(0.0), vec4f(0.0));
    pulls.a.x = fixed_pull(utterance, cell, ARC_0, 0u);
    if (ARCS > 1u) {
        pulls.a.y = fixed_pull(utterance, cell, ARC_1, 1u);
    }
    if (ARCS > 2u) {
        pulls.a.z = fixed_pull(utterance, cell, ARC_2, 2u);
    }
    if (ARCS > 3u) {
        pulls.a.w = fixed_pull(utterance, cell, ARC_3, 3u);
    }
    if (ARCS > 4u) {
        pulls.b.x = fixed_pull(utterance, cell, ARC_4, 4u);
    }
    if (ARCS > 5u) {
        pulls.b.y = fixed_pull(utterance, cell, ARC_5, 5u);
    }
    if (ARCS > 6u) {
        pulls.b.z = fixed_pull(utterance, cell, ARC_6, 6u);
    }
    if (ARCS > 7u) {
        pulls.b.w = fixed_pull(utterance, cell, ARC_7, 7u);
    }
    if (ARCS > 8u) {
        pulls.c.x = fixed_pull(utterance, cell, ARC_8, 8u);
    }
    if (ARCS > 9u) {
        pulls.c.y = fixed_pull(utterance, cell, ARC_9, 9u);
    }
    if (ARCS > 10u) {
        pulls.c.z = fixed_pull(utterance, cell, ARC_10, 10u);
    }
    if (ARCS > 11u) {
        pulls.c.w = fixed_pull(utterance, cell, ARC_11, 11u);
    }
    return pulls;
}

// Times the scale of the utterance, and FastEmit's for labels.
fn scale_pulls(pulls: Dozen, scale: f32) -> Dozen {
    return Dozen(
        pulls.a * scale * vec4f(label_scale(ARC_0), label_scale(ARC_1), label_scale(ARC_2), label_scale(ARC_3)),
        pulls.b * scale * vec4f(label_scale(ARC_4), label_scale(ARC_5), label_scale(ARC_6), label_scale(ARC_7)),
        pulls.c * scale * vec4f(label_scale(ARC_8), label_scale(ARC_9), label_scale(ARC_10), label_scale(ARC_11)),
    );
}

fn label_scale(code: u32) -> f32 {
    return select(1.0, params.label_scale, arc_labels(code) == 1u);
}

// What is pulled at a channel of durations, or of symbols. Those of constant weight have no gradient.
fn fixed_own(cell: Cell, durations: Dozen, symbols: Dozen, c: u32) -> f32 {
    if (c >= SYMBOLS) {
        return channel_sum(durations, DURATION_SHIFT, c - SYMBOLS);
    }
    return select(channel_sum(symbols, SYMBOL_SHIFT, c), 0.0, select(cell.is_wild, cell.label == WILDCARD, c == SYMBOLS - 1u));
}

// Whether channel i is another one that is normalised with channel c.
fn is_beside(c: u32, i: u32) -> bool {
    return i != c && i < CHANNELS && (i < SYMBOLS) == (c < SYMBOLS);
}

// The sum of all without one would cancel where that is most of it.
fn others_sum(own: Dozen, c: u32) -> f32 {
    var sum = 0.0;
    if (is_beside(c, 0u)) {
        sum += own.a.x;
    }
    if (is_beside(c, 1u)) {
        sum += own.a.y;
    }
    if (is_beside(c, 2u)) {
        sum += own.a.z;
    }
    if (is_beside(c, 3u)) {
        sum += own.a.w;
    }
    if (is_beside(c, 4u)) {
        sum += own.b.x;
    }
    if (is_beside(c, 5u)) {
        sum += own.b.y;
    }
    if (is_beside(c, 6u)) {
        sum += own.b.z;
    }
    if (is_beside(c, 7u)) {
        sum += own.b.w;
    }
    if (is_beside(c, 8u)) {
        sum += own.c.x;
    }
    if (is_beside(c, 9u)) {
        sum += own.c.y;
    }
    if (is_beside(c, 10u)) {
        sum += own.c.z;
    }
    if (is_beside(c, 11u)) {
        sum += own.c.w;
    }
    return sum;
}

// What a row shares, and what its arcs, which are constants, pull at its channels.
fn fixed_shared_of(utterance: Utterance, cell: Cell, slot: u32, start: u32) -> Shared {
    let found = fixed_pulls(utterance, cell);
    let any = max(max(found.a, found.b), found.c);
    let scale = select(utterance.scale, 1.0, CLAMPS);
    let pulls = Dozen(found.a * scale, found.b * scale, found.c * scale);
    let scaled = scale_pulls(found, scale);
    var own = Dozen(vec4f(0.0), vec4f(0.0), vec4f(0.0));
    if (CHANNELS > 0u) {
        own.a.x = fixed_own(cell, pulls, scaled, 0u);
    }
    if (CHANNELS > 1u) {
        own.a.y = fixed_own(cell, pulls, scaled, 1u);
    }
    if (CHANNELS > 2u) {
        own.a.z = fixed_own(cell, pulls, scaled, 2u);
    }
    if (CHANNELS > 3u) {
        own.a.w = fixed_own(cell, pulls, scaled, 3u);
    }
    if (CHANNELS > 4u) {
        own.b.x = fixed_own(cell, pulls, scaled, 4u);
    }
    if (CHANNELS > 5u) {
        own.b.y = fixed_own(cell, pulls, scaled, 5u);
    }
    if (CHANNELS > 6u) {
        own.b.z = fixed_own(cell, pulls, scaled, 6u);
    }
    if (CHANNELS > 7u) {
        own.b.w = fixed_own(cell, pulls, scaled, 7u);
    }
    if (CHANNELS > 8u) {
        own.c.x = fixed_own(cell, pulls, scaled, 8u);
    }
    if (CHANNELS > 9u) {
        own.c.y = fixed_own(cell, pulls, scaled, 9u);
    }
    if (CHANNELS > 10u) {
        own.c.z = fixed_own(cell, pulls, scaled, 10u);
    }
    if (CHANNELS > 11u) {
        own.c.w = fixed_own(cell, pulls, scaled, 11u);
    }
    if (CHANNELS > 0u) {
        wg_channels[slot] = Channel(own.a.x, others_sum(own, 0u));
    }
    if (CHANNELS > 1u) {
        wg_channels[TILE_ROWS + slot] = Channel(own.a.y, others_sum(own, 1u));
    }
    if (CHANNELS > 2u) {
        wg_channels[2u * TILE_ROWS + slot] = Channel(own.a.z, others_sum(own, 2u));
    }
    if (CHANNELS > 3u) {
        wg_channels[3u * TILE_ROWS + slot] = Channel(own.a.w, others_sum(own, 3u));
    }
    if (CHANNELS > 4u) {
        wg_channels[4u * TILE_ROWS + slot] = Channel(own.b.x, others_sum(own, 4u));
    }
    if (CHANNELS > 5u) {
        wg_channels[5u * TILE_ROWS + slot] = Channel(own.b.y, others_sum(own, 5u));
    }
    if (CHANNELS > 6u) {
        wg_channels[6u * TILE_ROWS + slot] = Channel(own.b.z, others_sum(own, 6u));
    }
    if (CHANNELS > 7u) {
        wg_channels[7u * TILE_ROWS + slot] = Channel(own.b.w, others_sum(own, 7u));
    }
    if (CHANNELS > 8u) {
        wg_channels[8u * TILE_ROWS + slot] = Channel(own.c.x, others_sum(own, 8u));
    }
    if (CHANNELS > 9u) {
        wg_channels[9u * TILE_ROWS + slot] = Channel(own.c.y, others_sum(own, 9u));
    }
    if (CHANNELS > 10u) {
        wg_channels[10u * TILE_ROWS + slot] = Channel(own.c.z, others_sum(own, 10u));
    }
    if (CHANNELS > 11u) {
        wg_channels[11u * TILE_ROWS + slot] = Channel(own.c.w, others_sum(own, 11u));
    }
    var all = Shared(start, NO_SYMBOL, 0.0, 0.0);
    if (cell.u < utterance.labels && cell.label != WILDCARD) {
        all.symbol = symbol_of(cell.label);
    }
    all.symbol = select(NO_PATH, all.symbol, max(max(any.x, any.y), max(any.z, any.w)) > 0.0);
    if (!is_picked()) {
        all.normaliser = bitcast<f32>(arcs[word_at(params.places, cell.place, ARCS)]);
        if (DURATIONS > 0u) {
            all.duration_normaliser = bitcast<f32>(arcs[word_at(params.places, cell.place, ARCS + 1u)]);
        }
    }
    return all;
}

// What a row shares, and what its arcs pull at its channels.
fn shared_of(utterance: Utterance, kind: Kind, total: Total, row: Cell, slot: u32, start: u32) -> Shared {
    let symbols = kind.named + 1u;
    let channels = symbols + kind.durations;
    for (var c = 0u; c < channels; c++) {
        wg_channels[c * TILE_ROWS + slot] = Channel(0.0, 0.0);
    }
    var all = Shared(start, NO_SYMBOL, 0.0, 0.0);
    var is_visited = false;
    var together = 0.0;
    let readers = kind.arcs + kind.thens;
    let scale = select(utterance.scale, 1.0, CLAMPS);
    for (var i = 0u; i < readers; i++) {
        let reader = reader(utterance, kind, total, row, i);
        let pulled = scale * reader.pull;
        is_visited = is_visited || abs(reader.pull) > 0.0;
        if (reader.symbol < symbols) {
            wg_channels[reader.symbol * TILE_ROWS + slot].own += pulled * reader.scale;
        }
        together += select(0.0, pulled * reader.scale, reader.symbol == OTHERS_CHANNEL);
        if (reader.duration != NONE) {
            wg_channels[(symbols + reader.duration) * TILE_ROWS + slot].own += pulled;
        }
    }
    // The channel of a symbol that is normalised alone.
    var apart = NO_CHANNEL;
    if (SCORES == HAT) {
        apart = channel_of(kind, params.blank, false);
    }
    // The sum of all without one would cancel where that is most of it.
    for (var c = 0u; c < channels; c++) {
        let is_symbol = c < symbols;
        var others = select(0.0, together, is_symbol);
        for (var i = select(symbols, 0u, is_symbol); i < select(channels, symbols, is_symbol); i++) {
            others += select(wg_channels[i * TILE_ROWS + slot].own, 0.0, i == c || i == apart);
        }
        wg_channels[c * TILE_ROWS + slot].others = others;
    }
    if (row.u < utterance.labels && row.label != WILDCARD) {
        all.symbol = symbol_of(row.label);
    }
    all.symbol = select(NO_PATH, all.symbol, is_visited);
    var normalisers = 0u;
    if (!is_picked()) {
        all.normaliser = bitcast<f32>(arcs[word_at(params.places, row.place, readers)]);
        normalisers = 1u;
        if (kind.durations > 0u) {
            all.duration_normaliser = bitcast<f32>(arcs[word_at(params.places, row.place, readers + 1u)]);
            normalisers = 2u;
        }
    }
    if (kind.others) {
        wg_others[slot] = Others(together, bitcast<f32>(arcs[word_at(params.places, row.place, readers + normalisers)]));
    }
    return all;
}

// A row that LANES invocations work on.
struct RowValues {
    slot: u32,
    span: Span,
    all: Shared,
    next: Channel,
    // What all symbols pull that are normalised together.
    pull: f32,
}

fn row_of(kind: Kind, i: u32, lanes: u32) -> RowValues {
    let slot = shared_row(i, lanes);
    let all = wg_rows[slot];
    var next = Channel(0.0, 0.0);
    if (all.symbol != NO_PATH) {
        // The label's channel is there always.
        next = wg_channels[(SYMBOLS - 1u) * TILE_ROWS + slot];
    }
    return RowValues(slot, span_of(all.start, select(params.vocab, 0u, all.start == NO_ROW)), all, next, next.own + next.others);
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

// The channels of their elements; NO_CHANNEL for those that no arc names.
struct Names {
    a: Bits,
    b: Bits,
    c: Bits,
    d: Bits,
}

// Of pack `at` of a row.
fn channels_of(kind: Kind, span: Span, at: u32) -> Bits {
    // Before symbol 0 it wraps, the last one does not.
    let first = PACK * at + span.shift;
    let last = first + PACK - 1u;
    let v = symbols_in(span, at);
    var found = Bits(NO_CHANNEL);
    if (params.blank - first < PACK || (kind.lowest <= last && kind.highest >= min(first, last))) {
        for (var c = 0u; c < kind.named; c++) {
            found = select(found, Bits(c), v == Bits(name_of(kind, c)));
        }
    }
    if (DURATIONS > 0u) {
        found = select(found, v - Bits(kind.vocab) + Bits(kind.named + 1u), (v >= Bits(kind.vocab)) & (v < Bits(params.vocab)));
    }
    return found;
}

fn names_at(kind: Kind, span: Span, at: u32) -> Names {
    var names = Names(channels_of(kind, span, at), Bits(NO_CHANNEL), Bits(NO_CHANNEL), Bits(NO_CHANNEL));
    if (DEPTH > 1u) {
        names.b = channels_of(kind, span, at + LANES);
    }
    if (DEPTH > 2u) {
        names.c = channels_of(kind, span, at + 2u * LANES);
        names.d = channels_of(kind, span, at + 3u * LANES);
    }
    return names;
}

fn load(at: u32) -> Packed {
    if (is_picked() && !READS_OTHERS) {
        return Packed(0u);
    }
    return scores[at];
}

fn read_packs(row: RowValues, at: u32) -> Packs {
    var packs = Packs(Packed(0u), Packed(0u), Packed(0u), Packed(0u));
    // A cell that no path visits need not be read.
    if (row.span.count > 0u && row.all.symbol != NO_PATH) {
        let last = row.span.count - 1u;
        packs.a = load(row.span.first + min(at, last));
        if (DEPTH > 1u) {
            packs.b = load(row.span.first + min(at + LANES, last));
        }
        if (DEPTH > 2u) {
            packs.c = load(row.span.first + min(at + 2u * LANES, last));
            packs.d = load(row.span.first + min(at + 3u * LANES, last));
        }
    }
    return packs;
}

fn write_packs(kind: Kind, row: RowValues, at: u32, packs: Packs, names: Names, scale: f32) {
    var a = Scores(0.0);
    var b = Scores(0.0);
    var c = Scores(0.0);
    var d = Scores(0.0);
    if (row.all.symbol != NO_PATH) {
        a = gradient_of(kind, row, symbols_in(row.span, at), packs.a, names.a);
        if (DEPTH > 1u) {
            b = gradient_of(kind, row, symbols_in(row.span, at + LANES), packs.b, names.b);
        }
        if (DEPTH > 2u) {
            c = gradient_of(kind, row, symbols_in(row.span, at + 2u * LANES), packs.c, names.c);
            d = gradient_of(kind, row, symbols_in(row.span, at + 3u * LANES), packs.d, names.d);
        }
    }
    if (CLAMPS) {
        a *= scale;
        b *= scale;
        c *= scale;
        d *= scale;
    }
    let end = row.span.count;
    if (at < end) {
        store(row.span, at, a);
    }
    if (DEPTH > 1u && at + LANES < end) {
        store(row.span, at + LANES, b);
    }
    if (DEPTH > 2u && at + 2u * LANES < end) {
        store(row.span, at + 2u * LANES, c);
    }
    if (DEPTH > 2u && at + 3u * LANES < end) {
        store(row.span, at + 3u * LANES, d);
    }
}

// What is pulled at the elements of a pack, and at the others that are normalised with them.
struct Pulls {
    own: Scores,
    others: Scores,
}

fn channel_at(slot: u32, name: u32, none: Channel) -> Channel {
    if (name == NO_CHANNEL) {
        return none;
    }
    return wg_channels[name * TILE_ROWS + slot];
}

// With those of elements that arcs name: a label that they name too is found by its name.
fn named_pulls(slot: u32, names: Bits, none: Pulls) -> Pulls {
#ifdef PACK4
    if (min(min(names.x, names.y), min(names.z, names.w)) == NO_CHANNEL) {
        return none;
    }
    let a = channel_at(slot, names.x, Channel(none.own.x, none.others.x));
    let b = channel_at(slot, names.y, Channel(none.own.y, none.others.y));
    let c = channel_at(slot, names.z, Channel(none.own.z, none.others.z));
    let d = channel_at(slot, names.w, Channel(none.own.w, none.others.w));
    return Pulls(Scores(a.own, b.own, c.own, d.own), Scores(a.others, b.others, c.others, d.others));
#else
#ifdef PACK2
    if (min(names.x, names.y) == NO_CHANNEL) {
        return none;
    }
    let a = channel_at(slot, names.x, Channel(none.own.x, none.others.x));
    let b = channel_at(slot, names.y, Channel(none.own.y, none.others.y));
    return Pulls(Scores(a.own, b.own), Scores(a.others, b.others));
#else
    let a = channel_at(slot, names, Channel(none.own, none.others));
    return Pulls(a.own, a.others);
#endif
#endif
}

// The gradients of a pack, before their scale.
fn gradient_of(kind: Kind, row: RowValues, v: Bits, packed: Packed, names: Bits) -> Scores {
    let is_next = v == Bits(row.all.symbol);
    let unnamed = Pulls(select(Scores(0.0), Scores(row.next.own), is_next), select(Scores(row.pull), Scores(row.next.others), is_next));
    let pulls = named_pulls(row.slot, names, unnamed);
    let x = max(unpack_scores(packed) * LOG2_E, Scores(LOG_ZERO));
    var g = -pulls.own;
    if (!is_picked()) {
        var normaliser = Scores(row.all.normaliser);
        if (DURATIONS > 0u) {
            normaliser = select(normaliser, Scores(row.all.duration_normaliser), v >= Bits(kind.vocab));
        }
        // p * all - own would cancel where p is near 1.
        let p = exp2(min(x - normaliser, Scores(0.0)));
        g = pulls.others * p - pulls.own * (1.0 - p);
    }
    if (SCORES == HAT) {
        let stay = 1.0 / (1.0 + exp2(-max(x, Scores(-126.0))));
        let leave = 1.0 / (1.0 + exp2(clamp(x, Scores(-126.0), Scores(126.0))));
        g = select(g, pulls.others * stay - pulls.own * leave, v == Bits(params.blank));
    }
    if (kind.others) {
        // Symbols that an arc reads as one sum lose each its part of it.
        let others = wg_others[row.slot];
        let is_read = (v != Bits(params.blank)) & !is_next & (v < Bits(kind.vocab));
        g -= select(Scores(0.0), others.pull * exp2(min(x - others.sum, Scores(0.0))), is_read);
    }
    if (CLAMPS) {
        g = clamp(g, Scores(-params.clamp), Scores(params.clamp));
    }
    return g;
}

// One invocation a row, for what is done once a row; then LANES.
@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    // The scores that the row pass read last may still be in a cache.
    let n = params.first_utterance + groups.z - 1u - group.z;
    let tile = groups.x * groups.y - 1u - (group.x + group.y * groups.x);
    let utterance = utterance(n);
    let kind = kind_of(n);
    if (local < TILE_ROWS) {
        let row = locate(utterance, tile_row(utterance, tile, local));
        let total = total_of(n);
        let start = select(NO_ROW, row.start, row.exists);
        var all = Shared(start, NO_PATH, 0.0, 0.0);
        if (row.is_cell && total.is_ok) {
            let cell = cell_of(utterance, total, row.t, row.u);
            if (FIXED) {
                all = fixed_shared_of(utterance, cell, local, start);
            } else {
                all = shared_of(utterance, kind, total, cell, local, start);
            }
        }
        wg_rows[local] = all;
    }
    workgroupBarrier();
    let lane = local % LANES;
    let lanes = local / LANES;
    let pieces = (most_packs(params.vocab) + PIECE - 1u) / PIECE;
    var row = row_of(kind, 0u, lanes);
    var names = names_at(kind, row.span, lane);
    if (!AHEAD) {
        for (var i = 0u; i < ROWS; i++) {
            row = row_of(kind, i, lanes);
            for (var piece = 0u; piece < pieces; piece++) {
                let at = piece * PIECE + lane;
                let packs = read_packs(row, at);
                if (pieces > 1u || is_shifted()) {
                    names = names_at(kind, row.span, at);
                }
                write_packs(kind, row, at, packs, names, utterance.scale);
            }
        }
        return;
    }
    var packs = read_packs(row, lane);
    for (var i = 0u; i < ROWS; i++) {
        let next = row_of(kind, min(i + 1u, ROWS - 1u), lanes);
        let next_packs = read_packs(next, lane);
        if (is_shifted()) {
            names = names_at(kind, row.span, lane);
        }
        write_packs(kind, row, lane, packs, names, utterance.scale);
        row = next;
        packs = next_packs;
    }
}
