// What the steps back must know of a normalised state, of all frames of a stretch at once: nothing of it waits for a step. A workgroup a
// frame of a sequence.
// Twin: src/cpu/cells/state_sums.rs.
// In the slot: the cell.
#slot cell

struct Params {
    batch: u32,
    hidden: u32,
    // Frames of sequences, and the frame of the first.
    lines: u32,
    frame: u32,
    // Where that begins in `gates`: inputs, and products.
    inputs_first: u32,
    products_first: u32,
    // The slot of the states before it, and slots.
    slot: u32,
    slots: u32,
    has_lengths: u32,
    resets_first: u32,
    reset_words: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> units: array<f32>;
@group(0) @binding(2)
var<storage, read> sequences: array<u32>;
// [CELL_STATES, slots, batch, hidden]
@group(0) @binding(3)
var<storage, read> states: array<f32>;
// Of each frame [batch, CELL_INPUTS, hidden], and [batch, CELL_ROWS, hidden], which are normalised, but for gain and bias.
// Only read here.
@group(0) @binding(4)
var<storage, read_write> gates: array<f32>;
// [lines, STATE_WORDS]: mean and factor, then four sums of each span of the product (OfMeans).
@group(0) @binding(5)
var<storage, read_write> known: array<f32>;

#import cell_sequences
#import cell_units
#import cell_gates
#import cell_norms
#import cell_state_norm
alias Total = vec4f;
#import row_total

const LANES = 256u;

// What the cell sees of a unit, with the products as they are before gain and bias.
struct Seen {
    x: vec4f,
    hat: vec4f,
    r: vec4f,
    s: vec4f,
    p: vec4f,
    m: vec4f,
}

fn seen_at(line: u32, unit: u32) -> Seen {
    let hidden = params.hidden;
    let at = line % params.batch * hidden + unit;
    let x = gates_at(params.inputs_first + line * CELL_INPUTS * hidden + unit, CELL_INPUTS);
    let hat = gates_at(params.products_first + line * CELL_ROWS * hidden + unit, CELL_ROWS);
    let s = states_at(params.slot + line / params.batch, at);
    return Seen(x, hat, hat * gains_at(unit) + bias_at(unit), s, parameters_at(unit), masks_at(at));
}

fn state_of(line: u32, unit: u32) -> f32 {
    let u = seen_at(line, unit);
    return cell_update(u.x, u.r, u.s, u.p, u.m)[CELL_STATE_NORM];
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
#ifdef SUBGROUPS
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
#ifndef SUBGROUPS
    let subgroup_size = 1u;
#endif
    let line = group.x + group.y * groups.x;
    let is_there = line < params.lines;
    let end = select(0u, params.hidden, is_there && runs(line % params.batch, params.frame + line / params.batch));

    var sum = vec4f();
    for (var unit = local; unit < end; unit += LANES) {
        sum.x += state_of(line, unit);
    }
    let mean = row_total(sum, local, subgroup_size).x / f32(params.hidden);
    sum = vec4f();
    for (var unit = local; unit < end; unit += LANES) {
        let centred = state_of(line, unit) - mean;
        sum.x += centred * centred;
    }
    let factor = inverseSqrt(row_total(sum, local, subgroup_size).x / f32(params.hidden) + state_eps());
    let to = line * STATE_WORDS;
    if (is_there && local == 0u) {
        known[to] = mean;
        known[to + 1u] = factor;
    }

    // A lane a row: what its normalised product gets of 1 in the means, summed, and times itself.
    var sums: array<vec4f, 4>;
    for (var unit = local; unit < end && NORM_SPANS > 0u; unit += LANES) {
        let u = seen_at(line, unit);
        let state_hat = (cell_update(u.x, u.r, u.s, u.p, u.m)[CELL_STATE_NORM] - mean) * factor;
        let first = spans(of_normalised(u.x, u.r, u.s, u.p, u.m, factor).r * gains_at(unit));
        let second = spans(of_normalised(u.x, u.r, u.s, u.p, u.m, factor).r * gains_at(unit) * u.hat);
        sums[0] += first;
        sums[1] += first * state_hat;
        sums[2] += second;
        sums[3] += second * state_hat;
    }
    for (var kind = 0u; kind < 4u && NORM_SPANS > 0u; kind++) {
        let total = row_total(sums[kind], local, subgroup_size);
        if (is_there && local < NORM_SPANS) {
            known[to + 2u + 4u * local + kind] = total[local];
        }
    }
}
