// The scores, and their gradients: the same window of a tensor of the same shape, or the same memory.
#import scores

@group(0) @binding(6)
#ifdef IN_PLACE
var<storage, read_write> scores: array<Packed>;
#else
var<storage, read_write> gradients: array<Packed>;
@group(0) @binding(7)
var<storage, read> scores: array<Packed>;
#endif

// The packs of a row that a launch writes, each by one invocation.
struct Span {
    // In the window.
    first: u32,
    count: u32,
    // Symbol of the first element: what is added to that of a row that begins with its first pack.
    shift: u32,
    // Whether the row ends in the middle of the last.
    is_cut: bool,
}

#ifdef UNALIGNED
// Rows that begin at any element share words. A word belongs to the row of its first element, which leaves a second one as it is
// that is not its own; so one launch writes everything but the first elements of rows that begin in the middle of a word, and the next,
// with FIRSTS, writes those.
override FIRSTS: bool = false;

// Whether the symbols of pack i are not those of other rows.
fn is_shifted() -> bool {
    return true;
}

// Packs of a row of `count` elements at most.
fn most_packs(count: u32) -> u32 {
    return select((count + 1u) / 2u, 1u, FIRSTS);
}

// The pack that has a symbol, or the first.
fn pack_of(span: Span, symbol: u32) -> u32 {
    if (FIRSTS) {
        return (symbol + 1u) / 2u;
    }
    return (max(symbol, span.shift) - span.shift) / 2u;
}

// Of the row of `count` elements from `start` on.
fn span_of(start: u32, count: u32) -> Span {
    let skipped = start % 2u;
    if (FIRSTS) {
        return Span(start / 2u, min(skipped, count), 0u - 1u, false);
    }
    return Span((start + 1u) / 2u, (count + 1u - skipped) / 2u, skipped, (count + skipped) % 2u == 1u);
}

fn store(span: Span, i: u32, gradient: Scores) {
    let kept = select(select(0u, 0xffff0000u, span.is_cut && i + 1u == span.count), 0xffffu, FIRSTS);
    let at = span.first + i;
    var word = pack_scores(gradient);
#ifdef IN_PLACE
    if (kept != 0u) {
        word = (word & ~kept) | (scores[at] & kept);
    }
    scores[at] = word;
#else
    if (kept != 0u) {
        word = (word & ~kept) | (gradients[at] & kept);
    }
    gradients[at] = word;
#endif
}
#else
fn is_shifted() -> bool {
    return false;
}

fn most_packs(count: u32) -> u32 {
    return count / PACK;
}

fn pack_of(span: Span, symbol: u32) -> u32 {
    return symbol / PACK;
}

fn span_of(start: u32, count: u32) -> Span {
    return Span(start / PACK, count / PACK, 0u, false);
}

fn store(span: Span, i: u32, gradient: Scores) {
#ifdef IN_PLACE
    scores[span.first + i] = pack_scores(gradient);
#else
    gradients[span.first + i] = pack_scores(gradient);
#endif
}
#endif

// The symbols of pack i of a row.
fn symbols_in(span: Span, i: u32) -> Bits {
    return symbols_of(i) + Bits(span.shift);
}
