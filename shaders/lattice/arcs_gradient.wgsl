// Gradient pass for lattices of any arcs: d cost / d scores from the softmax, recomputed, and the
// occupancies of the arcs that read a row. Everything outside the lattice, and every utterance that is
// not ok, gets exact zeros. Twin: src/cpu/arcs/gradient.rs.
#import arcs_table
#import gradient_pass
#import picked
#import lateness

// Most readers of a row: the arcs that leave its cell, and those that read it from one position before.
override READERS: u32 = 4u;

// Symbols that arcs name, the next label, and durations.
override CHANNELS: u32 = 2u;
override READER_PLACES: u32 = WORKGROUP / LANES * READERS;
override CHANNEL_PLACES: u32 = WORKGROUP / LANES * CHANNELS;

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
    own: f32,
    others: f32,
}

const NONE_16 = 0xffffu;
// Stands for all symbols but the blank and the next label.
const OTHERS_16 = 0xfffeu;
const NONE_15 = 0x7fffu;
const EMITS = 0x80000000u;
const NO_CHANNELS = 0x7fffffffu;

var<workgroup> wg_readers: array<Reader, READER_PLACES>;
var<workgroup> wg_channels: array<Channel, CHANNEL_PLACES>;

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

// What arc a of cell (t, u) pulls.
fn pull(utterance: Utterance, kind: Kind, total: Total, t: u32, u: u32, arc: Arc, a: u32) -> f32 {
    let cell = place_at(utterance, t, u);
    let e = anchors[anchor_at(utterance, t, u)] - total.e;
    let x = lattice[cell] - total.x;
    let w = arc_log2(arcs[word_at(params.places, cell, a)]);
    let to = after(utterance, t + arc.frames, u + arc.labels, arc.may_end);
    let occupied = arc_probability(e, x, w, to);
    if (kind.latency > 0.0) {
        return occupied - occupied * kind.latency * delay_of(utterance, t, u, arc);
    }
    return occupied;
}

// The channel of a symbol: that of its name, for a label may be one that follows others, or the label's.
fn channel_of(kind: Kind, symbol: u32, is_label: bool) -> u32 {
    var found = select(NONE_16, kind.named, is_label);
    for (var c = 0u; c < kind.named; c++) {
        found = select(found, c, name_of(kind, c) == symbol);
    }
    return found;
}

fn reader(utterance: Utterance, kind: Kind, total: Total, row: Row, number: u32) -> Reader {
    let wild = after_wildcard(utterance, row.u);
    if (number >= kind.arcs) {
        // Emits the label before this position.
        if (row.u == 0u) {
            return Reader(NO_CHANNELS, 0.0);
        }
        let a = arc_of_then(kind, number - kind.arcs);
        let arc = arc_of(kind, a);
        let channel = select(arc.names >> 16u, NONE_16, wild);
        return Reader(EMITS | channel | (NONE_15 << 16u), pull(utterance, kind, total, row.t, row.u - 1u, arc, a));
    }
    let arc = arc_of(kind, number);
    if (arc.labels == 1u && row.u >= utterance.labels) {
        return Reader(NO_CHANNELS, 0.0);
    }
    // Symbols of constant weight have no gradient.
    let is_constant = select(wild, label_at(utterance, row.u) == WILDCARD, arc.token == NEXT_LABEL);
    var channel = select(arc.names & NONE_16, NONE_16, is_constant || arc.token == NONE);
    if (arc.token == NEXT_LABEL && kind.thens > 0u && !is_constant) {
        channel = channel_of(kind, label_at(utterance, row.u), true);
    }
    if (arc.token == OTHERS) {
        channel = OTHERS_16;
    }
    let channels = channel | ((arc.duration & NONE_15) << 16u) | select(0u, EMITS, arc.labels == 1u);
    return Reader(channels, pull(utterance, kind, total, row.t, row.u, arc, number));
}

// Channel c of the row whose readers begin at `at`; `apart`: the channel of a symbol that is normalised alone.
fn channel(kind: Kind, at: u32, readers: u32, c: u32, apart: u32) -> Channel {
    var found = Channel(0.0, 0.0);
    let symbols = kind.named + 1u;
    for (var i = 0u; i < readers; i++) {
        let reader = wg_readers[at + i];
        let pull = reader.pull * select(1.0, params.label_scale, reader.channels >= EMITS);
        let symbol = reader.channels & NONE_16;
        let duration = (reader.channels >> 16u) & NONE_15;
        if (c < symbols) {
            found.own += select(0.0, pull, symbol == c);
            found.others += select(0.0, pull, symbol != c && symbol != NONE_16 && symbol != apart);
        } else {
            found.own += select(0.0, reader.pull, duration == c - symbols);
            found.others += select(0.0, reader.pull, duration != c - symbols && duration != NONE_15);
        }
    }
    return found;
}

// What the elements of a row share.
struct Shared {
    // Its first channel.
    at: u32,
    kind: Kind,
    label: u32,
    normaliser: f32,
    duration_normaliser: f32,
    // What all symbols pull that are normalised together.
    pull: f32,
    // What those pull that are read as one sum, and log2 of that.
    others: f32,
    others_sum: f32,
}

