// Row pass: one read of the scores gives what a lattice of two arcs needs of each cell: the weights of
// the blank and of the next label, and the normaliser of the row for the gradient pass. The weights lie in
// quads of frames, the blanks of all before the labels of all, and the log2 normalisers behind them.
// Twin: src/cpu/lattice/row.rs.
#import row_pass
#import quad_rows

@group(0) @binding(3)
var<storage, read_write> arcs: array<u32>;

// Where the rows of the workgroup begin, in packs: row i of every slot, row i + 1 of every slot, …
var<workgroup> wg_rows: array<u32, WORKGROUP>;

struct Weights {
    blank: f32,
    label: f32,
    normaliser: f32,
    unusable: bool,
}

fn weights_of(utterance: Utterance, row: Row, first: u32, sum: LogSum) -> Weights {
    var w = Weights(LOG_ZERO, LOG_ZERO, 0.0, false);
    let label = label_at(utterance, row.u);
    let blank = score_at(first, params.blank);
    // Where no label is read, nothing but the blank is.
    let is_read = label != WILDCARD && row.u < utterance.labels;
    let next = score_at(first, select(params.blank, symbol_of(label), is_read));
    w.unusable = blank.unusable || next.unusable;
    // A row without any symbol has no arcs.
    let usable = SCORES == LOG_PROBS || SCORES == GATHERED || !is_log_zero(sum.peak);
    if (usable && !(SCORES == LOG_PROBS || SCORES == GATHERED)) {
        w.normaliser = sum.peak + log2(sum.sum);
    }
    if (SCORES == HAT) {
        w.blank = select(log2_sigmoid(blank.x), LOG_ZERO, is_log_zero(blank.x));
        w.label = select(LOG_ZERO, next.x - w.normaliser + log2_sigmoid(-blank.x), usable);
    } else if (usable) {
        w.blank = blank.x - w.normaliser;
        w.label = next.x - w.normaliser;
    }
    w.blank -= params.sigma;
    w.label -= params.sigma;
    let lead = 0.5 * f32(utterance.frames - 1u) - f32(row.t);
    if (label == WILDCARD) {
        w.label = 0.0;
    } else if (label == params.eos) {
        w.label += params.eos_delay * lead;
    }
    w.label += params.delay * lead;
    if (after_wildcard(utterance, row.u)) {
        w.blank = params.wildcard;
    }
    // Nothing lies beyond the last position; a plain weight keeps the sweep on its fast path.
    w.label = select(w.label, 0.0, row.u >= utterance.labels);
    return w;
}

// LANES invocations a row, in a stride, so that neighbours read neighbours.
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
    let lane = local % LANES;
    let slot = local / LANES;
    let own = quad_row(min(lane, ROWS - 1u), slot);
    let quad = locate_quad(utterance, (group.x + group.y * groups.x) * QUADS + own.quad);
    let row = locate_frame(utterance, tensor_frames(n), quad, own.frame);
    let first = row.start / PACK;
    if (lane < ROWS) {
        let reads = row.is_cell && (SCORES == LOGITS || SCORES == HAT);
        wg_rows[lane * SLOTS + slot] = select(NO_ROW, first, reads);
    }
    workgroupBarrier();

    // No symbol: V.
    let without = select(params.vocab, params.blank, SCORES == HAT);
    var mine = log_sum_empty();
    var status = 0u;
    for (var i = 0u; i < ROWS; i++) {
        let at = wg_rows[i * SLOTS + slot];
        let part = row_sum(at, select(params.vocab / PACK, 0u, at == NO_ROW), lane, without);
        status |= select(0u, STATUS_NON_FINITE, part.unusable);
#ifdef SUBGROUPS
        let sum = log_sum_reduce(part.sum, local, subgroup_lane, subgroup_size);
#else
        let sum = log_sum_reduce(part.sum, local);
#endif
        if (lane == i) {
            mine = sum;
        }
    }
    if (lane < ROWS && row.exists && row.t < utterance.frames && row.u <= utterance.labels) {
        status |= keep(utterance, row, first, mine);
    }
    if (status != 0u) {
        atomicOr(&results[n], status);
    }
}

// Stores what a cell needs, and gives the status that follows.
fn keep(utterance: Utterance, row: Row, first: u32, sum: LogSum) -> u32 {
    var weights = Weights(LOG_ZERO, LOG_ZERO, 0.0, false);
    if (row.is_cell) {
        weights = weights_of(utterance, row, first, sum);
    }
    let blank = weight_word(weights.blank);
    let label = weight_word(weights.label);
    let blanks = FRAMES * quad_at(utterance, row.t, row.u);
    let labels = blanks + FRAMES * params.places;
    let frame = row.t % FRAMES;
    arcs[blanks + frame] = blank;
    arcs[labels + frame] = label;
    if (row.t + 1u == utterance.frames) {
        // The frames that the last quad has too many: paths stay.
        for (var after = frame + 1u; after < FRAMES; after++) {
            arcs[blanks + after] = CERTAIN;
            arcs[labels + after] = IMPOSSIBLE;
        }
    }
    if (SCORES == LOGITS || SCORES == HAT) {
        arcs[labels + FRAMES * params.places + frame] = bitcast<u32>(weights.normaliser);
    }
    return select(0u, STATUS_NON_FINITE, weights.unusable) | select(STATUS_WIDE, 0u, is_quick_weight(blank) && is_quick_weight(label));
}
