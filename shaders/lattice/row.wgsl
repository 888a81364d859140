// Row pass: one read of the logits gives the three planes of the lattice: log-probability of the
// blank, log-probability of the next label, log-normaliser of the row.
// Twin: src/cpu/lattice.rs::row. Params twin: src/lattice/plan.rs::RowParams.
#import log_sum
#import lattice_rows
#import lattice_status

// A window of [N, T, U1, V] as bits.
@group(0) @binding(1)
var<storage, read> logits: array<u32>;
// Frames [N], labels [N], targets [N, U1 - 1].
@group(0) @binding(2)
var<storage, read> batch: array<u32>;
// [chunk, 3, D, U1]: blank, label, normaliser.
@group(0) @binding(3)
var<storage, read_write> arcs: array<f32>;
// Status words [N], cost bits [N].
@group(0) @binding(4)
var<storage, read_write> results: array<atomic<u32>>;

// LANES invocations a row, in a stride, so that neighbours read neighbours.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
#ifdef SUBGROUPS
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
    let number = (group.x + group.y * groups.x) * (256u / LANES) + local / LANES;
    let row = locate(number);
    let labels = batch[params.utterances + row.utterance];
    let exists = row.exists && row.t < batch[row.utterance] && row.u <= labels;
    let start = params.shift + min(number, params.rows - 1u) * params.vocab;
    let lane = local % LANES;

    var sum = log_sum_empty();
    var unusable = false;
    let end = select(0u, params.vocab, exists);
    for (var v0 = lane; v0 < end; v0 += 4u * LANES) {
        var x = vec4f(LOG_ZERO);
        for (var i = 0u; i < 4u; i++) {
            let v = v0 + i * LANES;
            if (v < end) {
                let bits = logits[start + v];
                unusable = unusable || is_unusable(bits);
                x[i] = finite_logit(bits);
            }
        }
        sum = log_sum_add(sum, x);
    }
    if (unusable) {
        atomicOr(&results[row.utterance], STATUS_NON_FINITE);
    }

#ifdef SUBGROUPS
    sum = log_sum_reduce(sum, local, subgroup_lane, subgroup_size);
#else
    sum = log_sum_reduce(sum, local);
#endif

    if (exists && lane == 0u) {
        var blank = LOG_ZERO;
        var label = LOG_ZERO;
        var normaliser = 0.0;
        // A row without any symbol has no arcs.
        if (!is_log_zero(sum.peak)) {
            normaliser = sum.peak + log(sum.sum);
            blank = max(finite_logit(logits[start + params.blank]) - normaliser, LOG_ZERO);
            if (row.u < labels) {
                let target_at = 2u * params.utterances + row.utterance * (params.positions - 1u) + row.u;
                label = max(finite_logit(logits[start + batch[target_at]]) - normaliser, LOG_ZERO);
            }
        }
        let at = 3u * row.slot * row.plane + row.cell;
        arcs[at] = blank;
        arcs[at + row.plane] = label;
        arcs[at + 2u * row.plane] = normaliser;
    }
}
