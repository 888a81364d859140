// Expected latency: of every cell the mean lateness, summed over labels, of the ways from there to the end,
// and of those from the start to there. Twin: src/cpu/arcs/latency.rs.
//
// The mean of a cell is that of its arcs, each with the part that it brings to the variable of the sweep: a
// recurrence on the same diagonals. What a path that takes an arc is expected to be late, less what all
// are, is the derivative of the expectation by the arc's log weight: a covariance.
// One workgroup walks one utterance in one direction, diagonal by diagonal, in memory.
#import arcs_table
#import lattice_status
#import lateness
#import sweep_params

// Words of the cells.
@group(0) @binding(2)
var<storage, read> arcs: array<u32>;
// Exponents that the variables are relative to: forward, backward.
@group(0) @binding(3)
var<storage, read> anchors: array<i32>;
// Forward, then backward variables: log2, relative to an anchor. Then the means onward, and those so far.
@group(0) @binding(4)
var<storage, read_write> lattice: array<f32>;
// Status words [N], cost bits [N].
@group(0) @binding(5)
var<storage, read_write> results: array<u32>;

override WIDTH: u32 = 128u;

// log2 of a variable, exponent and rest.
struct Variable {
    e: i32,
    x: f32,
}

fn forward(utterance: Utterance, t: u32, u: u32) -> Variable {
    return Variable(anchors[forward_anchor(utterance, t, u)], lattice[place_at(utterance, t, u)]);
}

fn backward(utterance: Utterance, t: u32, u: u32) -> Variable {
    let anchor = anchors[params.anchors + 1u + backward_anchor(utterance, t, u)];
    return Variable(anchor, lattice[params.places + 1u + place_at(utterance, t, u)]);
}

// What an arc of log2 weight w from or to another cell brings to a variable.
fn share(whole: Variable, w: f32, other: Variable) -> f32 {
    return exp2(clamp(f32(other.e - whole.e) + (w + (other.x - whole.x)), -1e4, 1.0));
}

// Shares and their mean so far.
struct Mean {
    shares: f32,
    sum: f32,
}

fn mean_with(mean: Mean, share: f32, value: f32) -> Mean {
    return Mean(mean.shares + share, mean.sum + share * value);
}

// Rounded shares need not sum to 1.
fn mean_of(mean: Mean) -> f32 {
    return select(0.0, mean.sum / max(mean.shares, 1e-37), mean.shares > 0.0);
}

fn weight_of(utterance: Utterance, t: u32, u: u32, a: u32) -> f32 {
    return arc_log2(arcs[word_at(params.places, place_at(utterance, t, u), a)]);
}

// Of the ways from (t, u) to the end. Exits leave no labels behind.
fn onward(utterance: Utterance, kind: Kind, t: u32, u: u32) -> f32 {
    var mean = Mean(0.0, 0.0);
    let whole = backward(utterance, t, u);
    for (var a = 0u; a < kind.arcs; a++) {
        let arc = arc_of(kind, a);
        let to_t = t + arc.frames;
        let to_u = u + arc.labels;
        let late = select(0.0, lateness(utterance, t, u), arc.labels == 1u);
        if (to_t < utterance.frames && to_u <= utterance.labels) {
            let after = lattice[2u * (params.places + 1u) + place_at(utterance, to_t, to_u)];
            mean = mean_with(mean, share(whole, weight_of(utterance, t, u, a), backward(utterance, to_t, to_u)), late + after);
        } else if (arc.may_end && to_t == utterance.frames && to_u == utterance.labels) {
            mean = mean_with(mean, share(whole, weight_of(utterance, t, u, a), Variable(0, 0.0)), late);
        }
    }
    if (kind.entry > LOG2_NEVER && t == 0u && u == 0u) {
        for (var later = 1u; later < utterance.frames; later++) {
            let after = lattice[2u * (params.places + 1u) + place_at(utterance, later, 0u)];
            mean = mean_with(mean, share(whole, kind.entry, backward(utterance, later, 0u)), after);
        }
    }
    return mean_of(mean);
}

// Of the ways from the start to (t, u). Entries have no labels before them.
fn so_far(utterance: Utterance, kind: Kind, t: u32, u: u32) -> f32 {
    var mean = Mean(0.0, 0.0);
    let whole = forward(utterance, t, u);
    for (var a = 0u; a < kind.arcs; a++) {
        let arc = arc_of(kind, a);
        if (arc.frames <= t && arc.labels <= u) {
            let from_t = t - arc.frames;
            let from_u = u - arc.labels;
            let late = select(0.0, lateness(utterance, from_t, from_u), arc.labels == 1u);
            let before = lattice[3u * (params.places + 1u) + place_at(utterance, from_t, from_u)];
            mean = mean_with(mean, share(whole, weight_of(utterance, from_t, from_u, a), forward(utterance, from_t, from_u)), before + late);
        }
    }
    if (kind.exit_to == EXIT_LAST_CELL && u == utterance.labels && t + 1u == utterance.frames) {
        for (var earlier = 0u; earlier < t; earlier++) {
            let before = lattice[3u * (params.places + 1u) + place_at(utterance, earlier, u)];
            // Cells outside of a band have no way on, exits neither.
            let leaves = backward(utterance, earlier, u).x >= LOG2_NEVER;
            mean = mean_with(mean, select(0.0, share(whole, kind.exit, forward(utterance, earlier, u)), leaves), before);
        }
    }
    return mean_of(mean);
}

@compute @workgroup_size(WIDTH)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let own = launched(group, groups);
    let n = own.n;
    let is_onward = own.direction == 0u;
    let utterance = utterance(n);
    let kind = kind_of(n);
    let steps = select(0u, utterance.frames + utterance.labels, own.exists && utterance.frames > 0u);
#ifdef BANDS
    if (local == 0u && steps > 0u) {
        lattice[(2u + own.direction) * (params.places + 1u) + beside_band(utterance)] = 0.0;
    }
#endif
    for (var k = 0u; k < steps; k++) {
        for (var j = local; j <= min(k, utterance.labels); j += WIDTH) {
            let s = k - j;
            if (s < utterance.frames) {
                let t = select(s, utterance.frames - 1u - s, is_onward);
                let u = select(j, utterance.labels - j, is_onward);
#ifdef BANDS
                if (!is_in_band(utterance, t, u)) {
                    continue;
                }
#endif
                if (is_onward) {
                    lattice[2u * (params.places + 1u) + place_at(utterance, t, u)] = onward(utterance, kind, t, u);
                } else {
                    lattice[3u * (params.places + 1u) + place_at(utterance, t, u)] = so_far(utterance, kind, t, u);
                }
            }
        }
        // The next diagonals read what other invocations stored.
        storageBarrier();
        workgroupBarrier();
    }
    if (local == 0u && steps > 0u && is_onward && utterance.labels > 0u && (results[n] & STATUS_MASK) == STATUS_OK) {
        let late = lattice[2u * (params.places + 1u) + place_at(utterance, 0u, 0u)] / f32(utterance.labels);
        // Labels spread evenly are emitted around the middle.
        let latency = late + 0.5 * (f32(utterance.frames) - 1.0);
        let cost = bitcast<f32>(results[params.utterances + n]);
        results[params.utterances + n] = bitcast<u32>(cost + kind.latency * latency);
    }
}
