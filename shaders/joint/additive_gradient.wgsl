// Gradients of what a joiner without a layer adds up: that of a frame is the sum over its positions, that of a position the sum over the
// frames. The softmax of each cell is made anew in registers. Those of an utterance that is not ok, and past its ends, stay what they are.
// A workgroup takes 128 symbols, two an invocation, of eight frames or positions: items. Each of the others is read once for all eight.
// Twin: src/cpu/additive.rs::gradient.
#import additive

// First of all status words.
@group(0) @binding(4)
var<storage, read> results: array<u32>;
// log2, of each cell.
@group(0) @binding(5)
var<storage, read> normalisers: array<f32>;
// Derivatives of the costs by the log-probabilities that were kept, [cells, channels].
@group(0) @binding(6)
var<storage, read> pulls: array<f32>;
// Of `encoder` or `predictor`.
@group(0) @binding(7)
var<storage, read_write> out: array<f32>;

// 1: items are positions, 0: frames.
override OF_POSITIONS: u32 = 0u;
override CLAMPS: bool = false;
// Whether the loss is smoothed.
override SMOOTHED: bool = false;

const INVOCATIONS = 64u;
const COLUMNS = 128u;
const ITEMS = 8u;
const OTHERS = 16u;
// By other, fours of items: normalisers, and what all symbols of a cell are pulled by.
const PLACES = 32u;
var<workgroup> wg_normalisers: array<vec4f, PLACES>;
var<workgroup> wg_weights: array<vec4f, PLACES>;

const NO_CHANNEL = 0xffffffffu;

// A symbol of an invocation.
struct Column {
    v: u32,
    // Its channel, if arcs name it.
    channel: u32,
    // Whether it is the label of some item.
    is_label: bool,
    // The items' scores.
    a: vec4f,
    b: vec4f,
}

// Eight gradients.
struct Sums {
    a: vec4f,
    b: vec4f,
}

fn channel_of(v: u32) -> u32 {
    if (v == params.blank) {
        return 0u;
    }
    for (var channel = 2u; channel < params.channels; channel++) {
        if (named(channel - 2u) == v) {
            return channel;
        }
    }
    return NO_CHANNEL;
}

// Score v of an item, or of another.
fn score_at(z: u32, of_positions: bool, place: u32, end: u32, v: u32) -> f32 {
    if (place >= end || v >= params.vocab) {
        return MASKED;
    }
    if (of_positions) {
        return clean(position_at(z, place, v));
    }
    return clean(frame_at(z, place, v));
}

fn cell_of(utterance: Utterance, item: u32, other: u32) -> u32 {
    if (OF_POSITIONS != 0u) {
        return cell_at(utterance, other, item);
    }
    return cell_at(utterance, item, other);
}

fn scores_of(z: u32, item: u32, end: u32, v: u32) -> vec4f {
    let of_positions = OF_POSITIONS != 0u;
    return vec4f(
        score_at(z, of_positions, item, end, v),
        score_at(z, of_positions, item + 1u, end, v),
        score_at(z, of_positions, item + 2u, end, v),
        score_at(z, of_positions, item + 3u, end, v),
    );
}

fn column_of(utterance: Utterance, z: u32, item: u32, end: u32, v: u32) -> Column {
    var is_label = false;
    if (OF_POSITIONS != 0u) {
        for (var i = 0u; i < ITEMS; i++) {
            is_label = is_label || label_at(utterance, item + i) == v;
        }
    }
    return Column(v, channel_of(v), is_label, scores_of(z, item, end, v), scores_of(z, item + 4u, end, v));
}

// What a symbol itself is pulled by in a cell.
fn own_pull(utterance: Utterance, column: Column, item: u32, end: u32, other: u32) -> f32 {
    if (item >= end) {
        return 0.0;
    }
    var channel = column.channel;
    if (channel == NO_CHANNEL) {
        if (label_at(utterance, select(other, item, OF_POSITIONS != 0u)) != column.v) {
            return 0.0;
        }
        channel = 1u;
    }
    return pulls[cell_of(utterance, item, other) * params.channels + channel];
}

