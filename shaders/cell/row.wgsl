// Cells with layer norms, forward, the second of two dispatches of a step: the norms and the update. product.wgsl is the first.
// A workgroup owns a sequence.
// Twin: src/cpu/cells/row.rs.
#import cell_call

// [frames, batch, hidden]
@group(0) @binding(6)
var<storage, read_write> y: array<f32>;
// [batch, CELL_ROWS, hidden]
@group(0) @binding(7)
var<storage, read_write> products: array<f32>;

#import cell_norms
alias Total = vec4f;
#import row_total

const INVOCATIONS = 256u;

fn product_at(n: u32, unit: u32) -> vec4f {
    let at = n * CELL_ROWS * params.hidden + unit;
    var r = vec4f();
    if (CELL_ROWS > 0u) {
        r.x = products[at];
    }
    if (CELL_ROWS > 1u) {
        r.y = products[at + params.hidden];
    }
    if (CELL_ROWS > 2u) {
        r.z = products[at + 2u * params.hidden];
    }
    if (CELL_ROWS > 3u) {
        r.w = products[at + 3u * params.hidden];
    }
    return r;
}

// What the cell sees of the product: normalised, with its bias.
fn recurrent_at(n: u32, unit: u32, mean: vec4f, factor: vec4f) -> vec4f {
    return select(vec4f(), (product_at(n, unit) - mean) * factor * gains_at(unit), row_lanes()) + bias_at(unit);
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
    let hidden = params.hidden;
    let number = group.x + group.y * groups.x;
    let is_there = number < params.batch;
    let n = min(number, params.batch - 1u);
    let frame = params.first;

    var mean = vec4f();
    var factor = vec4f(1.0);
    if (CELL_NORM != 0u) {
        var sum = vec4f();
        for (var unit = local; unit < hidden; unit += INVOCATIONS) {
            sum += product_at(n, unit);
        }
        mean = spans(row_total(sum, local, subgroup_size)) / span_size();
        var squares = vec4f();
        for (var unit = local; unit < hidden; unit += INVOCATIONS) {
            let centred = select(vec4f(), product_at(n, unit) - mean, row_lanes());
            squares += centred * centred;
        }
        factor = inverseSqrt(spans(row_total(squares, local, subgroup_size)) / span_size() + norm_eps());
    }

    var state_mean = 0.0;
    var state_factor = 1.0;
    if (CELL_STATE_NORM != 0u) {
        // Twice, for the mean, and for the variance around it.
        for (var turn = 0u; turn < 2u; turn++) {
            var sum = 0.0;
            for (var unit = local; unit < hidden; unit += INVOCATIONS) {
                let at = n * hidden + unit;
                let r = recurrent_at(n, unit, mean, factor);
                let after = cell_update(inputs_at(frame, n, unit), r, states_at(params.steps, at), parameters_at(unit), masks_at(at));
                let centred = after[CELL_STATE_NORM] - state_mean;
                sum += select(centred, centred * centred, turn == 1u);
            }
            let total = row_total(vec4f(sum, 0.0, 0.0, 0.0), local, subgroup_size).x / f32(hidden);
            if (turn == 0u) {
                state_mean = total;
            } else {
                state_factor = inverseSqrt(total + state_eps());
            }
        }
    }

    let running = is_there && runs(n, frame);
    for (var unit = local; unit < hidden && is_there; unit += INVOCATIONS) {
        let at = n * hidden + unit;
        var s = states_at(params.steps, at);
        var out = 0.0;
        if (running) {
            let x = inputs_at(frame, n, unit);
            let r = recurrent_at(n, unit, mean, factor);
            let p = parameters_at(unit);
            let m = masks_at(at);
            var after = cell_update(x, r, s, p, m);
            if (CELL_STATE_NORM != 0u) {
                let normed = (after[CELL_STATE_NORM] - state_mean) * state_factor * state_gain_at(unit) + state_bias_at(unit);
                after.x = cell_output(x, r, after, p, m, normed);
            }
            s = zoned_out(frame, at, after, s);
            out = s.x;
        }
        set_states(params.steps + 1u, at, states_before(params.steps + 1u, frame_of(1u), n, s));
        y[params.y_first + at] = out;
    }
}