// The gradient of an element that arcs may read; x in base 2.
fn read_element(all: Shared, v: u32, x: f32) -> f32 {
    let kind = all.kind;
    var found = Channel(0.0, all.pull);
    if (v >= kind.vocab) {
        found = wg_channels[all.at + kind.named + 1u + v - kind.vocab];
    } else {
        let c = channel_of(kind, v, v == all.label);
        if (c != NONE_16) {
            found = wg_channels[all.at + c];
        }
    }
    if (is_picked()) {
        return -found.own;
    }
    if (SCORES == HAT && v == params.blank) {
        let stay = 1.0 / (1.0 + exp2(-max(x, -126.0)));
        let leave = 1.0 / (1.0 + exp2(clamp(x, -126.0, 126.0)));
        return found.others * stay - found.own * leave;
    }
    // p * all - own would cancel where p is near 1.
    let p = exp2(min(x - select(all.normaliser, all.duration_normaliser, v >= kind.vocab), 0.0));
    return found.others * p - found.own * (1.0 - p);
}

// What symbols lose that an arc reads as one sum: each its part.
fn part_of_others(all: Shared, pack: u32, x: Scores) -> Scores {
    let symbols = symbols_of(pack);
    let read = (symbols != Bits(params.blank)) & (symbols != Bits(all.label)) & (symbols < Bits(all.kind.vocab));
    return select(Scores(0.0), all.others * exp2(min(x - all.others_sum, Scores(0.0))), read);
}

fn read_elements(all: Shared, pack: u32, x: Scores) -> Scores {
    let v = symbols_of(pack);
#ifdef PACK4
    return vec4f(read_element(all, v.x, x.x), read_element(all, v.y, x.y), read_element(all, v.z, x.z), read_element(all, v.w, x.w));
#else
#ifdef PACK2
    return vec2f(read_element(all, v.x, x.x), read_element(all, v.y, x.y));
#else
    return read_element(all, v, x);
#endif
#endif
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
    let rows = min(params.end_row, utterance.rows) - params.first_row;
    let number = (group.x + group.y * groups.x) * (WORKGROUP / LANES) + local / LANES;
    let row = locate(utterance, select(rows, rows - 1u - number, number < rows));
    let lane = local % LANES;
    let total = total_of(n);
    let is_live = row.is_cell && total.is_ok;
    let at = local / LANES * READERS;
    let channels_at = local / LANES * CHANNELS;
    let readers = kind.arcs + kind.thens;
    for (var i = lane; i < readers; i += LANES) {
        var found = Reader(NO_CHANNELS, 0.0);
        if (is_live) {
            found = reader(utterance, kind, total, row, i);
        }
        wg_readers[at + i] = found;
    }
    workgroupBarrier();

    let next = label_at(utterance, row.u);
    let label = select(kind.vocab + kind.durations, symbol_of(next), next != WILDCARD && row.u < utterance.labels);
    var apart = NONE_16;
    if (SCORES == HAT) {
        apart = channel_of(kind, params.blank, false);
    }
    for (var c = lane; c < kind.named + 1u + kind.durations; c += LANES) {
        wg_channels[channels_at + c] = channel(kind, at, readers, c, apart);
    }
    var all = Shared(channels_at, kind, label, 0.0, 0.0, 0.0, 0.0, 0.0);
    var pulled = 0.0;
    for (var i = 0u; i < readers; i++) {
        let one = wg_readers[at + i];
        pulled += abs(one.pull);
        let emphasis = select(1.0, params.label_scale, one.channels >= EMITS);
        all.others += select(0.0, one.pull * emphasis, (one.channels & NONE_16) == OTHERS_16);
    }
    workgroupBarrier();
    // Of any symbol that is normalised with others; the label's channel is there always.
    let some = wg_channels[channels_at + kind.named];
    all.pull = some.own + some.others;
    if (is_live && !is_picked()) {
        let cell = place_at(utterance, row.t, row.u);
        all.normaliser = bitcast<f32>(arcs[word_at(params.places, cell, readers)]);
        if (kind.durations > 0u) {
            all.duration_normaliser = bitcast<f32>(arcs[word_at(params.places, cell, readers + 1u)]);
        }
    }
    if (is_live && kind.others) {
        let normalisers = select(1u + select(0u, 1u, kind.durations > 0u), 0u, is_picked());
        all.others_sum = bitcast<f32>(arcs[word_at(params.places, place_at(utterance, row.t, row.u), readers + normalisers)]);
    }
    // Packs with symbols that arcs name, or with durations.
    let first_named = kind.lowest / PACK;
    let last_named = kind.highest / PACK;
    let blank_pack = params.blank / PACK;
    let label_pack = label / PACK;
    let first_duration = kind.vocab / PACK;
    let first = row.start / PACK;
    let packs = select(0u, params.vocab / PACK, row.exists);
    for (var i = lane; i < packs; i += LANES) {
        var g = Scores(0.0);
        // A cell that no path visits need not be read.
        if (pulled > 0.0) {
            let is_read = i == blank_pack || i == label_pack || (i >= first_named && i <= last_named) || i >= first_duration;
            if (is_read || !is_picked() || kind.others) {
                let x = max(unpack_scores(scores[first + i]) * LOG2_E, Scores(LOG_ZERO));
                if (is_read) {
                    g = read_elements(all, i, x);
                } else if (!is_picked()) {
                    g = all.pull * exp2(min(x - all.normaliser, Scores(0.0)));
                }
                if (kind.others) {
                    g -= part_of_others(all, i, x);
                }
            }
            g = utterance.scale * clamp(g, Scores(-params.clamp), Scores(params.clamp));
        }
        store(first + i, g);
    }
}
