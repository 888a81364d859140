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

// Most readers of a row: the arcs that leave its cell, and those that read it from one position before.
override READERS: u32 = 4u;

// Symbols that arcs name, the next label, and durations.
override CHANNELS: u32 = 2u;
override READER_PLACES: u32 = TILE_ROWS * READERS;
override CHANNEL_PLACES: u32 = TILE_ROWS * CHANNELS;

// Where a row is in its lattice.
struct Cell {
    t: u32,
    u: u32,
    // Whether it has a gradient.
    is_live: u32,
    // Its label, where there is one.
    label: u32,
    // Whether it comes after a wildcard.
    is_wild: u32,
    place: u32,
    // Its forward variable relative to the total: 2^(e + x).
    e: i32,
    x: f32,
}

// An arc that reads a row.
struct Reader {
    // Its channel among the symbols (16 bits), and among the durations (15 bits); all bits: none. The top bit:
    // whether it emits a label.
    channels: u32,
    // Minus the derivative of the cost by its log weight: the probability that a path takes it, without a latency.
    pull: f32,
}

// What is pulled at a channel, and at the others that are normalised with it.
struct Channel {
    // Its element of the row.
    symbol: u32,
    own: f32,
    others: f32,
}

// What the readers of a row pull together, as magnitudes; and those that read all others as one sum.
struct Sums {
    pulled: f32,
    others: f32,
}

const NONE_16 = 0xffffu;
// Stands for all symbols but the blank and the next label.
const OTHERS_16 = 0xfffeu;
const NONE_15 = 0x7fffu;
const EMITS = 0x80000000u;
const NO_CHANNELS = 0x7fffffffu;

// Of the rows of the workgroup; then reader after reader, and channel after channel, of all of them.
var<workgroup> wg_cells: array<Cell, TILE_ROWS>;
var<workgroup> wg_sums: array<Sums, TILE_ROWS>;
var<workgroup> wg_readers: array<Reader, READER_PLACES>;
var<workgroup> wg_channels: array<Channel, CHANNEL_PLACES>;

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
    let anchor = anchors[params.anchors + 1u + anchor_at(utterance, utterance.frames - 1u - t, utterance.labels - u)];
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
    let e = anchors[anchor_at(utterance, t, u)] - total.e;
    return Cell(t, u, 1u, label_at(utterance, u), u32(after_wildcard(utterance, u)), place, e, lattice[place] - total.x);
}

// The channel of a symbol: that of its name, for a label may be one that follows others, or the label's.
fn channel_of(kind: Kind, symbol: u32, is_label: bool) -> u32 {
    var found = select(NONE_16, kind.named, is_label);
    for (var c = 0u; c < kind.named; c++) {
        found = select(found, c, name_of(kind, c) == symbol);
    }
    return found;
}

fn reader(utterance: Utterance, kind: Kind, total: Total, row: Cell, number: u32) -> Reader {
    let wild = row.is_wild != 0u;
    if (number >= kind.arcs) {
        // Emits the label before this position.
        if (row.u == 0u) {
            return Reader(NO_CHANNELS, 0.0);
        }
        let a = arc_of_then(kind, number - kind.arcs);
        let arc = arc_of(kind, a);
        let channel = select(arc.names >> 16u, NONE_16, wild);
        return Reader(EMITS | channel | (NONE_15 << 16u), pull(utterance, kind, cell_of(utterance, total, row.t, row.u - 1u), arc, a));
    }
    let arc = arc_of(kind, number);
    if (arc.labels == 1u && row.u >= utterance.labels) {
        return Reader(NO_CHANNELS, 0.0);
    }
    // Symbols of constant weight have no gradient.
    let is_constant = select(wild, row.label == WILDCARD, arc.token == NEXT_LABEL);
    var channel = select(arc.names & NONE_16, NONE_16, is_constant || arc.token == NONE);
    if (arc.token == NEXT_LABEL && kind.thens > 0u && !is_constant) {
        channel = channel_of(kind, row.label, true);
    }
    if (arc.token == OTHERS) {
        channel = OTHERS_16;
    }
    let channels = channel | ((arc.duration & NONE_15) << 16u) | select(0u, EMITS, arc.labels == 1u);
    return Reader(channels, pull(utterance, kind, row, arc, number));
}

