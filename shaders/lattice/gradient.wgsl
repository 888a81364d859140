// Gradient pass: d cost / d logits from the softmax, recomputed, and the occupancies of the two arcs
// of a cell. Everything outside the lattice, and every utterance that is not ok, gets exact zeros.
// Twin: src/cpu/lattice.rs::gradient. Params twin: src/lattice/plan.rs::RowParams.
#import log_math
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
var<storage, read> arcs: array<f32>;
// [chunk, 2, D, U1]: forward, backward variables.
@group(0) @binding(4)
var<storage, read> lattice: array<f32>;
// Status words [N], cost bits [N].
@group(0) @binding(5)
var<storage, read> results: array<u32>;
// The same window as that of the logits.
@group(0) @binding(6)
var<storage, read_write> gradients: array<f32>;

// Invocations that share a row, a power of two; the workgroup holds 256 / LANES rows.
override LANES: u32 = 8u;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let number = (group.x + group.y * groups.x) * (256u / LANES) + local / LANES;
    let row = locate(number);
    let frames = batch[row.utterance];
    let labels = batch[params.utterances + row.utterance];

    var occupied_blank = 0.0;
    var occupied_label = 0.0;
    var normaliser = 0.0;
    var label = params.vocab;
    if (row.t < frames && row.u <= labels && results[row.utterance] == STATUS_OK) {
        let arc = 3u * row.slot * row.plane + row.cell;
        let forward = 2u * row.slot * row.plane + row.cell;
        let backward = forward + row.plane;
        // (t + 1, u) and (t, u + 1) lie on the next diagonal.
        let next = params.positions;
        let cost = bitcast<f32>(results[params.utterances + row.utterance]);
        var after_blank = LOG_ZERO;
        if (row.t + 1u < frames) {
            after_blank = lattice[backward + next];
        } else if (row.u == labels) {
            after_blank = 0.0;
        }
        occupied_blank = exp((lattice[forward] + after_blank) + (arcs[arc] + cost));
        if (row.u < labels) {
            label = batch[2u * params.utterances + row.utterance * (params.positions - 1u) + row.u];
            occupied_label = exp((lattice[forward] + lattice[backward + next + 1u]) + (arcs[arc + row.plane] + cost));
        }
        normaliser = arcs[arc + 2u * row.plane];
    }

    let occupied = occupied_blank + occupied_label;
    let start = params.shift + min(number, params.rows - 1u) * params.vocab;
    let end = select(0u, params.vocab, row.exists);
    for (var v = local % LANES; v < end; v += LANES) {
        var gradient = 0.0;
        // A cell that no path visits need not be read.
        if (occupied > 0.0) {
            let p = exp(finite_logit(logits[start + v]) - normaliser);
            // p * occupied - occupied_blank would cancel where p is near 1; the same for the label.
            if (v == params.blank) {
                gradient = occupied_label * p - occupied_blank * (1.0 - p);
            } else if (v == label) {
                gradient = occupied_blank * p - occupied_label * (1.0 - p);
            } else {
                gradient = occupied * p;
            }
        }
        gradients[start + v] = gradient;
    }
}
