// The arcs of a kind as pipeline constants, for few arcs that read one symbol each: nothing is looked up, and what is
// done for each arc is written out.

// Whether the arcs are constants; how many, and what they are: frames in 12 bits, labels in one, whether it may end the lattice in one,
// its channel among the symbols in 7, and among the durations in 7.
override FIXED: bool = false;
override ARCS: u32 = 0u;
override ARC_0: u32 = 0u;
override ARC_1: u32 = 0u;
override ARC_2: u32 = 0u;
override ARC_3: u32 = 0u;
override ARC_4: u32 = 0u;
override ARC_5: u32 = 0u;
override ARC_6: u32 = 0u;
override ARC_7: u32 = 0u;
override ARC_8: u32 = 0u;
override ARC_9: u32 = 0u;
override ARC_10: u32 = 0u;
override ARC_11: u32 = 0u;

const SYMBOL_SHIFT = 14u;
const DURATION_SHIFT = 21u;

// A number for each arc, or for each channel: twelve at most.
struct Dozen {
    a: vec4f,
    b: vec4f,
    c: vec4f,
}

// Number i; of a constant nothing but a name is left.
fn dozen_at(x: Dozen, i: u32) -> f32 {
    let four = select(select(x.a, x.b, i >= 4u), x.c, i >= 8u);
    return select(select(four.x, four.y, i % 4u == 1u), select(four.z, four.w, i % 4u == 3u), i % 4u >= 2u);
}

fn arc_frames(code: u32) -> u32 {
    return code & 0xfffu;
}

fn arc_labels(code: u32) -> u32 {
    return (code >> 12u) & 1u;
}

fn arc_may_end(code: u32) -> bool {
    return ((code >> 13u) & 1u) == 1u;
}

fn is_of_channel(code: u32, shift: u32, channel: u32) -> bool {
    return ((code >> shift) & 127u) == channel;
}

// The sum over the arcs of a channel.
fn channel_sum(x: Dozen, shift: u32, channel: u32) -> f32 {
    var sum = 0.0;
    if (ARCS > 0u && is_of_channel(ARC_0, shift, channel)) {
        sum += x.a.x;
    }
    if (ARCS > 1u && is_of_channel(ARC_1, shift, channel)) {
        sum += x.a.y;
    }
    if (ARCS > 2u && is_of_channel(ARC_2, shift, channel)) {
        sum += x.a.z;
    }
    if (ARCS > 3u && is_of_channel(ARC_3, shift, channel)) {
        sum += x.a.w;
    }
    if (ARCS > 4u && is_of_channel(ARC_4, shift, channel)) {
        sum += x.b.x;
    }
    if (ARCS > 5u && is_of_channel(ARC_5, shift, channel)) {
        sum += x.b.y;
    }
    if (ARCS > 6u && is_of_channel(ARC_6, shift, channel)) {
        sum += x.b.z;
    }
    if (ARCS > 7u && is_of_channel(ARC_7, shift, channel)) {
        sum += x.b.w;
    }
    if (ARCS > 8u && is_of_channel(ARC_8, shift, channel)) {
        sum += x.c.x;
    }
    if (ARCS > 9u && is_of_channel(ARC_9, shift, channel)) {
        sum += x.c.y;
    }
    if (ARCS > 10u && is_of_channel(ARC_10, shift, channel)) {
        sum += x.c.z;
    }
    if (ARCS > 11u && is_of_channel(ARC_11, shift, channel)) {
        sum += x.c.w;
    }
    return sum;
}
