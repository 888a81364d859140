// The arcs of a kind, and the weight words of a cell. Twin: src/lattice/arc_table.rs.
//
// Every cell has a word for each arc that leaves it, then one for each symbol that an arc reads one
// position on, then the normalisers of its row, and the sum of its other symbols. Words lie in pairs, pairs
// of all cells together: a sweep reads them side by side, and a row is written in few places.
#import lattice_layout
#import scaled

// Words of the table before its arcs, and of an arc.
const KIND_WORDS = 14u;
const ARC_WORDS = 9u;
// No symbol, no duration.
const NONE = 0xffffffffu;
// The token of arcs that emit the next label.
const NEXT_LABEL = 0xfffffffeu;
// The token of arcs that read all symbols but the blank and the next label.
const OTHERS = 0xfffffffdu;

const EXIT_NONE = 0u;
const EXIT_LAST_CELL = 1u;
const EXIT_END = 2u;

struct Kind {
    // First word of its arcs in `batch`.
    at: u32,
    arcs: u32,
    // Arcs that read a second symbol.
    thens: u32,
    // Symbols, and channels of durations after them.
    vocab: u32,
    durations: u32,
    // Subtracted from the log2 weight of every symbol.
    sigma: f32,
    // The lowest and the highest symbol that arcs name beside the blank.
    lowest: u32,
    highest: u32,
    // log2 weights of arcs from (0, 0) to every later frame, and from every frame but the last to what
    // `exit_to` says.
    entry: f32,
    exit: f32,
    exit_to: u32,
    // Largest number of diagonals that an arc crosses.
    reach: u32,
    // Symbols that arcs name, each once; the next label is one more.
    named: u32,
    // Weight of the expected latency.
    latency: f32,
    // Whether an arc reads OTHERS.
    others: bool,
}

struct Arc {
    frames: u32,
    labels: u32,
    // A symbol, NEXT_LABEL, OTHERS or NONE.
    token: u32,
    duration: u32,
    // Symbol that is read one position on.
    then: u32,
    constant: f32,
    may_end: bool,
    // Whether the utterance has it.
    is_active: bool,
    // Which of the named symbols its token and its second symbol are: 16 bits each.
    names: u32,
}

fn kind_of(n: u32) -> Kind {
    let at = batch[n * HEADER + 15u];
    return Kind(
        at + KIND_WORDS,
        batch[at],
        batch[at + 1u],
        batch[at + 2u],
        batch[at + 3u],
        bitcast<f32>(batch[at + 4u]),
        batch[at + 5u],
        batch[at + 6u],
        bitcast<f32>(batch[at + 7u]),
        bitcast<f32>(batch[at + 8u]),
        batch[at + 9u],
        batch[at + 10u],
        batch[at + 11u],
        bitcast<f32>(batch[at + 12u]),
        batch[at + 13u] == 1u,
    );
}

fn arc_of(kind: Kind, a: u32) -> Arc {
    let at = kind.at + a * ARC_WORDS;
    return Arc(
        batch[at],
        batch[at + 1u],
        batch[at + 2u],
        batch[at + 3u],
        batch[at + 4u],
        bitcast<f32>(batch[at + 5u]),
        batch[at + 6u] != 0u,
        batch[at + 7u] != 0u,
        batch[at + 8u],
    );
}

// The arc that reads the second symbol number h.
fn arc_of_then(kind: Kind, h: u32) -> u32 {
    return batch[kind.at + kind.arcs * ARC_WORDS + h];
}

// The named symbol number i.
fn name_of(kind: Kind, i: u32) -> u32 {
    return batch[kind.at + kind.arcs * ARC_WORDS + kind.thens + i];
}

// Word number `word` of a cell.
fn word_at(cells: u32, cell: u32, word: u32) -> u32 {
    return (word / 2u * cells + cell) * 2u + word % 2u;
}

// As weight_word; an arc without probability is 0, which any product keeps.
fn arc_word(log2_weight: f32) -> u32 {
    return select(weight_word(log2_weight), 0u, log2_weight < LOG2_NEVER);
}

fn arc_log2(word: u32) -> f32 {
    return select(weight_log2(max(word, 1u)), -1e30, word == 0u);
}

// Whether the sweep of short arcs can take a weight: 2^-60 to 16.
fn is_short_weight(word: u32) -> bool {
    return word >= 0x21800000u && word <= 0x41800000u;
}