// Channel c of a row; `apart`: the channel of a symbol that is normalised alone.
fn channel(kind: Kind, slot: u32, readers: u32, c: u32, symbol: u32, apart: u32) -> Channel {
    var found = Channel(symbol, 0.0, 0.0);
    let symbols = kind.named + 1u;
    var sums = Sums(0.0, 0.0);
    for (var i = 0u; i < readers; i++) {
        let reader = wg_readers[i * TILE_ROWS + slot];
        let pull = reader.pull * select(1.0, params.label_scale, reader.channels >= EMITS);
        let read = reader.channels & NONE_16;
        sums.pulled += abs(reader.pull);
        sums.others += select(0.0, pull, read == OTHERS_16);
        if (c < symbols) {
            found.own += select(0.0, pull, read == c);
            found.others += select(0.0, pull, read != c && read != NONE_16 && read != apart);
        } else {
            let duration = (reader.channels >> 16u) & NONE_15;
            found.own += select(0.0, reader.pull, duration == c - symbols);
            found.others += select(0.0, reader.pull, duration != c - symbols && duration != NONE_15);
        }
    }
    if (c == kind.named) {
        wg_sums[slot] = sums;
    }
    return found;
}

// What the elements of a row share.
struct Shared {
    // Its row of the workgroup.
    slot: u32,
    normaliser: f32,
    duration_normaliser: f32,
    // What all symbols pull that are normalised together.
    pull: f32,
    // What those pull that are read as one sum, and log2 of that.
    others: f32,
    others_sum: f32,
}

// What is pulled at the elements of a pack, and at the others that are normalised with them.
struct Pulls {
    own: Scores,
    others: Scores,
}

// Of a pack that arcs name symbols of, or durations, in channels from `channels` - 1 down: a label that arcs name is
// found by its name.
fn named_pulls(all: Shared, v: Bits, channels: u32, none: Pulls) -> Pulls {
    var pulls = none;
    for (var c = channels; c > 0u; c--) {
        let channel = wg_channels[(c - 1u) * TILE_ROWS + all.slot];
        let is_it = v == Bits(channel.symbol);
        pulls.own = select(pulls.own, Scores(channel.own), is_it);
        pulls.others = select(pulls.others, Scores(channel.others), is_it);
    }
    return pulls;
}

// The gradients of a pack; x in base 2.
fn gradients_of(all: Shared, v: Bits, pulls: Pulls, x: Scores, normaliser: Scores) -> Scores {
    if (is_picked()) {
        return -pulls.own;
    }
    // p * all - own would cancel where p is near 1.
    let p = exp2(min(x - normaliser, Scores(0.0)));
    var g = pulls.others * p - pulls.own * (1.0 - p);
    if (SCORES == HAT) {
        let stay = 1.0 / (1.0 + exp2(-max(x, Scores(-126.0))));
        let leave = 1.0 / (1.0 + exp2(clamp(x, Scores(-126.0), Scores(126.0))));
        g = select(g, pulls.others * stay - pulls.own * leave, v == Bits(params.blank));
    }
    return g;
}