fn own_pulls(utterance: Utterance, column: Column, item: u32, end: u32, other: u32) -> vec4f {
    return vec4f(
        own_pull(utterance, column, item, end, other),
        own_pull(utterance, column, item + 1u, end, other),
        own_pull(utterance, column, item + 2u, end, other),
        own_pull(utterance, column, item + 3u, end, other),
    );
}

// Four cells: normalisers, and what their symbols are pulled by together.
struct Four {
    normaliser: vec4f,
    weight: vec4f,
}

fn normaliser_of(utterance: Utterance, item: u32, items: u32, other: u32, others: u32) -> f32 {
    if (item < items && other < others) {
        return normalisers[cell_of(utterance, item, other)];
    }
    return 0.0;
}

fn normalisers_of(utterance: Utterance, item: u32, items: u32, other: u32, others: u32) -> vec4f {
    return vec4f(
        normaliser_of(utterance, item, items, other, others),
        normaliser_of(utterance, item + 1u, items, other, others),
        normaliser_of(utterance, item + 2u, items, other, others),
        normaliser_of(utterance, item + 3u, items, other, others),
    );
}

fn weight_of(utterance: Utterance, item: u32, items: u32, other: u32, others: u32) -> f32 {
    var weight = 0.0;
    if (item < items && other < others) {
        let first = cell_of(utterance, item, other) * params.channels;
        // HAT's blank is normalised alone.
        for (var channel = select(0u, 1u, HAT); channel < params.channels; channel++) {
            weight -= pulls[first + channel];
        }
    }
    return weight;
}

fn weights_of(utterance: Utterance, item: u32, items: u32, other: u32, others: u32) -> vec4f {
    return vec4f(
        weight_of(utterance, item, items, other, others),
        weight_of(utterance, item + 1u, items, other, others),
        weight_of(utterance, item + 2u, items, other, others),
        weight_of(utterance, item + 3u, items, other, others),
    );
}

// With the gradients of one more of the others.
fn step(
    sums: Sums,
    column: Column,
    utterance: Utterance,
    z: u32,
    item: u32,
    items: u32,
    other: u32,
    others: u32,
    label: u32,
    four_a: Four,
    four_b: Four,
    limit: f32,
) -> Sums {
    let is_own = column.channel != NO_CHANNEL || column.is_label || column.v == label;
    // Most cells are on no path.
    if (!is_own && all(four_a.weight == vec4f(0.0)) && all(four_b.weight == vec4f(0.0))) {
        return sums;
    }
    var own_a = vec4f(0.0);
    var own_b = vec4f(0.0);
    if (is_own) {
        own_a = own_pulls(utterance, column, item, items, other);
        own_b = own_pulls(utterance, column, item + 4u, items, other);
    }
    let y = score_at(z, OF_POSITIONS == 0u, other, others, column.v);
    let is_blank = column.v == params.blank;
    return Sums(
        sums.a + gradients(column.a + y, four_a, own_a, is_blank, limit),
        sums.b + gradients(column.b + y, four_b, own_b, is_blank, limit),
    );
}

// What log-probabilities by items alone weigh.
fn alone() -> f32 {
    return select(params.frames_alone, params.positions_alone, OF_POSITIONS != 0u);
}

fn alone_at(n: u32, item: u32, end: u32) -> f32 {
    let first = select(params.frames_at + n * params.frames, params.positions_at + n * params.positions, OF_POSITIONS != 0u);
    return normalisers[first + min(item, end - 1u)];
}

fn alone_of(n: u32, item: u32, end: u32) -> vec4f {
    return vec4f(alone_at(n, item, end), alone_at(n, item + 1u, end), alone_at(n, item + 2u, end), alone_at(n, item + 3u, end));
}

// With what items pull alone.
fn smoothed(sums: Sums, column: Column, weights: Sums, n: u32, item: u32, items: u32) -> Sums {
    var prior = 0.0;
    if (OF_POSITIONS == 0u && column.v < params.vocab) {
        prior = normalisers[params.prior_at + column.v];
    }
    return Sums(
        sums.a + alone() * weights.a * exp2(column.a * LOG2_E + prior - alone_of(n, item, items)),
        sums.b + alone() * weights.b * exp2(column.b * LOG2_E + prior - alone_of(n, item + 4u, items)),
    );
}

