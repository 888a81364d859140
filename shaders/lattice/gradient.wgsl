// Gradient pass: d cost / d scores from the softmax, recomputed, and the occupancies of the two arcs
// of a cell. Everything outside the lattice, and every utterance that is not ok, gets exact zeros.
// Twin: src/cpu/lattice/gradient.rs.
#import lattice_rows
#import lattice_status
#import scores

@group(0) @binding(1)
var<storage, read> batch: array<u32>;
// Weights: pairs of blank and label; then log2 normalisers.
@group(0) @binding(2)
var<storage, read> arcs: array<u32>;
// Pairs of the forward, then of the backward variables: log2, relative to an anchor.
@group(0) @binding(3)
var<storage, read> lattice: array<f32>;
// Exponents that the variables are relative to: forward, backward.
@group(0) @binding(4)
var<storage, read> anchors: array<i32>;
// Status words [N], cost bits [N], log2 of the total: exponents [N], rests [N].
@group(0) @binding(5)
var<storage, read> results: array<u32>;
// The same window of the gradients as of the scores.
@group(0) @binding(6)
#ifdef IN_PLACE
var<storage, read_write> scores: array<Packed>;
#else
var<storage, read_write> gradients: array<Packed>;
// A window of the scores.
@group(0) @binding(7)
var<storage, read> scores: array<Packed>;
#endif

fn store(at: u32, gradient: Scores) {
#ifdef IN_PLACE
    scores[at] = pack_scores(gradient);
#else
    gradients[at] = pack_scores(gradient);
#endif
}

// Frames that a label takes.
override LABEL_FRAMES: u32 = 0u;

struct Occupancy {
    blank: f32,
    label: f32,
}

// log2 of the backward variable of cell (t, u), exponent and rest; (T, U) is the end.
struct After {
    e: i32,
    x: f32,
}

fn after(utterance: Utterance, t: u32, u: u32) -> After {
    if (t >= utterance.frames || u > utterance.labels) {
        return After(0, select(LOG_ZERO, 0.0, u == utterance.labels && t == utterance.frames));
    }
    let step = utterance.pairs - 1u - t / 2u + utterance.labels - u;
    let anchor = anchors[params.anchors + 1u + anchor_at(utterance, step, utterance.labels - u)];
    return After(anchor, lattice[2u * (params.pairs + 1u + pair_at(utterance, t / 2u, u)) + t % 2u]);
}

fn occupancy(utterance: Utterance, n: u32, t: u32, u: u32) -> Occupancy {
    let pair = pair_at(utterance, t / 2u, u);
    let total_e = bitcast<i32>(results[2u * params.utterances + n]);
    let total_x = bitcast<f32>(results[3u * params.utterances + n]);
    let e = anchors[anchor_at(utterance, t / 2u + u, u)] - total_e;
    let x = lattice[2u * pair + t % 2u] - total_x;
    let blank = weight_log2(arcs[4u * pair + 2u * (t % 2u)]);
    let label = weight_log2(arcs[4u * pair + 2u * (t % 2u) + 1u]);
    let stay = after(utterance, t + 1u, u);
    let come = after(utterance, t + LABEL_FRAMES, u + 1u);
    // Exponents are added as integers first: large ones cancel without rounding.
    return Occupancy(
        exp2(clamp(f32(e + stay.e) + (x + (blank + stay.x)), -1e4, 1.0)),
        exp2(clamp(f32(e + come.e) + (x + (label + come.x)), -1e4, 1.0)),
    );
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
    let rows = min(params.end_row, utterance.rows) - params.first_row;
    let number = (group.x + group.y * groups.x) * (WORKGROUP / LANES) + local / LANES;
    let row = locate(utterance, select(rows, rows - 1u - number, number < rows));
    let lane = local % LANES;

    var label = params.vocab;
    var occupied = Occupancy(0.0, 0.0);
    var normaliser = 0.0;
    if (row.is_cell && (results[n] & STATUS_MASK) == STATUS_OK) {
        occupied = occupancy(utterance, n, row.t, row.u);
        occupied.label *= params.label_scale;
        let next = label_at(utterance, row.u);
        // Arcs of constant weight have no gradient.
        if (after_wildcard(utterance, row.u)) {
            occupied.blank = 0.0;
        }
        if (next == WILDCARD || row.u >= utterance.labels) {
            occupied.label = 0.0;
        } else {
            label = symbol_of(next);
        }
        normaliser = bitcast<f32>(arcs[params.normalisers_at + 2u * utterance.first_pair + row.t * (utterance.labels + 1u) + row.u]);
    }

    // p_v times this; HAT's softmax is among the labels.
    let both = occupied.blank + occupied.label;
    let shared_by = select(select(both, occupied.label, SCORES == HAT), 0.0, SCORES == LOG_PROBS || SCORES == GATHERED);
    let first = row.start / PACK;
    let packs = select(0u, params.vocab / PACK, row.exists);
    for (var i = lane; i < packs; i += LANES) {
        var g = Scores(0.0);
        // A cell that no path visits need not be read.
        if (both > 0.0) {
            let symbols = symbols_of(i);
            let is_blank = symbols == Bits(params.blank);
            let is_label = symbols == Bits(label);
            if (SCORES == LOG_PROBS || SCORES == GATHERED) {
                g = select(g, Scores(-occupied.blank), is_blank);
                g = select(g, Scores(-occupied.label), is_label);
            } else {
                let x = max(unpack_scores(scores[first + i]) * LOG2_E, Scores(LOG_ZERO));
                let p = exp2(min(x - normaliser, Scores(0.0)));
                g = shared_by * p;
                // p * both - occupied would cancel where p is near 1.
                if (SCORES == HAT) {
                    let stay = 1.0 / (1.0 + exp2(-max(x, Scores(-126.0))));
                    let leave = 1.0 / (1.0 + exp2(max(min(x, Scores(126.0)), Scores(-126.0))));
                    g = select(g, occupied.label * stay - occupied.blank * leave, is_blank);
                    g = select(g, occupied.label * (p - 1.0), is_label);
                } else {
                    g = select(g, occupied.label * p - occupied.blank * (1.0 - p), is_blank);
                    g = select(g, occupied.blank * p - occupied.label * (1.0 - p), is_label);
                }
            }
            g = utterance.scale * clamp(g, Scores(-params.clamp), Scores(params.clamp));
        }
        store(first + i, g);
    }
}