// What symbols lose that an arc reads as one sum: each its part.
fn part_of_others(all: Shared, kind: Kind, v: Bits, label: u32, x: Scores) -> Scores {
    let read = (v != Bits(params.blank)) & (v != Bits(label)) & (v < Bits(kind.vocab));
    return select(Scores(0.0), all.others * exp2(min(x - all.others_sum, Scores(0.0))), read);
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
    let kind = kind_of(n);
    let slot = local / LANES;
    let row = locate(utterance, tile_row(utterance, group.x + group.y * groups.x, slot));
    let lane = local % LANES;
    let total = total_of(n);
    let is_live = row.is_cell && total.is_ok;
    if (lane == 0u) {
        var cell = Cell(row.t, row.u, 0u, 0u, 0u, 0u, 0, 0.0);
        if (is_live) {
            cell = cell_of(utterance, total, row.t, row.u);
        }
        wg_cells[slot] = cell;
    }
    workgroupBarrier();
    // One reader or channel of all rows, then the next.
    let readers = kind.arcs + kind.thens;
    for (var i = local; i < readers * TILE_ROWS; i += WORKGROUP) {
        let cell = wg_cells[i % TILE_ROWS];
        var found = Reader(NO_CHANNELS, 0.0);
        if (cell.is_live != 0u) {
            found = reader(utterance, kind, total, cell, i / TILE_ROWS);
        }
        wg_readers[i] = found;
    }
    workgroupBarrier();
    var apart = NONE_16;
    if (SCORES == HAT) {
        apart = channel_of(kind, params.blank, false);
    }
    let symbols = kind.named + 1u;
    for (var i = local; i < (symbols + kind.durations) * TILE_ROWS; i += WORKGROUP) {
        let c = i / TILE_ROWS;
        var symbol = kind.vocab + c - symbols;
        if (c < kind.named) {
            symbol = name_of(kind, c);
        } else if (c == kind.named) {
            let cell = wg_cells[i % TILE_ROWS];
            // Without one a wildcard, which no symbol is.
            symbol = select(WILDCARD, symbol_of(cell.label), cell.u < utterance.labels && cell.label != WILDCARD);
        }
        wg_channels[i] = channel(kind, i % TILE_ROWS, readers, c, symbol, apart);
    }
    var all = Shared(slot, 0.0, 0.0, 0.0, 0.0, 0.0);
    workgroupBarrier();
    // Of any symbol that is normalised with others; the label's channel is there always.
    let next = wg_channels[kind.named * TILE_ROWS + slot];
    all.pull = next.own + next.others;
    let sums = wg_sums[slot];
    all.others = sums.others;
    if (is_live && !is_picked()) {
        let cell = wg_cells[slot].place;
        all.normaliser = bitcast<f32>(arcs[word_at(params.places, cell, readers)]);
        if (kind.durations > 0u) {
            all.duration_normaliser = bitcast<f32>(arcs[word_at(params.places, cell, readers + 1u)]);
        }
    }
    if (is_live && kind.others) {
        let normalisers = select(1u + select(0u, 1u, kind.durations > 0u), 0u, is_picked());
        all.others_sum = bitcast<f32>(arcs[word_at(params.places, wg_cells[slot].place, readers + normalisers)]);
    }
    // Packs with symbols that arcs name, or with durations.
    let span = span_of(row.start, select(0u, params.vocab, row.exists));
    let first_named = pack_of(span, kind.lowest);
    let last_named = pack_of(span, kind.highest);
    let blank_pack = pack_of(span, params.blank);
    let first_duration = pack_of(span, kind.vocab);
    let packs = span.count;
    // A cell that no path visits need not be read.
    let is_visited = sums.pulled > 0.0;
    let reads = is_visited && (!is_picked() || kind.others);
    // Four at a time: all are on their way before the first is wanted.
    for (var i = lane; i < packs; i += 4u * LANES) {
        var a: Packed;
        var b: Packed;
        var c: Packed;
        var d: Packed;
        if (reads) {
            a = scores[span.first + i];
            b = scores[span.first + min(i + LANES, packs - 1u)];
            c = scores[span.first + min(i + 2u * LANES, packs - 1u)];
            d = scores[span.first + min(i + 3u * LANES, packs - 1u)];
        }
        for (var at = i; at < min(i + 4u * LANES, packs); at += LANES) {
            var g = Scores(0.0);
            if (is_visited) {
                let x = max(unpack_scores(a) * LOG2_E, Scores(LOG_ZERO));
                let v = symbols_in(span, at);
                let is_next = v == Bits(next.symbol);
                var pulls = Pulls(select(Scores(0.0), Scores(next.own), is_next), select(Scores(all.pull), Scores(next.others), is_next));
                var normaliser = Scores(all.normaliser);
                if (at == blank_pack || (at >= first_named && at <= last_named) || at >= first_duration) {
                    pulls = named_pulls(all, v, select(symbols, symbols + kind.durations, at >= first_duration), pulls);
                    normaliser = select(normaliser, Scores(all.duration_normaliser), v >= Bits(kind.vocab));
                }
                g = gradients_of(all, v, pulls, x, normaliser);
                if (kind.others) {
                    g -= part_of_others(all, kind, v, next.symbol, x);
                }
                g = utterance.scale * clamp(g, Scores(-params.clamp), Scores(params.clamp));
            }
            store(span, at, g);
            a = b;
            b = c;
            c = d;
        }
    }
}