fn gradients(sum: vec4f, four: Four, own: vec4f, is_blank: bool, limit: f32) -> vec4f {
    let x = sum * LOG2_E;
    var g = own + four.weight * exp2(x - four.normaliser);
    if (SMOOTHED) {
        g = (params.together + alone()) * own + params.together * four.weight * exp2(x - four.normaliser);
    }
    if (HAT && is_blank) {
        // The labels pull at it too.
        g = own + (four.weight - own) / (1.0 + exp2(-max(x, vec4f(-126.0))));
    }
    if (CLAMPS) {
        g = clamp(g, vec4f(-limit), vec4f(limit));
    }
    return g;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let n = params.first_utterance + group.z;
    let utterance = utterance(n);
    let lengths = vec2u(utterance.frames, utterance.labels + 1u);
    let items = select(lengths.x, lengths.y, OF_POSITIONS != 0u);
    let others = select(lengths.y, lengths.x, OF_POSITIONS != 0u);
    let number = group.x + group.y * groups.x;
    let across = (params.vocab + COLUMNS - 1u) / COLUMNS;
    let first_item = number / across * ITEMS;
    let is_there = first_item < items && (results[n] & STATUS_MASK) == STATUS_OK;
    let end = select(0u, others, is_there);
    let limit = params.clamp * abs(utterance.scale);

    let v = number % across * COLUMNS + local;
    let column_0 = column_of(utterance, group.z, first_item, items, v);
    let column_1 = column_of(utterance, group.z, first_item, items, v + INVOCATIONS);
    var sums_0 = Sums(vec4f(0.0), vec4f(0.0));
    var sums_1 = sums_0;
    // What all symbols of an item are pulled by.
    var weights = sums_0;
    for (var first = 0u; first < end; first += OTHERS) {
        workgroupBarrier();
        if (local < PLACES) {
            wg_normalisers[local] = normalisers_of(utterance, first_item + local % 2u * 4u, items, first + local / 2u, end);
        } else {
            let place = local - PLACES;
            wg_weights[place] = weights_of(utterance, first_item + place % 2u * 4u, items, first + place / 2u, end);
        }
        workgroupBarrier();
        for (var i = 0u; i < min(OTHERS, end - first); i++) {
            let other = first + i;
            var label = NO_LABEL;
            if (OF_POSITIONS == 0u) {
                label = label_at(utterance, other);
            }
            let four_a = Four(wg_normalisers[2u * i], wg_weights[2u * i]);
            let four_b = Four(wg_normalisers[2u * i + 1u], wg_weights[2u * i + 1u]);
            if (SMOOTHED) {
                weights.a += four_a.weight;
                weights.b += four_b.weight;
            }
            sums_0 = step(sums_0, column_0, utterance, group.z, first_item, items, other, end, label, four_a, four_b, limit);
            sums_1 = step(sums_1, column_1, utterance, group.z, first_item, items, other, end, label, four_a, four_b, limit);
        }
    }
    if (is_there) {
        if (SMOOTHED) {
            sums_0 = smoothed(sums_0, column_0, weights, n, first_item, items);
            sums_1 = smoothed(sums_1, column_1, weights, n, first_item, items);
        }
        put(group.z, first_item, items, column_0.v, sums_0);
        put(group.z, first_item, items, column_1.v, sums_1);
    }
}

fn put(z: u32, item: u32, end: u32, v: u32, sums: Sums) {
    put_four(z, item, end, v, sums.a);
    put_four(z, item + 4u, end, v, sums.b);
}

fn put_four(z: u32, item: u32, end: u32, v: u32, sums: vec4f) {
    let length = select(params.frames, params.positions, OF_POSITIONS != 0u);
    if (v < params.vocab) {
        let first = params.out_first + (z * length + item) * params.vocab + v;
        for (var i = 0u; i < 4u; i++) {
            if (item + i < end) {
                out[first + i * params.vocab] = sums[i];
            }
        }
    }
}
