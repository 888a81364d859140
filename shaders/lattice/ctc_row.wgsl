// CTC row pass: one read of the logits gives the weights of the blank and of all labels of the target
// in each frame, and the normaliser of the row for the gradient pass.
// Twin: src/cpu/ctc/row.rs.
#import ctc_rows
#import lattice_status
#import row_sum

// A window of the logits.
@group(0) @binding(1)
var<storage, read> scores: array<Packed>;
@group(0) @binding(2)
var<storage, read> batch: array<u32>;
// Weights of the labels: 4 `groups` a frame.
@group(0) @binding(3)
var<storage, read_write> arcs: array<u32>;
// Of each frame: weight of the blank, bits of the log2 normaliser.
@group(0) @binding(4)
var<storage, read_write> frames: array<vec2u>;
@group(0) @binding(5)
var<storage, read_write> results: array<atomic<u32>>;

// log2 normaliser of each row of the workgroup.
var<workgroup> wg_normaliser: array<f32, WORKGROUP>;

// Columns without a label lead nowhere.
const NO_LABEL = 0u;

// Weight of symbol v in the row that begins at pack `first`; sets `status` where its score is unusable.
fn weight_of(first: u32, v: u32, normaliser: f32, status: ptr<function, u32>) -> u32 {
    let wanted = symbols_of(v / PACK) == Bits(v);
    let packed = read_scores(first + v / PACK);
    let score = sum_of(select(Scores(0.0), clean_scores(packed), wanted));
    *status |= select(0u, STATUS_NON_FINITE, has_unusable(select(Bits(0u), bits_of(packed), wanted)));
    return weight_word(score * LOG2_E - normaliser);
}

// Whether the sweep in floats can take a weight: 2^-60 or more.
fn is_float_weight(word: u32) -> bool {
    return word >= 0x21800000u && word <= 0x40000000u;
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
    let row = locate(utterance, n, (group.x + group.y * groups.x) * (WORKGROUP / LANES) + local / LANES);
    let first = row.start / PACK;
    let lane = local % LANES;
    // Nothing is left out: V is no symbol.
    let own = row_sum(first, select(0u, params.vocab / PACK, row.is_frame && !PICKED), lane, params.vocab);

#ifdef SUBGROUPS
    let sum = log_sum_reduce(own.sum, local, subgroup_lane, subgroup_size);
#else
    let sum = log_sum_reduce(own.sum, local);
#endif
    if (lane == 0u) {
        // A row without any symbol: every weight is zero with any normaliser. And log-probabilities have none.
        wg_normaliser[local / LANES] = select(sum.peak + log2(sum.sum), 0.0, is_log_zero(sum.peak));
    }
    workgroupBarrier();

    let normaliser = wg_normaliser[local / LANES];
    var seen = select(0u, STATUS_NON_FINITE, own.unusable);
    var plain = true;
    let columns = select(0u, 4u * groups_of(utterance), row.is_frame);
    for (var u = lane; u < columns; u += LANES) {
        var word = NO_LABEL;
        if (u < utterance.labels) {
            word = weight_of(first, batch[utterance.labels_at + u], normaliser, &seen);
            plain = plain && is_float_weight(word);
        }
        arcs[4u * row.place * params.groups + u] = word;
    }
    if (row.is_frame && lane == 0u) {
        let word = weight_of(first, params.blank, normaliser, &seen);
        plain = plain && is_float_weight(word);
        frames[row.place] = vec2u(word, bitcast<u32>(normaliser));
    }
    seen |= select(STATUS_WIDE, 0u, plain);
    if (seen != 0u) {
        atomicOr(&results[SEEN * params.utterances + n], seen);
    }
}
