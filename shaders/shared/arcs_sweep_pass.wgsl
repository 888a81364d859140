// What the sweeps of lattices of any arcs share: variables read back, and what all paths bring.
// The importing kernel declares its Walk, whose members named here are those of sweep_pass and: kind,
// lattice, anchors (first elements of its direction). And arc_word_at, which reads a cell's word.
#import arcs_table
#import sweep_pass

// Forward, then backward variables: log2, relative to an anchor of CHUNK frames of a column.
@group(0) @binding(3)
var<storage, read_write> lattice: array<f32>;

// The first anchor of an utterance and direction that the sweep of short arcs leaves to the other one: no
// exponent comes near.
const LEFT = 0x7fffffff;

// Sum of what leaves the last column for the end from any frame.
var<workgroup> wg_left: Scaled;

#ifdef BANDS
// Whether the walk has a cell at frame s of column j, in the coordinates of its direction; before the first frame s wraps.
fn has_cell(walk: Walk, s: u32, j: u32) -> bool {
    let inside = s < walk.utterance.frames && j <= walk.utterance.labels;
    return is_in_band(walk.utterance, frame_of_step(walk, s), position(walk, j)) && inside;
}

// Where that is; any place where there is none.
fn cell_place(walk: Walk, s: u32, j: u32) -> u32 {
    return band_place(walk.utterance, frame_of_step(walk, s), position(walk, j));
}

fn frame_of_step(walk: Walk, s: u32) -> u32 {
    let last = max(walk.utterance.frames, 1u) - 1u;
    return select(min(s, last), last - min(s, last), walk.backward);
}

// What is read where the band has no cell. By one invocation of a walk.
fn clear_beside(walk: Walk) {
    let place = beside_band(walk.utterance);
    lattice[walk.lattice + place] = -1e30;
    anchors[walk.anchors + place] = 0;
}
#endif

// Where the sweep of short arcs says that it leaves a walk to the other one.
fn left_at(utterance: Utterance, direction: u32) -> u32 {
    return direction * (params.anchors + 1u) + utterance.first_anchor;
}

// Where the variable of a cell and its anchor are.
fn variable_at(walk: Walk, s: u32, j: u32) -> vec2u {
    let t = select(s, walk.utterance.frames - 1u - s, walk.backward);
#ifdef BANDS
    let place = place_at(walk.utterance, t, position(walk, j));
    return vec2u(walk.lattice + place, walk.anchors + place);
#else
    return vec2u(walk.lattice + place_at(walk.utterance, t, position(walk, j)), walk.anchors + anchor_at(walk.utterance, s, j));
#endif
}

// The variable of step k of column j, read back from memory, as bits.
fn stored_bits(walk: Walk, k: i32, j: u32) -> vec2u {
    let at = variable_at(walk, u32(clamp(k - i32(j), 0, i32(walk.utterance.frames) - 1)), min(j, walk.utterance.labels));
    return vec2u(bitcast<u32>(lattice[at.x]), bitcast<u32>(anchors[at.y]));
}

fn stored(walk: Walk, k: i32, j: u32, bits: vec2u) -> Scaled {
#ifdef BANDS
    let is_cell = has_cell(walk, u32(k) - j, j);
#else
    let is_cell = k >= i32(j) && k - i32(j) < i32(walk.utterance.frames) && j <= walk.utterance.labels;
#endif
    return scaled_exp2(select(-1e30, bitcast<f32>(bits.x), is_cell), bitcast<i32>(bits.y));
}

fn times(x: Scaled, word: u32) -> Scaled {
    let w = any_weight(word);
    return scaled_mul(x, Scaled(select(w.e, EXPONENT_NEVER, word == 0u), select(w.m, 0.0, word == 0u)));
}

// Weight of arcs from or to any frame, if there are any.
fn free_weight(log2_weight: f32, there: bool) -> Scaled {
    let w = scaled_exp2(log2_weight, 0);
    let is_weight = there && log2_weight >= LOG2_NEVER;
    return Scaled(select(EXPONENT_NEVER, w.e, is_weight), select(0.0, w.m, is_weight));
}

// What all arcs to the end bring.
fn total_of(walk: Walk) -> Scaled {
    let utterance = walk.utterance;
    var total = scaled_zero();
    for (var a = 0u; a < walk.kind.arcs; a++) {
        let arc = arc_of(walk.kind, a);
        if (arc.may_end && arc.frames <= utterance.frames && arc.frames > 0u && arc.labels <= utterance.labels) {
            let t = utterance.frames - arc.frames;
            let u = utterance.labels - arc.labels;
            let x = stored(walk, i32(t + u), u, stored_bits(walk, i32(t + u), u));
            total = scaled_tidy(scaled_add(total, times(x, arc_word_at(place_at(utterance, t, u), a))));
        }
    }
    if (walk.kind.exit_to == EXIT_END) {
        total = scaled_tidy(scaled_add(total, scaled_mul(wg_left, free_weight(walk.kind.exit, true))));
    }
    return total;
}
